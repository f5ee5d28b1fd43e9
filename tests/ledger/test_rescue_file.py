"""Ids that a failing disk sent to ``accepted.jsonl``: taken in once, whatever the cap is, and never in place of others."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.audit_replay import prove as audit
from batchedit.commands.take_in_rescued_ids import take_in_rescued
from batchedit.core.events import Accepted, Errored, Lost, Released, Reserved, RetryAsked
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, Record, State
from batchedit.disk import append_to
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.rescue_file import (
    LONGEST_LINE,
    NAME,
    RescuedId,
    claim_rescued,
    clear_rescued,
    read_kept_ids,
    read_object,
    rescue,
)
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.manifest.rows import Form, FormKind
from batchedit.run_folder import RunFolder
from tests.support.factories import make_line

PROBLEM = Problem(Kind.LOST, "no answer")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    with closing(create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")) as made:
        intake = Intake.begin(made)
        intake.add([make_line(n) for n in range(1, 4)])
        intake.commit("f")
        yield made


def play(checkpoint: SqliteCheckpoint, job: int, *events: object) -> Record:
    record = checkpoint.records("id = ?", (job,))[0]
    for event in events:
        record = checkpoint.save_now(advance(record, event), event)  # type: ignore[arg-type]  # any event
    return record


def put_aside(checkpoint: SqliteCheckpoint, job: int, request_id: str) -> None:
    key = checkpoint.records("id = ?", (job,))[0].job.key
    rescue(checkpoint.path.parent, job, key, Accepted(9.0, Handle(request_id)))


def take_in(checkpoint: SqliteCheckpoint) -> tuple[int, list[str]]:
    warnings: list[str] = []
    taken = take_in_rescued(checkpoint, RunFolder(checkpoint.path.parent), warnings.append)
    assert not (checkpoint.path.parent / NAME).exists()
    return taken, warnings


def findings(checkpoint: SqliteCheckpoint) -> str:
    return "; ".join(
        f"{f.job}: {f.problem}"
        for f in audit(checkpoint, checkpoint.path.parent, Form(FormKind.CSV, header_row=1)).findings
    )


def test_taking_an_id_in_leaves_the_cap_as_it_is(checkpoint: SqliteCheckpoint) -> None:
    """It is bought, so the cap has no say in it; and it erased the cap for good."""
    checkpoint.set_cap(10, 1.0)
    play(checkpoint, 1, Reserved(2.0, 10))
    checkpoint.top_price = 10
    put_aside(checkpoint, 2, "req-2")
    assert take_in(checkpoint) == (1, [])
    assert (checkpoint.cap, checkpoint.get("max_cost"), checkpoint.money().reserved) == (10, "10", 20)
    assert checkpoint.records("id = 2")[0].state is State.WAITING
    assert findings(checkpoint) == ""


def test_an_id_that_contradicts_the_checkpoint_stops_nobody_and_is_not_lost(checkpoint: SqliteCheckpoint) -> None:
    """The job had another id: every command, ``audit`` too, ended with exit 74 until someone moved the file away."""
    play(checkpoint, 1, Reserved(1.0, 10), Accepted(2.0, Handle("req-1")))
    put_aside(checkpoint, 1, "req-other")
    put_aside(checkpoint, 2, "req-2")
    taken, warnings = take_in(checkpoint)
    assert taken == 1
    assert [("req-other" in text, "job-1 as waiting" in text) for text in warnings] == [(True, True)]
    assert checkpoint.records("id = 1")[0].handle == Handle("req-1")
    assert "req-other" in findings(checkpoint)
    put_aside(checkpoint, 1, "req-other")
    assert take_in(checkpoint) == (0, []), "it is told once"


def test_an_id_for_a_job_that_is_not_there_is_kept(checkpoint: SqliteCheckpoint) -> None:
    """It was moved to accepted.jsonl.taken-in without a word."""
    rescue(checkpoint.path.parent, 77, bytes(16), Accepted(9.0, Handle("req-77")))
    taken, (warning,) = take_in(checkpoint)
    assert taken == 0
    assert "req-77" in warning
    assert "req-77" in findings(checkpoint)


def test_an_id_of_another_job_is_taken_in_for_nobody_else(checkpoint: SqliteCheckpoint) -> None:
    play(checkpoint, 1, Reserved(1.0, 10), Accepted(2.0, Handle("req-1")))
    put_aside(checkpoint, 2, "req-1")
    taken, warnings = take_in(checkpoint)
    assert (taken, len(warnings)) == (0, 1)
    assert checkpoint.records("id = 2")[0].state is State.PLANNED


def test_the_id_of_an_earlier_purchase_is_no_news(checkpoint: SqliteCheckpoint) -> None:
    """A failed job that ``retry`` has planned anew was taken for bought by the id of its first purchase."""
    play(checkpoint, 1, Reserved(1.0, 10), Accepted(2.0, Handle("req-1")), Errored(3.0, PROBLEM), RetryAsked(4.0))
    put_aside(checkpoint, 1, "req-1")
    assert take_in(checkpoint) == (0, [])
    assert checkpoint.records("id = 1")[0].state is State.PLANNED


def test_a_person_who_adopts_the_id_settles_the_contradiction(checkpoint: SqliteCheckpoint) -> None:
    play(checkpoint, 1, Reserved(1.0, 10), Accepted(2.0, Handle("req-1")))
    put_aside(checkpoint, 1, "req-late")
    take_in(checkpoint)
    play(checkpoint, 2, Reserved(1.0, 10), Lost(2.0, PROBLEM), Accepted(3.0, Handle("req-late")))
    assert findings(checkpoint) == ""


@pytest.mark.parametrize("stands", ["in doubt", "being sent"])
def test_the_id_of_a_purchase_ended_the_doubt_about_the_next_one(checkpoint: SqliteCheckpoint, stands: str) -> None:
    """Its line did not say which purchase it was of. The second may have been bought as well, and nobody asked any more."""
    checkpoint.rescue(play(checkpoint, 1, Reserved(1.0, 10)), Accepted(9.0, Handle("req-first")))
    play(checkpoint, 1, Lost(2.0, PROBLEM), Released(3.0, "a person"), Reserved(4.0, 10))
    if stands == "in doubt":
        play(checkpoint, 1, Lost(5.0, PROBLEM))
    taken, (warning,) = take_in(checkpoint)
    assert (taken, "req-first" in warning) == (0, True)
    now = checkpoint.records("id = 1")[0]
    assert (now.state, now.handle) == (State.IN_DOUBT if stands == "in doubt" else State.SUBMITTING, None)
    assert "req-first" in findings(checkpoint)


def test_the_id_of_the_very_purchase_is_taken_in_by_its_line(checkpoint: SqliteCheckpoint) -> None:
    checkpoint.rescue(play(checkpoint, 1, Reserved(0.1 + 0.2, 10)), Accepted(9.0, Handle("req-1")))
    assert take_in(checkpoint) == (1, [])
    assert checkpoint.records("id = 1")[0].state is State.WAITING


def test_an_id_of_a_run_of_a_store_was_taken_in_by_a_run_of_the_same_sheet(checkpoint: SqliteCheckpoint) -> None:
    """Key and number of its job are the same: the other run's picture came here, and that run never got its id."""
    key = checkpoint.records("id = ?", (2,))[0].job.key
    rescue(checkpoint.path.parent, 2, key, Accepted(9.0, Handle("req-2")), submitted_at=8.0, run="a-store/7")
    taken, (warning,) = take_in(checkpoint)
    assert (taken, "req-2" in warning) == (0, True)
    assert checkpoint.records("id = 2")[0].state is State.PLANNED
    assert "req-2" in findings(checkpoint)


WRONG: dict[str, Any] = {
    "job": ["x", True, 0, 2**70, None],
    "key": ["zz", "00", 7],
    "at": ["now", True, 1e300],
    "submitted_at": ["now", True],
    "run": [7, None],
    "handle": [None, "req", {}, {"more": 1}],
    "request_id": [7, "", " req", "..", "x" * 5000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_line_that_no_run_wrote_ended_every_command(checkpoint: SqliteCheckpoint, name: str, value: Any) -> None:
    """Text in the place of a number was an error of the database's, and no command could be typed any more."""
    put_aside(checkpoint, 1, "req-1")
    side = checkpoint.path.parent / NAME
    payload = json.loads(side.read_text())
    (payload["handle"] if name == "request_id" else payload)[name] = value
    side.write_text(f"{json.dumps(payload)}\n[]\n7\n")
    put_aside(checkpoint, 2, "req-2")
    assert take_in(checkpoint) == (1, [])
    assert [checkpoint.records("id = ?", (job,))[0].state for job in (1, 2)] == [State.PLANNED, State.WAITING]


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize("name", [NAME, f"{NAME}.taking-0-1"])
@pytest.mark.parametrize("put_there", [a_pipe, a_folder, a_link_to_a_pipe])
def test_who_looked_at_a_received_folder_waited_for_ever_for_a_pipe(
    tmp_path: Path, name: str, put_there: Callable[[Path], None]
) -> None:
    put_there(tmp_path / name)
    rescued: list[RescuedId] = []
    reader = threading.Thread(target=lambda: rescued.extend(read_kept_ids(tmp_path)), daemon=True)
    reader.start()
    reader.join(10)
    assert not reader.is_alive()
    assert rescued == []


def test_a_line_without_an_end_fills_no_memory(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"x" * (64 * LONGEST_LINE))
    write(tmp_path, 1)
    tracemalloc.start()
    try:
        assert jobs(read_kept_ids(tmp_path)) == [1]
        assert tracemalloc.get_traced_memory()[1] < 20 * LONGEST_LINE
    finally:
        tracemalloc.stop()


# --- several workers in one folder: none of them holds a lock while it takes in ---


def write(folder: Path, job: int) -> None:
    rescue(folder, job, bytes(16), Accepted(9.0, Handle(f"req-{job}")))


def jobs(rescued: Iterator[RescuedId]) -> list[int]:
    return sorted(job for job, *_ in rescued)


def test_an_id_that_another_worker_writes_while_one_takes_in_is_not_lost(tmp_path: Path) -> None:
    """It was moved away with those that had been read, and no job ever got it."""
    write(tmp_path, 1)
    assert jobs(claim_rescued(tmp_path)) == [1]
    write(tmp_path, 2)
    clear_rescued(tmp_path)
    assert jobs(read_kept_ids(tmp_path)) == [2]
    assert jobs(claim_rescued(tmp_path)) == [2]
    clear_rescued(tmp_path)
    assert jobs(read_kept_ids(tmp_path)) == []
    assert (tmp_path / f"{NAME}.taken-in").read_text().count("req-") == 2


def test_an_id_whose_file_is_renamed_before_its_line_is_written_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1)
    opened = [append_to]

    def overtaken(path: Path) -> FileIO:
        file = append_to(path)
        if opened:
            opened.clear()
            assert jobs(claim_rescued(tmp_path)) == [1]
        return file

    with monkeypatch.context() as patch:
        patch.setattr("batchedit.ledger.rescue_file.append_to", overtaken)
        write(tmp_path, 2)
    clear_rescued(tmp_path)
    assert jobs(read_kept_ids(tmp_path)) == [2]


@pytest.mark.parametrize("first_crashes", [False, True])
def test_ids_that_one_worker_has_in_hand_are_not_cleared_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_crashes: bool
) -> None:
    """What the first left in a crash the second takes in as well."""
    write(tmp_path, 1)
    assert jobs(claim_rescued(tmp_path)) == [1]
    write(tmp_path, 2)
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: -1)
        clear_rescued(tmp_path)
        assert jobs(read_kept_ids(tmp_path)) == [1, 2], "it has read neither"
        assert jobs(claim_rescued(tmp_path)) == [1, 2]
    if not first_crashes:
        clear_rescued(tmp_path)
        assert jobs(read_kept_ids(tmp_path)) == [1, 2], "the second one has them now"
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: -1)
        clear_rescued(tmp_path)
    assert jobs(read_kept_ids(tmp_path)) == []


def test_a_machine_that_lost_power_might_have_kept_the_line_and_forgotten_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line was synced and the folder, which has the name of the new file, was not."""
    synced = list[int]()
    sync = os.fsync

    def note(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    rescue(tmp_path, 1, bytes(16), Accepted(1.0, Handle("req-1")))
    assert synced == [(tmp_path / NAME).stat().st_ino, tmp_path.stat().st_ino]


def test_a_handle_of_an_id_alone_is_one_and_what_is_no_handle_is_none() -> None:
    payload = {"job": 1, "key": bytes(16).hex(), "at": 1.0}
    rescued = read_object(json.dumps(payload | {"handle": {"request_id": "req-1"}}).encode())
    assert rescued is not None
    assert rescued.event.handle == Handle("req-1")
    assert [read_object(json.dumps(payload | {"handle": no}).encode()) for no in ("x", ["x"], None, {})] == [None] * 4
