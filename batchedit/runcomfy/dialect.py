"""The vendor's schemas are no pure JSON Schema [seen]: what differs is written in JSON Schema's own words here.

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
    """``schema`` as JSON Schema. What is no object of properties comes back as it is: who uses it says what is wrong."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return dict(schema)
    read = {name: _rule(rule) if isinstance(rule, Mapping) else rule for name, rule in properties.items()}
    return {**schema, "properties": read}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    read = {key: value for key, value in rule.items() if key != "default" or value is not None}
    kinds = read.get("type")
    if isinstance(kinds, str):
        read["type"] = _TYPES.get(kinds, kinds)
    elif isinstance(kinds, list):
        read["type"] = [_TYPES.get(kind, kind) if isinstance(kind, str) else kind for kind in kinds]
    if isinstance(kinds, str) and kinds.endswith(("_uri", "_uris")):
        read |= {"type": "string", "format": kinds}
    form = read.get("format")
    if isinstance(form, str) and form.endswith("_uris"):
        form = form.removesuffix("s")
        read["type"] = "array"
    if isinstance(form, str) and form.endswith("_uri") and read.get("type") == "array":
        del read["format"]
        read.setdefault("items", {"type": "string", "format": form})
    if isinstance(read.get("items"), Mapping):
        read["items"] = _rule(read["items"])
    return read
