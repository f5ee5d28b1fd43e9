"""The arrows of the house: who may import whom. A wrong import fails here, with the line that has it."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "batchedit"

FLOORS = (
    ("cli",),
    ("web", "library"),
    ("commands",),
    ("planning", "results", "review", "pool", "importers"),
    ("run_folder",),
    ("jobs",),
    ("manifest", "ledger", "files", "runcomfy"),
    ("images",),
    ("scheduling", "settings", "ports", "disk", "connections"),
    ("core", "sandbox"),
)
"""Every room, from the top down. An arrow runs from a floor to a lower one, so rooms of one floor never import each other."""

SELDOM = {"sandbox": {"cli", "commands"}}
"""A room that only these may import."""

PICTURE = Path(__file__).parents[1] / "docs" / "architecture.md"
MARKS = ("<!-- drawn by tests/test_architecture.py: begin -->", "<!-- drawn by tests/test_architecture.py: end -->")

PURE = {
    "__future__", "bisect", "collections", "contextlib", "dataclasses", "decimal", "enum", "ipaddress", "itertools",
    "json", "math", "random", "shlex", "statistics", "typing",
}  # fmt: skip
"""All that core may take from the standard library: nothing that reads a clock, a disk, a network or the environment."""


def files(room: str) -> Iterator[Path]:
    place = PACKAGE / room
    yield from place.rglob("*.py") if place.is_dir() else [PACKAGE / f"{room}.py"]


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.fixture(autouse=True, scope="module")
def _trees_are_forgotten() -> Iterator[None]:
    """Half a million nodes: the collector would walk over them in all tests that come after."""
    yield
    nodes.cache_clear()


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """``(line, room of ours or "", top-level module)`` of each import in a file."""
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = here[: len(here) - node.level] + tuple((node.module or "").split("."))
            rooms = [parts[0]] if parts and parts[0] else [alias.name for alias in node.names]
            for room in rooms:
                yield node.lineno, room, "batchedit"
        elif isinstance(node, ast.ImportFrom):
            parts = tuple((node.module or "").split("."))
            ours = parts[1] if parts[0] == "batchedit" and len(parts) > 1 else ""
            yield node.lineno, ours, parts[0]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, "", alias.name.split(".")[0]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def rooms_there() -> set[str]:
    entries = [entry for entry in PACKAGE.iterdir() if not entry.name.startswith("__")]
    return {entry.stem for entry in entries if entry.suffix == ".py" or any(entry.glob("*.py"))}


def arrows() -> dict[tuple[str, str], list[str]]:
    """``(room, room that it imports)`` to the places of these imports."""
    places: dict[tuple[str, str], list[str]] = {}
    for room in sorted(rooms_there()):
        for path in files(room):
            for line, target, top in imports(path):
                if top == "batchedit" and target and target != room:
                    places.setdefault((room, target), []).append(f"{path.relative_to(PACKAGE)}:{line}")
    return places


def test_every_room_stands_on_one_floor() -> None:
    assert sorted(room for rooms in FLOORS for room in rooms) == sorted(rooms_there())


def test_at_most_four_files_stand_beside_the_rooms() -> None:
    """And ``library.py``, which is a face like ``cli`` and ``web``."""
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__", "library"}
    assert len(loose) <= 4, sorted(loose)


def test_every_arrow_runs_down() -> None:
    wrong = [
        f"{place} imports {target}"
        for (room, target), places in arrows().items()
        for place in places
        if floor_of(target) <= floor_of(room) or room not in SELDOM.get(target, {room})
    ]
    assert not wrong


def file_arrows() -> dict[str, set[str]]:
    """Each file to those it imports: at its head, within a function, or for a type alone."""
    paths = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    targets_of: dict[str, set[str]] = {}
    for module, path in paths.items():
        targets = targets_of.setdefault(module, set())
        for node in nodes(path):
            if isinstance(node, ast.Import):
                targets.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = module.split(".")[: -node.level] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                targets.update(name if (name := f"{base}.{alias.name}") in paths else base for alias in node.names)
    for module, targets in targets_of.items():
        packages = {f"{target}.__init__" for target in targets}
        targets_of[module] = (targets | packages) & paths.keys() - {module}
    return targets_of


def test_no_files_import_each_other_in_a_circle() -> None:
    """Within a room too, where the floors say nothing."""
    try:
        TopologicalSorter(file_arrows()).prepare()
    except CycleError as circle:
        pytest.fail(" ← ".join(circle.args[1]))


def draw() -> str:
    """The floors from the top down, and under each room what it imports."""
    all_arrows = arrows()
    lines = ["```"]
    for rooms in FLOORS:
        for room in rooms:
            below = [target for other in FLOORS for target in other if (room, target) in all_arrows]
            lines.append(f"{room:<11} → {' '.join(below)}".rstrip(" →"))
        lines.append("")
    return "\n".join([*lines[:-1], "```"])


def test_the_picture_in_the_docs_is_what_the_imports_are() -> None:
    """``BATCHEDIT_WRITE_DOCS=1`` draws it anew."""
    text = PICTURE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    drawn = f"{before}{MARKS[0]}\n{draw()}\n{MARKS[1]}{after}"
    if os.environ.get("BATCHEDIT_WRITE_DOCS"):
        PICTURE.write_text(drawn, encoding="utf-8")
    assert text == drawn


def test_core_is_pure() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {top}"
        for path in files("core")
        for line, _, top in imports(path)
        if top != "batchedit" and top not in PURE
    ]
    assert not wrong


def test_core_touches_no_global_randomness() -> None:
    """``random.Random`` is a type there; a generator comes in as an argument."""
    for path in files("core"):
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module == "random":
                assert [alias.name for alias in node.names] == ["Random"], path
            assert not (isinstance(node, ast.Import) and any(a.name == "random" for a in node.names)), path


def test_the_sandbox_is_an_independent_witness() -> None:
    for path in files("sandbox"):
        for line, target, top in imports(path):
            assert top != "batchedit" or target == "sandbox", f"{path}:{line}"


STATEMENT = re.compile(
    r"\s*(SELECT|INSERT (OR|INTO)|UPDATE \w+ SET|DELETE FROM|(CREATE|DROP|ALTER) \w+|PRAGMA|BEGIN|COMMIT|ROLLBACK)\b"
    r"|.*\b(WHERE|ORDER BY|GROUP BY)\b|.*= \?|\s*\w+ (NOT )?IN \(|\s*\w+ = '",
    re.DOTALL,
)
"""A statement of SQL, or a piece of one."""
SQL_DRIVERS = {"sqlite3", "psycopg", "asyncpg", "sqlalchemy"}
ASKS_IN_SQL = {"rows", "records", "execute", "executemany", "transaction"}
OWN_DATABASE = {"images/link_cache.py"}
"""A cache of links: a database of its own, that holds nothing of a run."""


def sql_in(path: Path) -> Iterator[str]:
    """The lines of a file that talk to a database in SQL, or that take the ledger's files in hand instead of its ports."""
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value):
            yield f"{node.lineno} {node.value.strip()[:40]!r}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS_IN_SQL:
            texts = [argument for argument in node.args[:1] if isinstance(argument, ast.JoinedStr | ast.Constant)]
            if texts or node.func.attr in {"execute", "executemany", "transaction"}:
                yield f"{node.lineno} .{node.func.attr}(…)"
        elif isinstance(node, ast.ImportFrom) and re.search(r"(^|\.)ledger\.(sqlite|memory)", node.module or ""):
            yield f"{node.lineno} imports {node.module}"
    yield from (f"{line} imports {top}" for line, _, top in imports(path) if top in SQL_DRIVERS)


def test_all_sql_stands_in_the_ledger() -> None:
    wrong = [
        f"{name}:{statement}"
        for path in PACKAGE.rglob("*.py")
        if not (name := path.relative_to(PACKAGE).as_posix()).startswith(("ledger/", "sandbox/"))
        if name not in OWN_DATABASE
        for statement in sql_in(path)
    ]
    assert not wrong


def test_only_the_command_line_prints_and_exits() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room in {"cli", "sandbox", "__main__.py"}:
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"print", "sys.exit", "exit", "os._exit"} or name.startswith("os.environ"):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} calls {name}")
    assert not wrong


@pytest.mark.process
def test_help_loads_nothing_heavy() -> None:
    import subprocess

    script = (
        "import sys, batchedit.cli.app\n"
        "heavy = {'pandas', 'httpx', 'anyio', 'PIL', 'starlette', 'uvicorn', 'sqlite3', 'tenacity'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
