"""A sheet, a store and a sandbox, and real commands that share them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from batchedit.sandbox import RunningSandbox
from tests.support.cli import rows, until
from tests.support.fork_server import Child, ForkServer

QUICK = {"latency": "0.1", "plain_files": 4_000}
LEASE = 6.0
"""Seconds. A healthy worker on a busy machine beats in time; that a lease is over, the tests write down themselves."""


def state_of(folder: Path) -> Path:
    """The state folder of the machine whose commands are typed in ``folder``."""
    return folder / "state"


class Team:
    """A sheet, a store and a sandbox, and commands that use them. ``cwd``: a folder of another machine."""

    def __init__(self, folder: Path, fork_server: ForkServer, sandbox: RunningSandbox, url: str) -> None:
        self.folder, self.fork_server, self.sandbox, self.url = folder, fork_server, sandbox, url
        self.sql("UPDATE batchedit.store SET lease_seconds = %s", LEASE)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def start(self, *arguments: object, cwd: Path | None = None, **more: Any) -> Child:
        store_options = ("--store", self.url, "--base-url", self.sandbox.url)
        return self.fork_server.start(
            *arguments, *store_options, cwd=cwd or self.folder, state=cwd and state_of(cwd), **more
        )

    def run(self, *arguments: object, code: int | None = 0, cwd: Path | None = None) -> Child:
        child = self.start(*arguments, cwd=cwd)
        child.wait()
        assert "Traceback" not in child.stderr, child.stderr
        assert code is None or child.returncode == code, f"exit {child.returncode}\n{child.stdout}\n{child.stderr}"
        return child

    def run_without_service(self, *arguments: object, code: int | None = 0, cwd: Path | None = None) -> Child:
        """A command that asks no service."""
        state = cwd and state_of(cwd)
        return self.fork_server.run(*arguments, "--store", self.url, cwd=cwd or self.folder, code=code, state=state)

    def expire_lease(self, worker: int) -> None:
        """Its lease is over; the others have been connected for longer than one."""
        until(lambda: self.sql("SELECT count(*) FROM batchedit.worker") > [(worker,)])
        self.sql("UPDATE batchedit.worker SET lease_until = now() - interval '1 s' WHERE id = %s", worker)
        self.sql("UPDATE batchedit.worker SET connected = now() - interval '1 min'")

    def count_states(self) -> Counter[str]:
        return Counter(state for (state,) in self.sql("SELECT state FROM batchedit.job"))

    def count_events(self) -> Counter[str]:
        """How many events of each name the log has."""
        return Counter(dict(self.sql("SELECT name, count(*) FROM batchedit.event GROUP BY name")))

    def check_settled(self, doubts: int | None = 0) -> None:
        """Everything is known, nothing was bought twice, and the books add up."""
        done = self.run("run", "m.csv", "--yes", code=76 if doubts else 0)
        ledger = self.sandbox.ledger()
        assert (ledger["duplicates"], ledger["bugs"], ledger["token_leaks"]) == (0, [], [])
        counts = Counter(row["result_status"] for row in rows(self.folder / "outputs" / "m"))
        assert counts["in_doubt"] == doubts, done.stderr
        assert counts["done"] == sum(counts.values()) - (doubts or 0)
        assert counts["done"] <= ledger["accepted"] <= sum(counts.values())
        assert "everything adds up" in self.fork_server.run("audit", "outputs/m", cwd=self.folder).stdout
