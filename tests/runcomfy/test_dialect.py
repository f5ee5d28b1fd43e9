"""The vendor's schemas as JSON Schema, and the models that come with the program."""

from __future__ import annotations

from typing import Any

import pytest

from batchedit.jobs.expand import Expander, Recipe
from batchedit.jobs.image_cells import Pictures
from batchedit.jobs.schema import compile_schema
from batchedit.manifest.rows import Row
from batchedit.runcomfy.catalogue import list_built_in, load_model
from batchedit.runcomfy.dialect import read_dialect
from batchedit.runcomfy.submit_reply import ImageShape, submit_body

URI = {"type": "string", "format": "image_uri"}
LINK = "https://x.example/1.png"


@pytest.mark.parametrize(
    ("vendor_rule", "read"),
    [
        ({"type": "float", "default": None}, {"type": "number"}),
        ({"type": ["int", "null"]}, {"type": ["integer", "null"]}),
        ({"type": "array", "format": "image_uris"}, {"type": "array", "items": URI}),
        ({"type": "image_uri"}, URI),
        ({"type": "image_uris", "maxItems": 3}, {"type": "array", "maxItems": 3, "items": URI}),
        ({"type": "array", "items": {"type": "image_uri"}}, {"type": "array", "items": URI}),
        ({"type": "string", "format": "image_uris"}, {"type": "array", "items": URI}),
        ({"type": "array", "format": "image_uri"}, {"type": "array", "items": URI}),
        ({"type": "array", "items": URI, "default": None}, {"type": "array", "items": URI}),
        (
            {"type": "array", "format": "video_uris"},
            {"type": "array", "items": {"type": "string", "format": "video_uri"}},
        ),
        ({"type": "string", "default": ""}, {"type": "string", "default": ""}),
    ],
)
def test_what_differs_from_json_schema(vendor_rule: dict[str, Any], read: dict[str, Any]) -> None:
    translated = read_dialect({"type": "object", "properties": {"field": vendor_rule}})
    assert translated == {"type": "object", "properties": {"field": read}}


@pytest.mark.parametrize(
    "schema", [{}, {"properties": 3}, {"properties": {"a": 1}}, {"properties": {"a": {"type": 3}}}]
)
def test_what_is_no_schema_comes_back(schema: dict[str, Any]) -> None:
    assert read_dialect(schema) == schema


@pytest.mark.parametrize("model_id", list_built_in())
def test_a_column_image_fills_each_model_that_comes_with_the_program(model_id: str) -> None:
    model = load_model(model_id)
    expander = Expander(Recipe(model=model_id, schema=dict(model.schema)), ("sku", "image", "prompt"))
    (line,) = expander.expand(Row(1, {"sku": "A", "image": LINK, "prompt": "an ad"}, ""))
    (field,) = [name for name, spec in compile_schema(dict(model.schema), Pictures(())).fields.items() if spec.picture]
    body = submit_body({field: [LINK], "prompt": "an ad"}, ImageShape.ARRAY, model.schema)
    assert f'"{field}"'.encode() in body
    assert f'"{field}":["{LINK}"]' in line.job.inputs
    one = model.schema["properties"][field]["type"] == "string"
    assert (f'"{field}":"{LINK}"' if one else f'"{field}":["{LINK}"]').encode() in body
