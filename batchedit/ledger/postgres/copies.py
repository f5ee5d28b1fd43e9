"""A run of the store and its copy in a folder: brought up to date from the store, and the store from an intake in the copy.

The store is the only truth. The copy is what the folder's commands read, and may be thrown away: it is made anew wherever it
does not belong to what the store says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import psycopg
from psycopg.rows import TupleRow

from ...core.errors import StoppedError
from ...core.words import pluralize
from ..codec import STATE_COLUMNS
from ..facts import NO, STORE_PLAY, YES
from ..rescue import ID_NOT_TAKEN_IN
from ..sqlite_file import SqliteFile
from ..state_totals import recount
from .bought_from import BoughtFrom
from .bulk import copy_in
from .errors import HaltedError
from .marks import FLAGS_MARK, Ask, follow_flags, follow_marks
from .schema import SCHEMA

GIVING = "giving"
"""The fact of a copy that was changed and did not hear yet that the store has the change: another one may have won."""
OWN_FACTS = frozenset(
    {"lifetimes", "max_cost", "top_price", "model", "results_written", "service", "store", "store_run", "store_tx"}
    | {FLAGS_MARK, GIVING, STORE_PLAY}
)
"""Facts that a copy keeps for itself, or that stand elsewhere in the store."""
TOLD = "told:"
"""What a fact's name begins with that says what a channel was told last: the store's alone."""
_STATES = STATE_COLUMNS.count(",") + 1
_MARKS = ", ".join("?" * _STATES)
_OF_JOB = ", ".join(f"job.{name.strip()}" for name in STATE_COLUMNS.split(","))
_REQUEST = "key, slot, inputs, name, size, variant, revision, version"

_COME = "(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint)"
"""The number that the next transaction gets. It is asked in the statement that it bounds, for of one moment later a job's
serial would cover an event that is left out, and that is never asked for again.
"""
_NEWS = f"""
    SELECT event.job, event.serial, event.at, event.name, event.state, event.data, job.serial, {_OF_JOB}
    FROM {SCHEMA}.event JOIN {SCHEMA}.job ON job.run = event.run AND job.id = event.job
    WHERE event.run = %s AND event.tx >= %s AND (event.tx < {_COME} OR %s) ORDER BY event.seq
"""
"""Of one moment: an event and the job as it stands, so that a job's serial covers every event that is seen of it."""
_UPDATE = f"UPDATE jobs SET ({STATE_COLUMNS}, serial) = ({_MARKS}, ?) WHERE id = ?"
_EVENT = "INSERT INTO events (job, at, name, state, data) VALUES (?, ?, ?, ?, ?)"


_RUN_NEWS = f"""
    SELECT at, name, data FROM {SCHEMA}.run_event WHERE run = %s AND tx >= %s AND (tx < {_COME} OR %s) ORDER BY seq
"""
_RUN_EVENT = """
    INSERT INTO run_events (at, name, data)
    SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM run_events WHERE at = ? AND name = ? AND data = ?)
"""
_ORPHANS = f"""
    SELECT extract(epoch FROM written_at)::float8, job, stood, data FROM {SCHEMA}.orphan WHERE run = %s ORDER BY written_at
"""
"""Ids that came when their job was somewhere else already. There are hardly any, so all are read each time."""


def take_news(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the copy up to date: events that it has not, and the jobs as they stand; the cap, and what was charged.

    Transactions that are older than all that run are complete: those from there on are read again next time.

    A store that was dumped and restored counts its transactions anew, and its events keep the numbers that they had: then
    all are read, once. What has a number that is still to come was read then.

    HaltedError where the store was restored to a moment before this copy's: it would buy again what only the copy knows of.
    Nobody buys in the run any more.
    """
    since = int(copy.get("store_tx") or 0)
    ((horizon,),) = ask("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    counts_anew = since > horizon
    if counts_anew:
        since = 0
        _check_forgotten(copy, ask, run)
    _write_news(copy, ask(_NEWS, run, since, counts_anew))
    ((cap, top, service),) = ask(f"SELECT max_cost, top_price, service FROM {SCHEMA}.run WHERE id = %s", run)
    bought_from = BoughtFrom.load(service)
    play = YES if bought_from.own_sandbox else NO
    news = [*ask(_RUN_NEWS, run, since, counts_anew), *(_as_event(*orphan) for orphan in ask(_ORPHANS, run))]
    with copy.transaction() as db:
        db.executemany(_RUN_EVENT, [(*told, *told) for told in news])  # ?1 is deprecated in Python 3.12.1
        facts = (("max_cost", "" if cap is None else str(cap)), ("top_price", str(top)), ("store_tx", str(horizon)))
        for name, value in (*facts, (STORE_PLAY, play), ("service", bought_from.address)):
            copy.put_in(db, name, value)
    follow_marks(copy, ask, run)
    follow_flags(copy, ask, run)


def _check_forgotten(copy: SqliteFile, ask: Ask, run: int) -> None:
    known = dict(copy.rows("SELECT id, serial FROM jobs WHERE serial > 0"))
    for job, serial in ask(f"SELECT id, serial FROM {SCHEMA}.job WHERE run = %s", run):
        if known.get(job, 0) <= serial:
            known.pop(job, None)
    if known:
        jobs = pluralize(len(known), "job")
        why = f"the store holds less of {jobs} than the copy of the run in {copy.path.parent} has: it went back in time"
        ask(f"SELECT {SCHEMA}.halt(%s, %s)", run, why)
        error = HaltedError(why)
        error.ends_with(copy.path.resolve().parent.name, copy.get("store") or "")
        error.hint = (
            f"the ids of what it has forgotten are in {copy.path}: move that file away and keep it; {error.hint}"
        )
        raise error


def _as_event(at: float, job: int, stood: str, data: str) -> tuple[float, str, str]:
    """An orphan as the run's event of an id that is in no sum, where ``audit`` finds it."""
    accepted = orjson.loads(data)
    told = {"job": job, "accepted_at": accepted["at"], "handle": accepted["handle"], "stands": f"has it as {stood}"}
    return at, ID_NOT_TAKEN_IN, orjson.dumps(told).decode()


def _write_news(copy: SqliteFile, rows: Sequence[TupleRow]) -> None:
    with copy.transaction() as db:
        serials: dict[int, int] = {}
        for job, serial, at, name, state, data, stands, *values in rows:
            if job not in serials:
                found = db.execute("SELECT serial FROM jobs WHERE id = ?", (job,)).fetchone()
                serials[job] = found[0] if found else stands
            if serial <= serials[job]:
                continue
            _add_event(db, job, at, name, state, data)
            db.execute(_UPDATE, (*_plain(values), stands, job))


def _add_event(db: sqlite3.Connection, job: int, at: float, name: str, state: str, data: str) -> None:
    db.execute(_EVENT, (job, at, name, state, data))
    if name in {"Accepted", "Reused"}:
        told = orjson.loads(data)
        db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?)", (told["handle"]["request_id"], job))
        if name == "Reused":
            db.execute("INSERT OR IGNORE INTO reused VALUES (?, ?)", (job, told["run"]))


def _plain(values: Iterable[Any]) -> list[Any]:
    return [int(value) if isinstance(value, bool) else value for value in values]


def take_all(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int) -> None:
    """Fill an empty copy with everything that the store has of the run. The connection is in one moment's transaction."""
    jobs = f"""
        SELECT request.id, {_REQUEST}, wanted::int, job.serial, {_OF_JOB} FROM {SCHEMA}.request
        JOIN {SCHEMA}.job USING (run, id) WHERE run = %s ORDER BY id
    """
    marks = ", ".join("?" * (_REQUEST.count(",") + 4 + _STATES))
    insert = f"INSERT INTO jobs (id, {_REQUEST}, wanted, serial, {STATE_COLUMNS}) VALUES ({marks})"
    with copy.transaction() as db:
        for row in _all(connection, jobs, run):
            db.execute(insert, _plain(row))
        for row in _all(connection, _EVENTS, run):
            _add_event(db, *row)
        db.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", _all(connection, _LINES, run))
        db.executemany("INSERT INTO redone VALUES (?, ?)", _all(connection, _REDONE, run))
        db.executemany("INSERT INTO run_events (at, name, data) VALUES (?, ?, ?)", _all(connection, _RUN_EVENTS, run))
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _all(connection, _FACTS, run))
        db.executemany("INSERT INTO flags VALUES (?, ?)", _all(connection, _FLAGS, run))
        db.execute("CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (key)")
        db.execute("CREATE INDEX IF NOT EXISTS jobs_slot ON jobs (slot, version)")
        recount(db)


_EVENTS = f"SELECT job, at, name, state, data FROM {SCHEMA}.event WHERE run = %s ORDER BY seq"
_LINES = f"SELECT n, row, id, job, problems, over FROM {SCHEMA}.line WHERE run = %s ORDER BY n"
_REDONE = f"SELECT job, by_job FROM {SCHEMA}.redone WHERE run = %s"
_RUN_EVENTS = f"SELECT at, name, data FROM {SCHEMA}.run_event WHERE run = %s ORDER BY seq"
_FLAGS = f"SELECT job, flags FROM {SCHEMA}.flag WHERE run = %s"
_FACTS = f"SELECT name, value FROM {SCHEMA}.fact WHERE run = %s"


def _all(connection: psycopg.Connection[TupleRow], query: str, run: int) -> Iterable[TupleRow]:
    with connection.cursor(name="all") as cursor:
        cursor.execute(query.encode(), (run,))
        yield from cursor


def give_intake(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int, before: str) -> None:
    """Make what the manifest asks for in the store what it is in the copy: new jobs, wanted ones, lines, facts.

    The connection is in a transaction. ``before``: the copy's last committed id before it changed; StoppedError if the
    store has another.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('batchedit intake'), %s::int)", (run,))
    row = connection.execute(
        f"SELECT value FROM {SCHEMA}.fact WHERE run = %s AND name = 'committed_id'", (run,)
    ).fetchone()
    if (row[0] if row else "0") != (before or "0"):
        raise StoppedError("somebody else took a manifest into this run meanwhile", hint="the same command sees both")
    new = copy.rows(f"SELECT id, {_REQUEST} FROM jobs WHERE id > ? ORDER BY id", (int(before or 0),))
    copy_in(connection, f"{SCHEMA}.request (run, id, {_REQUEST})", ((run, *row) for row in new))
    query = "SELECT id, wanted, instr(inputs, '\"$file\"') FROM jobs WHERE id > ? ORDER BY id"
    new = copy.rows(query, (int(before or 0),))
    anywhere = bool(copy.get("files_url"))  # local pictures are in the store of files, for every worker
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
        if name not in OWN_FACTS and not name.startswith(TOLD):
            put_fact(connection, run, name, value)


def _give_changes(copy: SqliteFile, connection: psycopg.Connection[TupleRow], run: int, last: int) -> None:
    """Of the jobs that were there: which are wanted now, and where their pictures are by now."""
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
    """A fact of the run, by name."""
    query = (
        f"INSERT INTO {SCHEMA}.fact VALUES (%s, %s, %s) ON CONFLICT (run, name) DO UPDATE SET value = excluded.value"
    )
    connection.execute(query, (run, name, value))
