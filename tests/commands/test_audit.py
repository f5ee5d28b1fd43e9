"""A run that adds up, changed by hand in every way one might think of: the audit must fail, and name the rows."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.commands.audit_replay import Audit, format_audit
from batchedit.commands.audit_replay import prove as audit
from batchedit.core.events import (
    Accepted,
    Completed,
    Declined,
    Errored,
    Event,
    Lost,
    Released,
    Reserved,
    RetryAsked,
    Saved,
)
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Output, Problem, SavedFile
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.manifest.rows import Form, FormKind
from tests.support.factories import make_line

PRICE = 40_000
CONTENT = b"a picture"
NO_ANSWER = Problem(Kind.LOST, "no answer")


def file_of(job: int) -> SavedFile:
    return SavedFile(f"files/job-{job}.png", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), 1, 1, "https://x/1.png")


def story(job: int, at: float) -> tuple[Event, ...]:
    """Jobs 1 and 2 are done, 3 is in doubt, 4 was doubtful, bought again, failed and bought anew, 5 is planned."""
    reserved, handle = Reserved(at, PRICE), Handle(f"req-{job}", "https://s", "https://r", "https://c")
    done = (
        reserved,
        Accepted(at + 1, handle),
        Completed(at + 9, (Output("https://x/1.png"),), PRICE),
        Saved(at + 10, (file_of(job),)),
    )
    if job == 3:
        return (reserved, Lost(at + 1, NO_ANSWER))
    if job == 4:
        first = Accepted(at + 4, Handle("req-4-first"))
        return (
            *(reserved, Lost(at + 1, NO_ANSWER), Released(at + 2, "me"), Reserved(at + 3, PRICE), first),
            *(Errored(at + 5, Problem(Kind.FAILED, "no"), 0), RetryAsked(at + 6)),
            *(reserved, Declined(at + 7, Problem(Kind.SERVICE, "busy"), at + 8, counts=True), *done),
        )
    return done if job < 3 else ()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    checkpoint = create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")
    intake = Intake.begin(checkpoint)
    intake.add([make_line(n, row=10 + n) for n in range(1, 6)])
    intake.commit("f")
    (tmp_path / "files").mkdir()
    for record in checkpoint.records("1"):
        now = record
        for event in story(record.id, 100.0 * record.id):
            now = checkpoint.save_now(advance(now, event), event)
        for file in now.files:
            (tmp_path / file.path).write_bytes(CONTENT)
    checkpoint.close()
    yield tmp_path
    assert not list(tmp_path.glob("*-journal"))


def prove_run(folder: Path) -> Audit:
    with closing(open_checkpoint(folder / "checkpoint.sqlite", read_only=True)) as checkpoint:
        return audit(checkpoint, folder, Form(FormKind.CSV, header_row=1))


def name_of(row: int) -> str:
    """The sheet's own number is one higher than the checkpoint's: the header is row 1."""
    return f"row {row + 1} (sku-{row - 10})"


def test_a_run_that_adds_up(run: Path) -> None:
    result = prove_run(run)
    assert result == Audit(
        jobs=5, events=23, intentions=7, accepted=4, files=3, bytes=3 * len(CONTENT), spent=4 * PRICE, reserved=PRICE
    )
    assert list(format_audit(result)) == [
        "jobs       5, events 23",
        "intentions 7, accepted 4",
        "money      $0.16 spent, $0.04 reserved",
        "files      3 with their sha256, 27 bytes",
        "everything adds up",
    ]


def test_an_audit_of_a_run_that_bought_nothing_listed_its_zeros() -> None:
    assert list(format_audit(Audit(jobs=3))) == ["jobs       3", "money      $0.00 spent", "everything adds up"]
    assert list(format_audit(Audit(jobs=1, events=2, intentions=1, reserved=PRICE))) == [
        "jobs       1, events 2",
        "intentions 1",
        "money      $0.00 spent, $0.04 reserved",
        "everything adds up",
    ]


FREE = "DROP TRIGGER events_only_grow_update; DROP TRIGGER events_only_grow_delete; DROP TRIGGER jobs_tally;"
TAMPERED = {
    # what was done -> SQL, or a change of files; the rows (by index) that must be named; words that must be said
    "state": ("UPDATE jobs SET state = 'failed' WHERE id = 1", {11}, "state is failed"),
    "state of a doubt": ("UPDATE jobs SET state = 'planned', held = 0 WHERE id = 3", {13}, "state is planned"),
    "held": ("UPDATE jobs SET held = 0 WHERE id = 3", {13}, "held is 0"),
    "held, past the tally": (FREE + "UPDATE jobs SET held = 0 WHERE id = 3", {13, None}, "reserved is kept as"),
    "sunk": ("UPDATE jobs SET sunk = 0 WHERE id = 4", {14}, "sunk is 0"),
    "cost": ("UPDATE jobs SET cost = 1 WHERE id = 2", {12}, "cost is 1"),
    "sums": ("UPDATE tally SET spent = spent + 1", {None}, "the sum spent is kept as"),
    "request_id": ("UPDATE jobs SET request_id = 'req-x' WHERE id = 1", {11}, "handle is"),
    "request_id of another job": ("UPDATE jobs SET request_id = 'req-1' WHERE id = 2", {11, 12}, "and so has job 2"),
    "the address of its result": ("UPDATE jobs SET result_url = 'https://evil' WHERE id = 1", {11}, "evil"),
    "links": ("UPDATE jobs SET outputs = NULL WHERE id = 1", {11}, "outputs is ()"),
    "time": ("UPDATE jobs SET submitted_at = 1 WHERE id = 1", {11}, "submitted_at is 1.0"),
    "files": ("UPDATE jobs SET files = '[]' WHERE id = 1", {11}, "files is ()"),
    "files, no JSON": ("UPDATE jobs SET files = '[[' WHERE id = 1", {11, None}, "can't be read"),
    "a state that is none": (
        "PRAGMA ignore_check_constraints = 1; UPDATE jobs SET state = 'lucky' WHERE id = 1",
        {11, None},
        "can't be read",
    ),
    "a job removed": (FREE + "DELETE FROM jobs WHERE id = 2", {12, None}, "it was removed"),
    "a job without a past": (
        "UPDATE jobs SET state = 'in_doubt', held = 40000 WHERE id = 5",
        {15},
        "no event says how",
    ),
    "an event removed": (FREE + "DELETE FROM events WHERE name = 'Accepted' AND job = 1", {11}, "the log has a gap"),
    "the last event removed": (
        FREE + "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        {14},
        "its events make it",
    ),
    "the intention removed": (
        FREE + "DELETE FROM events WHERE name = 'Reserved' AND job = 1; UPDATE events SET seq = seq - 1",
        {11},
        "Accepted) can't have happened",
    ),
    "an event changed": (
        FREE + """UPDATE events SET data = replace(data, '40000', '39999') WHERE name = 'Reserved' AND job = 3""",
        {13},
        "held is 40000, its events make it 39999",
    ),
    "an event's state changed": (
        FREE + "UPDATE events SET state = 'planned' WHERE name = 'Lost' AND job = 3",
        {13},
        "says planned, the law says in_doubt",
    ),
    "an event, no JSON": (FREE + "UPDATE events SET data = '{' WHERE seq = 1", {11}, "can't have happened"),
    "an event of no kind": (FREE + "UPDATE events SET name = 'Gifted' WHERE seq = 1", {11}, "can't have happened"),
    "one request accepted twice": (
        FREE
        + "UPDATE events SET data = replace(data, 'req-4-first', 'req-1') WHERE job = 4 AND data LIKE '%req-4-first%'",
        {14},
        "is the second accept of the request req-1",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_database_changed_by_hand(run: Path, what: str) -> None:
    script, rows, words = TAMPERED[what]
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db:
        db.executescript(script)
    result = prove_run(run)
    assert not result.clean
    rows_named = {row for finding in result.findings for row in finding.rows or (None,)}
    assert rows_named == {row and name_of(row) for row in rows}, result.findings
    text = "\n".join(format_audit(result))
    assert words in text
    assert "not add up" in text


def swap(folder: Path) -> None:
    (folder / "files" / "job-1.png").write_bytes(CONTENT[::-1])


def lengthen(folder: Path) -> None:
    (folder / "files" / "job-1.png").write_bytes(CONTENT + b"!")


def delete(folder: Path) -> None:
    (folder / "files" / "job-1.png").unlink()


@pytest.mark.parametrize(
    ("change", "words"), [(swap, "its sha256 differs"), (lengthen, "its sha256 differs"), (delete, "No such file")]
)
def test_a_picture_changed_by_hand(run: Path, change: Callable[[Path], None], words: str) -> None:
    change(run)
    result = prove_run(run)
    assert [finding.rows for finding in result.findings] == [(name_of(11),)]
    assert (
        f"{name_of(11)}: files/job-1.png {words}" in "\n".join(format_audit(result))
        or words in result.findings[0].problem
    )
