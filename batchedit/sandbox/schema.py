"""The built-in model, and the check of a body against its model's schema (what the vendor uses of JSON Schema)."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

EDIT = "openai/gpt-4o-image/edit"
_EXAMPLE = "https://playgrounds-storage-public.runcomfy.net/tools/7025/media-files/usecase3-1-input.webp"
_EXAMPLE_PROMPT = (
    "make an ad for this chainsaw, of a grandma carving turkey at thanksgiving dinner table. add a tag line"
)

# The input schema of the API page, word for word, with its own contradiction about the file size.
EDIT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Input",
    "required": ["image", "prompt"],
    "properties": {
        "image": {
            "title": "Image",
            "description": "Make sure your image is under 25MB in size.",
            "type": "array",
            "items": {"type": "string", "format": "image_uri"},
            "validations": [
                {
                    "validation_rule": "file_size_mb<",
                    "validation_value": 25,
                    "validation_error": "File size must be less than 16 MB.",
                }
            ],
            "default": _EXAMPLE,
        },
        "prompt": {
            "title": "Prompt",
            "description": "",
            "type": "string",
            "default": _EXAMPLE_PROMPT,
        },
        "size": {
            "title": "Aspect Ratio (W:H)",
            "description": "",
            "type": "string",
            "enum": ["3:2", "1:1", "2:3"],
            "default": "1:1",
        },
    },
}
PICTURE_FIELDS = ("image", "images", "image_url", "image_urls")
"""Names of the input pictures in the vendor's models."""


def _build_picture_schema(name: str, most: int, **others: dict[str, Any]) -> dict[str, Any]:
    pictures = {"type": "array", "items": {"type": "string", "format": "image_uri"}, "minItems": 1, "maxItems": most}
    properties = {name: pictures, "prompt": {"type": "string"}, **others}
    return {"type": "object", "required": [name, "prompt"], "properties": properties}


_ANY = {"type": "string", "default": None}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 4}
_OUTPUT_FIELDS = {"aspect_ratio": _ANY, "quality": _ANY, "output_format": _ANY}
OTHER_MODELS: dict[str, dict[str, Any]] = {
    "openai/gpt-image-2/edit": _build_picture_schema(
        "images", 10, **_OUTPUT_FIELDS, resolution={"type": "string", "enum": ["1k", "2k", "4k"]}
    ),
    "openai/gpt-image-2.5/flare/edit": _build_picture_schema("images", 16, **_OUTPUT_FIELDS),
    "openai/gpt-image-2.5/sunburst/edit": _build_picture_schema("images", 16, **_OUTPUT_FIELDS),
    "google/nano-banana-2-lite/edit": _build_picture_schema(
        "image_urls", 10, safety_tolerance=_ANY, number_of_images=_COUNT
    ),
    "bytedance/seedream-5.0-pro/image-to-image": _build_picture_schema(
        "image", 10, ratio=_ANY, resolution={"type": "string", "enum": ["1K", "2K"]}
    ),
    "google/nano-banana-2/edit": {
        "type": "object",
        "required": ["image_urls", "prompt"],
        "properties": {
            "image_urls": {"type": "array", "format": "image_uris", "maxItems": 20},
            "prompt": {"type": "string"},
            "safety_tolerance": {"type": "string", "default": None},
            "number_of_images": {"type": "integer", "minimum": 1, "maximum": 4},
        },
    },
    "blackforestlabs/flux-1-kontext/pro/edit": {
        "type": "object",
        "required": ["image_url", "prompt"],
        "properties": {
            "image_url": {"type": "string", "format": "image_uri"},
            "prompt": {"type": "string"},
            "seed": {"type": "integer"},
            "guidance": {"type": "float", "minimum": 1, "maximum": 20},
        },
    },
}
"""Further models, some in the vendor's own dialect of JSON Schema."""
MAX_IMAGE_BYTES = 25_000_000
_TYPES: dict[str, Any] = {
    "string": str,
    "array": list,
    "object": dict,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "float": (int, float),  # the vendor's own word
}


def list_body_problems(body: Any, schema: dict[str, Any], image_shape: str) -> list[dict[str, Any]]:
    """The problems of a body, one entry a field, as `detail` of a 422 lists them; empty if there are none."""
    if not isinstance(body, dict):
        return [_make_problem((), "value is not a valid object")]
    body_problems = [
        _make_problem((name,), "field required") for name in schema.get("required", ()) if name not in body
    ]
    for name, rule in schema.get("properties", {}).items():
        if name in body:
            any_shape = _is_picture(rule) and image_shape == "any"
            expected_type = image_shape if _is_picture(rule) and not any_shape else rule.get("type")
            body_problems += _check_field((name,), body[name], rule, None if any_shape else expected_type)
    return body_problems


def _is_picture(rule: dict[str, Any]) -> bool:
    """True for a field that is an array of picture URIs in the page's schema, but one string in its example."""
    return rule.get("items", {}).get("format") == "image_uri" and isinstance(rule.get("default"), str)


def _check_field(
    where: tuple[Any, ...], value: Any, rule: dict[str, Any], expected_type: str | None
) -> Iterator[dict[str, Any]]:
    kind = expected_type or ("array" if isinstance(value, list) else "string")
    if not isinstance(value, _TYPES.get(kind, object)) or (isinstance(value, bool) and kind != "boolean"):
        yield _make_problem(where, f"value is not a valid {kind}")
    elif kind == "array":
        if not value and (_is_picture(rule) or rule.get("format") == "image_uris"):
            yield _make_problem(where, "ensure this value has at least 1 item")
        if len(value) > rule.get("maxItems", len(value)):
            yield _make_problem(where, f"ensure this value has at most {rule['maxItems']} items")
        for index, item in enumerate(value):
            items = rule.get("items", {})
            yield from _check_field((*where, index), item, items, items.get("type", "string"))
    elif "enum" in rule and value not in rule["enum"]:
        yield _make_problem(where, f"value is not one of {', '.join(map(str, rule['enum']))}")
    elif rule.get("format") == "image_uri" or _is_picture(rule):
        yield from (_make_problem(where, reason) for reason in _check_uri(value))
    elif not rule.get("minimum", float("-inf")) <= _to_number(value) <= rule.get("maximum", float("inf")):
        yield _make_problem(where, "value is out of range")


def _to_number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0.0


def _check_uri(uri: str) -> Iterator[str]:
    if uri.startswith("data:"):
        try:
            size = len(decode_data_uri(uri))
        except ValueError:
            yield "invalid data URI"
        else:
            if size > MAX_IMAGE_BYTES:
                yield "File size must be less than 16 MB."
    elif not uri.startswith(("https://", "http://")):
        yield "invalid or missing URL scheme"


def decode_data_uri(uri: str) -> bytes:
    """The bytes of a `data:image/…;base64,…` URI; ValueError if it is not one."""
    head, comma, data = uri.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        raise ValueError("not a base64 data URI of a picture")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as reason:
        raise ValueError("not base64") from reason


def _make_problem(where: tuple[Any, ...], reason: str) -> dict[str, Any]:
    return {"loc": ["body", *where], "msg": reason, "type": "value_error"}
