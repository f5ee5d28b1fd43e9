"""A checkpoint of the first edition opens, means what it means today, and its books still add up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.commands.audit_replay import prove as audit
from batchedit.core.events import Completed, Resumed, RetryAsked
from batchedit.core.lifecycle import advance
from batchedit.core.model import Kind, Output, Record, State
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.manifest.rows import Form, FormKind

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    path = tmp_path / "checkpoint.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "first_edition_ends.sql").read_text())
    with closing(open_checkpoint(path)) as opened:
        yield opened


def job(checkpoint: SqliteCheckpoint, number: int) -> Record:
    (record,) = checkpoint.records("id = ?", (number,))
    return record


def test_a_job_that_a_404_failed_is_uncollected_and_keeps_its_id_and_its_money(checkpoint: SqliteCheckpoint) -> None:
    guessed, reported = job(checkpoint, 4), job(checkpoint, 6)
    assert (guessed.state, guessed.spent, guessed.cost_known) == (State.UNCOLLECTED, 40_000, False)
    assert (reported.state, reported.spent, reported.cost_known) == (State.UNCOLLECTED, 50_000, True)
    assert guessed.handle is not None
    assert guessed.handle.request_id == "req-4"


def test_it_is_collected_and_paid_for_once(checkpoint: SqliteCheckpoint) -> None:
    record = job(checkpoint, 4)
    for event in (Resumed(300.0), Completed(301.0, (Output("https://files.runcomfy.net/4.png"),), 40_000)):
        record = checkpoint.save_now(advance(record, event), event)
    assert (record.state, record.spent, record.cost_known) == (State.FETCHED, 40_000, True)


def test_one_that_was_bought_anew_since_stays_as_it_ended(checkpoint: SqliteCheckpoint) -> None:
    assert (job(checkpoint, 5).state, job(checkpoint, 5).earlier_spent) == (State.DONE, 40_000)


def test_what_was_given_up_carries_the_mark_unless_it_was_bought_anew(checkpoint: SqliteCheckpoint) -> None:
    given_up, failed_again = job(checkpoint, 7), job(checkpoint, 8)
    assert given_up.problem is not None
    assert failed_again.problem is not None
    assert (given_up.state, given_up.problem.kind) == (State.FAILED, Kind.WRITTEN_OFF)
    assert "HTTP 502" in given_up.problem.message
    assert (failed_again.state, failed_again.problem.kind) == (State.FAILED, Kind.FAILED)


def test_what_was_cancelled_cost_nothing_as_that_edition_had_it(checkpoint: SqliteCheckpoint) -> None:
    for number in (9, 10):
        record = job(checkpoint, number)
        assert (record.state, record.spent, record.cost_known) == (State.CANCELLED, 0, True)
    event = RetryAsked(300.0)
    assert advance(job(checkpoint, 9), event).state is State.PLANNED


def test_the_books_add_up(checkpoint: SqliteCheckpoint, tmp_path: Path) -> None:
    report = audit(checkpoint, tmp_path, Form(FormKind.CSV, header_row=1))
    assert [finding for finding in report.findings if "files/" not in finding.problem] == []
    money = checkpoint.money()
    assert (money.spent, money.reserved) == (370_000, 80_000)
    assert (report.spent, report.reserved) == (370_000, 80_000)
    assert checkpoint.counts().by_state == {
        State.DONE: 2, State.WAITING: 1, State.IN_DOUBT: 1, State.UNCOLLECTED: 3, State.FAILED: 2, State.CANCELLED: 2
    }  # fmt: skip
