"""An error value of a spreadsheet that would name a row or a file: two products were both called #REF!, and bought so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest

from batchedit.core.model import InvalidLine
from batchedit.jobs.expand import expand_all
from batchedit.manifest.cells import may_hold_error
from batchedit.manifest.read import open_manifest
from tests.jobs.test_expand import U, expand, problems, recipe


def row(**cells: Any) -> dict[str, Any]:
    return {"sku": "A-1", "image": U, "prompt": "an ad", **cells}


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#BEZUG!", "Err:502", "####"])
def test_an_error_in_the_id_column_is_refused(error: str) -> None:
    [problem] = problems(row(sku=error))
    assert (problem.column, f"the error {error} of the spreadsheet" in problem.reason) == ("sku", True)


def test_an_error_in_a_column_that_names_files_is_refused() -> None:
    [problem] = problems(row(Vendor="#NAME?"), name="{Vendor}/{id}")
    assert (problem.column, "the error #NAME?" in problem.reason) == ("Vendor", True)
    assert not isinstance(expand(row(Vendor="#NAME?")), InvalidLine)


def sheet(folder: Path, *rows: list[object]) -> Path:
    book = openpyxl.Workbook()
    for cells in (["sku", "image", "prompt", "size"], *rows):
        book.active.append(cells)
    book.save(folder / "s.xlsx")
    return folder / "s.xlsx"


@pytest.mark.parametrize(("place", "column"), [(0, "sku"), (2, "prompt"), (3, "size")])
def test_a_formula_without_a_value_is_refused_where_it_would_go_out(tmp_path: Path, place: int, column: str) -> None:
    """The number of the row stood in for the id, and the row was bought under it."""
    cells: list[object] = ["A-1", U, "an ad", "1:1"]
    cells[place] = '="A"&"B"'
    manifest = open_manifest(sheet(tmp_path, cells, ["A-2", U, "an ad", None]))
    bad, good = expand_all(manifest, recipe())
    assert isinstance(bad, InvalidLine)
    [problem] = bad.problems
    assert (problem.column, not isinstance(good, InvalidLine)) == (column, True)
    assert "a formula without a value; open it in Excel and save it" in problem.reason


def test_zeros_that_a_formula_keeps_in_a_text_file_are_the_id() -> None:
    """Every picture of such a sheet was called =_00413_."""
    [line] = expand(row(sku='="00413"'))
    assert (line.id, line.job.name) == ("00413", "00413-1x1-1")


@pytest.mark.parametrize(
    "raw", ["A,#REF!", "A, #N/A ", "A,Err:502", 'A,"#REF!"', '{"title": "#REF!"}', r'{"title": "\u0023REF!"}', ""]
)
def test_the_text_of_a_record_never_hides_an_error_value(raw: str) -> None:
    assert may_hold_error(raw)


def test_a_prompt_from_a_cell_that_names_a_cell_with_an_error_ended_in_a_traceback() -> None:
    """``--prompt '{notes}'``, notes "an ad for {title}", and the title is ``#REF!``."""
    [problem] = problems(row(notes="an ad for {title}", title="#REF!", prompt=""), prompt="{notes}")
    assert (problem.column, "names {title}, which holds the error #REF!" in problem.reason) == ("prompt", True)
