"""A model's input schema as this room uses it: how a field is read out of a cell, what is filled in and checked.

Two things differ from the schema as published. Picture fields are always lists, since the page contradicts itself
about their shape and whoever sends them chooses it. And a default is filled in only for a field that may be left out
and is no picture: the defaults of ``image`` and ``prompt`` are the page's samples, and nobody wants to buy those.
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
from ..core.visible import to_one_line
from ..manifest.cells import text_of
from ..manifest.rows import Number, shown
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
    """One input. ``read`` turns a cell that is not empty into its value, or raises CellError; None means as it is."""

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
"""What models call the number of pictures that one job gives, each of them paid, as of nano-banana-2."""


def compile_schema(schema: dict[str, Any], pictures: Pictures) -> Schema:
    """UsageError if ``schema`` is no JSON Schema of an object with properties."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not all(isinstance(spec, dict) for spec in properties.values()):
        raise UsageError("the model's schema has no properties", hint="Give the schema of the model's *input*.")
    required = set(schema.get("required", ()))
    fields: dict[str, Field] = {}
    adjusted: dict[str, Any] = {}
    for name, spec in properties.items():
        picture = is_picture(name, spec)
        adjusted[name] = _as_list(spec) if picture else spec
        fields[name] = Field(
            name, spec, name in required, picture, pictures.reader(read_rules(spec)) if picture else _reader(spec)
        )
    try:
        validator = jsonschema_rs.validator_for({**schema, "properties": adjusted})
    except ValueError as error:
        raise UsageError(f"the model's schema is no JSON Schema: {_what_is_wrong(error)}") from None
    defaults = {
        name: field.spec["default"]
        for name, field in fields.items()
        if "default" in field.spec and not field.required and not field.picture and field.spec["default"] is not None
    }
    counted = next((name for name in COUNT_FIELDS if name in fields), "")
    return Schema(fields, defaults, validator.is_valid, validator.iter_errors, counted)


def _what_is_wrong(error: ValueError) -> str:
    """Half a sentence that names the input and what of it can't be so, without the words of the validator."""
    if not isinstance(error, jsonschema_rs.ValidationError):
        return to_one_line(str(error))
    path, value = list(error.instance_path), error.instance
    if not path:
        return to_one_line(error.message)
    told = repr(shown(value)) if isinstance(value, str) else shown(json.dumps(value))
    whose = f"the {path[-1]} of the input {path[1]!r}" if path[0] == "properties" and len(path) > 2 else path[-1]
    return f"{whose} can't be {told}"


def is_picture(name: str, spec: dict[str, Any]) -> bool:
    """Whether an input of the model is a picture or a list of them."""
    items = spec.get("items")
    inner = items if isinstance(items, dict) else {}
    if "image_uri" in {spec.get("format"), inner.get("format")}:
        return True
    texts = spec.get("type") == "string" or (spec.get("type") == "array" and inner.get("type") == "string")
    return texts and "enum" not in spec and _PICTURE_NAME.search(name) is not None


def most_link_bytes(schema: dict[str, Any]) -> int:
    """The largest picture behind a link that some picture field of the model takes: above it the service surely refuses."""
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    found = [
        min([MAX_LINK_BYTES, *(int(rule.value * MEGABYTE) for rule in read_rules(spec) if rule.limits_size)])
        for name, spec in fields
        if isinstance(spec, dict) and is_picture(name, spec)
    ]
    return max(found, default=MAX_LINK_BYTES)


def _as_list(spec: dict[str, Any]) -> dict[str, Any]:
    """The schema of a picture field in its canonical form."""
    kept: dict[str, Any] = {key: spec[key] for key in ("minItems", "maxItems", "uniqueItems") if key in spec}
    most: dict[str, Any] = {"maxItems": 1} if spec.get("type") == "string" else {}
    return {"minItems": 1, **most, **kept, "type": "array", "items": {"type": ["string", "object"]}}


def _reader(spec: dict[str, Any]) -> Reader | None:  # noqa: PLR0911 - one return a type
    if "enum" in spec:
        return _choice(spec["enum"])
    kinds = spec.get("type")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), None)
    match kinds:
        case "string":
            return None
        case "integer":
            return _integer
        case "number":
            return _number
        case "boolean":
            return _boolean
        case "array":
            return _array(spec.get("items"))
        case "object":
            return _object
    return _anything


def _choice(options: list[Any]) -> Reader:
    """The listed value that a cell spells, also as people write ratios."""
    spelled = {text_of(option): option for option in options}
    spelled = spell_ratios(spelled) | spelled

    def read(cell: Any) -> Any:
        text = text_of(cell)
        if text in spelled:
            return spelled[text]
        text = text.strip()
        return spelled.get(text, spelled.get(text.casefold(), text))

    return read


def _integer(cell: Any) -> int:
    text = text_of(cell).strip()
    if _INTEGER(text):
        return _whole(text)
    value = _float(text)
    if value is None or not value.is_integer():
        raise CellError("is not a whole number")
    return int(value)


def _whole(text: str) -> int:
    """Python reads no integer of more than some thousand digits, which no service would take either."""
    try:
        return int(text)
    except ValueError:
        raise CellError("has too many digits") from None


def _number(cell: Any) -> int | float:
    text = text_of(cell).strip()
    if _INTEGER(text):
        return _whole(text)
    value = _float(text)
    if value is None:
        raise CellError("is not a number; write it like 0.75")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _boolean(cell: Any) -> bool:
    word = text_of(cell).strip().casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise CellError("is neither true nor false")


def _array(items: Any) -> Reader:
    read_item = _reader(items) if isinstance(items, dict) else _anything

    def read(cell: Any) -> list[Any]:
        """A list as it is or as JSON, or pieces set apart by | or line ends."""
        if isinstance(cell, list):
            found = cell
        else:
            text = text_of(cell).strip()
            if text.startswith("["):
                found = _json(text, list, "list")
            else:
                found = [piece for piece in re.split(r"\s+\|\s+|\s*[\r\n]+\s*", text) if piece]
        return [text_of(item) if read_item is None else read_item(item) for item in found]

    return read


def _object(cell: Any) -> dict[str, Any]:
    found = cell if isinstance(cell, dict) else _json(text_of(cell).strip(), dict, "object")
    return {key: _value(item) for key, item in found.items()}


def _json(text: str, kind: type, word: str) -> Any:
    try:
        found = json.loads(text, parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError) as error:
        raise CellError(f"is no JSON {word} ({error})") from None
    if type(found) is not kind:
        raise CellError(f"is JSON, but no {word}")
    return found


def _anything(cell: Any) -> Any:
    """For a field whose schema names no type: JSON cells keep theirs, text stays text."""
    if type(cell) is str and cell.lstrip().startswith(("{", "[")):
        try:
            return _value(json.loads(cell, parse_int=Number, parse_float=Number))
        except (ValueError, RecursionError):
            return cell
    return _value(cell)


def _value(cell: Any) -> Any:
    """A JSON cell with real numbers in place of their texts."""
    if type(cell) is Number:
        return _number(cell)
    if isinstance(cell, list):
        return [_value(item) for item in cell]
    if isinstance(cell, dict):
        return {key: _value(item) for key, item in cell.items()}
    return cell
