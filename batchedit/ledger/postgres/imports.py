"""Takes over a run of a folder into a store, once: its purchases, its log, people's decisions, its sheet.

Money first: the folder is marked before the store has anything, and from then on buys nothing; the store gets all of it
or nothing, in one transaction that is committed after the data read back was found equal. A process that dies anywhere
leaves a folder that can't buy, and the same command continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import psycopg
from psycopg.rows import TupleRow

from ...core.errors import UsageError
from ...core.shell_commands import format_command
from ..book import Book
from ..codec import REQUEST_COLUMNS, STATE_COLUMNS
from ..decisions import FolderDecisions
from ..opening import create_checkpoint, open_as
from ..run_facts import NO, PLAY, STORE_PLAY, YES
from ..sqlite import SqliteCheckpoint
from ..sqlite_file import SqliteFile
from .bought_from import BoughtFrom
from .bulk import copy_in
from .changes import to_storable
from .copies import OWN_FACTS, put_fact, take_all, take_news
from .errors import map_postgres_error
from .intake import add_run, analyze
from .schema import SCHEMA
from .sheets import put_sheet
from .store import open_store, open_transaction
from .url import hide_password

IMPORTING = "importing"
"""The value instead of the run's number in the store, from the moment that the folder is given up until the store has all."""
IMPORT_ID = "imported_from"
"""The fact that identifies the folder that a run came from."""


def check_to_import(copy: Book, folder: Path, url: str) -> None:
    """UsageError (64) where the run is one of a store, or was being taken over into another one."""
    store, run = copy.get("store"), copy.get("store_run")
    if store and run != IMPORTING:
        raise UsageError(f"the run in {folder} is one of the store {store} already; nothing was done")
    if store and store != hide_password(url):
        raise UsageError(
            f"the run in {folder} was being taken over into the store {store}, not into {hide_password(url)}",
            hint=f"the same command with --store {store}",
        )


def build_cut_off_error(folder: Path, shown_url: str) -> UsageError:
    """The error for a command on a run whose import has not ended."""
    return UsageError(
        f"the run in {folder} was being taken over into the store {shown_url}, and that was cut off",
        hint=f"it is ended by: {format_command('runs', '--import', folder, '--store', shown_url)}",
    )


def find_import(copy: Book, url: str) -> int | None:
    """The number of the store's run that this run was taken over as; None if it was not yet."""
    with open_store(url) as connection:
        query = f"SELECT run FROM {SCHEMA}.fact WHERE name = %s AND value = %s"
        row = connection.execute(query, (IMPORT_ID, copy.get(IMPORT_ID) or "")).fetchone()
        return int(row[0]) if row else None


def check_new(copy: Book, url: str, name: str) -> None:
    """UsageError (64) where the store has a run called ``name``, or what was bought in this one; 73 where it is
    read-only, 77 where this user may make no run there. Nothing was changed.

    A run is created and rolled back: a later refusal would find the folder given up for this address, and where that is
    the address of a standby, or of a worker's role, no other address is accepted then.
    """
    assert isinstance(copy, SqliteFile)
    with open_store(url) as connection:
        _check_is_new(copy, connection, name)
        with connection.transaction(force_rollback=True):
            add_run(connection, name, copy.get("model") or "", "")


def give_up(copy: Book, url: str, *, own_sandbox: bool) -> None:
    """Mark the folder: from here on it buys nothing, whatever happens. ``own_sandbox``: a run without purchases is to
    be bought from the person's own sandbox.
    """
    assert isinstance(copy, SqliteFile)
    import_id, play_money = copy.get(IMPORT_ID) or token_hex(16), copy.get(PLAY) or (YES if own_sandbox else NO)
    with copy.transaction() as db:
        copy.put_in(db, IMPORT_ID, import_id)
        copy.put_in(db, "store", hide_password(url))
        copy.put_in(db, "store_run", IMPORTING)
        copy.put_in(db, STORE_PLAY, play_money)


def take_over(
    copy: Book, url: str, name: str, sheet: Path | None, data: dict[str, object], check: Callable[[Path], None]
) -> None:
    """Write everything to the store as the run ``name``; ``data`` is that of its event. ``check`` gets the path of a
    fresh copy of the run in the store: where it raises, the store keeps nothing.
    """
    assert isinstance(copy, SqliteFile)
    try:
        with open_transaction(url) as connection:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # the pictures are read meanwhile
            _check_is_new(copy, connection, name)
            run = _write_run(copy, connection, name)
            if sheet is not None:
                put_sheet(connection, run, sheet, sheet.name.removeprefix("manifest"))
            event = f"INSERT INTO {SCHEMA}.run_event (run, at, name, data) VALUES (%s, %s, 'Imported', %s)"
            connection.execute(event, (run, data.pop("at"), orjson.dumps(data).decode()))
            read_back(connection, run, check)
        with open_transaction(url) as connection:
            analyze(connection)
    except psycopg.Error as error:
        raise map_postgres_error(error, url) from error


def read_again(url: str, run: int, check: Callable[[Path], None]) -> None:
    """Call ``check`` with a copy of a run that was taken over earlier."""
    try:
        with open_store(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                read_back(connection, run, check)
    except psycopg.Error as error:
        raise map_postgres_error(error, url) from error


def read_back(connection: psycopg.Connection[TupleRow], run: int, check: Callable[[Path], None]) -> None:
    """Call ``check`` with the path of a fresh copy of the store's run. The connection is in a transaction."""

    def ask(query: str, *values: object) -> list[TupleRow]:
        return connection.execute(query.encode(), values).fetchall()

    ((name, model, service),) = ask(f"SELECT name, model, service FROM {SCHEMA}.run WHERE id = %s", run)
    with TemporaryDirectory(prefix="batchedit-") as scratch:
        path = Path(scratch) / name / "checkpoint.sqlite"
        path.parent.mkdir()
        create_checkpoint(path, model=model, service=BoughtFrom.load(service).address).close()
        with closing(open_as(SqliteCheckpoint, path)) as copy:
            take_all(copy, connection, run)
            copy.put("store_run", str(run))
            copy.put("store", "read back")
            take_news(copy, ask, run)
        check(path)


def _check_is_new(copy: SqliteFile, connection: psycopg.Connection[TupleRow], name: str) -> None:
    if connection.execute(f"SELECT 1 FROM {SCHEMA}.run WHERE name = %s", (name,)).fetchone():
        raise UsageError(
            f"the store has a run {name} already", hint="rename the folder: a run is called there as its folder is"
        )
    bought_query = "SELECT request_id FROM requests WHERE job NOT IN (SELECT job FROM reused)"
    ids = [request for (request,) in copy.rows(bought_query)]
    query = f"""
        SELECT run.name FROM {SCHEMA}.accepted JOIN {SCHEMA}.run ON run.id = run WHERE request_id = ANY(%s) AND NOT EXISTS
            (SELECT FROM {SCHEMA}.reused WHERE reused.run = accepted.run AND reused.job = accepted.job) LIMIT 1
    """
    if row := connection.execute(query, (ids,)).fetchone():
        raise UsageError(f"what was bought here is in the store already, as the run {row[0]}: is this folder a copy?")


def _write_run(copy: SqliteFile, connection: psycopg.Connection[TupleRow], name: str) -> int:
    facts = dict(copy.rows("SELECT name, value FROM meta"))
    ((reused,),) = copy.rows("SELECT count(*) FROM reused")
    query = (
        f"INSERT INTO {SCHEMA}.run (name, model, service, max_cost, top_price, reused) "
        "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id"
    )
    service = BoughtFrom(facts["service"], own_sandbox=facts.get(STORE_PLAY) == YES).dump()
    values = (facts["model"], service, facts.get("max_cost") or None, facts.get("top_price") or 0, reused)
    row = connection.execute(query, (name, *values)).fetchone()
    assert row is not None
    run = int(row[0])
    for fact, value in facts.items():
        if fact not in OWN_FACTS:
            put_fact(connection, run, fact, value)
    for table, columns, rows in _list_tables(copy):
        copy_in(connection, f"{SCHEMA}.{table} (run, {columns})", ((run, *map(to_storable, row)) for row in rows))
    return run


def _list_tables(copy: SqliteFile) -> Iterator[tuple[str, str, Iterable[tuple[Any, ...]]]]:
    """``(table, columns, rows)`` in the order that the foreign keys need. A job's serial counts its changes, and each
    event has the one that it led to: an older edition may have written more events than it counted.
    """
    yield "request", f"id, {REQUEST_COLUMNS}", copy.rows(f"SELECT id, {REQUEST_COLUMNS} FROM jobs ORDER BY id")
    jobs_query = f"""
        SELECT id, wanted, max(serial, (SELECT count(*) FROM events WHERE events.job = jobs.id)),
            instr(inputs, '"$file"') > 0, {STATE_COLUMNS} FROM jobs ORDER BY id
    """
    yield "job", f"id, wanted, serial, local, {STATE_COLUMNS}", copy.rows(jobs_query)
    events_query = """
        SELECT job, row_number() OVER (PARTITION BY job ORDER BY seq), 0, 0, at, name, state, data FROM events ORDER BY seq
    """
    yield "event", "job, serial, worker, mark, at, name, state, data", copy.rows(events_query)
    yield "accepted", "request_id, job", copy.rows("SELECT request_id, job FROM requests")
    yield "reused", "job, folder", copy.rows("SELECT job, folder FROM reused")
    yield "redone", "job, by_job", copy.rows("SELECT job, by_job FROM redone")
    lines_query = "SELECT n, row, id, job, problems, over FROM lines ORDER BY n"
    yield "line", "n, row, id, job, problems, over", copy.rows(lines_query)
    yield "flag", "job, flags", copy.rows("SELECT job, flags FROM flags")
    run_events_query = "SELECT at, name, data FROM run_events ORDER BY seq"
    yield "run_event", "at, name, data", copy.rows(run_events_query)
    decisions = FolderDecisions(copy)
    marks = [(m.job, m.verdict.value, m.note, m.serial, m.who, m.at) for m in decisions.all().values()]
    yield "mark", "job, verdict, note, serial, who, at", marks
    yield "mark_event", "seq, job, serial, verdict, note, who, at, via", decisions.read_rows()
