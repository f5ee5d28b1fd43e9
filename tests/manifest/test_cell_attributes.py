"""What a worksheet's part tells beside its values, however its writer spells it and wherever a block ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from batchedit.manifest.cell_attributes import RowAttributes, scan_rows, split_at_rows
from batchedit.manifest.ooxml import WorkbookMarkup
from tests.manifest.test_excel import three

FORMATS = ["General", "0.00", "@", "0%"]
SHEET = """<?xml version="1.0"?><worksheet><cols><col min="1" max="2" hidden="1"/></cols><sheetData>
<row r="1" spans="1:4"><c r="A1" t="s" s="1"><v>0</v></c><c r="B1" s="2"><v>5</v></c></row>
<row r="2" hidden="1"><c r="A2"><v>7</v></c><c r="C2" s="1"><v>19.5</v></c></row>
<row r="4" ht="30"><c r="A4" t="inlineStr"><is><t>look: s="1" hidden="1" t="e"</t></is></c></row>
<row r="5"><c r="A5" t="e"><v>#N/A</v></c><c r="B5" t="e" s="3"><v>#REF!</v></c></row>
<row r="6"><c r="A6" t="str"><f>HYPERLINK("https://a.example.com/1.jpg","x")</f><v>x</v></c>
<c r="B6" s="1"><f>A1*2</f></c></row>
<row r="7" hidden="true"/><row r="8"><c r="B8" s="3" t="e" vm="4"><v>#VALUE!</v></c></row>
</sheetData><rowBreaks count="1"/></worksheet>"""
EXPECTED = [
    RowAttributes(1, hidden=True, formats={2: "0.00"}),
    RowAttributes(4, formats={1: "0%"}, errors={0: "#N/A", 1: "#REF!"}),
    RowAttributes(5, formats={1: "0.00"}, links={0: "https://a.example.com/1.jpg"}, uncomputed=[1]),
    RowAttributes(6, hidden=True),
    RowAttributes(7, formats={1: "0%"}, errors={1: "#VALUE!"}, rich={1: 4}),
]
NO_REFS = """<worksheet><sheetData><row><c><v>1</v></c><c s="1"><v>2</v></c></row><row/>
<row hidden="1"><c s="3"><v>1</v></c><c/><c t="e"><v>#N/A</v></c></row>
<row r="9"><c s="1"/><c r="D9"/><c s="1"><v>3</v></c></row>
<row><c s="1"><v>1</v></c></row></sheetData></worksheet>"""
NO_REFS_EXPECTED = [
    RowAttributes(0, formats={1: "0.00"}),
    RowAttributes(2, hidden=True, formats={0: "0%"}, errors={2: "#N/A"}),
    RowAttributes(8, formats={0: "0.00", 4: "0.00"}),
    RowAttributes(9, formats={0: "0.00"}),
]


def scan_in_blocks(data: bytes, block: int) -> list[RowAttributes]:
    blocks = (data[at : at + block] for at in range(0, len(data), block))
    return list(scan_rows(split_at_rows(blocks), FORMATS, {}))


def prefixed(text: str) -> str:
    return text.replace("<", "<x:").replace("<x:/", "</x:").replace("<x:?", "<?")


def single_quoted(text: str) -> str:
    return text.replace('="', "='").replace('" ', "' ").replace('">', "'>").replace('"/>', "'/>")


@pytest.mark.parametrize("block", [len(SHEET), 300, 41, 12])
def test_a_block_that_ends_anywhere_changes_no_look(block: int) -> None:
    assert scan_in_blocks(SHEET.encode(), block) == EXPECTED
    assert scan_in_blocks(NO_REFS.encode(), block) == NO_REFS_EXPECTED


@pytest.mark.parametrize("block", [4096, 300])
@pytest.mark.parametrize("text", [prefixed(SHEET), SHEET.replace(" s=", "\ns="), SHEET.replace(" r=", "\tr=")])
def test_prefixes_and_line_breaks_in_tags_change_no_look(text: str, block: int) -> None:
    assert scan_in_blocks(text.encode(), block) == EXPECTED


def test_a_sheet_in_utf_16_tells_the_same() -> None:
    assert scan_in_blocks(SHEET.replace("x</v>", "é</v>").encode("utf-16"), 333) == EXPECTED


def test_single_quotes_tell_the_same() -> None:
    text = single_quoted(NO_REFS)
    assert '"' not in text
    assert scan_in_blocks(text.encode(), 4096) == NO_REFS_EXPECTED


def test_a_row_longer_than_what_is_held_is_cut_and_the_rest_is_told() -> None:
    long = '<sheetData><row r="1">' + "<c><v>1</v></c>" * 500 + '</row><row r="2" hidden="1"/><row r="3"/>'
    assert scan_in_blocks(long.encode(), 20)[-1:] == [RowAttributes(1, hidden=True)]


def test_links_behind_cells_are_told_each_time_the_rows_are_read(tmp_path: Path) -> None:
    def link(sheet: object) -> None:
        sheet["B3"].hyperlink = "https://cdn.example.com/p/3.jpg"  # type: ignore[index]

    markup = WorkbookMarkup(three(tmp_path / "m.xlsx", link))
    first, again = list(markup.read_rows("Products")), list(markup.read_rows("Products"))
    assert [dataclasses.asdict(row)["links"] for row in first] == [{1: "https://cdn.example.com/p/3.jpg"}]
    assert again == first
