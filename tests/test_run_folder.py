"""The run's own copy of the manifest: whole, of the manifest that was taken in, and nobody else's file."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchedit import run_folder as runfolder
from batchedit.commands.open_run import open_run
from batchedit.core.errors import CheckpointError, UsageError
from batchedit.disk import create
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.values import STAGED
from batchedit.run_folder import RunFolder, has_never_begun
from batchedit.settings.model import Settings

TEXT = b"sku,image,prompt\n" + b"1,https://a.example/1.png,an ad\n" * 5_000


class Bit(io.FileIO):
    """A file on a disk that takes a little at a time, as one that is nearly full does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")

    def write(self, data: Any, /) -> int:
        return super().write(bytes(data)[:1000])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.make()
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("opened", [create, Bit])
def test_the_copy_is_whole_and_its_digest_is_what_was_copied(
    folder: RunFolder, source: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Path], io.FileIO]
) -> None:
    monkeypatch.setattr(runfolder, "create", opened)
    [(staged, digest)] = folder.stage_snapshot(source, ".csv").items()
    assert staged.read_bytes() == TEXT
    assert digest == hashlib.sha256(TEXT).hexdigest()


def test_only_the_copy_of_the_manifest_that_was_taken_in_becomes_the_snapshot(
    folder: RunFolder, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    hash_file = runfolder.hash_file
    monkeypatch.setattr(runfolder, "hash_file", lambda path: (read.append(path.name), hash_file(path))[1])
    (folder.path / "manifest.jsonl").write_bytes(b"{}\n")  # of the intake before
    (folder.path / f"{STAGED}.tsv").write_bytes(b"left by a crash")
    digests = folder.stage_snapshot(source, ".csv")
    folder.settle_snapshot(f"1:{hashlib.sha256(TEXT).hexdigest()}:x", digests)
    assert [path.name for path in folder.path.iterdir()] == ["manifest.csv"]
    assert folder.find_snapshot() == folder.path / "manifest.csv"
    assert read == [f"{STAGED}.tsv"]


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.xlsx", f"{STAGED}.csv"])
def test_a_new_run_replaces_nobody_elses_file(folder: RunFolder, name: str) -> None:
    other = folder.path / name
    other.write_bytes(TEXT)
    with pytest.raises(UsageError, match=name) as caught:
        open_run(folder, Settings(base_url="http://127.0.0.1:9"))
    assert "--out" in str(caught.value.hint)
    assert other.read_bytes() == TEXT
    assert not folder.checkpoint.exists()


# --- a run that never began ------------------------------------------------------------------------

SETTINGS = Settings(base_url="http://127.0.0.1:9")


def leave_empty(folder: RunFolder) -> None:
    folder.checkpoint.touch()


def leave_a_file_without_tables(folder: RunFolder) -> None:
    with closing(sqlite3.connect(folder.checkpoint)) as db:
        db.execute("PRAGMA application_id = 1650553955")


def leave_tables_alone(folder: RunFolder) -> None:
    create_checkpoint(folder.checkpoint, model="another", service="another").close()


@pytest.mark.parametrize("leave", [leave_empty, leave_a_file_without_tables, leave_tables_alone])
def test_a_disk_that_was_full_at_the_start_wedged_the_folder_for_ever(
    folder: RunFolder, leave: Callable[[RunFolder], None]
) -> None:
    leave(folder)
    (folder.path / f"{STAGED}.csv").write_bytes(TEXT[:100])
    with closing(open_run(folder, SETTINGS)) as checkpoint:
        assert checkpoint.get("model") == SETTINGS.model
    assert not list(folder.path.glob(f"{STAGED}.*"))


@pytest.mark.parametrize("evidence", ["run.jsonl", "accepted.jsonl", "files/mug.png", "results.csv"])
def test_an_empty_checkpoint_beside_what_was_bought_is_kept(folder: RunFolder, evidence: str) -> None:
    leave_empty(folder)
    accepted = b'{"job":1,"key":"00","at":1.0,"event":"Accepted","handle":{"request_id":"r"}}\n'
    (folder.path / evidence).parent.mkdir(exist_ok=True)
    (folder.path / evidence).write_bytes(accepted)
    with pytest.raises(CheckpointError):
        open_run(folder, SETTINGS)
    assert folder.checkpoint.stat().st_size == 0


def test_somebody_elses_database_is_never_made_anew(folder: RunFolder) -> None:
    with closing(sqlite3.connect(folder.checkpoint)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = folder.checkpoint.read_bytes()
    with pytest.raises(CheckpointError, match="not a batchedit checkpoint"):
        open_run(folder, SETTINGS)
    assert folder.checkpoint.read_bytes() == before


def test_a_checkpoint_with_a_job_is_never_made_anew(folder: RunFolder) -> None:
    with closing(open_run(folder, SETTINGS)) as checkpoint, checkpoint.transaction() as db:
        checkpoint.note_in(db, "CapSet", 1.0, {"before": None, "after": 1})
    assert not has_never_begun(folder)
