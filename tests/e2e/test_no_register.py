"""Where the register of runs can't be used, nobody pays twice in silence. The sandbox is the witness."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, start


def under_a_file(state: Path) -> None:
    """No folder can be made there: as on a disk that is read-only."""
    state.parent.touch()


def a_folder(state: Path) -> None:
    (state / "register.sqlite").mkdir(parents=True)


def damaged(state: Path) -> None:
    state.mkdir()
    (state / "register.sqlite").write_bytes(b"no database at all" * 500)


def other_version(state: Path) -> None:
    state.mkdir()
    with sqlite3.connect(state / "register.sqlite") as db:
        db.execute("CREATE TABLE runs (other TEXT)")
    db.close()


@pytest.fixture(params=[under_a_file, a_folder, damaged, other_version])
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that can't be used, and a folder of its own for what is temporary."""
    folder = tmp_path / "home" / "state"
    if request.param is not under_a_file:
        folder.parent.mkdir()
    request.param(folder)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("BATCHEDIT_STATE", str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return folder


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0.3", plain_files=2_000)) as running:
        yield running


@pytest.mark.usefixtures("state")
def test_two_runs_that_began_at_once_without_a_register_bought_each_picture_twice(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    """In folders that do not lie beside each other, so nothing but the register leads from one to the other."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        manifest(tmp_path / place / "s.csv", 6)
    running = [start("run", "s.csv", *on(sandbox), cwd=tmp_path / place) for place in ("a", "b")]
    ended = [process.communicate(timeout=60) for process in running]
    assert {process.returncode for process in running} <= {0, 75}, ended
    assert sandbox.ledger()["accepted"] == 6
    assert any("warning: the register of runs" in errors for _, errors in ended)
