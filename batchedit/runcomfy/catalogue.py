"""The built-in models: one JSON file each, with the page's own input schema; others come from a user's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import NotFoundError, UsageError
from .dialect import read_dialect

DEFAULT_MODEL = "openai/gpt-4o-image/edit"
_FOLDER = Path(__file__).parent / "models"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class Model:
    """A model's id, which has slashes, and the JSON Schema of its inputs."""

    id: str
    schema: Mapping[str, Any]


def list_built_in() -> tuple[str, ...]:
    """Ids of the models that come with the program."""
    return tuple(sorted(_read_json(path)["id"] for path in _FOLDER.glob("*.json")))


def check_model_id(model_id: str) -> str:
    """``model_id`` if it can stand in a URL's path; UsageError otherwise."""
    if not _ID.fullmatch(model_id):
        raise UsageError(f"--model {model_id!r} is not a model's id", hint=f"write it like {DEFAULT_MODEL}")
    return model_id


def load_model(model_id: str, schema_file: Path | None = None) -> Model:
    """The model from ``schema_file``, else from the built-in ones.

    UsageError, with the next step, for an unknown model without a schema or a file that holds none; NotFoundError if
    the file can't be read.
    """
    check_model_id(model_id)
    if schema_file is not None:
        return Model(model_id, read_dialect(_read_schema_file(schema_file)))
    path = _FOLDER / f"{model_id.replace('/', '--')}.json"
    if path.is_file() and (entry := _read_json(path))["id"] == model_id:
        return Model(model_id, read_dialect(entry["input_schema"]))
    near = get_close_matches(model_id, list_built_in(), n=1)
    raise UsageError(
        f"the inputs of model {model_id} are not known here{f'; did you mean {near[0]}?' if near else ''}",
        hint="save the input schema from the model's API page as JSON and give it as --schema FILE",
    )


def _read_json(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def _read_schema_file(path: Path) -> Mapping[str, Any]:
    """The input schema in a file: bare, or under ``input_schema`` or ``schema``."""
    try:
        payload = _read_json(path)
    except OSError as error:
        raise NotFoundError(f"the schema file {path} can't be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the schema file {path} is not JSON: {error}") from None
    for schema in (payload, payload.get("input_schema"), payload.get("schema")) if isinstance(payload, dict) else ():
        if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
            return schema
    raise UsageError(
        f"the schema file {path} holds no input schema", hint='it should be an object with "type" and "properties"'
    )
