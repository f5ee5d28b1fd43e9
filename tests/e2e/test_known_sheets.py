"""Exports of shops and catalogues, and columns named by people: recognised, told, and never bought on a guess in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

LINK = "https://shop.example.com/p/%d.jpg"
SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Type,Option1 Name,Option1 Value,Image Src,Image Position,Gift Card,Variant Image\n"
    f"mug,Red Mug,Big,Acme,,Size,S,{LINK % 1},1,false,\n"
    "mug,,,,,,L,,,,\n"
    f"mug,,,,,,,{LINK % 2},2,,\n"
    "card,Gift Card,,Acme,Gift Card,Amount,10,,,true,\n"
    f"cap,Blue Cap,Small,Acme,,Size,M,{LINK % 3},1,false,\n"
)


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


def test_a_shopify_export_is_planned_at_the_first_try(tmp_path: Path, sandbox) -> None:
    (tmp_path / "products.csv").write_text(SHOPIFY)
    plan = batchedit("plan", "products.csv", "--no-check-images", cwd=tmp_path).stdout
    assert "to buy          3 pictures" in plan
    assert "left out        1 row: a variant without a picture of its own; 1 row: a gift card without a picture" in plan
    assert "image: column 'Image Src', 3 of 5 cells are links to pictures (an export of Shopify)" in plan
    assert "prompt: none is given, so 'make an ad for {Title}' is taken" in plan
    assert "invalid" not in plan

    refused = batchedit("run", "products.csv", *on(sandbox, "--out", "o"), cwd=tmp_path, code=65)
    assert "--prompt 'make an ad for {Title}'" in refused.stderr
    batchedit("run", "products.csv", *on(sandbox, "--out", "o"), cwd=tmp_path, code=65)
    assert sandbox.ledger()["accepted"] == 0, "a guess at the prompt is bought on no yes that was said before"

    run = ["run", "products.csv", *on(sandbox, "--out", "o", "--prompt", "make an ad for {Title}")]
    batchedit(*run, cwd=tmp_path)
    bought = sorted(job["prompt"] for job in sandbox.ledger(full=True)["requests"])
    assert bought == ["make an ad for Blue Cap", "make an ad for Red Mug", "make an ad for Red Mug"]
    result_rows = rows(tmp_path / "o")
    assert [row["result_status"] for row in result_rows] == ["done", "skipped", "done", "skipped", "done"]
    assert result_rows[3]["result_error"] == "the row is a gift card without a picture"
    assert not (tmp_path / "o" / "failed.csv").exists()


def test_one_command_from_an_export_to_pictures_in_three_sizes(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(SHOPIFY)
    batchedit("run", "products.csv", "--sandbox", "--sizes", "1:1,2:3,3:2", cwd=tmp_path)
    assert len(list((tmp_path / "outputs" / "products" / "files").iterdir())) == 9


@pytest.mark.parametrize(
    ("head", "row", "column", "certain"),
    [
        ("id,title,description,link,image link,price", "1,Mug,Big,https://x.example/a,{},9", "image link", True),
        ("ID,Type,SKU,Name,Published,Images", "1,simple,S,Mug,1,{}", "Images", True),
        ("sku,name,base_image,prompt", "S,Mug,{},p", "base_image", True),
        (
            "Product ID,Product Name,Product Image File - 1,Product Image URL - 1",
            "1,Mug,m.jpg,{}",
            "Product Image URL - 1",
            True,
        ),
        ("item_sku,item_name,main_image_url,prompt", "S,Mug,{},p", "main_image_url", True),
        ("TITLE,DESCRIPTION,PRICE,IMAGE1,IMAGE2", "Mug,Big,9,{},", "IMAGE1", True),
        ("Name,Attachments,prompt", "Mug,m.jpg ({}),p", "Attachments", True),
        (
            "TemplateType=x,Version=2,,\nSKU,Product Name,Price,Main Image URL\nitem_sku,item_name,list_price,main_image_url",
            "S,Mug,9,{}",
            "main_image_url",
            True,
        ),
        ("Name,Attachments,Price", "Mug,m.jpg ({}),9", "Attachments", True),
        ("Código,Foto del producto,Indicación", "S,{},p", "Foto del producto", True),
        ("sku,Product Photo,prompt", "S,{},p", "Product Photo", True),
        ("Artikelnummer,Bild-URL,Prompt", "S,{},p", "Bild-URL", True),
        ("Référence,Lien photo,Consigne", "S,{},p", "Lien photo", True),
        ("Referencia,Imagen,Instrucción", "S,{},p", "Imagen", True),
        ("sku,Spalte 7,prompt", "S,{},p", "Spalte 7", False),
    ],
)
def test_columns_are_recognised_by_exporter_name_and_value(
    tmp_path: Path, sandbox, head: str, row: str, column: str, certain: bool
) -> None:
    (tmp_path / "m.csv").write_text(f"{head}\n{row.format(LINK % 1)}\n")
    stdout = batchedit("plan", "m.csv", "--no-check-images", cwd=tmp_path).stdout
    assert f"image: column {column!r}, its cell is a link to a picture" in stdout
    assert "to buy          1 picture" in stdout
    prompt = [] if "rompt" in head or "nstruc" in head or "Consigne" in head or "Indic" in head else ["--prompt", "x"]
    completed = batchedit("run", "m.csv", *on(sandbox, "--out", "o", *prompt), cwd=tmp_path, code=0 if certain else 65)
    assert sandbox.ledger()["accepted"] == int(certain), completed.stderr


def test_a_row_of_totals_is_no_order(tmp_path: Path, sandbox) -> None:
    (tmp_path / "m.csv").write_text(f"sku,image,prompt,price\nA-1,{LINK % 1},make an ad,9\nTotal,,,9\n")
    assert "left out        1 row: a sum" in batchedit("plan", "m.csv", "--no-check-images", cwd=tmp_path).stdout
    batchedit("run", "m.csv", *on(sandbox, "--out", "o"), cwd=tmp_path)
    assert [row["result_status"] for row in rows(tmp_path / "o")] == ["done", "skipped"]
    line = json.loads((tmp_path / "o" / "results.jsonl").read_text().splitlines()[1])
    assert (line["sku"], line["result_status"]) == ("Total", "skipped")


# --- init -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_feed_called_txt_was_taken_for_a_list_of_links(tmp_path: Path, encoding: str) -> None:
    feed = f"id\ttitle\tlink\timage link\nG-1\tRöd mug\thttps://shop.example.com/red\t{LINK % 1}\n"
    (tmp_path / "feed.txt").write_text(feed, encoding=encoding)
    batchedit("init", "feed.txt", "--to", "x.csv", cwd=tmp_path)
    text = (tmp_path / "x.csv").read_text(encoding="utf-8-sig")
    assert text.splitlines()[1] == f"G-1,{LINK % 1},make an ad for Röd mug,Röd mug"


def test_a_list_called_txt_stays_a_list(tmp_path: Path) -> None:
    (tmp_path / "links.txt").write_text(f"# mugs\n{LINK % 1}\n\nphotos/a mug.jpg\n", encoding="utf-16")
    batchedit("init", "links.txt", "--to", "x.csv", cwd=tmp_path)
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 3


def test_rows_and_files_that_init_leaves_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        f'sku,title,image\nA-1,"24\\" monitor, black",{LINK % 1}\nA-2,Mug,{LINK % 2}\nA-3,Cap, red,{LINK % 3}\n'
    )
    stdout = batchedit("init", "s.csv", "--to", "x.csv", cwd=tmp_path).stdout
    assert "2 rows left out, can't be read: row 2 (" in stdout
    assert "row 4 (has 4 cells" in stdout
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jfif", "c.jpe", "d.heif", "e.NEF", "f"):
        (photos / name).write_bytes(b"\xff\xd8\xff\xe0")
    stdout = batchedit("init", "photos", "--to", "y.csv", cwd=tmp_path).stdout
    assert "y.csv: 4 rows" in stdout
    assert "2 files left out, no picture: e.NEF and f" in stdout
