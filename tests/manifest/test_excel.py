"""Excel workbooks as people have them: broken styles, hidden rows, error values, money, links, other kinds of file."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import random
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import openpyxl
import pytest
from openpyxl.drawing.image import Image as Drawing
from PIL import Image

from batchedit.core.errors import ManifestError, UsageError
from batchedit.core.model import InvalidLine
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.manifest.number_formats import UnknownFormatError, apply_number_format
from batchedit.manifest.read import Manifest, open_manifest, reopen_manifest
from batchedit.manifest.rows import Row

LINK = "https://shop.example.com/p/{}.jpg"
SCHEMA = {
    "properties": {"image": {"type": "array", "items": {"type": "string"}}, "prompt": {"type": "string"}},
    "required": ["image", "prompt"],
}


def book(path: Path, *rows: list[Any], fill: Callable[[Any], None] = lambda _: None) -> Path:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "Products"
    for row in rows:
        sheet.append(row)
    fill(sheet)
    made.save(path)
    return path


def three(path: Path, fill: Callable[[Any], None] = lambda _: None) -> Path:
    rows = [[f"A-{n}", LINK.format(n), f"make an ad for item {n}"] for n in (1, 2, 3)]
    return book(path, ["sku", "image", "prompt"], *rows, fill=fill)


def rewrite(path: Path, change: Callable[[str, str], str]) -> Path:
    """Every text part of a workbook through ``change(name, text)``."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, change(name, data.decode()) if name.endswith((".xml", ".rels")) else data)
    return path


def cells(manifest: Manifest, column: str) -> list[Any]:
    return [row.cells[column] for row in manifest.rows() if isinstance(row, Row)]


def bought(manifest: Manifest, prompt: str | None = None, **more: Any) -> tuple[list[str], list[str]]:
    """The inputs of what would be bought, and the reasons of the rows that would not be."""
    inputs, reasons = [], []
    for line in expand_all(manifest, Recipe(model="m", schema=SCHEMA, prompt=prompt, **more)):
        if isinstance(line, InvalidLine):
            reasons += [f"{problem.column} {problem.reason}" for problem in line.problems]
        else:
            inputs.append(line.job.inputs)
    return inputs, reasons


BROKEN = {
    "an empty fill": lambda text: re.sub(
        r"<fills.*?</fills>", '<fills count="1"><fill/></fills>', text, flags=re.DOTALL
    ),
    "an extension in a fill": lambda text: text.replace("</patternFill>", "<extLst/></patternFill>"),
    "no style sheet at all": lambda _: "",
    "a style sheet cut in the middle": lambda text: text[: len(text) // 2],
    "a format number that is none": lambda text: text.replace('numFmtId="0"', 'numFmtId="x9"'),
}


@pytest.mark.parametrize("name", BROKEN)
def test_styles_that_openpyxl_stops_at_do_not_matter(tmp_path: Path, name: str) -> None:
    path = rewrite(three(tmp_path / "b.xlsx"), lambda part, text: BROKEN[name](text) if "styles" in part else text)
    assert cells(open_manifest(path), "prompt") == [f"make an ad for item {n}" for n in (1, 2, 3)]


MORNING = dt.datetime.fromisoformat("2026-03-01T09:05")
SHOWN = [
    (19.99, r"[$€-2]\ #,##0.00", "€ 19.99"), (19.99, r"#,##0.00\ [$€-407]", "19.99 €"), (19.99, "[$€]#,##0.00", "€19.99"),
    (1500, r"[$CHF]\ #,##0", "CHF 1,500"), (9.5, "[$£-809]#,##0.00", "£9.50"), (15000, '0,"k"', "15k"),
    (1_500_000, '0.0,,"M"', "1.5M"), (7, '"SKU-"0000', "SKU-0007"), (123456789, "00000-0000", "12345-6789"),
    (5551234567, "0##-###-####", "555-123-4567"), (7, "000", "007"), (0.256, "0.0%", "25.6%"), (1.005, "0.00", "1.01"),
    (2.5, "0", "3"), (-3, "0.00", "-3.00"), (-0.001, "0.00", "0.00"), (-5, '"€"0.00;[Red]("€"0.00)', "(€5.00)"),
    (1234.5, '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)', "$1,234.50"), (0, '0;-0;"free"', "free"),
    (0, "0;-0;;@", ""), (1234567, "#,##0", "1,234,567"), (99.9, '#,##0.00\\ "kr"', "99.90 kr"), (1234.0, "General", "1234"),
    (4006381333931.0, "General", "4006381333931"), (0.1, "General", "0.1"), (99.9, "#,##0.00 zł", None),
    (5, "[>100]0;0.0", None), (3.5, "# ?/?", None), (12345, "0.00E+00", None), (5, 'General" kg"', None),
    (dt.date(2026, 3, 1), "dd.mm.yyyy", "01.03.2026"), (dt.date(2026, 3, 1), "mm-dd-yy", "2026-03-01"),
    (dt.date(2026, 3, 1), "[$-407]d. mmmm yyyy", None), (dt.date(2026, 3, 1), "[$-409]d mmmm yyyy", "1 March 2026"),
    (MORNING, "yyyy-mm-dd hh:mm", "2026-03-01 09:05"), (dt.date(2026, 3, 1), "mmmmm", None),
    (dt.time(3, 2), "h:mm", "3:02"), (dt.time(3, 2, 1), "mm:ss.0", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code", "text"), SHOWN)
def test_money_keeps_its_currency_and_no_format_is_half_applied(value: Any, code: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(UnknownFormatError):
            apply_number_format(value, code)
    else:
        assert apply_number_format(value, code) == text


def test_a_format_that_is_not_understood_falls_back_and_is_noted(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet["D1"], sheet["D2"], sheet["D3"] = "Price", 19.99, 5
        sheet["D2"].number_format, sheet["D3"].number_format = '#,##0.00\\ "€"', "[>100]0;0.0"

    manifest = open_manifest(three(tmp_path / "b.xlsx", fill))
    assert cells(manifest, "Price") == ["19.99 €", "5", None]
    (note,) = [note for note in manifest.notes if "number format" in note]
    assert "[>100]0;0.0" in note
    assert "D3" in note


def test_error_values_are_never_bought(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet["C2"], sheet["C3"] = "#N/A", "#REF!"
        for name in ("C2", "C3"):
            sheet[name].data_type = "e"

    inputs, reasons = bought(open_manifest(three(tmp_path / "b.xlsx", fill)))
    assert len(inputs) == 1
    assert [reason[:31] for reason in reasons] == ["prompt holds the error #N/A of ", "prompt holds the error #REF! of"]


@pytest.mark.parametrize(
    "error", ["#N/A", "#NV", "#WERT!", "#¡REF!", "#NOM?", "#ERROR!", "Err:502", "######", " #REF! "]
)
def test_error_values_in_a_csv_are_never_bought(tmp_path: Path, error: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"sku,image,prompt,Title\n1,{LINK.format(1)},{error},Mug\n2,{LINK.format(2)},ad for {{Title}},{error}\n"
                    f"3,{error},ad,Mug\n4,{LINK.format(4)},ad number #1,Mug\n", encoding="utf-8")  # fmt: skip
    inputs, reasons = bought(open_manifest(path))
    assert len(inputs) == 1
    assert all("the error" in reason for reason in reasons)
    assert len(bought(open_manifest(path), prompt="ad for {Title}")[0]) == 2


def test_hidden_rows_are_told_and_can_be_left_out(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True

    path = three(tmp_path / "b.xlsx", fill)
    manifest = open_manifest(path)
    assert [row.number for row in manifest.rows()] == [1, 2, 3]
    (warning,) = manifest.warnings
    assert "1 row is hidden" in warning
    assert "--visible-only" in warning
    visible = open_manifest(path, visible_only=True)
    assert [row.number for row in visible.rows()] == [1, 3]
    assert "left out" in visible.notes[-1]
    assert [row.number for row in reopen_manifest(path, visible.form, "manifest.xlsx").rows()] == [1, 3]


def test_the_first_visible_sheet_with_a_table_is_read(tmp_path: Path) -> None:
    path = three(tmp_path / "b.xlsx")
    made = openpyxl.load_workbook(path)
    old = made.create_sheet("Old 2023", 0)
    old.append(["sku", "image", "prompt"])
    old.append(["old", LINK.format(9), "old"])
    old.sheet_state = "hidden"
    made.create_sheet("Read me", 1)["A1"] = "How to fill in this sheet"
    made.save(path)
    manifest = open_manifest(path)
    assert cells(manifest, "sku") == ["A-1", "A-2", "A-3"]
    assert manifest.notes == ("sheet 'Products' is read, not 'Old 2023' (hidden) or 'Read me' (--sheet chooses)",)
    assert cells(open_manifest(path, sheet="old 2023"), "sku") == ["old"]


def test_escaped_characters_are_undone(tmp_path: Path) -> None:
    def write(part: str, text: str) -> str:
        return (
            text.replace("item 2", "item 2_x000D_").replace("2.jpg", "2.jpg_x000D_").replace("item 3", "_x005F_x0041_")
        )

    manifest = open_manifest(rewrite(three(tmp_path / "b.xlsx"), write))
    assert cells(manifest, "prompt")[1:] == ["make an ad for item 2\r", "make an ad for _x0041_"]
    assert LINK.format(2) in bought(manifest)[0][1]
    assert "\\r" not in bought(manifest)[0][1].partition("prompt")[0]


def test_the_link_behind_a_cell_counts_as_its_link_and_its_text_as_its_text(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet["B2"], sheet["D1"], sheet["D2"] = "photo", "Title", "Mug"
        sheet["B2"].hyperlink = LINK.format(7)
        sheet["D2"].hyperlink = "https://shop.example.com/mug"
        sheet["B3"] = f'=HYPERLINK("{LINK.format(8)}","photo")'
        sheet["B4"] = f'=IMAGE("{LINK.format(9)}")'

    inputs, reasons = bought(open_manifest(three(tmp_path / "b.xlsx", fill)), prompt="ad for {Title}")
    assert [LINK.format(n) in text for n, text in zip((7, 8, 9), inputs, strict=True)] == [True] * 3
    assert "ad for Mug" in inputs[0]
    assert not reasons


def test_a_formula_without_a_value_is_told(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet["C3"] = '="make an ad for "&A3'

    manifest = open_manifest(three(tmp_path / "b.xlsx", fill))
    assert len(bought(manifest)[0]) == 2
    (warning,) = manifest.warnings
    assert "C3" in warning
    assert "formula" in warning


def packed(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


FOREIGN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "numbers": (lambda at: packed(at / "t.numbers", **{"Index/Document.iwa": "x"}), "Apple Numbers"),
    "a zip of a CSV": (lambda at: packed(at / "p.zip", **{"products.csv": "a,b"}), r"zip file with 1 file.*products\.csv"),
    "a zip of pictures": (lambda at: packed(at / "p.zip", **{"a.jpg": "x", "b.jpg": "x"}), "zip file with 2 files in it"),
    "a Word document": (lambda at: packed(at / "p.docx", **{"word/document.xml": "x"}), "no spreadsheet"),
    "ods without contents": (
        lambda at: packed(at / "t.ods", **{"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "x"}),
        r"no whole \.ods",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_no_sheet_is_told_by_its_own_name(tmp_path: Path, kind: str) -> None:
    make, words = FOREIGN[kind]
    with pytest.raises(ManifestError, match=words):
        open_manifest(make(tmp_path))


@pytest.mark.parametrize(("name", "words"), [("t.xlsx", "password"), ("t.doc", "no spreadsheet")])
def test_a_compound_file_is_told_by_what_is_in_it(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000)
    with pytest.raises(ManifestError, match=words):
        open_manifest(tmp_path / name)


def test_a_workbook_of_the_strict_variant_is_read(tmp_path: Path) -> None:
    path = rewrite(
        three(tmp_path / "b.xlsx"),
        lambda _, text: text.replace(
            "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main"
        ),
    )
    assert len(bought(open_manifest(path))[0]) == 3


def ods(path: Path) -> Path:
    """A LibreOffice sheet with one row."""
    row = "".join(f"<table:table-cell office:value-type='string'><text:p>{text}</text:p></table:table-cell>" for text in
                  ("sku", "image", "prompt"))  # fmt: skip
    data = row.replace("sku", "A-1").replace(">image<", f">{LINK.format(1)}<").replace("prompt", "make an ad")
    content = (
        "<office:document-content xmlns:office='urn:oasis:names:tc:opendocument:xmlns:office:1.0' "
        "xmlns:table='urn:oasis:names:tc:opendocument:xmlns:table:1.0' "
        "xmlns:text='urn:oasis:names:tc:opendocument:xmlns:text:1.0'><office:body><office:spreadsheet>"
        f"<table:table table:name='S'><table:table-row>{row}</table:table-row><table:table-row>{data}</table:table-row>"
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    listing = "<manifest:manifest xmlns:manifest='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'/>"
    mime = "application/vnd.oasis.opendocument.spreadsheet"
    return packed(path, **{"mimetype": mime, "content.xml": content, "META-INF/manifest.xml": listing})


def test_a_sheet_of_libreoffice_is_read(tmp_path: Path) -> None:
    assert len(bought(open_manifest(ods(tmp_path / "t.ods")))[0]) == 1


def record(kind: int, data: bytes = b"") -> bytes:
    """One record of a binary workbook (MS-XLSB 2.1.4): its kind, its length below 128, its data."""
    return (bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])) + bytes([len(data)]) + data


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(path: Path, rows: list[list[str | float]]) -> Path:
    """The least binary workbook there is: one sheet, its strings in the cells, no styles."""
    sheet = record(0x81) + record(0x94, struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1)) + record(0x91)
    for number, row in enumerate(rows):
        sheet += record(0x00, struct.pack("<IIHHBI", number, 0, 300, 0, 0, 0))
        for place, value in enumerate(row):
            at = struct.pack("<II", place, 0)
            sheet += record(6, at + wide(value)) if isinstance(value, str) else record(5, at + struct.pack("<d", value))
    sheet += record(0x92) + record(0x82)
    listed = record(0x9C, struct.pack("<II", 0, 1) + wide("rId1") + wide("Products"))
    office = "http://schemas.openxmlformats.org"
    return packed(
        path,
        **{
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.bin": record(0x83) + record(0x8F) + listed + record(0x90) + record(0x84),
            "xl/worksheets/sheet1.bin": sheet,
            "xl/_rels/workbook.bin.rels": f"<Relationships xmlns='{office}/package/2006/relationships'><Relationship "
            f"Id='rId1' Type='{office}/officeDocument/2006/relationships/worksheet' Target='worksheets/sheet1.bin'/>"
            "</Relationships>",
        },
    )


def test_a_binary_workbook_is_read(tmp_path: Path) -> None:
    data = [["sku", "image", "prompt", "Price"], ["00413", LINK.format(1), "make an ad", 19.5]]
    manifest = open_manifest(xlsb(tmp_path / "t.xlsb", data))
    assert next(iter(manifest.rows())).cells == dict(
        zip(data[0], ["00413", LINK.format(1), "make an ad", "19.5"], strict=True)
    )
    assert len(bought(manifest)[0]) == 1
    assert [note for note in manifest.notes if "the values alone are read" in note]


@pytest.mark.process
def test_a_libreoffice_sheet_that_is_cut_off_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    def cut(name: str, text: str) -> str:
        return text.partition("<table:table-row>")[0] if name == "content.xml" else text

    path = rewrite(ods(tmp_path / "t.ods"), cut)
    completed = run(
        [sys.executable, "-m", "batchedit", "plan", str(path), "--sandbox"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (
        completed.returncode,
        "t.ods is no whole .ods file: its table is damaged or cut off" in completed.stderr,
    ) == (
        65,
        True,
    )


def png(path: Path, colour: str) -> Path:
    Image.new("RGB", (64, 64), colour).save(path)
    return path


def drawing(path: Path) -> Drawing:
    return Drawing(io.BytesIO(path.read_bytes()))


def test_pictures_that_float_in_the_sheet_are_the_pictures_of_their_rows(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet["B2"], sheet["B3"], sheet["B4"] = None, "photo", LINK.format(3)
        sheet.add_image(drawing(png(tmp_path / "red.png", "red")), "B2")
        sheet.add_image(drawing(png(tmp_path / "blue.png", "blue")), "B3")

    path = three(tmp_path / "b.xlsx", fill)
    manifest = open_manifest(path, pictures=tmp_path / "kept")
    recipe = Recipe(model="m", schema=SCHEMA, image_roots=(tmp_path,))
    lines = [line for line in expand_all(manifest, recipe) if not isinstance(line, InvalidLine)]
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("red.png", "blue.png")]
    assert [digest in line.job.inputs for digest, line in zip(digests, lines[:2], strict=True)] == [True, True]
    assert LINK.format(3) in lines[2].job.inputs
    assert cells(manifest, "image")[1] == "photo"
    assert len(cells(reopen_manifest(path, manifest.form, "m.xlsx", pictures=tmp_path / "kept"), "image")) == 3


def test_pictures_that_are_no_cells_of_the_table_are_told_with_their_place(tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        sheet.insert_rows(1, 2)
        sheet["A1"] = "Spring"
        for place, colour in (("A1", "red"), ("B4", "blue"), ("B4", "green"), ("F5", "black"), ("B6", "white")):
            sheet.add_image(drawing(png(tmp_path / f"{colour}.png", colour)), place)

    manifest = open_manifest(three(tmp_path / "b.xlsx", fill), pictures=tmp_path / "kept")
    places = "A1 (not below the column names), B4 (a second one in its cell) and F5 (in no column of the table)"
    assert f"3 pictures in the sheet are left out: {places}" in manifest.notes


def test_of_two_pictures_in_one_row_none_is_left_out_in_silence(tmp_path: Path) -> None:
    """Each counts for its own column, so that one of them went nowhere, and nobody was told."""

    def fill(sheet: Any) -> None:
        sheet["B2"] = None
        for place, colour in (("B2", "red"), ("C2", "blue"), ("B4", "black")):
            sheet.add_image(drawing(png(tmp_path / f"{colour}.png", colour)), place)

    manifest = open_manifest(three(tmp_path / "b.xlsx", fill), pictures=tmp_path / "kept")
    inputs, reasons = bought(manifest, image_roots=(tmp_path,))
    assert (len(inputs), reasons) == (3, [])
    note = "1 row has pictures in several columns (B2 and C2): each counts for the column that it stands in"
    assert manifest.notes == (note, "1 cell holds a link with a picture over it (B4): the link is taken")


def test_a_picture_over_a_column_without_a_name_spoils_no_row(tmp_path: Path) -> None:
    """It was taken for a value in a column that has no name, and the row was invalid."""

    def fill(sheet: Any) -> None:
        sheet["E1"] = "Title"
        sheet.add_image(drawing(png(tmp_path / "red.png", "red")), "D2")

    manifest = open_manifest(three(tmp_path / "b.xlsx", fill), pictures=tmp_path / "kept")
    assert len(bought(manifest)[0]) == 3
    assert "1 picture in the sheet is left out: D2 (in no column of the table)" in manifest.notes


def test_of_a_libreoffice_sheet_the_values_alone_are_read_and_that_is_told(tmp_path: Path) -> None:
    notes = [note for note in open_manifest(ods(tmp_path / "t.ods")).notes if "the values alone are read" in note]
    assert len(notes) == 1
    assert not [note for note in open_manifest(three(tmp_path / "m.xlsx")).notes if "the values alone" in note]


RICH = {
    "xl/metadata.xml": "<metadata xmlns='m' xmlns:x='x'><futureMetadata><bk><extLst><ext><x:rvb i='0'/></ext></extLst></bk>"
    "</futureMetadata><valueMetadata><bk><rc t='1' v='0'/></bk></valueMetadata></metadata>",
    "xl/richData/rdrichvalue.xml": "<rvData xmlns='v'><rv s='0'><v>0</v><v>5</v></rv></rvData>",
    "xl/richData/richValueRel.xml": "<richValueRels xmlns='l' xmlns:r='r'><rel r:id='rId1'/></richValueRels>",
    "xl/richData/_rels/richValueRel.xml.rels": "<Relationships xmlns='p'><Relationship Id='rId1' Type='image' "
    "Target='../media/image1.png'/></Relationships>",
}


def test_a_picture_placed_in_a_cell_is_the_picture_of_its_row(tmp_path: Path) -> None:
    path = rewrite(
        three(tmp_path / "b.xlsx"),
        lambda part, text: (
            re.sub(r'<c r="B3".*?</c>', '<c r="B3" t="e" vm="1"><v>#VALUE!</v></c>', text) if "sheet1" in part else text
        ),
    )
    with zipfile.ZipFile(path, "a") as file:
        for name, text in RICH.items():
            file.writestr(name, text)
        file.write(png(tmp_path / "red.png", "red"), "xl/media/image1.png")
    manifest = open_manifest(path, pictures=tmp_path / "kept")
    (_, line, _) = expand_all(manifest, Recipe(model="m", schema=SCHEMA, image_roots=(tmp_path,)))
    assert not isinstance(line, InvalidLine)
    assert hashlib.sha256((tmp_path / "red.png").read_bytes()).hexdigest() in line.job.inputs


def test_a_damaged_sheet_behind_the_first_one_ended_in_a_traceback(tmp_path: Path) -> None:
    """And the first one, with a note on it, is never taken for the table."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active["A1"] = "read me"
    table = book.create_sheet("T")
    for line in (("sku", "image"), ("a", "https://e.com/a.jpg")):
        table.append(line)
    book.save(path := tmp_path / "b.xlsx")
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            damaged = data.replace(b"<sheetData>", b"<sheetData><!--\xe9-->")
            file.writestr(name, damaged if name.endswith("sheet2.xml") else data)
    for sheet in (None, "T"):
        with pytest.raises(ManifestError, match="no Excel workbook that can be read"):
            list(open_manifest(path, sheet=sheet).rows())


def test_a_mutated_workbook_is_read_or_refused(tmp_path: Path) -> None:
    path = three(tmp_path / "b.xlsx", lambda sheet: sheet.add_image(drawing(png(tmp_path / "r.png", "red")), "B2"))
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    chance, read, refused = random.Random(7), 0, 0
    for _ in range(150):
        name = chance.choice([one for one in parts if one.endswith((".xml", ".rels"))])
        data = bytearray(parts[name])
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice(b'<>"/&0A\x00\xff ')
        cut = len(data) if chance.random() < 0.8 else chance.randrange(len(data))
        with zipfile.ZipFile(path, "w") as file:
            for other, kept in parts.items():
                file.writestr(other, bytes(data[:cut]) if other == name else kept)
        try:
            manifest = open_manifest(path, pictures=tmp_path / "kept")
            assert all(row.number for row in manifest.rows())
            read += 1
        except (ManifestError, UsageError):
            refused += 1
    assert min(read, refused) > 0, "the mutations reach both ends"
