"""Other texts in cells of a workbook, written into its own XML."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from batchedit.manifest.read import Row, open_manifest
from batchedit.manifest.splice import NotReplacedError, Texts, replace_cells
from tests.manifest.test_excel import rewrite


def book(path: Path, fill: Any = lambda sheet: None) -> Path:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "S"
    for line in (("sku", "image", "prompt"), ("a", "https://e.com/a.jpg", "x"), ("b", None, "y")):
        sheet.append(line)
    fill(sheet)
    made.save(path)
    return path


def replaced(path: Path, texts: Texts, title: str = "S") -> list[dict[str, Any]]:
    """The rows of the copy, as a manifest has them."""
    target = path.with_name("copy.xlsx")
    with target.open("wb") as file:
        replace_cells(path, file, title, texts)
    return [row.cells for row in open_manifest(target).rows() if isinstance(row, Row)]


def in_sheet(change: Any) -> Any:
    return lambda part, text: change(text) if part.endswith("sheet1.xml") else text


def test_a_cell_that_is_there_and_one_that_is_not(tmp_path: Path) -> None:
    rows = replaced(book(tmp_path / "b.xlsx"), {1: {2: "z"}, 2: {1: "https://e.com/b.jpg", 2: "w"}})
    assert [list(row.values()) for row in rows] == [
        ["a", "https://e.com/a.jpg", "z"],
        ["b", "https://e.com/b.jpg", "w"],
    ]


def test_a_cell_that_is_there_and_empty(tmp_path: Path) -> None:
    """With nothing behind it, and with a cell behind it: each time only that one goes."""
    path = rewrite(
        book(tmp_path / "b.xlsx"), in_sheet(lambda text: text.replace('<c r="C3"', '<c r="B3" s="0"/><c r="C3"'))
    )
    assert replaced(path, {2: {1: "w"}})[1] == {"sku": "b", "image": "w", "prompt": "y"}
    path = rewrite(book(tmp_path / "d.xlsx"), in_sheet(lambda text: text.replace("</row>", '<c r="D3" s="0"/></row>')))
    assert replaced(path, {0: {3: "more"}, 2: {3: "w"}})[1] == {"sku": "b", "image": None, "prompt": "y", "more": "w"}


def test_everything_else_is_byte_for_byte_what_it_was(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx")
    replaced(path, {1: {2: "z"}})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "copy.xlsx") as new:
        assert old.namelist() == new.namelist()
        changed = [name for name in old.namelist() if old.read(name) != new.read(name)]
        assert changed == ["xl/worksheets/sheet1.xml"]
        was, now = (re.sub(rb'<c r="C2".*?</c>', b"", one.read(changed[0])) for one in (old, new))
    assert was == now


@pytest.mark.parametrize(
    "text",
    [
        "<b>&\"'",
        "  two\nlines ",
        "_x0041_",
        "a\x0bb",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "=1+1",
        "007",
    ],
)
def test_a_text_comes_back_letter_for_letter(tmp_path: Path, text: str) -> None:
    assert replaced(book(tmp_path / "b.xlsx"), {1: {2: text}})[0]["prompt"] == text


def test_a_cell_s_link_goes_with_its_text_and_others_stay(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        for place in ("B2", "B3"):
            sheet[place] = "photo"
            sheet[place].hyperlink = f"https://e.com/{place}.jpg"

    first, second = replaced(book(tmp_path / "b.xlsx", fill), {1: {1: "https://e.com/new.jpg"}})
    assert not hasattr(first["image"], "link")
    assert (first["image"], second["image"].link) == ("https://e.com/new.jpg", "https://e.com/B3.jpg")


def test_a_sheet_whose_cells_name_no_place_and_have_a_prefix(tmp_path: Path) -> None:
    path = rewrite(book(tmp_path / "b.xlsx"), in_sheet(lambda text: re.sub(r'(<(?:c|row)) r="\w+"', r"\1", text)))
    assert replaced(path, {1: {2: "z"}})[0]["prompt"] == "z"
    path = rewrite(
        book(tmp_path / "x.xlsx"),
        in_sheet(lambda text: re.sub(r"<(/?)(?=[a-zA-Z])(?!\?)", r"<\1x:", text).replace(" xmlns=", " xmlns:x=")),
    )
    assert replaced(path, {1: {2: "z"}})[0]["prompt"] == "z"


@pytest.mark.parametrize(
    ("title", "texts", "change"),
    [
        ("T", {1: {2: "z"}}, lambda text: text),
        ("S", {7: {2: "z"}}, lambda text: text),
        ("S", {2: {2: "z"}}, lambda text: re.sub(r'<row r="3".*?</row>', '<row r="3" />', text)),
        ("S", {1: {2: "z"}}, lambda text: text[:-20]),
    ],
    ids=["no such sheet", "no such row", "a row without cells", "cut off"],
)
def test_what_can_not_be_replaced_is_said(tmp_path: Path, title: str, texts: Texts, change: Any) -> None:
    path = rewrite(book(tmp_path / "b.xlsx"), in_sheet(change))
    with pytest.raises(NotReplacedError):
        replace_cells(path, io.BytesIO(), title, texts)


def test_a_damaged_or_huge_part_beside_the_sheet_is_never_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture's stream that is damaged is a zlib.error; a part that is too large was written as an empty one."""
    path = book(tmp_path / "b.xlsx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/media/image1.png", b"picture " * 2000)
        where = file.getinfo("xl/media/image1.png").header_offset + 30 + len("xl/media/image1.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + b"\xff" * 8 + whole[where + 8 :])
    with pytest.raises(NotReplacedError):
        replace_cells(path, io.BytesIO(), "S", {1: {2: "z"}})
    path.write_bytes(whole)
    monkeypatch.setattr("batchedit.manifest.splice.MOST_BYTES", 10_000)
    with pytest.raises(NotReplacedError, match="too large"):
        replace_cells(path, io.BytesIO(), "S", {1: {2: "z"}})
