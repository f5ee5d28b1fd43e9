"""A team's sheet as teams have them, made anew: notes first, title rows, totals, hidden rows, money, links of three kinds.

python -m tests.support.team_sheet FILE
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from pathlib import Path

import openpyxl
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from PIL import Image

from tests.manifest.test_excel import RICH, rewrite

EURO, FRANC = r"#,##0.00\ [$€-407]", r"[$CHF]\ #,##0.00"
ROWS = (
    ("00413", "https://www.dropbox.com/s/a1b2c3/mug.jpg?dl=0", "Mug", 19.9, EURO),
    ("00414", "https://drive.google.com/file/d/1AbCdEfGhIjKlMnOpQrStUvWxYz012345/view?usp=sharing", "Lamp", 1249, EURO),
    ("00415", "photo", "Chair", 89.5, FRANC),
    ("00416", None, "Kettle", 35, FRANC),
    ("00417", "https://cdn.example.com/p/old.jpg", "Old sofa", 5, EURO),
    ("00418", "https://cdn.example.com/p/tent.jpg", "Tent", 129, EURO),
)
HEADER = 4
PLACED, HIDDEN, LINKED = 8, 9, 7
"""Rows of the sheet: with a picture in its cell, hidden, and with a link behind the word photo."""


def make(path: Path) -> Path:
    """The workbook at ``path``: the table has its names in row 4, data in rows 5 to 10 and a sum in row 12."""
    book = openpyxl.Workbook()
    notes = book.active
    assert notes is not None
    notes.title = "Read me"
    notes["A1"], notes["A2"] = "Please fill in by Friday", "Photos: ask Ana"
    sheet = book.create_sheet("Spring 2026")
    sheet["A1"] = "Spring campaign 2026"
    sheet["A1"].font = Font(bold=True, size=16)
    sheet.merge_cells("A1:E1")
    sheet["A2"] = "as of 3 March"
    for column, name in enumerate(("SKU", "Photo", "Product", "Price", "Remarks"), 1):
        cell = sheet.cell(HEADER, column, name)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="FFE699")
    for number, (sku, photo, product, price, code) in enumerate(ROWS, HEADER + 1):
        for column, value in enumerate((sku, photo, product, price), 1):
            sheet.cell(number, column, value)
        sheet.cell(number, 4).number_format = code
    sheet.cell(LINKED, 2).hyperlink = "https://cdn.example.com/p/chair.jpg"
    sheet.row_dimensions[HIDDEN].hidden = True
    sheet["E5"].comment = Comment("better photo?", "Ana")
    sheet["A12"], sheet["D12"] = "Total", "=SUM(D5:D10)"
    sheet.column_dimensions["B"].width = 44
    book.save(path)
    return _with_placed_picture(path)


def _with_placed_picture(path: Path) -> Path:
    """Excel's Place in Cell, which openpyxl can't write: an error value with metadata that names a rich value."""

    def change(part: str, text: str) -> str:
        if not part.endswith("sheet2.xml"):
            return text
        text = text.replace("<f>SUM(D5:D10)</f><v></v>", "<f>SUM(D5:D10)</f><v>1527.4</v>").replace(
            "<f>SUM(D5:D10)</f><v />", "<f>SUM(D5:D10)</f><v>1527.4</v>"
        )
        placed = f'<c r="B{PLACED}" t="e" vm="1"><v>#VALUE!</v></c><c r="C{PLACED}"'
        return re.sub(rf'(?:<c r="B{PLACED}"[^>]*/>)?<c r="C{PLACED}"', placed, text)

    rewrite(path, change)
    picture = io.BytesIO()
    Image.new("RGB", (320, 240), "teal").save(picture, "PNG")
    with zipfile.ZipFile(path, "a") as file:
        for name, text in RICH.items():
            file.writestr(name, text)
        file.writestr("xl/media/image1.png", picture.getvalue())
    return path


if __name__ == "__main__":
    make(Path(sys.argv[1]))
