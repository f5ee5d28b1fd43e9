"""The store's disk is full: each command says so, and nothing that was bought is lost once there is room again.

A small disk is mounted where that may be done. Elsewhere PostgreSQL is refused in another way: its processes may write no
large files, or the table of events takes nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import psycopg
import pytest

from batchedit.core.errors import BatcheditError
from batchedit.ledger.postgres.connection import StoreConnection
from batchedit.ledger.rescue_file import read_kept_ids
from tests.support.cli import until
from tests.support.fork_server import Child
from tests.support.postgres import Server, lives, new_database, shared_store
from tests.support.store_team import Team

JOBS, FIRST, HELD = 20, 6, 8
SEGMENT = 16 * 2**20
SMALL = 64 * 1024
REFUSES = """
    CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file "base/5/16558": No space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON batchedit.event FOR EACH ROW EXECUTE FUNCTION no_room()
"""


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of 96 MB, which holds a server and little else; None where none may be mounted. It is unmounted in any case."""
    folder = Path(tempfile.mkdtemp(prefix="bpf", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(folder.rmdir)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0700", "tmpfs", folder], capture_output=True, check=False
        )
        if not done.returncode:
            stack.callback(subprocess.run, ["umount", folder], check=True)
        yield None if done.returncode else folder


@contextmanager
def running(folder: Path | None = None) -> Iterator[Server]:
    """A server that is stopped, and whose files are removed, before its disk is unmounted."""
    server = Server(folder=folder)
    try:
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):  # it is down already
            server.stop()
        server.remove()


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


class Store:
    """A store whose disk is full after ``fill``, and has room after ``free``."""

    def __init__(
        self, url: str, fill: Callable[[], None], free: Callable[[], None], is_down: Callable[[], bool] = lambda: False
    ) -> None:
        self.url, self.fill, self.free, self.is_down = url, fill, free, is_down


@contextmanager
def tables_that_cant_grow() -> Iterator[Store]:
    with small_disk() as disk:
        if disk is None:
            url = new_database()
            yield Store(url, lambda: run_sql(url, REFUSES), lambda: run_sql(url, "DROP FUNCTION no_room CASCADE"))
            return
        with running(disk) as server:
            yield Store(new_database(url=server.url), lambda: fill(disk), (disk / "ballast").unlink)


@contextmanager
def log_that_cant_grow(*, mounted: bool) -> Iterator[Store]:
    """The next change that is written down crashes the server, and it can't start again until there is room.

    ``mounted``: it has its log on a small disk, if one can be mounted; else none of its files may grow.
    """
    with small_disk() if mounted else nullcontext() as disk, running() as server:
        url, log = new_database(url=server.url), server.folder / "data" / "pg_wal"
        pids: list[int] = []

        def full() -> None:
            pids.append(main_process(server))
            if disk is None:
                forbid_large_files(server)
                return
            fill(disk)
            use_up_segment(url)

        def free() -> None:
            until(lambda: not lives(pids[-1]))  # a new one would find the folder taken
            if disk is not None:
                (disk / "ballast").unlink()
            server.start()

        if disk is not None:
            server.stop("fast")
            shutil.copytree(log, disk / "wal")
            shutil.rmtree(log)
            log.symlink_to(disk / "wal")
            for path in (disk, *disk.rglob("*")):
                shutil.chown(path, server.user)
            server.start()
        yield Store(url, full, free, lambda: not lives(pids[-1]))


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def use_up_segment(url: str) -> None:
    """The next change or the one after it needs a new file of the log."""
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            query = "SELECT %s - mod(pg_current_wal_insert_lsn() - '0/0', %s)"
            ((left,),) = connection.execute(query, (SEGMENT, SEGMENT)).fetchall()
            if left < 3000:
                return
            size = max(1, min(8_000_000, int(left) * 99 // 100 - 1500))
            connection.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', %s))", (size,))


def main_process(server: Server) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def forbid_large_files(server: Server) -> None:
    """For the server that runs now, and whoever it starts; one that is started anew may write what it likes."""
    pid = main_process(server)
    prlimit = shutil.which("prlimit")
    assert prlimit, "prlimit is not installed: it is part of util-linux"
    for one in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        with suppress(subprocess.CalledProcessError):  # it has ended meanwhile
            server.tool(prlimit, "--pid", one, f"--fsize={SMALL}:")


def some_on_the_wire(it: Team, gate: Path) -> Child:
    """The answers of HELD purchases are on their way until ``gate`` is there."""
    child = it.start("run", "m.csv", "--yes", "-j", HELD, gate=(FIRST + 1, str(gate)))
    until(lambda: it.sandbox.ledger()["accepted"] == FIRST + HELD and it.count_states()["done"] == FIRST)
    return child


def kept(it: Team) -> set[str]:
    """The ids of what was bought that lie in the run's folder."""
    return {event.handle.request_id for _, _, event, *_ in read_kept_ids(it.folder / "outputs" / "m")}


def bought(it: Team) -> set[str]:
    return {job["request_id"] for job in it.sandbox.ledger(full=True)["requests"]}


def test_a_store_that_is_full_is_told_and_what_was_bought_is_collected_later(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    with tables_that_cant_grow() as store:
        it, gate = team(JOBS, url=store.url), tmp_path / "gate"
        it.sql("ALTER TABLE batchedit.event SET (fillfactor = 10)")  # each event takes room of its own
        child = some_on_the_wire(it, gate)
        store.fill()
        gate.touch()
        assert child.wait() == 74, child.stderr
        known = {request for (request,) in it.sql("SELECT request_id FROM batchedit.job WHERE request_id IS NOT NULL")}
        assert kept(it), "the table had room for all of them"
        assert bought(it) == kept(it) | known
        for words in (("run", "m.csv", "--yes"), ("work", "--until-idle")):
            refused = it.run(*words, code=74)
            assert re.search(r"the disk of the store \S+ is full: could not extend file", refused.stderr), (
                refused.stderr
            )
            assert "free some space, then type the same command again" in refused.stderr
        assert re.search(
            r"stopped +the disk of the store \S+ is full", it.run_without_service("status", "outputs/m").stdout
        )
        assert it.sandbox.ledger()["submits_seen"] == FIRST + HELD, "it went on buying"
        store.free()
        it.check_settled()
        assert it.count_states() == {"done": JOBS}
        assert not kept(it)


def test_a_store_whose_log_is_full_crashes_and_the_same_worker_goes_on_once_there_is_room(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    """The worker whose own change brought the server down ended with 74. Where that was a beat, the ids that came behind it
    were kept nowhere for a minute.
    """
    with log_that_cant_grow(mounted=False) as store:
        it, gate = team(JOBS, url=store.url), tmp_path / "gate"
        child = some_on_the_wire(it, gate)
        known = {request for (request,) in it.sql("SELECT request_id FROM batchedit.job WHERE request_id IS NOT NULL")}
        store.fill()
        until(store.is_down)  # a worker says that it lives, and waits for an answer
        gate.touch()
        until(lambda: kept(it) == bought(it) - known, 20)
        store.free()
        assert child.wait() == 0, child.stderr
        it.check_settled()
        assert it.count_states() == {"done": JOBS}


def test_what_brought_the_server_down_is_told_where_it_does_not_come_back() -> None:
    """All that was told was a socket that is not there."""
    with log_that_cant_grow(mounted=True) as store:
        line = StoreConnection(store.url)
        line.call("SELECT 1")
        store.fill()
        pattern = r"(the disk of the store \S+ is full|the store \S+ has crashed): could not write to .*file"
        with pytest.raises(BatcheditError, match=pattern) as raised:
            line.call("SELECT pg_logical_emit_message(true, 'x', repeat('x', 9000))", patience=1.0)
        line.close()
        store.free()
        assert raised.value.code == (74 if "is full" in str(raised.value) else 69)


def test_a_disk_that_fails_is_not_told_as_one_that_is_full() -> None:
    line = StoreConnection(shared_store())
    with pytest.raises(BatcheditError, match=r"the disk of the store \S+ fails: could not read") as raised:
        line.call("DO $$ BEGIN RAISE 'could not read blocks: Input/output error' USING ERRCODE = '58030'; END $$")
    line.close()
    assert (raised.value.code, raised.value.hint) == (74, "")
