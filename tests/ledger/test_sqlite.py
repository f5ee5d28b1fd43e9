"""The SQLite checkpoint passes the suite, and keeps what it promises about its file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from filelock import FileLock

from batchedit.core.errors import (
    BudgetReachedError,
    CheckpointCorruptError,
    CheckpointError,
    CheckpointVersionError,
    LockedError,
    NotFoundError,
)
from batchedit.core.events import Accepted, Completed, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import CellProblem, InvalidLine, ResultLine, State
from batchedit.ledger import intake as intakes
from batchedit.ledger.intake import Intake
from batchedit.ledger.lock import find_holder, hold_run_lock
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.ledger.rescue_file import RescuedId, claim_rescued, clear_rescued, rescue
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.ledger.sqlite_file import BUSY_SECONDS
from batchedit.pool.pool import Pool, apply_event
from tests.ledger.book_suite import BookSuite
from tests.ledger.ledger_suite import HANDLE, OUTPUTS, LedgerSuite, Make, first, play
from tests.support.factories import make_job, make_line

MODEL = "openai/gpt-4o-image/edit"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.sqlite"


@pytest.fixture
def empty(path: Path) -> Iterator[SqliteCheckpoint]:
    checkpoint = create_checkpoint(path, model=MODEL, service="sandbox")
    yield checkpoint
    checkpoint.close()


def take_in(
    checkpoint: SqliteCheckpoint, lines: Iterable[ResultLine | InvalidLine], limit: int | None = None
) -> object:
    intake = Intake.begin(checkpoint, limit=limit)
    intake.add(list(lines))
    return intake.commit("fingerprint")


class TestSqlite(LedgerSuite):
    @pytest.fixture
    def make(self, empty: SqliteCheckpoint) -> Make:
        def make(lines: Iterable[ResultLine], cap: int | None = None) -> SqliteCheckpoint:
            take_in(empty, lines)
            empty.set_cap(cap, 0.0)
            return empty

        return make


class TestSqliteBook(BookSuite):
    @pytest.fixture
    def book(self, empty: SqliteCheckpoint) -> SqliteCheckpoint:
        return empty


@pytest.mark.anyio
async def test_another_process_finds_what_was_saved(path: Path, empty: SqliteCheckpoint) -> None:
    take_in(empty, [make_line(1)])
    await play(empty, await first(empty), Reserved(1.0, 40), Accepted(2.0, HANDLE), Completed(3.0, OUTPUTS, 77))
    reader = open_checkpoint(path, read_only=True)
    assert reader.counts().by_state == {State.FETCHED: 1}
    assert (reader.money().spent, reader.top_price, reader.model) == (77, 77, MODEL)
    assert [(logged.name, logged.state) for logged in reader.read_log()] == [
        ("Reserved", "submitting"), ("Accepted", "waiting"), ("Completed", "fetched"),
    ]  # fmt: skip
    reader.close()


async def refused_behind_an_end(checkpoint: SqliteCheckpoint, *, estimate: int, charged: int, cap: int) -> bool:
    """One job has ended, and the next one is to be bought, both in one commit: was it refused? Micro-dollars."""
    take_in(checkpoint, [make_line(1), make_line(2)])
    old, new = await checkpoint.list_planned(0, 2)
    old = await play(checkpoint, old, Reserved(1.0, estimate), Accepted(2.0, HANDLE))
    checkpoint.set_cap(cap, 0.0)
    end = Completed(3.0, OUTPUTS, charged)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(checkpoint.save, advance(old, end), end)
        await anyio.wait_all_tasks_blocked()
        try:
            await play(checkpoint, new, Reserved(4.0, estimate))
        except BudgetReachedError:
            return True
    return False


@pytest.mark.anyio
async def test_the_next_intention_is_weighed_with_the_money_that_the_end_before_it_set_free(
    empty: SqliteCheckpoint,
) -> None:
    """$0.06 put aside, $0.04 charged, and $0.06 fits under $0.10 only after that."""
    assert not await refused_behind_an_end(empty, estimate=60_000, charged=40_000, cap=100_000)
    assert empty.counts().by_state == {State.FETCHED: 1, State.SUBMITTING: 1}


@pytest.mark.anyio
async def test_the_next_intention_is_weighed_with_the_price_that_the_end_before_it_told(
    empty: SqliteCheckpoint,
) -> None:
    """The estimate was $0.05, $0.60 was charged, and a second $0.60 would pass $1.00."""
    assert await refused_behind_an_end(empty, estimate=50_000, charged=600_000, cap=1_000_000)
    assert empty.counts().by_state == {State.FETCHED: 1, State.PLANNED: 1}
    assert empty.top_price == 600_000


class Interrupting:
    """A connection during whose next INSERT the person presses Ctrl-C."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        if query.startswith("INSERT INTO events"):
            raise KeyboardInterrupt
        return self._connection.execute(query, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.anyio
async def test_ctrl_c_while_an_id_is_written_down(path: Path, empty: SqliteCheckpoint) -> None:
    take_in(empty, [make_line(1)])
    record = await play(empty, await first(empty), Reserved(1.0, 40))
    empty._db = cast("sqlite3.Connection", Interrupting(empty._db))
    pool = cast("Pool", SimpleNamespace(checkpoint=empty, observer=None, governor=None))
    with pytest.raises(KeyboardInterrupt):
        await apply_event(pool, record, Accepted(2.0, HANDLE))
    assert [(job, event.handle) for job, _, event, *_ in claim_rescued(path.parent)] == [(record.id, HANDLE)]


@pytest.mark.anyio
async def test_the_event_loop_waits_for_no_other_writer(path: Path, empty: SqliteCheckpoint) -> None:
    take_in(empty, [make_line(1)])
    record = await first(empty)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ticks, began = 0, anyio.current_time()

    async def tick() -> None:
        nonlocal ticks
        while ticks < 20:
            await anyio.sleep(0.01)
            ticks += 1
        other.execute("COMMIT")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        saved = await play(empty, record, Reserved(1.0, 40))
    assert anyio.current_time() - began < BUSY_SECONDS / 2, "the loop itself waited"
    assert (ticks, saved.state) == (20, State.SUBMITTING)
    assert empty.counts().by_state == {State.SUBMITTING: 1}
    assert empty._db.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    other.close()


@pytest.mark.anyio
async def test_events_only_grow(empty: SqliteCheckpoint) -> None:
    take_in(empty, [make_line(1)])
    await play(empty, await first(empty), Reserved(1.0, 40))
    for statement in ("DELETE FROM events", "UPDATE events SET at = 0"):
        with pytest.raises(CheckpointError, match="append-only"), empty.transaction() as db:
            db.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET state = 'bought'",
        "UPDATE jobs SET state = 'waiting'",  # bought without a request_id
        "UPDATE jobs SET held = -1",
        "UPDATE jobs SET held = 5",  # money held for a job that is only planned
        "UPDATE jobs SET state = 'done', request_id = 'r'",  # done without a file
    ],
)
def test_the_store_itself_refuses_what_makes_no_sense(empty: SqliteCheckpoint, statement: str) -> None:
    take_in(empty, [make_line(1)])
    with pytest.raises(CheckpointError, match="CHECK"), empty.transaction() as db:
        db.execute(statement)


class TestIntake:
    def test_an_intake_that_died_counts_for_nothing(self, path: Path, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(1)])
        dying = Intake.begin(empty)
        dying.add([make_line(2), make_line(3)])
        assert [r.job.name for r in empty.records("1 ORDER BY id")] == ["job-1", "job-2", "job-3"]
        again = open_checkpoint(path)
        assert [r.job.name for r in again.records("1 ORDER BY id")] == ["job-1"]
        assert [o.row for o in again.read_outcomes()] == [1]
        take_in(again, [make_line(1), make_line(4)])
        assert [r.job.name for r in again.records("1 ORDER BY id")] == ["job-1", "job-4"]
        again.close()

    @pytest.mark.anyio
    async def test_a_dead_intakes_jobs_are_never_for_sale(self, path: Path, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(1)])
        Intake.begin(empty).add([make_line(2)])
        again = open_checkpoint(path)
        assert [r.job.name for r in await again.list_planned(0, 10)] == ["job-1"]
        again.close()

    def test_what_no_row_asks_for_any_more_is_not_bought_but_kept(self, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(1), make_line(2)])
        report = take_in(empty, [make_line(2), make_line(3)])
        assert (report.new, report.known, report.dropped) == (1, 1, 1)
        assert empty.counts().of(State.PLANNED) == 2
        assert len(empty.records("1")) == 3

    def test_limit_wants_the_first_jobs_of_the_manifest(self, empty: SqliteCheckpoint) -> None:
        duplicate = ResultLine(row=2, id="t", job=make_job(1), name_hash=9, duplicate=True)
        take_in(empty, [make_line(1), duplicate, make_line(3), make_line(4)], limit=2)
        assert [r.job.name for r in empty.records("wanted = 1 ORDER BY id")] == ["job-1", "job-3"]
        take_in(empty, [make_line(1), duplicate, make_line(3), make_line(4)], limit=3)
        assert empty.counts().of(State.PLANNED) == 3

    def test_invalid_rows_stand_in_the_results(self, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(1), InvalidLine(2, "sku-2", (CellProblem("Image Src", None, "it is empty"),))])
        one, two = empty.read_outcomes()
        assert (one.row, one.state, two.row, two.id, two.state) == (1, "planned", 2, "sku-2", "invalid")
        assert two.problems == '[["Image Src","","it is empty"]]'

    def test_abandon_leaves_the_old_lines(self, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(1)])
        intake = Intake.begin(empty)
        intake.add([make_line(2)])
        intake.abandon()
        assert [o.row for o in empty.read_outcomes()] == [1]
        assert len(empty.records("1")) == 1

    def test_known_slots_give_versions(self, empty: SqliteCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those before the intake, whatever it has written by then."""
        monkeypatch.setattr(intakes, "CHUNK", 1)
        take_in(
            empty,
            [
                make_line(1, name_hash=77),
                make_line(2, name_hash=78),
                make_line(3, name_hash=78, job=make_job(3, version=2)),
            ],
        )
        intake = Intake.begin(empty)
        intake.add(
            [
                make_line(1, name_hash=77),
                make_line(4, name_hash=77, job=make_job(4, version=2)),
                make_line(5, name_hash=79),
            ]
        )
        known = intake.known
        assert [known.version(slot) for slot in (77, 78, 79, 80)] == [1, 2, 0, 0]
        assert [known.find(make_job(n).key) for n in range(1, 7)] == [1, 2, 3, None, None, None]

    def test_what_a_dead_intake_left_is_not_known_to_a_plan(
        self, path: Path, empty: SqliteCheckpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A plan opens the checkpoint to read, and sweeps nothing away."""
        monkeypatch.setattr(intakes, "CHUNK", 1)
        take_in(empty, [make_line(1)])
        Intake.begin(empty).add([make_line(1), make_line(2), make_line(3)])
        plan = open_checkpoint(path, read_only=True)
        assert len(plan.records("1")) == 3
        known = intakes.read_known_jobs(plan)
        assert [known.find(make_job(n).key) for n in (1, 2, 3)] == [1, None, None]
        assert [plan.state_of(known)(make_job(n).key) for n in (1, 2, 3)] == [State.PLANNED, None, None]
        plan.close()


def test_the_rows_of_no_job_were_looked_for_in_the_whole_run(empty: SqliteCheckpoint) -> None:
    """The first screen of a review of a million rows read all of them, for nobody had decided anything yet."""
    take_in(empty, [make_line(1)])
    asked: list[str] = []
    empty._db.set_trace_callback(asked.append)
    assert empty.find_rows([]) == {}
    assert asked == []
    assert empty.find_rows([1]) == {1: [(1, "sku-1")]}
    assert len(asked) == 1


def damaged_after_a_reader(path: Path, empty: SqliteCheckpoint) -> bytes:
    """The bytes of a checkpoint that a reader found in order, with damage in one page of many: who does not look at all of
    them misses it.
    """
    take_in(empty, [make_line(n) for n in range(1, 500)])
    empty.close()
    open_checkpoint(path, read_only=True).close()
    content = bytearray(path.read_bytes())
    begin = len(content) // 4096 // 2 * 4096
    content[begin : begin + 100] = os.urandom(100)
    return bytes(content)


class TestOpening:
    def test_nothing_there(self, path: Path) -> None:
        with pytest.raises(NotFoundError):
            open_checkpoint(path)

    def test_not_a_database(self, path: Path) -> None:
        path.write_bytes(b"Hello, this is a spreadsheet" * 100)
        with pytest.raises(CheckpointCorruptError):
            open_checkpoint(path)
        assert path.read_bytes().startswith(b"Hello")

    def test_somebody_elses_database(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE t (x)")
        db.close()
        with pytest.raises(CheckpointCorruptError, match="not a batchedit checkpoint"):
            open_checkpoint(path)

    def test_damaged_pages(self, path: Path, empty: SqliteCheckpoint) -> None:
        take_in(empty, [make_line(n) for n in range(1, 500)])
        empty.close()
        content = bytearray(path.read_bytes())
        content[9000:30000] = os.urandom(21000)
        path.write_bytes(bytes(content))
        with pytest.raises(CheckpointCorruptError, match="damaged"):
            open_checkpoint(path)
        assert path.read_bytes() == bytes(content)

    def test_what_a_reader_checked_a_moment_ago_is_checked_again_before_it_is_written_to(
        self, path: Path, empty: SqliteCheckpoint
    ) -> None:
        path.write_bytes(damaged_after_a_reader(path, empty))  # the same file still
        with pytest.raises(CheckpointCorruptError, match="damaged"):
            open_checkpoint(path)

    def test_a_file_in_the_place_of_one_that_a_reader_checked_is_checked(
        self, path: Path, empty: SqliteCheckpoint
    ) -> None:
        path.with_name("other").write_bytes(damaged_after_a_reader(path, empty))
        path.with_name("other").replace(path)
        with pytest.raises(CheckpointCorruptError, match="damaged"):
            open_checkpoint(path, read_only=True)

    def test_from_a_newer_version(self, path: Path, empty: SqliteCheckpoint) -> None:
        empty.close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(CheckpointVersionError, match="newer"):
            open_checkpoint(path)

    def test_read_only_on_disk(self, path: Path, empty: SqliteCheckpoint) -> None:
        empty.close()
        reader = open_checkpoint(path, read_only=True)
        with pytest.raises(CheckpointError):
            reader.put("x", "y")
        reader.close()


def test_the_second_process_is_told_who_is_first(tmp_path: Path) -> None:
    with hold_run_lock(tmp_path, "run"), pytest.raises(LockedError, match=rf"pid {os.getpid()} on .*\(run\)"):
        _lock_in_child(tmp_path)
    with hold_run_lock(tmp_path, "again"):
        pass


def test_who_asks_for_an_instant_whether_a_run_goes_on_keeps_none_from_starting(tmp_path: Path) -> None:
    assert find_holder(tmp_path) == ""
    with hold_run_lock(tmp_path, "run"):
        assert find_holder(tmp_path).startswith(f"pid {os.getpid()} on ")
    asking = FileLock(tmp_path / ".lock", is_singleton=False, thread_local=False)
    asking.acquire()
    threading.Timer(0.1, asking.release).start()
    with hold_run_lock(tmp_path, "run"):
        pass
    (tmp_path / ".lock").unlink()
    (tmp_path / "else").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "else")
    assert find_holder(tmp_path) == ""


def _lock_in_child(folder: Path) -> None:
    with hold_run_lock(folder, "second"):
        pass


def test_rescued_ids_are_read_back_and_a_cut_line_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = Accepted(12.5, HANDLE)
    rescue(tmp_path, 7, make_job(7).key, event)
    rescue(tmp_path, 8, make_job(8).key, event)
    side = tmp_path / "accepted.jsonl"
    side.write_bytes(side.read_bytes()[:-20])
    assert list(claim_rescued(tmp_path)) == [RescuedId(7, make_job(7).key, Accepted(12.5, HANDLE, by="rescue"))]
    assert HANDLE.request_id in capsys.readouterr().err
    clear_rescued(tmp_path)
    assert list(claim_rescued(tmp_path)) == []
