"""The checkpoint's file of an older batchedit: migrated as a whole or not at all, and never by a command that reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.core.errors import CheckpointError, CheckpointVersionError
from batchedit.core.model import State
from batchedit.ledger import schema
from batchedit.ledger.opening import create_checkpoint, open_checkpoint

MODEL = "openai/gpt-4o-image/edit"
FIRST = "INSERT INTO meta VALUES ('step', 'one');\n"
TRIGGER = """
CREATE TABLE more (x INTEGER) STRICT;  -- a comment; with a semicolon
CREATE TRIGGER both AFTER INSERT ON more BEGIN
    DELETE FROM more WHERE x = 1;
    DELETE FROM more WHERE x = 2;
END;
UPDATE meta SET value = 'two' WHERE name = 'step';
"""

AddSteps = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An old checkpoint, folded back into one file."""
    create_checkpoint(tmp_path / "checkpoint.sqlite", model=MODEL, service="sandbox").close()
    return tmp_path / "checkpoint.sqlite"


@pytest.fixture
def add_steps(monkeypatch: pytest.MonkeyPatch) -> AddSteps:
    """Makes this batchedit one that has these migrations too."""
    known = schema.read_scripts()

    def add(*steps: str) -> None:
        monkeypatch.setattr(schema, "read_scripts", lambda: (*known, *steps))

    return add


def tables(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_an_older_file_is_migrated_step_by_step(path: Path, add_steps: AddSteps) -> None:
    add_steps(FIRST, TRIGGER)
    with closing(open_checkpoint(path)) as checkpoint:
        assert checkpoint.get("step") == "two"
        assert checkpoint.model == MODEL
    with closing(sqlite3.connect(path)) as db:
        assert schema.read_version(db) == schema.find_newest_version()
    with closing(open_checkpoint(path)) as again:
        assert again.get("step") == "two"


def test_a_new_file_has_the_tables_of_a_migrated_one(path: Path, add_steps: AddSteps) -> None:
    add_steps(FIRST, TRIGGER)
    open_checkpoint(path).close()
    new = path.with_name("new.sqlite")
    create_checkpoint(new, model=MODEL, service="sandbox").close()
    assert tables(new) == tables(path)


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path, add_steps: AddSteps) -> None:
    before = path.read_bytes()
    add_steps(FIRST, TRIGGER, "INSERT INTO nowhere VALUES (1);")
    with pytest.raises(CheckpointError, match="nowhere"):
        open_checkpoint(path)
    assert path.read_bytes() == before


def test_a_command_that_reads_migrates_a_copy(path: Path, add_steps: AddSteps) -> None:
    """Another process, of the older batchedit, may be writing to the file."""
    before = path.read_bytes()
    add_steps(FIRST)
    with closing(open_checkpoint(path, read_only=True)) as reader:
        assert reader.get("step") == "one"
        assert reader.counts().of(State.DONE) == 0
        with pytest.raises(CheckpointError):
            reader.put("x", "y")
    assert path.read_bytes() == before


def test_two_processes_that_open_an_older_file_migrate_it_once(path: Path, add_steps: AddSteps) -> None:
    """The second one read the old version before the first one was ready."""
    add_steps(TRIGGER)
    with closing(sqlite3.connect(path, isolation_level=None)) as late:
        assert schema.read_version(late) < schema.find_newest_version()
        open_checkpoint(path).close()
        schema.migrate(late)
        assert late.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_an_older_batchedit_refuses_a_migrated_file(
    path: Path, add_steps: AddSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steps(FIRST)
    open_checkpoint(path).close()
    monkeypatch.undo()
    for read_only in (False, True):
        with pytest.raises(CheckpointVersionError, match="newer"):
            open_checkpoint(path, read_only=read_only)
