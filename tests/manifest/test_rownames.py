"""A person looks a row up in the sheet: the number that we say is the one that stands beside it there."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from batchedit.core.errors import ManifestError
from batchedit.core.model import InvalidLine, Outcome
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.manifest.read import Manifest, manifest_from_frame, open_manifest, reopen_manifest
from batchedit.manifest.rownames import describe_row, to_row_index, to_sheet_row
from batchedit.manifest.rows import Form, FormKind
from batchedit.results.columns import build_result_columns

LINK = "https://shop.example.com/p/%d.jpg"
HEAD = "sku,image,prompt\n"
SCHEMA = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {"type": "array", "items": {"type": "string", "format": "image_uri"}},
        "prompt": {"type": "string"},
    },
}


def row(id_: str, prompt: str = "make an ad") -> str:
    return f"{id_},{LINK % 1},{prompt}\n"


def describe_rows(manifest: Manifest) -> dict[str, str]:
    """Each row's name, by its id."""
    labels = {}
    for line in expand_all(manifest, Recipe("m", SCHEMA, row_shift=manifest.form.header_row)):
        labels[line.id] = describe_row(manifest.form, line.row, line.id)
    return labels


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (HEAD + row("A") + row("B"), {"A": 2, "B": 3}),
        ("Spring campaign,,\n\n" + HEAD + row("A"), {"A": 4}),
        ("\n\n" + HEAD + row("A"), {"A": 4}),
        (HEAD + "\n" + row("A") + ",,\n\n" + row("B"), {"A": 3, "B": 6}),
        (HEAD + row("A", '"two\nlines"') + row("B"), {"A": 2, "B": 3}),
        ("sep=,\n" + HEAD + row("A"), {"A": 2}),
        (HEAD.replace("\n", "\r\n") + row("A").replace("\n", "\r\n") + row("B"), {"A": 2, "B": 3}),
    ],
    ids=["plain", "title", "blank above", "blank between", "line break in a cell", "sep=", "mixed ends"],
)
def test_a_row_of_a_csv_file_has_the_number_that_excel_shows(tmp_path: Path, text: str, rows: dict[str, int]) -> None:
    """A record is one row of a spreadsheet, whatever lines it takes; title rows and blank lines count."""
    path = tmp_path / "m.csv"
    path.write_text(text, newline="")
    manifest = open_manifest(path)
    assert describe_rows(manifest) == {id_: f"row {number} ({id_})" for id_, number in rows.items()}
    kept = Form.load(manifest.form.dump())
    assert describe_rows(reopen_manifest(path, kept, "m.csv")) == describe_rows(manifest), (
        "the same from the run's own copy"
    )


def test_a_sheet_of_the_first_edition_counts_from_its_own_header(tmp_path: Path) -> None:
    """Its runs kept no form: the first row that is not blank is the header, and the rows above it count all the same."""
    path = tmp_path / "m.csv"
    path.write_text("\n" + HEAD + row("A"))
    assert describe_rows(open_manifest(path, header_row=0)) == {"A": "row 3 (A)"}
    assert describe_rows(workbook(tmp_path / "m.xlsx", above=1, header_row=0)) == {"A": "row 3 (A)", "B": "row 5 (B)"}


def workbook(path: Path, above: int, header_row: int | None = None, **options: bool) -> Manifest:
    """``above`` rows that are empty, the header, A, an empty row, B; A is hidden."""
    book = openpyxl.Workbook()
    sheet = book.active
    first = above + 1
    for place, values in ((0, ["sku", "image", "prompt"]), (1, ["A", LINK % 1, "x"]), (3, ["B", LINK % 2, "y"])):
        for column, value in enumerate(values, 1):
            sheet.cell(first + place, column, value)
    sheet.row_dimensions[first + 1].hidden = True
    book.save(path)
    return open_manifest(path, header_row=header_row, **options)


@pytest.mark.parametrize("above", [0, 1, 4])
def test_a_row_of_a_workbook_has_its_own_number_hidden_and_empty_rows_counted(tmp_path: Path, above: int) -> None:
    path = tmp_path / "m.xlsx"
    a, b = above + 2, above + 4
    assert describe_rows(workbook(path, above)) == {"A": f"row {a} (A)", "B": f"row {b} (B)"}
    assert describe_rows(workbook(path, above, visible_only=True)) == {"B": f"row {b} (B)"}


def test_jsonl_has_lines_and_a_table_without_rows_has_positions(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('\n{"sku":"A","image":"%s","prompt":"x"}\n' % (LINK % 1))
    assert describe_rows(open_manifest(path)) == {"A": "line 2 (A)"}
    frame = manifest_from_frame(pd.DataFrame({"sku": ["A", "B"], "image": [LINK % 1, LINK % 2], "prompt": ["x", "y"]}))
    assert describe_rows(frame) == {"A": "position 1 (A)", "B": "position 2 (B)"}


def test_a_row_without_an_id_is_not_named_twice(tmp_path: Path) -> None:
    """Its number stands for an id then, also in the names of its files."""
    path = tmp_path / "m.csv"
    path.write_text("image,prompt\n" + f"{LINK % 1},x\n,y\n")
    manifest = open_manifest(path)
    first, second = expand_all(manifest, Recipe("m", SCHEMA, row_shift=manifest.form.header_row))
    assert not isinstance(first, InvalidLine)
    assert (describe_row(manifest.form, first.row, first.id), first.job.name) == ("row 2", "2-1")
    assert describe_row(manifest.form, second.row, second.id) == "row 3"
    old = next(iter(expand_all(manifest, Recipe("m", SCHEMA))))
    assert not isinstance(old, InvalidLine)
    assert (describe_row(manifest.form, old.row, old.id), old.job.name) == ("row 2 (1)", "1-1"), (
        "a run goes on naming as it began"
    )


def test_names_wanted_twice_are_told_by_the_sheets_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("Title,,\n\n" + HEAD + row("A", "x") + row("B", "y"))
    with pytest.raises(ManifestError, match=r"\(row 4 \(A\) and row 5 \(B\)\)"):
        list(expand_all(open_manifest(path), Recipe("m", SCHEMA, name="same")))


def test_result_row_and_flags_name_the_sheets_rows() -> None:
    form = Form(FormKind.CSV, header_row=4)
    columns = build_result_columns(Outcome(3, "A", "done", flags="tiny like_row_12"), form)
    assert (columns["result_row"], columns["result_flags"]) == (7, "tiny like_row_16")


@pytest.mark.parametrize("header", [0, 1, 7])
def test_a_row_that_is_typed_is_the_row_that_was_said(header: int) -> None:
    form = Form(FormKind.CSV, header_row=header)
    assert [to_row_index(form, to_sheet_row(form, index)) for index in range(1, 50)] == list(range(1, 50))
