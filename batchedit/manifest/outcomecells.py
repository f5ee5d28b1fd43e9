"""Our columns of the results: one Outcome as values, as CSV text and as JSON text."""

from __future__ import annotations

import datetime as dt
import json
from functools import lru_cache
from typing import Any

import orjson

from ..core.model import MICRO, Outcome

RESULT_COLUMNS = (
    "result_row",
    "result_size",
    "result_variant",
    "result_version",
    "result_status",
    "result_error",
    "result_error_kind",
    "result_file",
    "result_files",
    "result_url",
    "result_request_id",
    "result_cost_usd",
    "result_submitted_at",
    "result_finished_at",
    "result_seconds",
    "result_sha256",
    "result_bytes",
    "result_width",
    "result_height",
    "result_key",
    "result_flags",
)

STATUS = {
    state: "submitted" if state in {"submitting", "waiting", "cancelling", "fetched"} else state
    for state in (
        *("planned", "submitting", "in_doubt", "waiting", "cancelling", "fetched"),
        *("uncollected", "done", "failed", "cancelled", "invalid"),
    )
}
"""A job's state as ``result_status`` says it."""

_UTC = dt.timezone.utc  # noqa: UP017 - a name of its own for the line below


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return dt.datetime.fromtimestamp(second, _UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at: float | None) -> str | None:
    """ISO 8601 in UTC with whole seconds."""
    return None if at is None else _second(int(at))


@lru_cache(maxsize=1024)
def usd(micros: int) -> str:
    """40_000 micro-dollars as ``0.04``: no sign of currency, no thousands, at least two decimals."""
    whole, rest = divmod(abs(micros), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


def error_text(outcome: Outcome) -> str:
    """What went wrong, with every reason of an invalid row: ``size '4:5' is not possible: …; image is empty …``."""
    if not outcome.problems:
        return outcome.problem
    told = []
    for column, value, reason in json.loads(outcome.problems):
        shown = f"{value!r} " if value != "" else ""
        told.append(
            f"{column} {shown}{reason}".strip() if column else f"the row {reason}" + (f": {value}" if value else "")
        )
    return "; ".join(told)


def values(outcome: Outcome) -> tuple[Any, ...]:
    """One value a column of RESULT_COLUMNS: text, int, float, a list of paths, or None for nothing. Cost is text."""
    # Taken apart at once: a name each would be a tenth of all the time that results take.
    row, _, state, size, variant, version, kind, _, text, url, request_id, cost, began, ended, key, _, _, flags = (
        outcome
    )
    files = orjson.loads(text) if text else _NO_FILES
    path, sha256, size_in_bytes, width, height, link = files[0]
    invalid = state == "invalid"
    return (
        row,
        size or None,
        None if invalid else variant,
        None if invalid else version,
        STATUS[state],
        error_text(outcome) or None,
        "invalid" if invalid else kind or None,
        path,
        [file[0] for file in files] if text else None,
        url or link or None,
        request_id or None,
        None if cost is None else usd(cost),
        None if began is None else _second(int(began)),
        None if ended is None else _second(int(ended)),
        None if began is None or ended is None else round(ended - began, 1),
        sha256,
        size_in_bytes,
        width or None,
        height or None,
        key.hex() or None,
        flags or None,
    )


_NO_FILES = [(None, None, None, None, None, None)]
_COST = RESULT_COLUMNS.index("result_cost_usd")


def named(result: tuple[Any, ...]) -> dict[str, Any]:
    """Our columns for ``orjson``, by name. The cost is a plain number."""
    found = dict(zip(RESULT_COLUMNS, result, strict=True))
    if result[_COST] is not None:
        found["result_cost_usd"] = orjson.Fragment(result[_COST])
    return found


def json_object(result: tuple[Any, ...]) -> str:
    """Our columns as the inside of a JSON object, without its braces."""
    return orjson.dumps(named(result))[1:-1].decode()


def typed(result: tuple[Any, ...]) -> dict[str, Any]:
    """Our columns as Python values for Parquet, Excel and DataFrames: the cost a float."""
    named = dict(zip(RESULT_COLUMNS, result, strict=True))
    named["result_cost_usd"] = None if result[11] is None else float(result[11])
    return named


def csv_cells(result: tuple[Any, ...], delimiter: str) -> str:
    """Our columns as CSV text, each with a delimiter in front: made harmless for a spreadsheet, quoted where needed."""
    text = ["" if value is None else str(value) for value in result]
    if result[_FILES]:
        text[_FILES] = orjson.dumps(result[_FILES]).decode()
    for index in _FROM_OUTSIDE if delimiter in _USUAL else range(len(text)):
        if text[index]:
            text[index] = _cell(text[index], delimiter)
    return delimiter + delimiter.join(text)


_FILES = RESULT_COLUMNS.index("result_files")
_FROM_OUTSIDE = tuple(
    RESULT_COLUMNS.index(f"result_{name}") for name in ("size", "error", "file", "files", "url", "request_id", "flags")
)
"""The others are numbers, times, hex digits and words of our own, in which no usual delimiter can stand."""
_USUAL = frozenset({",", ";", "\t", "|"})


def harmless(text: str) -> str:
    """Text from outside that a spreadsheet would take for a formula gets an apostrophe in front."""
    return "'" + text if text[:1] in _FORMULA else text


def _cell(text: str, delimiter: str) -> str:
    if text[:1] in _FORMULA:
        text = harmless(text)
    if '"' in text or delimiter in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
