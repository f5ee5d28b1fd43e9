"""``init`` and ``template``: from what people have to a manifest that runs."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from batchedit.importers.feeds import ProductSources
from batchedit.manifest.read import open_manifest
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

pytestmark = pytest.mark.process

LINK = "https://images.example.com"
SHOPIFY = f"""Handle,Title,Body (HTML),Vendor,Image Src,Variant SKU
blue-shirt,Blue shirt,"<p>So <b>soft</b>.</p><p>Warm &amp; blue.</p>",Acme,{LINK}/1.jpg,S-1
blue-shirt,,,,{LINK}/2.jpg,S-2
blue-shirt,,,,,S-3
hat,Käsehut,,Acme,,H-1
hat,,,,{LINK}/3.jpg,H-2
sock,Sock,,Acme,,X-1
"""
GOOGLE = f"""<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>
<item><g:id>A-1</g:id><title>Mug</title><description>A &lt;b&gt;mug&lt;/b&gt;</description>
<g:image_link>{LINK}/mug.png</g:image_link></item>
<item><g:id>A-2</g:id><g:title>Lamp</g:title><g:image_link>{LINK}/lamp.png</g:image_link></item>
<item><g:id>A-3</g:id><title>No picture</title></item>
</channel></rss>
"""
ATOM = f"""<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<entry><g:id>1</g:id><g:title>Mug</g:title><g:image_link>{LINK}/mug.png</g:image_link></entry></feed>"""


def read_made_rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def run_init(tmp_path: Path, *sources: object, code: int = 0, **files: str):
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return batchedit("init", *sources, cwd=tmp_path, code=code)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("ocean-blue_shirt.png", "sub/mug 7.jpg", "sub/=evil.png", ".hidden/x.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), "red").save(photos / name)
    (photos / "notes.txt").write_text("no picture")
    completed = run_init(tmp_path, "photos")
    assert read_made_rows(tmp_path / "photos-manifest.csv") == [
        ["sku", "image", "prompt"],
        ["ocean-blue_shirt", "photos/ocean-blue_shirt.png", "make an ad for ocean blue shirt"],
        ["evil", "photos/sub/=evil.png", "make an ad for =evil"],
        ["mug 7", "photos/sub/mug 7.jpg", "make an ad for mug 7"],
    ]
    command = next(line for line in completed.stdout.splitlines() if "--sandbox" in line).split("bought: ")[1]
    assert command == "batchedit run photos-manifest.csv --sandbox"
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as sandbox:
        batchedit("run", "photos-manifest.csv", *on(sandbox), cwd=tmp_path)
    assert [row["result_status"] for row in rows(tmp_path / "outputs" / "photos-manifest")] == ["done"] * 3


def test_the_printed_command_for_a_folder_elsewhere_names_it(tmp_path: Path) -> None:
    """Pictures are read below the sheet's folder; ``init`` writes the sheet where it is called."""
    elsewhere, here = tmp_path / "my photos", tmp_path / "here"
    (elsewhere / "sub").mkdir(parents=True)
    here.mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (30, 20), "red").save(elsewhere / name)
    completed = run_init(here, "../my photos")
    for line in completed.stdout.splitlines():
        if "batchedit " in line:
            command = shlex.split(line[line.index("batchedit ") :])[1:]
            assert command.count("--image-root") == 1
            batchedit(*command, cwd=here)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    text = {"links_txt": f"{LINK}/a.png\n"}
    run_init(tmp_path, "links.txt", **text)
    (tmp_path / "links-manifest.csv").write_text("mine")
    refused = run_init(tmp_path, "links.txt", code=64)
    assert "--force" in refused.stderr
    assert (tmp_path / "links-manifest.csv").read_text() == "mine"
    run_init(tmp_path, "links.txt", "--force")
    assert len(read_made_rows(tmp_path / "links-manifest.csv")) == 2
    run_init(tmp_path, "links-manifest.csv", "--to", "links-manifest.csv", "--force", code=64)


def test_a_list_of_links_and_pictures_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    links = f"# ours\n{LINK}/a%20b.png?x=1\n\n{LINK}/a%20b.png?x=2\n"
    run_init(tmp_path, "links.txt", "b.png", f"{LINK}/c.webp", "--to", "sub/m.csv", links_txt=links)
    assert read_made_rows(tmp_path / "sub" / "m.csv")[1:] == [
        ["a b", f"{LINK}/a%20b.png?x=1", "make an ad for a b"],
        ["a b-2", f"{LINK}/a%20b.png?x=2", "make an ad for a b"],
        ["b", "../b.png", "make an ad for b"],
        ["c", f"{LINK}/c.webp", "make an ad for c"],
    ]


@pytest.mark.parametrize("name", ["shop_csv", "shop_tsv"])
def test_a_shopify_export(tmp_path: Path, name: str) -> None:
    text = SHOPIFY
    if name == "shop_tsv":
        text = "".join("\t".join(line) + "\n" for line in csv.reader(SHOPIFY.splitlines()))
    completed = run_init(tmp_path, name.replace("_", "."), **{name: text})
    assert read_made_rows(tmp_path / "shop-manifest.csv") == [
        ["sku", "image", "prompt", "Title", "Vendor"],
        ["blue-shirt", f"{LINK}/1.jpg", "make an ad for Blue shirt: So soft. Warm & blue.", "Blue shirt", "Acme"],
        ["hat", f"{LINK}/3.jpg", "make an ad for Käsehut", "Käsehut", "Acme"],
    ]
    assert (tmp_path / "shop-manifest.csv").read_bytes().startswith(b"\xef\xbb\xbf"), "Käse, for Excel"
    assert "1 further picture of the same products left out" in completed.stdout
    assert "1 product without a picture left out" in completed.stdout


@pytest.mark.parametrize(("feed", "skus"), [(GOOGLE, ["A-1", "A-2"]), (ATOM, ["1"])])
def test_a_google_feed(tmp_path: Path, feed: str, skus: list[str]) -> None:
    run_init(tmp_path, "feed.xml", "--prompt", "{title}! {{x}} {sku}", feed_xml=feed)
    lines = read_made_rows(tmp_path / "feed-manifest.csv")[1:]
    assert [line[0] for line in lines] == skus
    assert lines[0][2] == f"Mug! {{x}} {skus[0]}"


OPTIONS = f"""Handle,Title,Variant Price,Option1 Name,Option1 Value,Size,Compare at price,Barcode,Image Src
mug,Mug,9.90,Colour,red,large,,4006381333931,{LINK}/1.jpg
mug,,10.90,,blue,,,,
cap,Cap,,,,,,,{LINK}/2.jpg
"""


def test_columns_that_a_prompt_may_want_are_kept(tmp_path: Path) -> None:
    """Price, vendor and options were left behind: a prompt could name none of them."""
    prompt = "{title} in {option1 value}, {Variant Price}"
    run_init(tmp_path, "shop.csv", "--prompt", prompt, shop_csv=OPTIONS)
    head, mug, cap = read_made_rows(tmp_path / "shop-manifest.csv")
    assert head == ["sku", "image", "prompt", "Title", "Variant Price", "Option1 Name", "Option1 Value", "product Size"]
    assert mug == ["mug", f"{LINK}/1.jpg", "Mug in red, 9.90", "Mug", "9.90", "Colour", "red", "large"]
    assert cap == ["cap", f"{LINK}/2.jpg", "Cap in , ", "Cap", "", "", "", ""]
    assert "2 new" in batchedit("plan", "shop-manifest.csv", "--no-check-images", cwd=tmp_path).stdout
    refused = run_init(tmp_path, "shop.csv", "--prompt", "{Barcode}", "--force", code=64)
    assert "{Barcode}, which is no column" in refused.stderr
    assert read_made_rows(tmp_path / "shop-manifest.csv")[1] == mug


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'ID,Type,SKU,Name,Images,Regular price\n7,simple,S,Mug,"{LINK}/1.jpg, {LINK}/2.jpg",9\n', ["7", "Mug", "9"]),
        (f"item_sku,item_name,main_image_url,standard_price\nA-1,Mug,{LINK}/1.jpg,9\n", ["A-1", "Mug", "9"]),
        (f"Artikelnummer;Bezeichnung;Bild;Preis\nA-1;Mug;{LINK}/1.jpg;9\n", ["A-1", "Mug", "9"]),
    ],
)
def test_the_exports_that_plan_knows_are_known_to_init(tmp_path: Path, text: str, line: list[str]) -> None:
    run_init(tmp_path, "s.csv", s_csv=text)
    [row] = open_manifest(tmp_path / "s-manifest.csv").rows()
    cells = list(row.cells.values())
    assert (cells[0], cells[1], cells[-2:]) == (line[0], f"{LINK}/1.jpg", line[1:])


def test_a_prompt_of_the_source_is_kept(tmp_path: Path) -> None:
    run_init(tmp_path, "s.csv", s_csv=f"sku,image,prompt\nA-1,{LINK}/1.jpg,a picnic\nA-2,{LINK}/2.jpg,\n")
    assert [line[2] for line in read_made_rows(tmp_path / "s-manifest.csv")[1:]] == ["a picnic", "make an ad for A-2"]


@pytest.mark.parametrize(
    ("files", "source", "code", "expected"),
    [
        ({}, "gone", 66, "there is no file or folder gone"),
        ({"x_txt": "\n# nothing\n"}, "x.txt", 65, "x.txt holds no picture"),
        ({"x_csv": "a,b\n1,2\n"}, "x.csv", 65, "no column that looks like a picture's link; columns: a and b"),
        ({"x_xml": "<rss><channel>"}, "x.xml", 65, "x.xml is no XML that can be read"),
        ({"x_xml": "<rss/>"}, "x.xml", 65, "x.xml holds no picture"),
        ({"x_csv": ""}, "x.csv", 65, "x.csv is empty"),
    ],
)
def test_sources_that_give_nothing(
    tmp_path: Path, files: dict[str, str], source: str, code: int, expected: str
) -> None:
    refused = run_init(tmp_path, source, code=code, **files)
    assert expected in refused.stderr
    assert "→" in refused.stderr
    assert not list(tmp_path.glob("*manifest*"))


def test_odd_paths_stay_one_picture(tmp_path: Path) -> None:
    for name in ("a | b.png", "[c].png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    run_init(tmp_path, ".", "--to", "m.csv")
    assert batchedit("plan", "m.csv", "--sandbox", cwd=tmp_path).stdout.count("2 pictures") == 1


def test_several_sources_stream(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOPIFY)
    sources = ProductSources([str(tmp_path / "shop.csv"), f"{LINK}/x.png"], tmp_path)
    assert [product.sku for product in sources.read_products()] == ["blue-shirt", "hat", "x"]


def test_an_empty_sheet_explained(tmp_path: Path) -> None:
    stdout = batchedit("template", cwd=tmp_path).stdout
    for column in ("sku", "image", "prompt", "size"):
        assert f"  {column}" in stdout
    assert "One of 3:2, 1:1, 2:3; empty means 1:1." in stdout
    book = openpyxl.load_workbook(tmp_path / "manifest.xlsx")
    sheet = book["manifest"]
    assert [cell.value for cell in sheet[1]] == ["sku", "image", "prompt", "size"]
    assert "https://" in sheet["B1"].comment.text
    assert sheet.data_validations.dataValidation[0].formula1 == '"3:2,1:1,2:3"'
    assert batchedit("plan", "manifest.xlsx", "--sandbox", cwd=tmp_path, code=65).stderr.startswith(
        "batchedit: manifest.xlsx has no rows of data"
    )
    sheet.append(["007", f"{LINK}/a.png", "an ad", "2:3"])
    book.save(tmp_path / "manifest.xlsx")
    assert "1 picture" in batchedit("plan", "manifest.xlsx", "--sandbox", cwd=tmp_path).stdout
    (row,) = open_manifest(tmp_path / "manifest.xlsx").rows()
    assert row.cells == {"sku": "007", "image": f"{LINK}/a.png", "prompt": "an ad", "size": "2:3"}


def test_a_bare_template_and_no_overwriting(tmp_path: Path) -> None:
    batchedit("template", "--to", "t.csv", cwd=tmp_path)
    assert (tmp_path / "t.csv").read_bytes() == b"sku,image,prompt,size\r\n"
    batchedit("template", "--to", "t.csv", cwd=tmp_path, code=64)
    batchedit("template", "--to", "t.csv", "--force", cwd=tmp_path)
    batchedit("template", "--to", "t.doc", cwd=tmp_path, code=64)


def test_example_sheets_are_written_once_and_over_nothing(tmp_path: Path) -> None:
    assert "demo.csv" in batchedit("template", "--examples", cwd=tmp_path).stdout
    batchedit("template", "--examples", cwd=tmp_path)
    own = tmp_path / "manifests" / "demo.csv"
    own.write_text("mine\n", encoding="utf-8")
    refused = batchedit("template", "--examples", cwd=tmp_path, code=64)
    assert "manifests/demo.csv is there already" in refused.stderr
    assert own.read_text(encoding="utf-8") == "mine\n"
    batchedit("template", "--examples", "--to", "tries", cwd=tmp_path)
    batchedit("template", "--examples", "--force", cwd=tmp_path)
    assert own.read_bytes() == (tmp_path / "tries" / "demo.csv").read_bytes()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("Article,Photo,Ad text", '--map prompt="Ad text"'),
        ("Title,Photo,Colour,Idea", '--map prompt="Colour" or --map prompt="Idea"'),
        ("Title,Photo,Colour,Idea,Season,Wish", '--map prompt="COLUMN"'),
        ("No.,Article,Photo,What to do", "--prompt 'make an ad for {Article}'"),
        ("Photo", "Add a column prompt"),
    ],
)
def test_a_sheet_whose_prompts_have_another_name_is_told_how_to_say_it(
    tmp_path: Path, columns: str, expected: str
) -> None:
    """The hint knew only --prompt, one for all rows, and the sheet had a prompt for each."""
    cells = ",".join(
        f"https://images.example.com/{n}.png" if name == "Photo" else "x" for n, name in enumerate(columns.split(","))
    )
    (tmp_path / "m.csv").write_text(f"{columns}\n{cells}\n", encoding="utf-8")
    output = " ".join(batchedit("plan", "m.csv", cwd=tmp_path, code=65).stderr.split())
    assert expected in output
    assert "--prompt 'make an ad for {" in output
