"""Cells from one world to another: typed values to what JSON holds, and anything to text."""

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


def plain(value: Any) -> Any:  # noqa: PLR0911 - one return a type
    """A typed cell as JSON would hold it: numbers keep their digits, times become ISO text, missing becomes None."""
    match value:
        case None | str() | bool():
            return value
        case int() | decimal.Decimal():
            return Number(value)
        case float():
            return _float(value)
        case dt.datetime():
            return value.isoformat().removesuffix("T00:00:00")
        case dt.date() | dt.time():
            return value.isoformat()
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return value.decode(errors="backslashreplace")
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    return str(value)


def _float(value: float) -> Number | None:
    """A gap turns a column of whole numbers into floats: 7.0 is shown as 7 again."""
    if math.isnan(value):
        return None
    return Number(int(value) if value.is_integer() and abs(value) < 2**53 else repr(value))


def text_of(value: Any) -> str:
    """A cell as text: what a prompt is filled with and what CSV holds."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value)


def id_text(value: Any) -> str:
    """The name in an id's cell. ``="00413"`` is how a text file keeps Excel from taking the zeros away: 00413 is meant."""
    text = text_of(value).strip()
    return text[2:-1].strip() if text[:2] == '="' and text[-1:] == '"' and text.count('"') == 2 else text


_ERROR = re.compile(
    r"#(?:N/A|N/D|NV|REF!|BEZUG!|RIF!|¡REF!|NAME\?|NOM\?|NOME\?|¿NOMBRE\?|VALUE!|WERT!|VALEUR!|VALORE!|VALOR!|¡VALOR!|NUM!|ZAHL!"
    r"|NOMBRE!|¡NUM!|DIV/0!|¡DIV/0!|NULL!|NUL!|NULO!|¡NULO!|SPILL!|ÜBERLAUF!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!"
    r"|PYTHON!|ERROR!|GETTING_DATA|#{2,})|Err:5\d\d"
).fullmatch


ERROR_HEADS = frozenset({"#", "E", " ", ""})
"""First letters of what ``why_no_value`` finds: a quick look at these spares the call for nearly every cell."""


def may_hold_error(raw: str) -> bool:
    """May a cell of the record ``raw`` be what ``why_no_value`` finds? Quick, and never wrongly False: without the record's
    text there is no telling, and JSON may spell any letter with a backslash.
    """
    return not raw or "#" in raw or "Err:" in raw or "\\" in raw


def why_no_value(cell: Any) -> str:
    """Why ``cell`` can't be sent, named after or written into a prompt, as a part of a sentence; ``""`` if it can."""
    if type(cell) is Uncomputed:
        return "holds a formula without a value; open it in Excel and save it"
    if error := sheet_error(cell):
        return f"holds the error {error} of the spreadsheet; mend the formula, or empty the cell"
    return ""


def sheet_error(cell: Any) -> str:
    """The error value that ``cell`` is, as Excel (in five languages), Google Sheets and LibreOffice write them, or ``""``.

    ``####`` is what a column that is too narrow leaves in a text export.
    """
    if isinstance(cell, str) and cell[:1] in ERROR_HEADS and _ERROR(text := cell.strip()):
        return text
    return ""


TEXTS = frozenset({str, bool, type(None)})
"""Types of cells that orjson writes as ``json`` does; it is eight times as fast."""


def json_text(value: Any) -> str:
    """JSON text of a cell, with numbers as they were written."""
    if type(value) is Number:
        return str(value)
    if type(value) is dict:
        if TEXTS.issuperset(map(type, value.values())):
            with suppress(TypeError):  # half a character, or a key that is no text
                return orjson.dumps(value).decode()
        return (
            "{"
            + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{json_text(item)}" for key, item in value.items())
            + "}"
        )
    if type(value) is list:
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
