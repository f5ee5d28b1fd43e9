"""The earlier run of a sheet, as the next command for it needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchedit.core.model import State
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.sqlite_book import SqliteBook
from batchedit.ledger.values import KnownJobs
from batchedit.planning.previous import read_previous_run
from tests.support.cli import manifest, run_cli
from tests.support.factories import make_job, make_line


def test_a_million_jobs_were_read_for_a_sheet_that_needed_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = SqliteBook.read_known_jobs

    def read_and_note(self: SqliteBook, *args: object, **options: object) -> KnownJobs:
        reads.append("read")
        return read(self, *args, **options)  # type: ignore[arg-type] - as they came

    checkpoint = create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="sandbox")
    intake = checkpoint.begin_intake()
    intake.add([make_line(1), make_line(2)])
    intake.commit("1:content:options", {})
    monkeypatch.setattr(SqliteBook, "read_known_jobs", read_and_note)
    previous = read_previous_run(checkpoint, None, "content")
    assert (previous.same_manifest, previous.begun, reads) == (True, False, [])
    assert [previous.state_of(make_job(number).key) for number in (1, 2, 3)] == [State.PLANNED, State.PLANNED, None]
    assert reads == ["read"], "once for all that ask"
    checkpoint.close()


def test_an_unchanged_sheet_is_not_read_against_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = manifest(tmp_path / "m.csv", 3)
    run_cli("run", source, "--sandbox", "--yes", cwd=tmp_path)

    def refuse(*_: object) -> KnownJobs:
        raise AssertionError("the known jobs were read")

    monkeypatch.setattr(SqliteBook, "read_known_jobs", refuse)
    assert "nothing is left to buy" in run_cli("run", source, "--sandbox", "--yes", cwd=tmp_path).stderr
