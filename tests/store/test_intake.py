"""Many jobs at once into the store: the text that goes there, and what a statement proves of all its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from batchedit.core.model import Handle, Job, JobKey, Record, State
from batchedit.ledger.postgres.bulk import BLOCK_ROWS, copy_in
from batchedit.ledger.postgres.intake import NewJob, add_jobs, add_run, analyze
from batchedit.ledger.postgres.schema import find_newest_version, migrate
from tests.support.postgres import MODEL, new_database, older_store, shared_store

pytestmark = pytest.mark.process


@pytest.fixture
def store() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_store()) as connection:
        yield connection
        connection.rollback()


def new(number: int, **about: Any) -> NewJob:
    return NewJob(Record(number, Job(JobKey(number.to_bytes(16, "big")), MODEL, "{}", f"ad-{number}"), **about), number)


ROWS: Sequence[tuple[Any, ...]] = [
    ("plain", 1, 0.1, True, b"\x00\xff\\", None),
    ("", -1, -0.0, False, b"", "not NULL"),
    ("\\", 2**62, 1e300, True, b"\n", "\\N"),
    ("\\.", 0, 1 / 3, True, b"\t", r"C:\new\table\r"),
    ("a\tb\nc\rd\r\n", 0, 5e-324, False, b"x" * 9, None),
    ("Grüße, 東京, \U0001f600, \u2028\x0b\x0c\x1f\x85", 1, 2.0, False, b"\\x", ""),
    ('{"prompt":"say \\"hi\\"\\n"}', 1, 2.0, False, b"'", " "),
]


@pytest.mark.parametrize("times", [1, BLOCK_ROWS])
def test_every_text_comes_in_as_it_is(store: psycopg.Connection[Any], times: int) -> None:
    store.execute("CREATE TEMPORARY TABLE t (n serial, a text, b bigint, c float8, d boolean, e bytea, f text)")
    sent = [*ROWS * (times // len(ROWS) + 1), *ROWS[:3]]  # more than a block, and not a multiple of anything
    copy_in(store, "t (a, b, c, d, e, f)", iter(sent))
    assert store.execute("SELECT a, b, c, d, e, f FROM t ORDER BY n").fetchall() == sent
    copy_in(store, "t (a)", iter([]))
    for alone in ("\\N", "\\.", ""):  # a table of one column, where such a line has a meaning of its own
        copy_in(store, "t (a)", [(alone,)])
        assert store.execute("SELECT a FROM t ORDER BY n DESC LIMIT 1").fetchone() == (alone,)


@pytest.mark.parametrize("wrong", ["a\0b", "\0", "\ud800"])
def test_a_text_that_postgresql_cannot_hold_is_refused(store: psycopg.Connection[Any], wrong: str) -> None:
    store.execute("CREATE TEMPORARY TABLE t (a text)")
    with pytest.raises((psycopg.DataError, UnicodeEncodeError)):
        copy_in(store, "t (a)", [("good",), (wrong,)])


def test_a_refusal_of_the_server_ends_the_sending(store: psycopg.Connection[Any]) -> None:
    """It came out as the error of the next block: "current transaction is aborted"."""
    store.execute("CREATE TEMPORARY TABLE t (a bigint UNIQUE)")
    made = 0

    def rows() -> Iterator[tuple[int]]:
        nonlocal made
        for made in range(20 * BLOCK_ROWS):
            yield (made if made != BLOCK_ROWS + 7 else 3,)

    with pytest.raises(psycopg.errors.UniqueViolation):
        copy_in(store, "t (a)", rows())
    assert made < 10 * BLOCK_ROWS


def test_what_makes_the_rows_may_fail(store: psycopg.Connection[Any]) -> None:
    store.execute("CREATE TEMPORARY TABLE t (a bigint)")

    def rows() -> Iterator[tuple[int]]:
        yield from ((n,) for n in range(3 * BLOCK_ROWS))
        raise LookupError("the manifest ends here")

    with pytest.raises(LookupError), store.transaction():
        copy_in(store, "t (a)", rows())
    store.execute("SELECT 1")


def test_a_job_that_has_a_past_keeps_it_beside_new_ones(store: psycopg.Connection[Any]) -> None:
    run = add_run(store, "past", MODEL, "sandbox")
    waits = new(2, state=State.WAITING, serial=3, attempts=1, reserved=40_000, handle=Handle("r-2"), submitted_at=1.0)
    assert (
        add_jobs(
            store, run, [new(1)._replace(approved_purchases=4), waits, new(3, serial=1), new(4)._replace(wanted=False)]
        )
        == 4
    )
    columns = "id, state, serial, leave, held, request_id, submitted_at, wanted"
    assert store.execute(f"SELECT {columns} FROM batchedit.job WHERE run = %s ORDER BY id", (run,)).fetchall() == [
        (1, "planned", 0, 4, 0, None, None, True),
        (2, "waiting", 3, 0, 40_000, "r-2", 1.0, True),
        (3, "planned", 1, 0, 0, None, None, True),
        (4, "planned", 0, 0, 0, None, None, False),
    ]


def test_the_sums_are_right_however_jobs_come_in(store: psycopg.Connection[Any]) -> None:
    run = add_run(store, "sums", MODEL, "sandbox")
    add_jobs(store, run, (new(n) for n in range(1, 2 * BLOCK_ROWS + 4)))
    store.execute("UPDATE batchedit.job SET wanted = false, writer = 1 WHERE run = %s AND id %% 2 = 0", (run,))
    done = new(0, state=State.FAILED, cost=30_000, cost_known=False, earlier_spent=5).record
    add_jobs(store, run, [NewJob(done._replace(id=3 * BLOCK_ROWS, job=done.job._replace(key=JobKey(b"k" * 16))), 1)])
    sums = store.execute(
        "SELECT state, wanted, sum(jobs), sum(spent), sum(guesses), sum(guessed) FROM batchedit.tally "
        "WHERE run = %s GROUP BY state, wanted ORDER BY state, wanted",
        (run,),
    ).fetchall()
    assert sums == [
        ("failed", True, 1, 30_005, 1, 30_000),
        ("planned", False, BLOCK_ROWS + 1, 0, 0, 0),
        ("planned", True, BLOCK_ROWS + 2, 0, 0, 0),
    ]


# --- what foreign keys proved of every row is proved of every statement ---


def refused(store: psycopg.Connection[Any], query: str, *values: object) -> str:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as raised, store.transaction():
        store.execute(query.encode(), values)
    return str(raised.value)


def test_a_job_without_a_request_is_refused_and_all_that_came_with_it(store: psycopg.Connection[Any]) -> None:
    """One row among thousands, and in the middle of them."""
    run = add_run(store, "no request", MODEL, "sandbox")
    add_jobs(store, run, (new(n) for n in range(1, 6)))
    requests = [(run, n, n.to_bytes(16, "big"), n, "{}", "ad", "", 1, 0, 1) for n in range(6, 3_000) if n != 2_000]
    copy_in(store, bulk_request(), requests)
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"the job 2000 of the run {run} has no"),
        store.transaction(),
    ):
        copy_in(store, "batchedit.job (run, id, wanted)", ((run, n, True) for n in range(6, 3_000)))
    assert store.execute("SELECT count(*) FROM batchedit.job WHERE run = %s", (run,)).fetchone() == (5,)
    copy_in(store, "batchedit.job (run, id, wanted)", ((run, n, True) for n in range(6, 3_000) if n != 2_000))


def bulk_request() -> str:
    return "batchedit.request (run, id, key, slot, inputs, name, size, variant, revision, version)"


def test_the_request_of_another_run_is_none(store: psycopg.Connection[Any]) -> None:
    run, other = (add_run(store, name, MODEL, "sandbox") for name in ("one", "other"))
    add_jobs(store, run, [new(1)])
    message = refused(store, "INSERT INTO batchedit.job (run, id, wanted) VALUES (%s, 1, true)", other)
    assert f"the job 1 of the run {other} has no request" in message


def test_what_belongs_to_no_run_is_refused(store: psycopg.Connection[Any]) -> None:
    request = "INSERT INTO batchedit.request VALUES (%s, 1, %s, 1, '{}', 'ad', '', 1, 0, 1)"
    assert "the table request names the run 999999" in refused(store, request, 999_999, bytes(16))
    line = "INSERT INTO batchedit.line (run, n, row, id) VALUES (%s, 1, 1, 'ad')"
    assert "the table line names the run 999999" in refused(store, line, 999_999)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM batchedit.request WHERE run = %s",
        "UPDATE batchedit.request SET id = id + 7 WHERE run = %s",
        "UPDATE batchedit.job SET id = id + 7 WHERE run = %s",
        "UPDATE batchedit.line SET run = run + 7 WHERE run = %s",
        "DELETE FROM batchedit.run WHERE id = %s",
        "TRUNCATE batchedit.request CASCADE",
        "TRUNCATE batchedit.run CASCADE",
    ],
)
def test_what_others_lean_on_stays(store: psycopg.Connection[Any], statement: str) -> None:
    run = add_run(store, "stays", MODEL, "sandbox")
    add_jobs(store, run, [new(1)])
    assert "stays, and so does its number" in refused(store, statement, *[run] * statement.count("%s"))


def test_a_store_of_before_has_its_jobs_and_refuses_the_same() -> None:
    url = new_database(store=False)
    older_store(url)
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            run = add_run(connection, "old", MODEL, "sandbox")
            add_jobs(connection, run, [new(1), new(2)])
        assert migrate(connection) == (find_newest_version() - 1, find_newest_version())
        add_jobs(connection, run, [new(3)])
        refused(connection, "INSERT INTO batchedit.job (run, id, wanted) VALUES (%s, 4, true)", run)
        refused(connection, "DELETE FROM batchedit.request WHERE run = %s", run)
        counted = connection.execute("SELECT sum(jobs) FROM batchedit.tally WHERE run = %s", (run,)).fetchone()
    assert counted == (3,)


def test_a_large_intake_is_checked_by_the_key() -> None:
    """A plan that was made while the table was small read all of it for each block."""
    with psycopg.connect(new_database(), autocommit=True) as connection:
        run = add_run(connection, "large", MODEL, "sandbox")
        add_jobs(connection, run, [new(n) for n in range(1, 4)])
        analyze(connection)
        add_jobs(connection, run, [new(4)])
        before = _read(connection)
        with connection.transaction():
            add_jobs(connection, run, (new(n) for n in range(5, 3 * BLOCK_ROWS)))
        assert _read(connection) - before < BLOCK_ROWS, (
            "rows of the table of requests that were read one after the other"
        )


def _read(connection: psycopg.Connection[Any]) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    query = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relid = 'batchedit.request'::regclass"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
