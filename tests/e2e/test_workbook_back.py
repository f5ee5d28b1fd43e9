"""A messy team sheet: planned right at the first try, bought in the sandbox, and back as the workbook it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.comments import Comment
from openpyxl.styles import PatternFill
from PIL import Image

from batchedit.manifest.rows import Form, FormKind
from batchedit.results.workbook import TextCutter
from tests.support.cli import run_cli

LINK = "https://shop.example.com/p/{}.jpg"


def write_team_sheet(path: Path) -> Path:
    """Notes first, a title above the header, hidden rows, money in two currencies, links of stores, a total below."""
    book = openpyxl.Workbook()
    notes: Any = book.active
    notes.title = "Read me"
    notes["A1"] = "How to fill in this sheet"
    sheet: Any = book.create_sheet("Spring")
    sheet["A1"] = "Spring campaign 2026"
    for row in (
        ["sku", "image", "prompt", "Price"],
        ["00413", LINK.format(1), "ad for a mug at {Price}", 19.99],
        ["A-2", "https://www.dropbox.com/s/abc/mug.jpg?dl=0", "ad for a cap", 1500],
        ["A-3", "photo", "ad for a shirt", 5],
        ["A-4", LINK.format(4), "ad for a bag", 7],
        ["Total", None, None, 1531.99],
    ):
        sheet.append(row)
    sheet["A2"].comment = Comment("your article number", "Dana")
    sheet["D3"].number_format, sheet["D4"].number_format = r"#,##0.00\ [$€-407]", r"[$CHF]\ #,##0"
    sheet["B5"].hyperlink = LINK.format(3)
    sheet["C3"].fill = PatternFill("solid", fgColor="FFFF00")
    sheet.column_dimensions["C"].width = 42
    sheet.row_dimensions[6].hidden = True
    book.save(path)
    return path


def test_a_messy_team_sheet_is_planned_right(tmp_path: Path) -> None:
    write_team_sheet(tmp_path / "team.xlsx")
    completed = run_cli("plan", "team.xlsx", "--sandbox", "--visible-only", "--skip-invalid", cwd=tmp_path)
    assert "to buy          3 pictures" in completed.stdout
    assert "ad for a mug at 19.99 €" in completed.stdout
    assert "sheet 'Spring' is read, not 'Read me'" in completed.stdout
    assert "1 row is hidden in the sheet and left out" in completed.stdout
    stdout = run_cli("plan", "team.xlsx", "--sandbox", "--skip-invalid", cwd=tmp_path).stdout
    assert "1 row is hidden in the sheet (by a filter or by hand) and taken like the others" in stdout
    assert "to buy          4 pictures" in stdout


def buy_rows(tmp_path: Path, *more: str) -> Any:
    write_team_sheet(tmp_path / "team.xlsx")
    run_cli("run", "team.xlsx", "--sandbox", "--yes", "--skip-invalid", "--out", "o", *more, cwd=tmp_path, code=None)
    return openpyxl.load_workbook(tmp_path / "o" / "results.xlsx")


def test_the_workbook_comes_back_as_it_was_with_our_columns(tmp_path: Path) -> None:
    book = buy_rows(tmp_path)
    assert book.sheetnames == ["Read me", "Spring"]
    sheet = book["Spring"]
    names = [cell.value for cell in sheet[2]]
    assert names[:4] == ["sku", "image", "prompt", "Price"]
    status, file = names.index("result_status") + 1, names.index("result_file") + 1
    assert [sheet.cell(row, status).value for row in (3, 4, 5, 6)] == ["done"] * 4
    assert sheet.cell(7, status).value in {"invalid", "skipped", None}
    cell = sheet.cell(3, file)
    assert (tmp_path / "o" / cell.hyperlink.target).is_file()
    assert (sheet["D3"].value, sheet["D3"].number_format) == (19.99, r"#,##0.00\ [$€-407]")
    assert sheet["A2"].comment.text == "your article number"
    assert sheet["C3"].fill.fgColor.rgb == "00FFFF00"
    assert sheet.column_dimensions["C"].width == 42
    assert sheet.row_dimensions[6].hidden
    assert sheet["A1"].value == "Spring campaign 2026"
    assert [image.anchor._from.row for image in sheet._images] == [2, 3, 4, 5]
    assert {image.anchor._from.col for image in sheet._images} == {4}, "beside the person's own, not behind 30 columns"
    assert (sheet.cell(2, 5).value, names[5]) == (None, "result_row")
    for name in ("result_status", "result_error", "result_file"):
        letter = sheet.cell(2, names.index(name) + 1).column_letter
        assert sheet.column_dimensions[letter].width >= len(name) + 2


def test_no_thumbnails_and_several_pictures_of_a_row(tmp_path: Path) -> None:
    book = buy_rows(tmp_path, "--sizes", "1:1,2:3", "--no-thumbnails")
    assert not book["Spring"]._images
    every = book["results"]
    names = [cell.value for cell in every[1]]
    sizes = [every.cell(row, names.index("result_size") + 1).value for row in (2, 3, 4, 5)]
    assert sizes == ["1:1", "2:3", "1:1", "2:3"]


def test_a_cell_that_excel_cannot_hold_says_that_it_is_cut() -> None:
    cutter = TextCutter()
    assert cutter.fit("x" * 32_767) == "x" * 32_767
    assert not cutter.describe_cuts(Form(FormKind.CSV))
    text = cutter.fit("x" * 40_000)
    assert len(text) == 32_767
    assert text.endswith("results.csv has them all)")


def test_a_result_workbook_can_be_read_again(tmp_path: Path) -> None:
    buy_rows(tmp_path)
    completed = run_cli("plan", "o/results.xlsx", "--sandbox", "--skip-invalid", "--out", "p", "--fresh", cwd=tmp_path)
    assert "to buy          4 pictures" in completed.stdout


def test_rows_with_a_cell_that_excel_cannot_hold_are_told_with_their_ids(tmp_path: Path) -> None:
    """Only the cell itself said so, in its last words, 32,000 characters to the right."""
    link = "https://shop.example.com/p/%d.jpg"
    notes = {2: "n" * 40_000, 4: "m" * 32_768}
    lines = [f"00{n},{link % n},make ad {n},{notes.get(n, '')}" for n in range(1, 5)]
    (tmp_path / "m.csv").write_text("sku,image,prompt,Notes\n" + "\n".join(lines) + "\n")
    warning = (
        "results.xlsx has 2 rows with a cell that is cut, since a cell of Excel holds 32,767 characters "
        "(row 3 (002), row 5 (004)); results.csv has all of it"
    )
    ended = run_cli("run", "m.csv", "--sandbox", "--yes", "--format", "xlsx", "--out", "o", cwd=tmp_path)
    assert f"  warning: {warning}" in ended.stdout
    again = run_cli("results", "o", "--format", "xlsx", cwd=tmp_path)
    assert f"warning: {warning}" in again.stderr
    assert "warning" not in run_cli("results", "o", "--format", "csv", cwd=tmp_path).stderr
    sheet = openpyxl.load_workbook(tmp_path / "o" / "results.xlsx").active
    assert sheet is not None
    assert [len(sheet.cell(row, 4).value or "") for row in range(2, 6)] == [0, 32_767, 0, 32_767]


def test_every_picture_was_decoded_again_for_the_workbook(tmp_path: Path) -> None:
    """Its thumbnail is there since the one decode: the picture itself need not even be readable any more."""
    buy_rows(tmp_path)
    for picture in (tmp_path / "o" / "files").iterdir():
        picture.write_bytes(b"no picture")
    assert len(buy_rows(tmp_path)["Spring"]._images) == 4


def test_a_link_in_a_received_run_was_drawn_into_its_workbook(tmp_path: Path) -> None:
    """It leads to a picture of the person who received the run."""
    buy_rows(tmp_path)
    private = tmp_path / "private.png"
    Image.new("RGB", (64, 48), "maroon").save(private)
    pictures = sorted((tmp_path / "o" / "files").iterdir())
    for picture in pictures[:2]:
        picture.unlink()
        picture.symlink_to(private)
    for thumb in (tmp_path / "o" / "thumbs").glob("*.jpg"):
        thumb.unlink()
    assert len(buy_rows(tmp_path)["Spring"]._images) == 2
