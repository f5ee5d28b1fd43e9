"""Counted nouns: one of a thing is told as one, wherever a text is made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import batchedit
from batchedit.core.plurals_and_durations import pluralize, pluralize_text
from batchedit.core.slowdown import Slowdown

PACKAGE = Path(batchedit.__file__).parent
NOUNS = (
    "cells characters columns decisions entries events files hours items jobs lines links marks minutes months pictures "
    "places posts records redirects rows runs seconds sheets things times values workers"
)
COUNTED = re.compile(rf"(?i)^ (?:[a-z]+ )?(?:{NOUNS.replace(' ', '|')})\b")
NEVER_ONE = {
    "core/actions.py": "--stuck-after, 1 at least and an hour by default",
    "files/download.py": "bytes of a file",
    "jobs/messages.py": "more than the service takes",
    "jobs/picture_rules.py": "how many times the height a width is",
    "ledger/register.py": "how long a lock is waited for",
    "planning/sheet_warnings.py": "the ending of a verb, behind its own count",
    "review/verify.py": "more than once",
    "sandbox/schema.py": "the sandbox imports nothing of ours",
    "pool/long_waits.py": "half a minute and more",
}
"""Files with a number that can't be 1, or whose noun is decided elsewhere."""


def test_what_reads_as_one_is_one() -> None:
    assert [pluralize(count, "row") for count in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [pluralize(count, "row is", "rows are") for count in (1, 2)] == ["1 row is", "2 rows are"]
    assert [pluralize_text(number, "POST") for number in ("1", "1.5", "0.1")] == ["1 POST", "1.5 POSTs", "0.1 POSTs"]


def test_a_service_that_took_one_job_at_once_took_1_jobs() -> None:
    assert str(Slowdown(None, 1)) == "slowed by the service: 1 job at once (429)"
    assert str(Slowdown(1.0, None)) == "slowed by the service: 1 POST a second (429)"
    assert str(Slowdown(1 / 60, None)) == "slowed by the service: 1 POST a minute (429)"


def counted(tree: ast.AST, decided: bool = False) -> Iterator[tuple[int, str]]:
    """Each number with a plural right behind it, in no branch that has asked for 1: ``(line, expression)``."""
    for node in ast.iter_child_nodes(tree):
        asks = decided or (isinstance(node, ast.IfExp) and "1" in ast.unparse(node.test))
        if isinstance(node, ast.JoinedStr) and not asks:
            for value, behind in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(behind, ast.Constant):
                    name = ast.unparse(value.value)
                    fixed = name.strip("_").isupper() or name.startswith("pluralize(")
                    if COUNTED.match(str(behind.value)) and not fixed:
                        yield node.lineno, name
        yield from counted(node, asks)


def test_a_text_counted_without_asking_whether_it_is_one() -> None:
    uncounted = [
        f"{path.relative_to(PACKAGE)}:{line} {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in NEVER_ONE
        for line, name in counted(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not uncounted, f"core.plurals_and_durations.pluralize decides between one and many: {uncounted}"
