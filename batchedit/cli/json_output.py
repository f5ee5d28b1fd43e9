"""``--json``: prints the one object on stdout, for errors too. Nothing else goes to stdout then."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import BatcheditError
from ..core.safe_text import escape_json_controls
from .streams import keep_lines_whole

SCHEMAS = Path(__file__).parent / "schemas"
"""``<name>.json``: the JSON Schema of each object, ``"schema": "batchedit/<name>/1"``."""
VERSION = 1
"""Raised when a field is removed or changes its meaning or type; not for a new field."""


def print_json(name: str, fields: dict[str, Any]) -> None:
    """Print one object with its schema's name on stdout, indented."""
    import orjson  # noqa: PLC0415 - `--help` needs none of it

    payload = {"schema": f"batchedit/{name}/{VERSION}", **fields}
    text = escape_json_controls(orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode(errors="replace"))
    print(text, file=keep_lines_whole(sys.stdout))


def is_json_requested(arguments: Sequence[str]) -> bool:
    """Does the command line ask for JSON? It is not parsed, because an error in parsing it must be printed as JSON too."""
    end_of_options = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end_of_options]


def print_error(error: BatcheditError) -> None:
    """Print an error as an object: its exit code, kind, message, hint and details, and the rows that can't be bought."""
    from .json_values import invalid_line_to_json  # noqa: PLC0415 - `--help` needs none of it

    plan = getattr(error, "plan", None)
    invalid_lines = [invalid_line_to_json(line) for line in plan.invalid] if plan is not None else []
    message, *details = error.lines
    print_problem(error.code, type(error).__name__, message, error.hint, details, invalid_lines)


def print_problem(
    code: int, kind: str, message: str, hint: str = "", details: Sequence[str] = (), invalid: Sequence[Any] = ()
) -> None:
    """Print an error that is no BatcheditError as an object."""
    error_fields = {
        "code": code,
        "kind": kind,
        "message": message,
        "hint": hint or None,
        "details": list(details),
        "invalid": list(invalid),
    }
    print_json("error", {"error": error_fields})
