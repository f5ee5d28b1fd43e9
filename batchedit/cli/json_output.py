"""``--json``: the one place where an object for a program is printed, errors too. Nothing else goes to stdout then."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import BatcheditError
from ..core.visible import escape_json_controls
from .streams import whole_lines

SCHEMAS = Path(__file__).parent / "schemas"
"""``<name>.json``: the JSON Schema of each object, ``"schema": "batchedit/<name>/1"``."""
VERSION = 1
"""Raised when a field goes, changes its meaning or its type. New fields don't raise it."""


def print_json(name: str, value: dict[str, Any]) -> None:
    """One object with its schema's name, indented, on stdout."""
    import orjson  # noqa: PLC0415 - `--help` needs none of it

    told = {"schema": f"batchedit/{name}/{VERSION}", **value}
    text = escape_json_controls(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode(errors="replace"))
    print(text, file=whole_lines(sys.stdout))


def is_asked_for(words: Sequence[str]) -> bool:
    """Does the command line ask for JSON? Told from its words, for what is wrong with them must be said as JSON too."""
    end = words.index("--") if "--" in words else len(words)
    return "--json" in words[:end]


def print_error(error: BatcheditError) -> None:
    """An error as an object: its exit code, kind, message, hint and details; and the rows that can't be bought."""
    from .json_values import invalid_value  # noqa: PLC0415 - `--help` needs none of it

    plan = getattr(error, "plan", None)
    invalid = [invalid_value(line) for line in plan.invalid] if plan is not None else []
    message, *details = error.lines
    print_problem(error.code, type(error).__name__, message, error.hint, details, invalid)


def print_problem(
    code: int, kind: str, message: str, hint: str = "", details: Sequence[str] = (), invalid: Sequence[Any] = ()
) -> None:
    """The same for what is no exception of ours."""
    told = {
        "code": code,
        "kind": kind,
        "message": message,
        "hint": hint or None,
        "details": list(details),
        "invalid": list(invalid),
    }
    print_json("error", {"error": told})
