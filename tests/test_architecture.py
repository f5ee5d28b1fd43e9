"""The arrows of the house: who may import whom. A wrong import fails here, with the line that has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "batchedit"

ALLOWED = {
    "core": {"core"},
    "ports": {"core"},
    "settings": {"settings", "core"},
    "disk": set(),
    "jobs": {"jobs", "manifest", "core"},
    "manifest": {"manifest", "core"},
    "connections": set(),
    "importers": {"importers", "jobs", "manifest", "core"},
    "runcomfy": {"runcomfy", "core", "ports", "connections"},
    "ledger": {"ledger", "core"},
    "files": {"files", "images", "core", "ports", "connections", "disk"},
    "images": {"images", "core", "ports"},
    "pool": {"pool", "core", "ports", "scheduling"},
    "results": {"results", "manifest", "ledger", "planning", "run_folder", "settings", "core", "disk"},
    "review": {"review", "core", "images"},
    "sandbox": {"sandbox"},
    "scheduling": {"scheduling", "core"},
}
"""The rooms whose arrows are the law; what is above them (planning, commands, cli) puts them together."""

PURE = {
    "__future__", "bisect", "collections", "dataclasses", "decimal", "enum", "itertools", "json", "math", "random",
    "statistics", "typing",
}  # fmt: skip
"""All that core may take from the standard library: nothing that reads a clock, a disk, a network or the environment."""


def files(room: str) -> Iterator[Path]:
    place = PACKAGE / room
    yield from place.rglob("*.py") if place.is_dir() else [PACKAGE / f"{room}.py"]


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """``(line, room of ours or "", top-level module)`` of each import in a file."""
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_is_below_them(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {target}"
        for path in files(room)
        for line, target, top in imports(path)
        if top == "batchedit" and target not in ALLOWED[room]
    ]
    assert not wrong


def test_core_is_pure() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {top}"
        for path in (*files("core"), *files("scheduling"))
        for line, _, top in imports(path)
        if top != "batchedit" and top not in PURE
    ]
    assert not wrong


def test_core_touches_no_global_randomness() -> None:
    """``random.Random`` is a type there; a generator comes in as an argument."""
    for path in (*files("core"), *files("scheduling")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "random":
                assert [alias.name for alias in node.names] == ["Random"], path
            assert not (isinstance(node, ast.Import) and any(a.name == "random" for a in node.names)), path


def test_the_sandbox_is_an_independent_witness() -> None:
    for path in files("sandbox"):
        for line, target, top in imports(path):
            assert top != "batchedit" or target == "sandbox", f"{path}:{line}"


def test_only_the_command_line_prints_and_exits() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room in {"cli", "sandbox", "__main__.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"print", "sys.exit", "exit", "os._exit"} or name.startswith("os.environ"):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} calls {name}")
    assert not wrong


def test_help_loads_nothing_heavy() -> None:
    import subprocess

    script = (
        "import sys, batchedit.cli.app\n"
        "heavy = {'pandas', 'httpx', 'anyio', 'PIL', 'starlette', 'uvicorn', 'sqlite3', 'tenacity'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
