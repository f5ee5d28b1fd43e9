"""The vendor's schemas are not pure JSON Schema [seen]: the differences are translated into JSON Schema here.

    "type": "float", "int", "bool", "str"       number, integer, boolean, string
    "default": null                              left out: there is none
    "type": "image_uri", "image_uris"            a string of this format, an array of such strings
    "format": "image_uri" or "image_uris"        on an array, with or without ``items``: an array of ``image_uri``

``validations`` (``file_size_mb<`` and the like) are left as they are: ``jobs.picture_rules`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = {"float": "number", "double": "number", "int": "integer", "bool": "boolean", "str": "string", "list": "array"}


def read_dialect(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` as JSON Schema. A schema without properties is returned as it is: its user reports what is wrong."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return dict(schema)
    translated = {name: _read_rule(rule) if isinstance(rule, Mapping) else rule for name, rule in properties.items()}
    return {**schema, "properties": translated}


def _read_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    translated = {key: value for key, value in rule.items() if key != "default" or value is not None}
    types = translated.get("type")
    if isinstance(types, str):
        translated["type"] = _TYPES.get(types, types)
    elif isinstance(types, list):
        translated["type"] = [_TYPES.get(name, name) if isinstance(name, str) else name for name in types]
    if isinstance(types, str) and types.endswith(("_uri", "_uris")):
        translated |= {"type": "string", "format": types}
    format_name = translated.get("format")
    if isinstance(format_name, str) and format_name.endswith("_uris"):
        format_name = format_name.removesuffix("s")
        translated["type"] = "array"
    if isinstance(format_name, str) and format_name.endswith("_uri") and translated.get("type") == "array":
        del translated["format"]
        translated.setdefault("items", {"type": "string", "format": format_name})
    if isinstance(translated.get("items"), Mapping):
        translated["items"] = _read_rule(translated["items"])
    return translated
