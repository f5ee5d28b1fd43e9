"""Opening a run of a store: the store's run is found or made, and its copy in the folder is made or brought up to date."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import NotFoundError, UsageError
from ...core.typed import quote_word
from ..opening import create_checkpoint, open_as, open_checkpoint, reading, remove_checkpoint
from ..sqlite import SqliteCheckpoint
from .bought_from import BoughtFrom
from .copies import GIVING, take_all, take_news
from .errors import mapped
from .imports import IMPORTING, cut_off
from .intake import add_run
from .ledger import PostgresLedger
from .marks import Ask
from .schema import SCHEMA
from .shared import SharedCheckpoint
from .store import opened
from .url import blotted

_SAME = ("committed_id", "fingerprint", "lines_mark")
"""Facts that say which intake a copy has: one that has another is made anew."""


def open_shared(path: Path, url: str, *, model: str, service: BoughtFrom) -> SharedCheckpoint:
    """The run of the store at ``url`` that is named as the folder of ``path``, made if there is none; ``path`` is its copy.

    UsageError (64) where the folder holds a run of its own, or the store's run is of another model or service.
    """
    name, where = path.parent.name, blotted(url)
    _check_whole(path)
    with opened(url) as connection:
        run = _find(connection, name, model, service)
    _make_copy(path, where, run, model, service.address)
    ledger = PostgresLedger(url, run, model, path.parent)
    try:
        copy = open_as(lambda at, db: SharedCheckpoint(at, db, ledger, url), path)
        if _is_other(copy, ledger.ask, run):
            SqliteCheckpoint.close(copy)
            remove_checkpoint(path)
            _make_copy(path, where, run, model, service.address)
            copy = open_as(lambda at, db: SharedCheckpoint(at, db, ledger, url), path)
            _fill(copy, url, run)
        copy.refresh()
    except BaseException:
        ledger.close()
        raise
    return copy


def _check_whole(path: Path) -> None:
    """UsageError (64) where the folder's run was being taken over into a store, and that was cut off."""
    if path.exists():
        with reading(path) as there:
            if there.get("store_run") == IMPORTING:
                raise cut_off(path.parent, there.get("store") or "")


def _find(connection: psycopg.Connection[TupleRow], name: str, model: str, service: BoughtFrom) -> int:
    query = f"SELECT id, model, service FROM {SCHEMA}.run WHERE name = %s"
    row = connection.execute(query, (name,)).fetchone()
    if row is None:
        try:
            return add_run(connection, name, model, service.dump())
        except psycopg.errors.UniqueViolation:  # somebody else has begun it since
            row = connection.execute(query, (name,)).fetchone()
            if row is None:  # and it is gone again
                raise
    kept = BoughtFrom.load(row[2])
    for what, found, wanted in (("model", row[1], model), ("service", kept.address, service.address)):
        if found != wanted:
            raise UsageError(
                f"the run {name} of the store buys with the {what} {found}, not {wanted}",
                hint=f"for a run of its own the same command with: --out {quote_word(f'outputs/{name}-2')}",
            )
    if refused := kept.refusal(name, service):
        raise refused
    return int(row[0])


def _make_copy(path: Path, where: str, run: int, model: str, service: str) -> None:
    if not path.exists():
        made = create_checkpoint(path, model=model, service=service)
        made.put("store", where)
        made.put("store_run", str(run))
        made.close()
        return
    there = open_checkpoint(path, read_only=True)
    try:
        if there.get("store") != where or there.get("store_run") != str(run):
            raise UsageError(
                f"the run in {path.parent} is not that of the store {where}", hint="give another folder with --out DIR"
            )
    finally:
        there.close()


def bring_up_to_date(path: Path, url: str) -> None:
    """Make the copy at ``path`` what the store has of the run that is named as its folder. The caller holds the run's lock.

    NotFoundError (66) where the store has no such run.
    """
    name, where = path.parent.name, blotted(url)
    _check_whole(path)
    with opened(url) as connection:

        def ask(query: str, *values: object) -> list[TupleRow]:
            return connection.execute(query.encode(), values).fetchall()

        rows = ask(f"SELECT id, model, service FROM {SCHEMA}.run WHERE name = %s", name)
        if not rows:
            raise NotFoundError(f"the store {where} has no run {name}", hint="look at the name, or leave --store out")
        run, model, service = rows[0][0], rows[0][1], BoughtFrom.load(rows[0][2]).address
        _make_copy(path, where, run, model, service)
        copy = open_as(SqliteCheckpoint, path)
        try:
            if _is_other(copy, ask, run):
                copy.close()
                remove_checkpoint(path)
                _make_copy(path, where, run, model, service)
                copy = open_as(SqliteCheckpoint, path)
                _fill(copy, url, run)
            take_news(copy, ask, run)
        finally:
            copy.close()


def _is_other(copy: SqliteCheckpoint, ask: Ask, run: int) -> bool:
    """Has the copy another intake than the store, or one that it could not give?"""
    if SqliteCheckpoint.get(copy, GIVING):
        return True
    told: dict[str, str] = dict(ask(f"SELECT name, value FROM {SCHEMA}.fact WHERE run = %s", run))
    return any((told.get(name) or "") != (SqliteCheckpoint.get(copy, name) or "") for name in _SAME)


def _fill(copy: SqliteCheckpoint, url: str, run: int) -> None:
    try:
        with opened(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                row = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
                take_all(copy, connection, run)
            SqliteCheckpoint.put(copy, "store_tx", str(row[0] if row else 0))
    except psycopg.Error as error:
        raise mapped(error, url) from error
