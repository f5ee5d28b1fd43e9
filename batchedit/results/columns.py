"""The result columns: one Outcome as values, as CSV text and as JSON text."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

import orjson

from ..core.columns import RESULT_COLUMNS, STATUS, format_problems
from ..core.model import Outcome
from ..core.money import to_plain_usd
from ..manifest.rownames import to_sheet_flags, to_sheet_row
from ..manifest.rows import Form

_UTC = dt.timezone.utc  # noqa: UP017 - a name of its own for the line below


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    return dt.datetime.fromtimestamp(second, _UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_utc_time(at: float | None) -> str | None:
    """ISO 8601 in UTC with whole seconds."""
    return None if at is None else _format_second(int(at))


format_cost = lru_cache(maxsize=1024)(to_plain_usd)
"""``to_plain_usd``, cached: a column of a million rows holds few distinct sums."""


def build_result_columns(outcome: Outcome, form: Form) -> dict[str, Any]:
    """The result columns in their order, by name: text, int, float, a list of paths, or None for nothing. Cost is text.

    ``form`` is the manifest's: ``result_row`` is the sheet's own row number.
    """
    # Unpacked in one statement: access by attribute would take a tenth of the time of all results.
    (
        row, _, state, size, variant, version, kind, problem, text, url, request_id, cost, began, ended, key,
        problems, _, flags, reused_from, decision, note,
    ) = outcome  # fmt: skip
    files = orjson.loads(text) if text else _NO_FILES
    path, sha256, size_in_bytes, width, height, link = files[0]
    invalid = state == "invalid"
    return {
        "result_row": to_sheet_row(form, row),
        "result_size": size or None,
        "result_variant": None if invalid else variant,
        "result_version": None if invalid else version,
        "result_status": STATUS[state],
        "result_error": (format_problems(problems) if problems else problem) or None,
        "result_error_kind": "invalid" if invalid else kind or None,
        "result_file": path,
        "result_files": ([path] if len(files) == 1 else [file[0] for file in files]) if text else None,
        "result_url": url or link or None,
        "result_request_id": request_id or None,
        "result_cost_usd": None if cost is None else format_cost(cost),
        "result_submitted_at": None if began is None else _format_second(int(began)),
        "result_finished_at": None if ended is None else _format_second(int(ended)),
        "result_seconds": None if began is None or ended is None else round(ended - began, 1),
        "result_sha256": sha256,
        "result_bytes": size_in_bytes,
        "result_width": width or None,
        "result_height": height or None,
        "result_key": key.hex() or None,
        "result_flags": to_sheet_flags(form, flags) or None,
        "result_reused_from": reused_from or None,
        "result_decision": decision or None,
        "result_note": note or None,
    }


_NO_FILES = [(None, None, None, None, None, None)]


def to_json_object(result: dict[str, Any]) -> bytes:
    """The result columns as a JSON object. The cost is a number."""
    if result["result_cost_usd"] is not None:
        result["result_cost_usd"] = orjson.Fragment(result["result_cost_usd"])
    return orjson.dumps(result)


def to_python_values(result: dict[str, Any]) -> dict[str, Any]:
    """The result columns as Python values for Parquet, Excel and DataFrames: the cost is a float."""
    cost = result["result_cost_usd"]
    return result if cost is None else {**result, "result_cost_usd": float(cost)}


def to_csv_cells(result: dict[str, Any], delimiter: str) -> str:
    """The result columns as CSV text, a delimiter before each: formulas escaped, quoted where needed."""
    text = ["" if value is None else str(value) for value in result.values()]
    if result["result_files"]:
        text[_FILES] = orjson.dumps(result["result_files"]).decode()
    for index in _OUTSIDE_TEXTS if delimiter in _USUAL_DELIMITERS else range(len(text)):
        if text[index]:
            text[index] = _quote_cell(text[index], delimiter)
    return delimiter + delimiter.join(text)


_FILES = RESULT_COLUMNS.index("result_files")
_OUTSIDE_TEXTS = tuple(
    RESULT_COLUMNS.index(f"result_{name}")
    for name in ("size", "error", "file", "files", "url", "request_id", "flags", "reused_from", "note")
)
"""Columns with text from outside. The others hold numbers, times, hex digits and fixed words without a usual delimiter."""
_USUAL_DELIMITERS = frozenset({",", ";", "\t", "|"})


def escape_formula(text: str) -> str:
    """Prefix an apostrophe to text that a spreadsheet would take for a formula."""
    return "'" + text if text[:1] in _FORMULA else text


def _quote_cell(text: str, delimiter: str) -> str:
    if text[:1] in _FORMULA:
        text = escape_formula(text)
    if '"' in text or delimiter in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
