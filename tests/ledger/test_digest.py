"""The sums of a run by the checkpoint's indexes are those that reading every line gives."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.core.events import Accepted, Completed, Event, Refused, Reserved, Saved
from batchedit.core.lifecycle import advance
from batchedit.core.model import CellProblem, Handle, InvalidLine, Kind, Output, Problem, ResultLine, SavedFile, State
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.ledger.state_totals import recount
from batchedit.ledger.summary import CommonError, RunSummary, summarise
from tests.support.factories import make_job, make_line

FILES = (SavedFile("files/a.png", "ab" * 32, 10, 1, 1, "https://files.runcomfy.net/a.png"),)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    with closing(create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="sandbox")) as made:
        yield made


def take_in(checkpoint: SqliteCheckpoint, lines: list[ResultLine | InvalidLine], limit: int | None = None) -> None:
    intake = Intake.begin(checkpoint, limit=limit)
    intake.add(lines)
    intake.commit("fingerprint")


def play(checkpoint: SqliteCheckpoint, job: int, *events: Event) -> None:
    (record,) = checkpoint.records("id = ?", (job,))
    for event in events:
        record = checkpoint.save_now(advance(record, event), event)


def finish(checkpoint: SqliteCheckpoint, job: int, seconds: float) -> None:
    handle = Handle(f"request-{job}")
    outputs = (Output("https://files.runcomfy.net/a.png"),)
    play(
        checkpoint, job, Reserved(100.0, 1), Accepted(101.0, handle), Completed(100.0 + seconds, outputs, 1),
        Saved(100.0 + seconds, FILES),
    )  # fmt: skip


def test_an_empty_run(checkpoint: SqliteCheckpoint) -> None:
    assert summarise(checkpoint) == RunSummary()


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 40])
def test_quantiles_are_those_of_the_standard_library(checkpoint: SqliteCheckpoint, count: int) -> None:
    take_in(checkpoint, [make_line(n) for n in range(1, count + 3)])
    seconds = [float(7 * n % 41 + 1) for n in range(1, count + 1)]
    for job, one in enumerate(seconds, 1):
        finish(checkpoint, job, one)
    summary = summarise(checkpoint)
    assert summary.seconds_median == round(statistics.median(seconds), 1)
    assert summary.seconds_p90 == (round(statistics.quantiles(seconds, n=10)[-1], 1) if count > 1 else None)


def test_errors_are_counted_over_lines_and_invalid_rows_apart(checkpoint: SqliteCheckpoint) -> None:
    duplicate = ResultLine(row=9, id="twin", job=make_job(2), name_hash=99, duplicate=True)
    take_in(
        checkpoint,
        [*(make_line(n) for n in range(1, 9)), duplicate, InvalidLine(10, "x", (CellProblem("a", "", "is empty"),))],
    )
    refused, rare = Problem(Kind.REFUSED, "no such size", 422), Problem(Kind.MODERATED, "not this")
    for job in range(2, 8):
        play(checkpoint, job, Reserved(1.0, 1), Refused(2.0, refused))
    play(checkpoint, 8, Reserved(1.0, 1), Refused(2.0, rare))
    finish(checkpoint, 1, 5.0)
    summary = summarise(checkpoint)
    assert summary.invalid == 1
    assert summary.errors == (
        CommonError("refused", "no such size", 7, tuple((n, f"sku-{n}") for n in range(2, 7))),
        CommonError("moderated", "not this", 1, ((8, "sku-8"),)),
    )


def test_the_tally_that_an_intake_adds_to_is_the_one_counted_anew(checkpoint: SqliteCheckpoint) -> None:
    def tally() -> list[tuple[object, ...]]:
        return sorted(row for row in checkpoint.rows("SELECT * FROM tally WHERE jobs > 0"))

    for numbers, limit in ((range(1, 6), None), (range(3, 9), 4), (range(1, 9), None), (range(2, 4), None)):
        take_in(checkpoint, [make_line(n) for n in numbers], limit)
        kept = tally()
        with checkpoint.transaction() as db:
            recount(db)
        assert tally() == kept
    assert checkpoint.counts().of(State.PLANNED) == 2


def test_a_million_rows_are_looked_up_in_indexes(checkpoint: SqliteCheckpoint) -> None:
    take_in(checkpoint, [make_line(1)])
    for query, index in (
        ("SELECT key, id FROM jobs ORDER BY key", "jobs_key"),
        ("SELECT slot, version FROM jobs ORDER BY slot, version", "jobs_slot"),
        ("SELECT id FROM jobs WHERE state = 'planned'", "jobs_to_buy"),
        ("SELECT id FROM jobs WHERE state = 'planned' AND wanted = 1 AND id > 7 ORDER BY id LIMIT 5", "jobs_to_buy"),
        ("SELECT id, state FROM jobs WHERE state NOT IN ('planned', 'done')", "jobs_open"),
        ("SELECT id FROM jobs WHERE state = 'done' AND cost IS NOT NULL AND NOT cost_known AND id > 7 ORDER BY id",
         "jobs_unpriced"),
        ("SELECT count(*) FROM lines WHERE job IS NULL", "lines_job"),
        ("SELECT finished_at - submitted_at AS s FROM jobs WHERE state = 'done' AND wanted = 1 ORDER BY s LIMIT 2",
         "jobs_seconds"),
    ):  # fmt: skip
        plan = " ".join(str(row[3]) for row in checkpoint.rows(f"EXPLAIN QUERY PLAN {query}"))
        assert index in plan, (query, plan)
        assert "TEMP B-TREE" not in plan, (query, plan)
