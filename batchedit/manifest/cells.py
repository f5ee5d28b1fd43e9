"""Conversions of cells: typed values to JSON values, and any cell to text."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
from contextlib import suppress
from typing import Any

import orjson

from .rows import Number, Uncomputed


def to_json_value(value: Any) -> Any:  # noqa: PLR0911 - one return a type
    """A typed cell as a JSON value: numbers keep their digits, times become ISO text, a missing value becomes None."""
    match value:
        case None | str() | bool():
            return value
        case int() | decimal.Decimal():
            return Number(value)
        case float():
            return _float_to_number(value)
        case dt.datetime():
            return value.isoformat().removesuffix("T00:00:00")
        case dt.date() | dt.time():
            return value.isoformat()
        case dict():
            return {str(key): to_json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json_value(item) for item in value]
        case bytes():
            return value.decode(errors="backslashreplace")
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return to_json_value(value.tolist())
    return str(value)


def _float_to_number(value: float) -> Number | None:
    """None for NaN. A missing value turns a column of whole numbers into floats, so 7.0 is written as 7 again."""
    if math.isnan(value):
        return None
    return Number(int(value) if value.is_integer() and abs(value) < 2**53 else repr(value))


def to_cell_text(value: Any) -> str:
    """A cell as text, as a prompt and a CSV file hold it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return to_json_text(value)


def to_id_text(value: Any) -> str:
    """The name in an id's cell. ``="00413"`` is how a text file keeps Excel from taking the zeros away: 00413 is meant."""
    text = to_cell_text(value).strip()
    return text[2:-1].strip() if text[:2] == '="' and text[-1:] == '"' and text.count('"') == 2 else text


_match_error = re.compile(
    r"#(?:N/A|N/D|NV|REF!|BEZUG!|RIF!|¡REF!|NAME\?|NOM\?|NOME\?|¿NOMBRE\?|VALUE!|WERT!|VALEUR!|VALORE!|VALOR!|¡VALOR!|NUM!|ZAHL!"
    r"|NOMBRE!|¡NUM!|DIV/0!|¡DIV/0!|NULL!|NUL!|NULO!|¡NULO!|SPILL!|ÜBERLAUF!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!"
    r"|PYTHON!|ERROR!|GETTING_DATA|#{2,})|Err:5\d\d"
).fullmatch


ERROR_FIRST_LETTERS = frozenset({"#", "E", " ", ""})
"""First letters of what ``explain_unusable_cell`` finds: checking these first spares the call for nearly every cell."""


def may_hold_error(raw: str) -> bool:
    """False if no cell of the record ``raw`` can be what ``explain_unusable_cell`` finds. Quick, and never wrongly False:
    True where the record's text is not known, and for a backslash, with which JSON may spell any letter.
    """
    return not raw or "#" in raw or "Err:" in raw or "\\" in raw


def explain_unusable_cell(cell: Any) -> str:
    """Why ``cell`` can't be sent, used as a name or put into a prompt, as a part of a sentence; ``""`` if it can."""
    if type(cell) is Uncomputed:
        return "holds a formula without a value; open it in Excel and save it"
    if error := find_sheet_error(cell):
        return f"holds the error {error} of the spreadsheet; mend the formula, or empty the cell"
    return ""


def find_sheet_error(cell: Any) -> str:
    """The error value in ``cell``, as Excel (in five languages), Google Sheets and LibreOffice write it; ``""`` for none.

    ``####`` is what a column that is too narrow leaves in a text export.
    """
    if isinstance(cell, str) and cell[:1] in ERROR_FIRST_LETTERS and _match_error(text := cell.strip()):
        return text
    return ""


TEXTS = frozenset({str, bool, type(None)})
"""Types of cells that orjson writes as ``json`` does, at eight times the speed."""


def to_json_text(value: Any) -> str:
    """The JSON text of a cell, with numbers as they were written."""
    if type(value) is Number:
        return str(value)
    if type(value) is dict:
        if TEXTS.issuperset(map(type, value.values())):
            with suppress(TypeError):  # half a character, or a key that is no text
                return orjson.dumps(value).decode()
        return (
            "{"
            + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{to_json_text(item)}" for key, item in value.items())
            + "}"
        )
    if type(value) is list:
        return "[" + ",".join(map(to_json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
