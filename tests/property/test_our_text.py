"""The quick ways of writing results give the same text as the plain ones."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchedit.core.columns import RESULT_COLUMNS
from batchedit.core.model import Outcome
from batchedit.manifest.cells import to_json_text
from batchedit.manifest.header import OUR_COLUMNS
from batchedit.manifest.read import manifest_from_frame
from batchedit.manifest.rows import Number
from batchedit.results.columns import to_csv_cells, to_json_object
from batchedit.results.writer import _add_columns

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
CELLS = st.dictionaries(TEXT, TEXT | st.booleans() | st.none())
MANIFEST = manifest_from_frame(pd.DataFrame({"sku": ["x"]}))
OUTSIDE = ("size", "error", "file", "url", "request_id", "flags")


@given(CELLS)
def test_cells_become_the_json_that_the_standard_library_writes(cells: dict[str, Any]) -> None:
    assert to_json_text(cells) == json.dumps(cells, ensure_ascii=False, separators=(",", ":"))


def test_numbers_stay_as_they_were_written() -> None:
    assert to_json_text({"a": Number("1.50"), "b": "x"}) == '{"a":1.50,"b":"x"}'


# What begins with our prefix is dropped on the way in (tests/manifest/test_read.py), so no row has it.
USERS = st.dictionaries(TEXT.filter(lambda name: name not in OUR_COLUMNS), TEXT | st.booleans() | st.none(), min_size=1)


@given(USERS, TEXT, st.sampled_from([None, 40_000, 1]))
def test_a_line_holds_the_cells_and_our_columns_behind_them(cells: dict[str, Any], url: str, cost: int | None) -> None:
    outcome = Outcome(1, "x", "done", url=url, cost=cost)
    line = json.loads(_add_columns(to_json_text(cells), outcome, MANIFEST))
    assert {name: line.pop(name) for name in cells} == cells
    assert tuple(line) == RESULT_COLUMNS
    assert (line["result_url"], line["result_status"]) == (url or None, "done")


@given(st.fixed_dictionaries({f"result_{name}": TEXT for name in OUTSIDE}), st.lists(TEXT, min_size=1, max_size=3))
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
def test_our_columns_are_read_back_whatever_they_hold(
    delimiter: str, outside: dict[str, str], paths: list[str]
) -> None:
    known = {"result_row": 7, "result_cost_usd": "0.04", "result_seconds": 4.2, "result_files": paths, **outside}
    result = {column: known.get(column) for column in RESULT_COLUMNS}
    (cells,) = csv.reader(
        io.StringIO("x" + to_csv_cells(result, delimiter), newline=""), delimiter=delimiter, strict=True
    )
    read = dict(zip(RESULT_COLUMNS, cells[1:], strict=True))
    for name, text in outside.items():
        assert read[name].removeprefix("'") == text.removeprefix("'")
    assert json.loads(read["result_files"]) == paths
    payload = json.loads(to_json_object(result))
    assert payload == {**dict.fromkeys(RESULT_COLUMNS), **known, "result_cost_usd": 0.04}
