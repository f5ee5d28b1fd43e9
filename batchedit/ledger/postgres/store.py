"""Creates, migrates and opens a store, with the checks that all users of it rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import NotFoundError
from ...ports import Totals
from .bought_from import BoughtFrom
from .changes import to_counts, to_money
from .connection import connect
from .copies import NOTIFIED
from .durability import Durability, check_durability, read_durability
from .errors import HaltedError, map_postgres_error
from .schema import SCHEMA, check_version, migrate
from .url import check_url, hide_password

IDLE_SECONDS = 4.0
"""For so long a transaction that holds locks may be idle."""


@dataclass(frozen=True, slots=True)
class InitReport:
    """The result of ``init``. ``before`` and ``after`` are versions, ``before`` 0 for a new store; ``where`` has no
    password.
    """

    where: str
    before: int
    after: int
    durable: Durability


@contextmanager
def open_connection(url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection to the database at ``url``; psycopg's errors inside the block are raised as BatcheditErrors."""
    try:
        with connect(check_url(url)) as connection:
            yield connection
    except psycopg.Error as error:
        raise map_postgres_error(error, url) from error


def init(url: str, *, accept_loss: bool) -> InitReport:
    """Create the store, or migrate it to this version; harmless where it has it. Refused where it may lose purchases.

    ``accept_loss`` is kept in the store: a person accepted that the latest purchases may be lost.
    """
    with open_connection(url) as connection:
        durability = read_durability(connection)
        check_durability(durability, hide_password(url), accept_loss=accept_loss)
        before, after = migrate(connection)
        if accept_loss:
            connection.execute(f"UPDATE {SCHEMA}.store SET accept_loss = true")
        return InitReport(hide_password(url), before, after, durability)


class StoreWorker(NamedTuple):
    """A worker as the store has it. Times are epoch seconds of the store's clock; ``lease`` is for how many seconds it
    may still buy. ``jobs`` counts those that it continues, ``sending`` those of them whose POST may be on its way.
    """

    id: int
    name: str
    since: float
    heard: float
    lease: float
    gone: bool
    jobs: int
    sending: int


class OpenRun(NamedTuple):
    """A run of the store that is not at rest, with the facts about it by name."""

    id: int
    name: str
    model: str
    service: BoughtFrom
    facts: Mapping[str, str]


_SELECT_DOUBTFUL = f"""
    SELECT id, name, model, service FROM {SCHEMA}.run WHERE halted IS NULL AND EXISTS (
        SELECT 1 FROM {SCHEMA}.job WHERE job.run = run.id AND state = 'in_doubt') ORDER BY id
"""
_SELECT_OPEN = f"""
    SELECT id, name, model, service FROM {SCHEMA}.run WHERE halted IS NULL AND EXISTS (
        SELECT 1 FROM {SCHEMA}.job WHERE job.run = run.id AND (
            state IN ('submitting', 'waiting', 'cancelling', 'fetched')
            OR (state = 'planned' AND wanted AND leave > 0 AND NOT local)
        )) ORDER BY id
"""


def list_open_runs(url: str, name: str | None = None) -> list[OpenRun]:
    """The runs with jobs that are not finished, or the one called ``name``. NotFoundError (66) for an unknown name."""
    return _list_runs(url, name, _SELECT_OPEN)


def list_doubtful_runs(url: str, name: str | None = None) -> list[OpenRun]:
    """The runs with jobs in doubt; else as ``list_open_runs``."""
    return _list_runs(url, name, _SELECT_DOUBTFUL)


def _list_runs(url: str, name: str | None, query: str) -> list[OpenRun]:
    with open_store(url) as connection:
        if name is not None:
            _check_run_exists(connection, name)
        rows = [row for row in connection.execute(query.encode()) if name in {None, row[1]}]
        facts = f"SELECT name, value FROM {SCHEMA}.fact WHERE run = %s"
        return [
            OpenRun(number, run_name, model, BoughtFrom.load(service), dict(connection.execute(facts, (number,))))
            for number, run_name, model, service in rows
        ]


def check_halted(url: str, name: str | None) -> None:
    """HaltedError (74) if one of the runs, or the one called ``name``, is halted."""
    with open_store(url) as connection:
        query = (
            f"SELECT name, halted FROM {SCHEMA}.run WHERE halted IS NOT NULL AND name = coalesce(%s, name) ORDER BY id"
        )
        row = connection.execute(query, (name,)).fetchone()
    if row is not None:
        error = HaltedError(f"nothing is bought in the run {row[0]} any more: {row[1]}")
        error.set_lift_hint(row[0], hide_password(url))
        raise error


_INSERT_NOTIFIED = f"""
    INSERT INTO {SCHEMA}.fact SELECT id, %s, %s FROM {SCHEMA}.run WHERE name = %s
    ON CONFLICT (run, name) DO UPDATE SET value = excluded.value WHERE fact.value <> excluded.value RETURNING run
"""


def is_first_to_tell(url: str, name: str, channel: str, state: str) -> bool:
    """Write that ``channel`` is notified of ``state`` of the run called ``name``. False where that was its last
    notification.
    """
    with open_store(url) as connection:
        _check_run_exists(connection, name)
        return (
            connection.execute(_INSERT_NOTIFIED.encode(), (f"{NOTIFIED}{channel}", state, name)).fetchone() is not None
        )


def has_other_workers(url: str) -> bool:
    """Is there a worker that may still buy?"""
    with open_store(url) as connection:
        query = f"SELECT 1 FROM {SCHEMA}.worker WHERE NOT gone AND lease_until > clock_timestamp() LIMIT 1"
        return connection.execute(query.encode()).fetchone() is not None


def count_workers(url: str, name: str) -> tuple[int, Totals | None]:
    """The number of workers that may still buy and have jobs of the run called ``name``, and its totals; None for no
    such run.
    """
    query = f"""
        SELECT count(DISTINCT worker.id) FROM {SCHEMA}.worker JOIN {SCHEMA}.job ON job.worker = worker.id
        JOIN {SCHEMA}.run ON run.id = job.run
        WHERE run.name = %s AND NOT gone AND lease_until > clock_timestamp()
    """
    with open_store(url) as connection:
        workers = connection.execute(query.encode(), (name,)).fetchone()
        standing = connection.execute(
            f"SELECT {SCHEMA}.standing(id) FROM {SCHEMA}.run WHERE name = %s", (name,)
        ).fetchone()
    totals = Totals(to_counts(standing[0]), to_money(standing[0], believes=False, earlier=0)) if standing else None
    return (int(workers[0]) if workers else 0), totals


def check_run(url: str, name: str) -> None:
    """NotFoundError (66) if there is no run of this name."""
    with open_store(url) as connection:
        _check_run_exists(connection, name)


def _check_run_exists(connection: psycopg.Connection[TupleRow], name: str) -> None:
    names = [row[0] for row in connection.execute(f"SELECT name FROM {SCHEMA}.run ORDER BY id")]
    if name not in names:
        raise NotFoundError(f"the store has no run {name}", hint=f"it has: {', '.join(names) or 'none'}")


_SELECT_WORKERS = f"""
    SELECT worker.id, worker.name, extract(epoch FROM since)::float8, extract(epoch FROM heard)::float8,
           CASE WHEN gone THEN 0 ELSE greatest(0, extract(epoch FROM lease_until - clock_timestamp()))::float8 END, gone,
           count(job.id) FILTER (WHERE state != 'planned'), count(job.id) FILTER (WHERE state = 'submitting')
    FROM {SCHEMA}.worker LEFT JOIN {SCHEMA}.job ON job.worker = worker.id
    WHERE NOT gone OR heard > clock_timestamp() - interval '1 day' GROUP BY worker.id ORDER BY gone, worker.id
"""


def list_workers(url: str) -> list[StoreWorker]:
    """The workers that work now, then those that have ended within a day."""
    with open_store(url) as connection:
        return [StoreWorker(*row) for row in connection.execute(_SELECT_WORKERS)]


@contextmanager
def open_store(url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection to a store of this version that keeps what it confirms, or whose loss a person accepted.

    UsageError (64) where there is no store, CheckpointVersionError (74) for another version, CheckpointError (74) for
    one that may forget. psycopg's errors inside the block are raised as by ``map_postgres_error``: 69 for a store that
    is away.
    """
    with open_connection(url) as connection:
        check_version(connection, url)
        row = connection.execute(f"SELECT accept_loss FROM {SCHEMA}.store").fetchone()
        check_durability(read_durability(connection), hide_password(url), accept_loss=bool(row and row[0]))
        yield connection


@contextmanager
def open_transaction(url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """``open_store``, and a transaction. A process that hangs in it would block all workers by its locks: after
    IDLE_SECONDS without a statement the store ends it, and nothing of it is written.
    """
    with open_store(url) as connection, connection.transaction():
        connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_SECONDS * 1000)}")
        yield connection


def lift(url: str, name: str) -> str:
    """Allow purchases in a halted run again. Returns why it was halted; "" if it was not. NotFoundError (66) for no
    such run.
    """
    with open_transaction(url) as connection:
        _check_run_exists(connection, name)
        row = connection.execute(f"SELECT id, halted FROM {SCHEMA}.run WHERE name = %s FOR UPDATE", (name,)).fetchone()
        if row is None or row[1] is None:
            return ""
        connection.execute(f"UPDATE {SCHEMA}.run SET halted = NULL WHERE id = %s", (row[0],))
        connection.execute(
            f"INSERT INTO {SCHEMA}.run_event (run, at, name, data) VALUES "
            "(%s, extract(epoch FROM clock_timestamp()), 'HaltLifted', json_build_object('why', %s::text)::text)",
            row,
        )
        return str(row[1])
