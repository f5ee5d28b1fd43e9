"""Problems of a row, in the words of the person who wrote it: column, value, what the service takes, what to do."""

from __future__ import annotations

import difflib
import json
from typing import Any

from ..manifest.cells import to_cell_text
from ..manifest.nearest import join_names
from ..manifest.rows import truncate_text
from .ratios import spell_ratios
from .schema import Field


def explain_error(error: Any, field: Field | None) -> str:  # noqa: PLR0911 - one return a keyword
    """One error of jsonschema-rs as half a sentence that follows the value."""
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    limit = getattr(error.kind, "limit", None)
    spec: dict[str, Any] = field.spec if field else {}
    unit = "pictures" if field and field.picture else "entries"
    match keyword:
        case "enum":
            return explain_wrong_choice(str(error.instance), [to_cell_text(option) for option in error.kind.options])
        case "type":
            return f"is not {_describe_type(spec.get('type'))}"
        case "minLength":
            return f"is too short: the service takes {limit} characters or more"
        case "maxLength":
            return f"is too long: {len(str(error.instance)):,} characters, and the service takes {limit:,}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"is out of range: {_describe_range(spec)}"
        case "minItems":
            return f"has too few {unit}: at least {limit}"
        case "maxItems":
            return f"has {len(error.instance)} {unit}, and the service takes {limit}"
        case "multipleOf":
            return f"is no multiple of {getattr(error.kind, 'multiple_of', '')}".rstrip()
        case "pattern":
            return f"does not look like {getattr(error.kind, 'pattern', 'what the service takes')}"
    return str(error.message)


def explain_wrong_choice(value: str, options: list[str]) -> str:
    """That ``value`` is none of ``options``, with the option that is probably meant."""
    shape_words = {
        option: word for word, option in spell_ratios({option: option for option in options}).items() if word.isalpha()
    }  # square, portrait, landscape
    words = [*options, *shape_words.values()]
    suggestion = difflib.get_close_matches(value.strip().casefold(), [word.casefold() for word in words], 1, 0.75)
    meant = next((word for word in words if suggestion and word.casefold() == suggestion[0]), "")
    choices = join_names(f"{option} ({shape_words[option]})" if option in shape_words else option for option in options)
    return f"is not possible: the service takes {choices}" + (f"; did you mean {meant}?" if meant else "")


def _describe_range(spec: dict[str, Any]) -> str:
    low = spec.get("minimum", spec.get("exclusiveMinimum"))
    high = spec.get("maximum", spec.get("exclusiveMaximum"))
    if low is None:
        return f"the service takes up to {high}"
    return f"the service takes {low} or more" if high is None else f"the service takes {low} to {high}"


def _describe_type(types: Any) -> str:
    type_words = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
    type_words |= {"array": "a list", "object": "a JSON object", "null": "empty"}
    return join_names([type_words.get(type_, str(type_)) for type_ in (types if isinstance(types, list) else [types])])


def format_value(value: Any) -> str:
    """A value for a message: text as it is, anything else as JSON, cut to one short line."""
    try:
        return truncate_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return truncate_text(value)
