"""A model's input schema: how each field is read from a cell, its defaults, and the check of the inputs.

Two things differ from the schema as published. Picture fields are always lists, since the page contradicts itself
about their shape and the client that sends them chooses it. And a default is filled in only for a field that may be left
out and is no picture: the defaults of ``image`` and ``prompt`` are the page's samples, which must not be bought.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from ..core.errors import UsageError
from ..core.limits import MAX_LINK_BYTES
from ..core.safe_text import to_one_line
from ..manifest.cells import to_cell_text
from ..manifest.rows import Number, truncate_text
from .image_cells import CellError, Pictures
from .picture_rules import MEGABYTE, read_rules
from .ratios import spell_ratios

Reader = Callable[[Any], Any]

_PICTURE_NAME = re.compile(r"(?:^|_)(?:image|photo|picture|mask)(?:s|_urls?|_uris?)?$")
_YES = frozenset({"true", "yes", "y", "1", "on", "wahr", "ja", "vrai", "oui"})
_NO = frozenset({"false", "no", "n", "0", "off", "falsch", "nein", "faux", "non"})
_INTEGER = re.compile(r"[+-]?\d{1,4000}").fullmatch


@dataclass(frozen=True, slots=True)
class Field:
    """One input. ``read`` turns a cell that is not empty into its value, or raises CellError. None: the cell is the value."""

    name: str
    spec: dict[str, Any]
    required: bool
    picture: bool
    read: Reader | None


@dataclass(frozen=True, slots=True)
class Schema:
    """``fields`` in the schema's order, ``defaults`` for those that may be left out, and the check of a whole input.
    ``count_field`` is the input that says how many pictures one job gives, "" where the model has none.
    """

    fields: dict[str, Field]
    defaults: dict[str, Any]
    is_valid: Callable[[Any], bool]
    errors: Callable[[Any], Iterator[Any]]
    count_field: str = ""


COUNT_FIELDS = ("number_of_images", "num_images", "num_outputs")
"""Models' names for the number of pictures that one job gives, each of them paid, as in nano-banana-2."""


def compile_schema(schema: dict[str, Any], pictures: Pictures) -> Schema:
    """Raises UsageError if ``schema`` is no JSON Schema of an object with properties."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not all(isinstance(spec, dict) for spec in properties.values()):
        raise UsageError("the model's schema has no properties", hint="Give the schema of the model's *input*.")
    required = set(schema.get("required", ()))
    fields: dict[str, Field] = {}
    adjusted: dict[str, Any] = {}
    for name, spec in properties.items():
        picture = is_picture(name, spec)
        adjusted[name] = _to_list_spec(spec) if picture else spec
        fields[name] = Field(
            name,
            spec,
            name in required,
            picture,
            pictures.make_reader(read_rules(spec)) if picture else _make_field_reader(spec),
        )
    try:
        validator = jsonschema_rs.validator_for({**schema, "properties": adjusted})
    except ValueError as error:
        raise UsageError(f"the model's schema is no JSON Schema: {_describe_schema_error(error)}") from None
    defaults = {
        name: field.spec["default"]
        for name, field in fields.items()
        if "default" in field.spec and not field.required and not field.picture and field.spec["default"] is not None
    }
    count_field = next((name for name in COUNT_FIELDS if name in fields), "")
    return Schema(fields, defaults, validator.is_valid, validator.iter_errors, count_field)


def _describe_schema_error(error: ValueError) -> str:
    """Half a sentence that names the input and its impossible value, without the words of the validator."""
    if not isinstance(error, jsonschema_rs.ValidationError):
        return to_one_line(str(error))
    path, value = list(error.instance_path), error.instance
    if not path:
        return to_one_line(error.message)
    value_text = repr(truncate_text(value)) if isinstance(value, str) else truncate_text(json.dumps(value))
    property_name = (
        f"the {path[-1]} of the input {path[1]!r}" if path[0] == "properties" and len(path) > 2 else path[-1]
    )
    return f"{property_name} can't be {value_text}"


def is_picture(name: str, spec: dict[str, Any]) -> bool:
    """True if an input of the model is a picture or a list of pictures."""
    items = spec.get("items")
    inner = items if isinstance(items, dict) else {}
    if "image_uri" in {spec.get("format"), inner.get("format")}:
        return True
    texts = spec.get("type") == "string" or (spec.get("type") == "array" and inner.get("type") == "string")
    return texts and "enum" not in spec and _PICTURE_NAME.search(name) is not None


def find_link_limit(schema: dict[str, Any]) -> int:
    """The largest linked picture, in bytes, that any picture field of the model takes. The service refuses larger ones."""
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    limits = [
        min([MAX_LINK_BYTES, *(int(rule.value * MEGABYTE) for rule in read_rules(spec) if rule.limits_size)])
        for name, spec in fields
        if isinstance(spec, dict) and is_picture(name, spec)
    ]
    return max(limits, default=MAX_LINK_BYTES)


def _to_list_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """The schema of a picture field in its canonical form."""
    bounds: dict[str, Any] = {key: spec[key] for key in ("minItems", "maxItems", "uniqueItems") if key in spec}
    most_items: dict[str, Any] = {"maxItems": 1} if spec.get("type") == "string" else {}
    return {"minItems": 1, **most_items, **bounds, "type": "array", "items": {"type": ["string", "object"]}}


def _make_field_reader(spec: dict[str, Any]) -> Reader | None:  # noqa: PLR0911 - one return a type
    if "enum" in spec:
        return _make_choice_reader(spec["enum"])
    type_ = spec.get("type")
    if isinstance(type_, list):
        type_ = next((name for name in type_ if name != "null"), None)
    match type_:
        case "string":
            return None
        case "integer":
            return _read_integer
        case "number":
            return _read_number
        case "boolean":
            return _read_boolean
        case "array":
            return _make_array_reader(spec.get("items"))
        case "object":
            return _read_object
    return _read_anything


def _make_choice_reader(options: list[Any]) -> Reader:
    """A reader that finds the listed value that a cell spells, other spellings of ratios included."""
    spelled = {to_cell_text(option): option for option in options}
    spelled = spell_ratios(spelled) | spelled

    def read(cell: Any) -> Any:
        text = to_cell_text(cell)
        if text in spelled:
            return spelled[text]
        text = text.strip()
        return spelled.get(text, spelled.get(text.casefold(), text))

    return read


def _read_integer(cell: Any) -> int:
    text = to_cell_text(cell).strip()
    if _INTEGER(text):
        return _parse_integer(text)
    value = _parse_float(text)
    if value is None or not value.is_integer():
        raise CellError("is not a whole number")
    return int(value)


def _parse_integer(text: str) -> int:
    """CellError for more digits than Python reads, which no service takes either."""
    try:
        return int(text)
    except ValueError:
        raise CellError("has too many digits") from None


def _read_number(cell: Any) -> int | float:
    text = to_cell_text(cell).strip()
    if _INTEGER(text):
        return _parse_integer(text)
    value = _parse_float(text)
    if value is None:
        raise CellError("is not a number; write it like 0.75")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _parse_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _read_boolean(cell: Any) -> bool:
    word = to_cell_text(cell).strip().casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise CellError("is neither true nor false")


def _make_array_reader(items: Any) -> Reader:
    read_item = _make_field_reader(items) if isinstance(items, dict) else _read_anything

    def read(cell: Any) -> list[Any]:
        """A list as it is or as JSON, or pieces set apart by | or line ends."""
        if isinstance(cell, list):
            items_of_cell = cell
        else:
            text = to_cell_text(cell).strip()
            if text.startswith("["):
                items_of_cell = _parse_json(text, list, "list")
            else:
                items_of_cell = [piece for piece in re.split(r"\s+\|\s+|\s*[\r\n]+\s*", text) if piece]
        return [to_cell_text(item) if read_item is None else read_item(item) for item in items_of_cell]

    return read


def _read_object(cell: Any) -> dict[str, Any]:
    entries = cell if isinstance(cell, dict) else _parse_json(to_cell_text(cell).strip(), dict, "object")
    return {key: _to_numbers(item) for key, item in entries.items()}


def _parse_json(text: str, type_: type, word: str) -> Any:
    try:
        value = json.loads(text, parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError) as error:
        raise CellError(f"is no JSON {word} ({error})") from None
    if type(value) is not type_:
        raise CellError(f"is JSON, but no {word}")
    return value


def _read_anything(cell: Any) -> Any:
    """A cell for a field whose schema names no type: JSON cells keep theirs, text stays text."""
    if type(cell) is str and cell.lstrip().startswith(("{", "[")):
        try:
            return _to_numbers(json.loads(cell, parse_int=Number, parse_float=Number))
        except (ValueError, RecursionError):
            return cell
    return _to_numbers(cell)


def _to_numbers(cell: Any) -> Any:
    """A JSON cell with real numbers in place of their texts."""
    if type(cell) is Number:
        return _read_number(cell)
    if isinstance(cell, list):
        return [_to_numbers(item) for item in cell]
    if isinstance(cell, dict):
        return {key: _to_numbers(item) for key, item in cell.items()}
    return cell
