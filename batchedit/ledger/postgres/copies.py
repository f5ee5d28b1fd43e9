"""A run of the store and its copy in a folder: the copy is updated from the store, and the store from an intake in the
copy.

The store is the only source of truth. The folder's commands read the copy, and it may be deleted: it is built again
where it does not match the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import psycopg
from psycopg.rows import TupleRow

from ...core.errors import StoppedError
from ...core.plurals_and_durations import pluralize
from ..codec import REQUEST_COLUMNS, STATE_COLUMNS
from ..rescue_file import ID_NOT_TAKEN_IN
from ..run_facts import NO, STORE_PLAY, YES
from ..sqlite_file import SqliteFile
from ..state_totals import recount
from .bought_from import BoughtFrom
from .bulk import copy_in
from .decisions import FLAGS_VERSION, Ask, follow_decisions, follow_flags
from .errors import HaltedError
from .schema import SCHEMA

GIVING = "giving"
"""The fact of a copy with a change that the store has not confirmed: a change from elsewhere may have come first."""
OWN_FACTS = frozenset(
    {"lifetimes", "max_cost", "top_price", "model", "results_written", "service", "store", "store_run", "store_tx"}
    | {FLAGS_VERSION, GIVING, STORE_PLAY}
)
"""Facts that belong to the copy alone, or that are stored elsewhere in the store."""
NOTIFIED = "told:"
"""The prefix of facts with the last message to a notification channel: they belong to the store alone."""
_STATE_COUNT = STATE_COLUMNS.count(",") + 1
_PLACEHOLDERS = ", ".join("?" * _STATE_COUNT)
_JOB_COLUMNS = ", ".join(f"job.{name.strip()}" for name in STATE_COLUMNS.split(","))

_NEXT_TX = "(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint)"
"""The number of the next transaction. It is read in the same statement that it bounds: read a moment later, a job's
serial would cover an event that is left out and never read again.
"""
_SELECT_NEWS = f"""
    SELECT event.job, event.serial, event.at, event.name, event.state, event.data, job.serial, {_JOB_COLUMNS}
    FROM {SCHEMA}.event JOIN {SCHEMA}.job ON job.run = event.run AND job.id = event.job
    WHERE event.run = %s AND event.tx >= %s AND (event.tx < {_NEXT_TX} OR %s) ORDER BY event.seq
"""
"""One snapshot: events and the present state of their jobs, so that a job's serial covers all its events that are read."""
_UPDATE_JOB = f"UPDATE jobs SET ({STATE_COLUMNS}, serial) = ({_PLACEHOLDERS}, ?) WHERE id = ?"
_INSERT_EVENT = "INSERT INTO events (job, at, name, state, data) VALUES (?, ?, ?, ?, ?)"


_SELECT_RUN_NEWS = f"""
    SELECT at, name, data FROM {SCHEMA}.run_event WHERE run = %s AND tx >= %s AND (tx < {_NEXT_TX} OR %s) ORDER BY seq
"""
_INSERT_RUN_EVENT = """
    INSERT INTO run_events (at, name, data)
    SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM run_events WHERE at = ? AND name = ? AND data = ?)
"""
_SELECT_ORPHANS = f"""
    SELECT extract(epoch FROM written_at)::float8, job, stood, data FROM {SCHEMA}.orphan WHERE run = %s ORDER BY written_at
"""
"""Ids that arrived when their job had moved on already. They are rare, so all are read each time."""


def take_news(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the copy up to date: missing events, and the present state of their jobs; the cap, and the top price.

    Transactions that are older than all running ones are complete: those from there on are read again next time.

    A store that was dumped and restored counts its transactions from the start again, while its events keep their
    numbers: then all are read, once. Events with a number that is still to come were read then.

    HaltedError where the store was restored to a moment before this copy's: it would buy again what only the copy has.
    No worker buys in the run any more.
    """
    since = int(copy.get("store_tx") or 0)
    ((horizon,),) = ask("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    counter_restarted = since > horizon
    if counter_restarted:
        since = 0
        _check_not_restored(copy, ask, run)
    _write_news(copy, ask(_SELECT_NEWS, run, since, counter_restarted))
    ((cap, top_price, service),) = ask(f"SELECT max_cost, top_price, service FROM {SCHEMA}.run WHERE id = %s", run)
    bought_from = BoughtFrom.load(service)
    play_money = YES if bought_from.own_sandbox else NO
    run_events = [
        *ask(_SELECT_RUN_NEWS, run, since, counter_restarted),
        *(_to_run_event(*orphan) for orphan in ask(_SELECT_ORPHANS, run)),
    ]
    with copy.transaction() as db:
        db.executemany(
            _INSERT_RUN_EVENT, [(*run_event, *run_event) for run_event in run_events]
        )  # ?1 is deprecated in Python 3.12.1
        facts = (
            ("max_cost", "" if cap is None else str(cap)),
            ("top_price", str(top_price)),
            ("store_tx", str(horizon)),
        )
        for name, value in (*facts, (STORE_PLAY, play_money), ("service", bought_from.address)):
            copy.put_in(db, name, value)
    follow_decisions(copy, ask, run)
    follow_flags(copy, ask, run)


def _check_not_restored(copy: SqliteFile, ask: Ask, run: int) -> None:
    ahead_of_store = dict(copy.rows("SELECT id, serial FROM jobs WHERE serial > 0"))
    for job, serial in ask(f"SELECT id, serial FROM {SCHEMA}.job WHERE run = %s", run):
        if ahead_of_store.get(job, 0) <= serial:
            ahead_of_store.pop(job, None)
    if ahead_of_store:
        jobs = pluralize(len(ahead_of_store), "job")
        reason = (
            f"the store holds less of {jobs} than the copy of the run in {copy.path.parent} has: it went back in time"
        )
        ask(f"SELECT {SCHEMA}.halt(%s, %s)", run, reason)
        error = HaltedError(reason)
        error.set_lift_hint(copy.path.resolve().parent.name, copy.get("store") or "")
        error.hint = (
            f"the ids of what it has forgotten are in {copy.path}: move that file away and keep it; {error.hint}"
        )
        raise error


def _to_run_event(at: float, job: int, state: str, data: str) -> tuple[float, str, str]:
    """An orphan as an event of the run, where ``audit`` finds it: an id that is in no sum."""
    accepted = orjson.loads(data)
    fields = {"job": job, "accepted_at": accepted["at"], "handle": accepted["handle"], "stands": f"has it as {state}"}
    return at, ID_NOT_TAKEN_IN, orjson.dumps(fields).decode()


def _write_news(copy: SqliteFile, rows: Sequence[TupleRow]) -> None:
    with copy.transaction() as db:
        serials: dict[int, int] = {}
        for job, serial, at, name, state, data, job_serial, *values in rows:
            if job not in serials:
                row = db.execute("SELECT serial FROM jobs WHERE id = ?", (job,)).fetchone()
                serials[job] = row[0] if row else job_serial
            if serial <= serials[job]:
                continue
            _add_event(db, job, at, name, state, data)
            db.execute(_UPDATE_JOB, (*_to_sqlite_values(values), job_serial, job))


def _add_event(db: sqlite3.Connection, job: int, at: float, name: str, state: str, data: str) -> None:
    db.execute(_INSERT_EVENT, (job, at, name, state, data))
    if name in {"Accepted", "Reused"}:
        fields = orjson.loads(data)
        db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?)", (fields["handle"]["request_id"], job))
        if name == "Reused":
            db.execute("INSERT OR IGNORE INTO reused VALUES (?, ?)", (job, fields["run"]))


def _to_sqlite_values(values: Iterable[Any]) -> list[Any]:
    return [int(value) if isinstance(value, bool) else value for value in values]


def take_all(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int) -> None:
    """Fill an empty copy with everything that the store has of the run. The connection is in a snapshot transaction."""
    select_jobs = f"""
        SELECT request.id, {REQUEST_COLUMNS}, wanted::int, job.serial, {_JOB_COLUMNS} FROM {SCHEMA}.request
        JOIN {SCHEMA}.job USING (run, id) WHERE run = %s ORDER BY id
    """
    placeholders = ", ".join("?" * (REQUEST_COLUMNS.count(",") + 4 + _STATE_COUNT))
    insert_job = f"INSERT INTO jobs (id, {REQUEST_COLUMNS}, wanted, serial, {STATE_COLUMNS}) VALUES ({placeholders})"
    with copy.transaction() as db:
        for row in _stream_rows(connection, select_jobs, run):
            db.execute(insert_job, _to_sqlite_values(row))
        for row in _stream_rows(connection, _EVENTS, run):
            _add_event(db, *row)
        db.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", _stream_rows(connection, _LINES, run))
        db.executemany("INSERT INTO redone VALUES (?, ?)", _stream_rows(connection, _REDONE, run))
        db.executemany(
            "INSERT INTO run_events (at, name, data) VALUES (?, ?, ?)", _stream_rows(connection, _RUN_EVENTS, run)
        )
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _stream_rows(connection, _FACTS, run))
        db.executemany("INSERT INTO flags VALUES (?, ?)", _stream_rows(connection, _FLAGS, run))
        db.execute("CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (key)")
        db.execute("CREATE INDEX IF NOT EXISTS jobs_slot ON jobs (slot, version)")
        recount(db)


_EVENTS = f"SELECT job, at, name, state, data FROM {SCHEMA}.event WHERE run = %s ORDER BY seq"
_LINES = f"SELECT n, row, id, job, problems, over FROM {SCHEMA}.line WHERE run = %s ORDER BY n"
_REDONE = f"SELECT job, by_job FROM {SCHEMA}.redone WHERE run = %s"
_RUN_EVENTS = f"SELECT at, name, data FROM {SCHEMA}.run_event WHERE run = %s ORDER BY seq"
_FLAGS = f"SELECT job, flags FROM {SCHEMA}.flag WHERE run = %s"
_FACTS = f"SELECT name, value FROM {SCHEMA}.fact WHERE run = %s"


def _stream_rows(connection: psycopg.Connection[TupleRow], query: str, run: int) -> Iterable[TupleRow]:
    with connection.cursor(name="all") as cursor:
        cursor.execute(query.encode(), (run,))
        yield from cursor


def give_intake(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int, before: str) -> None:
    """Write the copy's intake to the store: new jobs, wanted ones, lines, facts.

    The connection is in a transaction. ``before`` is the copy's last committed id before the intake; StoppedError if
    the store has another.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('batchedit intake'), %s::int)", (run,))
    row = connection.execute(
        f"SELECT value FROM {SCHEMA}.fact WHERE run = %s AND name = 'committed_id'", (run,)
    ).fetchone()
    if (row[0] if row else "0") != (before or "0"):
        raise StoppedError("somebody else took a manifest into this run meanwhile", hint="the same command sees both")
    new = copy.rows(f"SELECT id, {REQUEST_COLUMNS} FROM jobs WHERE id > ? ORDER BY id", (int(before or 0),))
    copy_in(connection, f"{SCHEMA}.request (run, id, {REQUEST_COLUMNS})", ((run, *row) for row in new))
    query = "SELECT id, wanted, instr(inputs, '\"$file\"') FROM jobs WHERE id > ? ORDER BY id"
    new = copy.rows(query, (int(before or 0),))
    anywhere = bool(copy.get("files_url"))  # local pictures are in the store of files, available to every worker
    jobs = ((run, job, bool(wanted), bool(local) and not anywhere) for job, wanted, local in new)
    copy_in(connection, f"{SCHEMA}.job (run, id, wanted, local)", jobs)
    _give_changes(copy, connection, run, int(before or 0))
    connection.execute(f"DELETE FROM {SCHEMA}.line WHERE run = %s", (run,))
    lines = copy.rows("SELECT n, row, id, job, problems, over FROM lines ORDER BY n")
    copy_in(connection, f"{SCHEMA}.line (run, n, row, id, job, problems, over)", ((run, *row) for row in lines))
    for job, by_job in copy.rows("SELECT job, by_job FROM redone"):
        connection.execute(
            f"INSERT INTO {SCHEMA}.redone VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (run, job, by_job)
        )
    for name, value in copy.rows("SELECT name, value FROM meta"):
        if name not in OWN_FACTS and not name.startswith(NOTIFIED):
            put_fact(connection, run, name, value)


def _give_changes(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int, last: int) -> None:
    """Update older jobs: which are wanted now, and the present location of their pictures."""
    connection.execute("CREATE TEMPORARY TABLE asked (id bigint, wanted boolean, inputs text) ON COMMIT DROP")
    rows = copy.rows("SELECT id, wanted, inputs FROM jobs WHERE id <= ?", (last,))
    copy_in(connection, "asked (id, wanted, inputs)", ((job, bool(wanted), inputs) for job, wanted, inputs in rows))
    connection.execute(
        f"UPDATE {SCHEMA}.job SET wanted = asked.wanted, writer = 1 FROM asked "
        "WHERE job.run = %s AND job.id = asked.id AND job.wanted != asked.wanted",
        (run,),
    )
    connection.execute(
        f"UPDATE {SCHEMA}.request SET inputs = asked.inputs FROM asked "
        "WHERE request.run = %s AND request.id = asked.id AND request.inputs != asked.inputs",
        (run,),
    )


def put_fact(connection: psycopg.Connection[TupleRow], run: int, name: str, value: str) -> None:
    """Write a fact of the run."""
    query = (
        f"INSERT INTO {SCHEMA}.fact VALUES (%s, %s, %s) ON CONFLICT (run, name) DO UPDATE SET value = excluded.value"
    )
    connection.execute(query, (run, name, value))
