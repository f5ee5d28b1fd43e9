"""A dropped sheet from the upload to the price, without a browser: what is found, what is mended, what is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest
from PIL import Image

from batchedit.commands.draft_edited_sheet import apply_edits
from batchedit.commands.draft_edits import Edits, ReplaceRule
from batchedit.commands.draft_pictures import fetch_pictures
from batchedit.commands.draft_steps import Step
from batchedit.commands.draft_take import choose_file_name
from batchedit.commands.draft_work import run_step
from batchedit.commands.drafts import Draft, Drafts
from batchedit.jobs.expand import expand_all
from batchedit.ledger.sheet_problems import Findings
from batchedit.manifest.read import Row, open_manifest
from batchedit.planning.recipe import make_recipe
from batchedit.run_folder import open_source
from batchedit.runcomfy.catalogue import load_model
from tests.manifest.test_excel import ods
from tests.support.team_sheet import HEADER, make

HEAD = "sku,image,prompt\n"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def dropped(files: dict[str, bytes], name: str = "spring.csv") -> Draft:
    """What the upload leaves, taken in."""
    draft = replace(Drafts(os.environ).make(play=True), name=name)
    for inside, content in files.items():
        path = draft.upload / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    result = run_step(draft, Step.TAKE)
    if result["error"]:
        raise AssertionError(result["error"]["message"])
    return replace(draft, name=result["name"], sheet=result["sheet"], notes=tuple(result["notes"]))


def packed(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


def causes(draft: Draft) -> list[tuple[str, int, int]]:
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        return [(cause.reason, cause.count, cause.open) for cause in findings.list_causes()]


def sent(draft: Draft) -> list[dict[str, Any]]:
    """The inputs of every job that a run would make."""
    source, settings = apply_edits(draft)
    manifest = open_manifest(source, encoding=settings.encoding, delimiter=settings.delimiter)
    recipe = make_recipe(settings, load_model(settings.model, None), source, manifest)
    return [orjson.loads(line.job.inputs) for line in expand_all(manifest, recipe) if hasattr(line, "job")]


# --- what was dropped ------------------------------------------------------------------------------


def test_a_zip_whose_stream_is_damaged_ended_in_a_traceback() -> None:
    """A flipped byte in what is compressed is a zlib.error, which the page did not know; others it knew."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("list.csv", "sku,image,prompt\n" * 500)
    content = bytearray(file.getvalue())
    begin = 30 + len("list.csv")
    content[begin : begin + 4] = b"\xff" * 4
    with pytest.raises(AssertionError, match="it is damaged"):
        dropped({"sheet.zip": bytes(content)})


def test_a_zip_of_pictures_becomes_a_sheet() -> None:
    draft = dropped({"sheet.zip": packed(**{"red__lamp.png": picture(), "notes.exe": b"MZ"})}, "photos.zip")
    result = run_step(draft, Step.LOOK)
    assert [row["cells"][:2] for row in result["rows"]] == [["lamp", "red/lamp.png"]]
    assert draft.notes == ("1 other file in it was left out", "a sheet was made of 1 picture: a row for each")


@pytest.mark.parametrize("name", ["spring.ods", "spring.xlsb", "spring.xls"])
def test_a_sheet_that_can_be_read_was_left_out_of_a_zip(name: str) -> None:
    """The page had a list of its own of what can't be read, and said of a zip with such a sheet that it holds none."""
    book = io.BytesIO()
    openpyxl.Workbook().save(book)
    draft = dropped({"sheet.zip": packed(**{name: book.getvalue()})}, "shop.zip")
    assert (draft.sheet, draft.notes, choose_file_name(name)) == (name, (), f"sheet{Path(name).suffix}")


def test_a_zip_with_a_sheet_keeps_its_pictures_beside_it() -> None:
    rows = f"{HEAD}A,pics/lamp.png,an ad\n".encode()
    draft = dropped({"sheet.zip": packed(**{"shop__list.csv": rows, "shop__pics__lamp.png": picture()})}, "shop.zip")
    assert draft.sheet == "shop/list.csv"
    result = run_step(draft, Step.CHECK)
    assert (result["error"], result["plan"]["to_buy"], result["bad_rows"]) == (None, 1, 0)
    fetch_pictures(draft, os.environ)
    (thumb,) = (draft.folder / "thumbs").iterdir()
    assert thumb.name == f"{result['sample'][0]['pictures'][0]['key']}.jpg"


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "..\\evil.csv"])
def test_a_name_in_a_zip_that_leads_out_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, HEAD)
    with pytest.raises(AssertionError, match="outside of what was dropped"):
        dropped({"sheet.zip": file.getvalue()})
    assert not list(tmp_path.rglob("evil*"))


def test_a_zip_that_grows_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchedit.commands.draft_take.UNPACKED_MOST", 100_000)
    with pytest.raises(AssertionError, match="was not unpacked"):
        dropped({"sheet.zip": packed(**{"a.csv": b"0" * 200_000})})


def test_a_shopify_export_needs_no_choice_of_columns() -> None:
    """Variants and gift cards without a picture are left out, and are no problems."""
    head = "Handle,Title,Option1 Name,Option1 Value,Image Src,Image Position,Gift Card,Variant Image\n"
    rows = (
        "mug,Red Mug,Acme,S,https://e.com/1.jpg,1,false,\nmug,,,L,,,,\n"
        "card,Gift Card,Acme,10,,,true,\ncap,Cap,Acme,M,https://e.com/2.jpg,1,false,\n"
    )
    draft = dropped({"sheet.csv": f"{head}{rows}".encode()}, "products_export.csv")
    result = run_step(replace(draft, choices={"prompt": "an ad for {Title}"}), Step.CHECK)
    assert (result["error"], result["bad_rows"], result["plan"]["to_buy"], result["plan"]["left_out"]) == (
        None,
        0,
        2,
        2,
    )
    assert [row["row"] for row in result["sample"]] == [2, 5]


# --- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["/etc/hostname", "~/secret.png", "file:///etc/hostname", "../../draft.json", "C:\\a.png"]
)
def test_a_dropped_sheet_reads_no_picture_but_its_own(cell: str) -> None:
    draft = dropped({"sheet.csv": f"{HEAD}A,{cell},an ad\n".encode()})
    result = run_step(draft, Step.CHECK)
    assert (result["bad_rows"], result["plan"]["to_buy"], result["sample"]) == (1, 0, [])


def test_all_faulty_rows_are_found_and_grouped_by_cause() -> None:
    rows = "".join(f"S{n},http://e.com/{n}.jpg,an ad\n" for n in range(312))
    draft = dropped({"sheet.csv": f"{HEAD}{rows}T,,an ad\nU,https://e.com/1.jpg,fine\n".encode()})
    result = run_step(draft, Step.CHECK)
    assert (result["bad_rows"], result["plan"]["rows"], result["plan"]["to_buy"]) == (313, 314, 1)
    assert [count for _, count, _ in causes(draft)] == [312, 1]
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        assert [row["row"] for row in findings.read_page(1, 300)] == list(range(302, 314))
        assert (findings.count_before(1, 313), findings.count_before(1, 314), findings.count_before(0, 314)) == (
            311,
            None,
            312,
        )


def test_rows_that_are_mended_alike_can_be_bought_and_the_sheet_is_as_it_was() -> None:
    rows = "".join(f'S{n},http://e.com/{n}.jpg,"an ad, for ü"\r\n' for n in range(5))
    rows = rows.replace(",http", ";http").replace("jpg,", "jpg;")
    content = f'sku;image;prompt\r\nB;https://e.com/b.jpg;"1""2"\r\n\r\n{rows}'
    draft = dropped({"sheet.csv": content.encode("cp1252")})
    before = hashlib.sha256(draft.source.read_bytes()).hexdigest()
    edits = Edits(alike=[ReplaceRule("image", "http://", "https://")], cells={"5": {"prompt": 'mine; "é"'}})
    edits.save(draft)
    result = run_step(replace(draft, choices={"edits": "1"}), Step.CHECK)
    assert (result["error"], result["bad_rows"], result["plan"]["to_buy"]) == (None, 0, 6)
    assert hashlib.sha256(draft.source.read_bytes()).hexdigest() == before
    source, settings = apply_edits(draft)
    assert settings.encoding == "cp1252"
    was, now = (path.read_bytes().decode("cp1252").split("\r\n") for path in (draft.source, source))
    assert (now[:3], len(now)) == (was[:3], len(was))  # untouched records, and rows where they were
    assert [inputs["prompt"] for inputs in sent(draft)][2] == 'mine; "é"'


def test_a_letter_that_the_sheet_s_encoding_has_not_is_kept() -> None:
    draft = dropped({"sheet.csv": f"{HEAD}A,https://e.com/a.jpg,für\n".encode("cp1252")})
    Edits(cells={"2": {"prompt": "для"}}).save(draft)
    assert apply_edits(draft)[1].encoding == "utf-8"
    assert sent(draft)[0]["prompt"] == "для"


def test_json_lines_are_mended_too() -> None:
    draft = dropped({"sheet.jsonl": b'{"image": "http://e.com/a.jpg", "prompt": "x", "n": 1.50}\n'}, "s.jsonl")
    Edits(alike=[ReplaceRule("image", "http:", "https:")]).save(draft)
    source, _ = apply_edits(draft)
    (row,) = open_manifest(source).rows()
    assert isinstance(row, Row)
    assert row.cells == {"image": "https://e.com/a.jpg", "prompt": "x", "n": "1.50"}


def test_a_mended_workbook_lost_its_pictures_sums_and_other_sheets(tmp_path: Path) -> None:
    """It became JSON lines, and what came back in the morning was no workbook."""
    draft = dropped({"sheet.xlsx": make(tmp_path / "t.xlsx").read_bytes()}, "spring.xlsx")
    edits = Edits(
        alike=[ReplaceRule("Photo", "/old.", "/new.")], cells={"8": {"Remarks": "steel"}, "7": {"Photo": "chair.png"}}
    )
    edits.save(draft)
    source, settings = apply_edits(draft)
    assert (source.name, settings.sheet, settings.header_row) == ("mended.xlsx", "Spring 2026", HEADER)
    was, now = (
        [row.cells for row in open_source(path, settings, "x").rows() if isinstance(row, Row)]
        for path in (draft.source, source)
    )
    assert now[3] == was[3] | {"Remarks": "steel"}
    assert was[3]["Photo"].endswith(".png")  # placed in its cell
    assert (now[2]["Photo"], type(now[2]["Photo"])) == ("chair.png", str)  # no link any more
    assert (was[4]["Photo"], now[4]["Photo"]) == (
        "https://cdn.example.com/p/old.jpg",
        "https://cdn.example.com/p/new.jpg",
    )
    assert [now[at] for at in (0, 1, 5, 6)] == [was[at] for at in (0, 1, 5, 6)]
    assert now[6]["Price"] == "1527.4"  # the value of a formula
    book = openpyxl.load_workbook(source)
    assert (book.sheetnames, book["Spring 2026"]["E5"].comment.text) == (["Read me", "Spring 2026"], "better photo?")


def test_a_table_that_takes_no_other_text_is_mended_as_json_lines(tmp_path: Path) -> None:
    draft = dropped({"sheet.ods": ods(tmp_path / "t.ods").read_bytes()}, "spring.ods")
    Edits(cells={"2": {"prompt": "mended"}}).save(draft)
    source, _ = apply_edits(draft)
    assert source.name == "mended.jsonl"
    assert [row.cells["prompt"] for row in open_manifest(source).rows() if isinstance(row, Row)] == ["mended"]


def test_rows_that_are_left_out_need_no_more_looking() -> None:
    draft = dropped({"sheet.csv": f"{HEAD}A,,x\nB,https://e.com/b.jpg,x\n".encode()})
    Edits(left_out=[2]).save(draft)
    run_step(draft, Step.CHECK)
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        assert (findings.count_open_rows(), findings.count_left_out_rows()) == (0, 1)


# --- what is shown ---------------------------------------------------------------------------------


def test_twenty_rows_are_shown_as_they_are_sent_letter_for_letter() -> None:
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["sku", "Title", "Body (HTML)", "image"])
    for n in range(1_000):
        table.writerow([f"S{n}", f"Lamp {n} & <b>co</b>", f"<p>line {n}</p>", f"https://e.com/{n}.jpg"])
    draft = dropped({"sheet.csv": file.getvalue().encode()})
    draft = replace(draft, choices={"prompt": "an ad {{for}} {Title}: {Body (HTML)}"})
    result = run_step(draft, Step.CHECK)
    sample, every = result["sample"], [inputs["prompt"] for inputs in sent(draft)]
    assert len(sample) == 20
    assert sample[0]["row"] == 2
    assert sample[-1]["row"] > 950
    assert max(b["row"] - a["row"] for a, b in pairwise(sample)) < 100
    for row in sample:
        assert "".join(text for text, _ in row["prompt"]) == every[row["row"] - 2]
    assert [text for text, marked in sample[0]["prompt"] if marked] == ["Lamp 0 & co", "line 0"]


def test_the_sum_is_the_plan_s() -> None:
    rows = "".join(f"S{n},https://e.com/{n}.jpg,an ad\n" for n in range(12))
    draft = dropped({"sheet.csv": f"{HEAD}{rows}".encode()})
    plan = run_step(replace(draft, choices={"sizes": ["1:1", "3:2"], "variants": 3}), Step.CHECK)["plan"]
    assert plan["matrix"] == [["sizes", 2], ["variants", 3]]
    assert (plan["rows"], plan["lines"], plan["to_buy"], plan["price"], plan["estimate"]) == (
        12,
        72,
        72,
        40_000,
        2_880_000,
    )


def test_a_preview_of_a_private_address_is_refused() -> None:
    draft = dropped({"sheet.csv": f"{HEAD}A,https://127.0.0.1:1/a.jpg,an ad\nB,https://10.0.0.1/a.jpg,x\n".encode()})
    result = run_step(draft, Step.CHECK)
    fetch_pictures(draft, os.environ)
    why = [path.read_text() for path in (draft.folder / "thumbs").iterdir()]
    assert len(why) == sum(len(row["pictures"]) for row in result["sample"])
    assert all("this machine or a private network" in text for text in why)


def test_a_change_makes_what_was_found_out_of_date() -> None:
    draft = dropped({"sheet.csv": f"{HEAD}A,https://e.com/a.jpg,x\n".encode()})
    run_step(draft, Step.LOOK)
    from batchedit.commands.draft_steps import is_done

    assert is_done(draft, Step.LOOK)
    assert not is_done(replace(draft, choices={"encoding": "cp1252"}), Step.LOOK)
    assert is_done(replace(draft, choices={"sizes": ["1:1"]}), Step.LOOK)


@pytest.mark.parametrize(
    "content",
    ["[]", "3", '{"sheet": "../../secret.csv"}', '{"sheet": "/etc/passwd"}', '{"made_at": "x"}', '{"choices": []}'],
)
def test_a_draft_that_somebody_brought_ended_the_page_that_lists_them(tmp_path: Path, content: str) -> None:
    drafts = Drafts({"BATCHEDIT_STATE": str(tmp_path)})
    mine = replace(drafts.make(play=True), sheet="m.csv")
    mine.save()
    (drafts.make(play=True).folder / "draft.json").write_text(content, encoding="utf-8")
    assert drafts.all() == [mine]
