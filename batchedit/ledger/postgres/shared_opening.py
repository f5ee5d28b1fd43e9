"""Opens a run of a store: finds or creates the store's run, and creates its copy in the folder or brings it up to date."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import NotFoundError, UsageError
from ...core.shell_commands import quote_word
from ..opening import create_checkpoint, open_as, open_checkpoint, open_for_reading, remove_checkpoint
from ..sqlite import SqliteCheckpoint
from .bought_from import BoughtFrom
from .copies import GIVING, take_all, take_news
from .decisions import Ask
from .errors import map_postgres_error
from .imports import IMPORTING, build_cut_off_error
from .intake import add_run
from .ledger import PostgresLedger
from .schema import SCHEMA
from .shared import SharedCheckpoint
from .store import open_store
from .url import hide_password

_INTAKE_FACTS = ("committed_id", "fingerprint", "lines_mark")
"""Facts that identify the intake of a copy: a copy with another intake is built again."""


def open_shared(path: Path, url: str, *, model: str, service: BoughtFrom) -> SharedCheckpoint:
    """The run of the store at ``url`` that is named as the folder of ``path``, created if there is none; ``path`` is
    its copy.

    UsageError (64) where the folder holds a run of its own, or the store's run is of another model or service.
    """
    name, shown_url = path.parent.name, hide_password(url)
    _check_no_cut_off_import(path)
    with open_store(url) as connection:
        run = _find_or_add_run(connection, name, model, service)
    _ensure_copy(path, shown_url, run, model, service.address)
    ledger = PostgresLedger(url, run, model, path.parent)
    try:
        copy = open_as(lambda at, db: SharedCheckpoint(at, db, ledger, url), path)
        if _has_other_intake(copy, ledger.ask, run):
            SqliteCheckpoint.close(copy)
            remove_checkpoint(path)
            _ensure_copy(path, shown_url, run, model, service.address)
            copy = open_as(lambda at, db: SharedCheckpoint(at, db, ledger, url), path)
            _fill_copy(copy, url, run)
        copy.refresh()
    except BaseException:
        ledger.close()
        raise
    return copy


def _check_no_cut_off_import(path: Path) -> None:
    """UsageError (64) where the folder's run was being taken over into a store, and that was cut off."""
    if path.exists():
        with open_for_reading(path) as copy:
            if copy.get("store_run") == IMPORTING:
                raise build_cut_off_error(path.parent, copy.get("store") or "")


def _find_or_add_run(connection: psycopg.Connection[TupleRow], name: str, model: str, service: BoughtFrom) -> int:
    query = f"SELECT id, model, service FROM {SCHEMA}.run WHERE name = %s"
    row = connection.execute(query, (name,)).fetchone()
    if row is None:
        try:
            return add_run(connection, name, model, service.dump())
        except psycopg.errors.UniqueViolation:  # another process has created it since
            row = connection.execute(query, (name,)).fetchone()
            if row is None:  # and it is deleted again
                raise
    bought_from = BoughtFrom.load(row[2])
    for kind, actual, expected in (("model", row[1], model), ("service", bought_from.address, service.address)):
        if actual != expected:
            raise UsageError(
                f"the run {name} of the store buys with the {kind} {actual}, not {expected}",
                hint=f"for a run of its own the same command with: --out {quote_word(f'outputs/{name}-2')}",
            )
    if refusal := bought_from.explain_refusal(name, service):
        raise refusal
    return int(row[0])


def _ensure_copy(path: Path, shown_url: str, run: int, model: str, service: str) -> None:
    if not path.exists():
        copy = create_checkpoint(path, model=model, service=service)
        copy.put("store", shown_url)
        copy.put("store_run", str(run))
        copy.close()
        return
    copy = open_checkpoint(path, read_only=True)
    try:
        if copy.get("store") != shown_url or copy.get("store_run") != str(run):
            raise UsageError(
                f"the run in {path.parent} is not that of the store {shown_url}",
                hint="give another folder with --out DIR",
            )
    finally:
        copy.close()


def bring_up_to_date(path: Path, url: str) -> None:
    """Bring the copy at ``path`` up to date with the store's run of its folder's name. The caller holds the run's lock.

    NotFoundError (66) where the store has no such run.
    """
    name, shown_url = path.parent.name, hide_password(url)
    _check_no_cut_off_import(path)
    with open_store(url) as connection:

        def ask(query: str, *values: object) -> list[TupleRow]:
            return connection.execute(query.encode(), values).fetchall()

        rows = ask(f"SELECT id, model, service FROM {SCHEMA}.run WHERE name = %s", name)
        if not rows:
            raise NotFoundError(
                f"the store {shown_url} has no run {name}", hint="look at the name, or leave --store out"
            )
        run, model, service = rows[0][0], rows[0][1], BoughtFrom.load(rows[0][2]).address
        _ensure_copy(path, shown_url, run, model, service)
        copy = open_as(SqliteCheckpoint, path)
        try:
            if _has_other_intake(copy, ask, run):
                copy.close()
                remove_checkpoint(path)
                _ensure_copy(path, shown_url, run, model, service)
                copy = open_as(SqliteCheckpoint, path)
                _fill_copy(copy, url, run)
            take_news(copy, ask, run)
        finally:
            copy.close()


def _has_other_intake(copy: SqliteCheckpoint, ask: Ask, run: int) -> bool:
    """Has the copy another intake than the store, or one that it could not give to the store?"""
    if SqliteCheckpoint.get(copy, GIVING):
        return True
    facts: dict[str, str] = dict(ask(f"SELECT name, value FROM {SCHEMA}.fact WHERE run = %s", run))
    return any((facts.get(name) or "") != (SqliteCheckpoint.get(copy, name) or "") for name in _INTAKE_FACTS)


def _fill_copy(copy: SqliteCheckpoint, url: str, run: int) -> None:
    try:
        with open_store(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                row = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
                take_all(copy, connection, run)
            SqliteCheckpoint.put(copy, "store_tx", str(row[0] if row else 0))
    except psycopg.Error as error:
        raise map_postgres_error(error, url) from error
