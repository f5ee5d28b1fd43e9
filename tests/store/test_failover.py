"""A primary that dies, and its standby in its place: nothing confirmed is lost, or nobody buys any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from batchedit.core.errors import CheckpointError
from batchedit.core.events import Reserved
from batchedit.core.lifecycle import advance
from batchedit.ledger.postgres.ledger import PostgresLedger
from tests.support.cli import run_cli, until
from tests.support.factories import make_line
from tests.support.postgres import MODEL, Server, Standby, new_database, new_run
from tests.support.store_team import Team

JOBS = 24
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Pair:
    """A primary and its standby, and one address for whichever of the two takes writes."""

    def __init__(self, *, waits: bool) -> None:
        """``waits``: a commit is confirmed once the standby has it."""
        self.primary = Server()
        self.standby = Standby(self.primary)
        if waits:
            self.set("synchronous_standby_names = '*'")

    def set(self, setting: str) -> None:
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        self.until_followed()

    def until_followed(self) -> None:
        until(lambda: self._replicas() == 1)

    def store(self) -> str:
        """The address of a store that is not made yet."""
        url = new_database(store=False, url=self.primary.url)
        return self.standby.url(url.partition("@/")[2].partition("?")[0])

    def fails_over(self) -> None:
        self.primary.stop()
        self.standby.promote()

    def close(self) -> None:
        self.standby.stop("immediate")

    def _replicas(self) -> int:
        with psycopg.connect(self.primary.url) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
        return int(row[0]) if row else 0


@pytest.fixture
def pair() -> Iterator[Callable[[bool], Pair]]:
    made: list[Pair] = []

    def make(waits: bool) -> Pair:
        made.append(Pair(waits=waits))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_primary_dies_while_workers_buy(
    pair: Callable[[bool], Pair], team: Callable[..., Team], tmp_path: Path
) -> None:
    """Its synchronous standby has whatever was confirmed: the same workers go on, and nothing is bought twice."""
    both = pair(True)
    url = both.store()
    run_cli("store", "init", url, cwd=tmp_path)
    it = team(JOBS, url=url, latency="0.5")
    workers = [it.start("run", "m.csv", "--yes", "-j", "4"), it.start("work", "--until-idle", "-j", "4")]
    until(lambda: it.sandbox.ledger()["accepted"] >= JOBS // 3)
    both.fails_over()
    codes = [worker.wait() for worker in workers]
    assert set(codes) <= {0, 76}, [worker.stderr for worker in workers]
    doubts = it.count_states()["in_doubt"]
    assert doubts == 0, [worker.stderr for worker in workers]
    it.check_settled()
    assert it.sandbox.ledger()["accepted"] == JOBS


def test_a_standby_that_nobody_waits_for_is_refused(pair: Callable[[bool], Pair], tmp_path: Path) -> None:
    """Nineteen of sixty jobs were bought twice after a failover to one that had not got the last commits."""
    both = pair(False)
    url = both.store()
    refused = run_cli("store", "init", url, cwd=tmp_path, code=74)
    assert "none is synchronous" in refused.stderr
    assert "--i-accept-loss" in refused.stderr


def test_a_ledger_that_lost_what_it_confirmed_halts_who_knows_better(
    pair: Callable[[bool], Pair], team: Callable[..., Team], tmp_path: Path
) -> None:
    """Somebody accepted that loss, and it came: the worker that has had more confirmed buys nothing from then on."""
    both = pair(False)
    url = both.store()
    run_cli("store", "init", url, "--i-accept-loss", cwd=tmp_path)
    it = team(JOBS, url=url, latency="1.5")
    worker = it.start("run", "m.csv", "--yes", "-j", "2")
    until(lambda: it.sandbox.ledger()["accepted"] >= 2)
    both.standby.stop()
    held = it.sandbox.ledger()["accepted"]
    until(lambda: it.sandbox.ledger()["accepted"] >= held + 4)
    both.primary.stop()
    both.standby.start()
    both.standby.promote()
    assert worker.wait() == 74, worker.stderr
    assert "went back in time" in worker.stderr
    bought = it.sandbox.ledger()["accepted"]
    again = it.run("run", "m.csv", "--yes", code=74)
    assert "went back in time" in again.stderr
    assert "batchedit store lift m" in again.stdout + again.stderr, again.stdout + again.stderr
    assert (it.sandbox.ledger()["accepted"], it.sandbox.ledger()["duplicates"]) == (bought, 0)


def test_a_commit_that_no_standby_confirmed_is_not_taken_for_durable(tmp_path: Path) -> None:
    """Who cancels the wait for a synchronous standby has the commit on the primary alone: a warning, and no error."""
    server = Server()
    try:
        url, run = new_run([make_line(1)], url=new_database(url=server.url))
        with (
            closing(PostgresLedger(url, run, MODEL, tmp_path)) as worker,
            psycopg.connect(url, autocommit=True) as hand,
            ThreadPoolExecutor(1) as thread,
        ):
            record, event = worker.record(1), Reserved(1.0, 10)
            assert record is not None
            hand.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            hand.execute("SELECT pg_reload_conf()")
            until(lambda: hand.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",))
            bought = thread.submit(worker.save_now, advance(record, event), event)
            until(lambda: hand.execute(CANCEL).fetchall())
            hand.execute("ALTER SYSTEM RESET synchronous_standby_names")
            hand.execute("SELECT pg_reload_conf()")
            with pytest.raises(CheckpointError, match="did not make a change durable: canceling wait"):
                bought.result(30)
    finally:
        server.stop("fast")
