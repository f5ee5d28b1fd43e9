"""PostgreSQL that crashes under workers which buy: every two seconds, and for longer than their leases last.

The sandbox's ledger is the witness: nothing is bought twice, and the cap holds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from batchedit.commands.work import IDLE_SECONDS
from tests.support.cli import until
from tests.support.fork_server import Child
from tests.support.postgres import Server, lives, new_database
from tests.support.store_team import LEASE, Team

pytestmark = pytest.mark.timeout(300)  # three processes, and a server that starts again and again
PRICE = 0.04
EVERY = 2.0
"""Seconds that it is up between two crashes, however long a busy machine takes to start it."""


def three_workers(it: Team, *words: object) -> list[Child]:
    """One that began the run, and two that help, and all of them are buying."""
    first = it.start("run", "m.csv", "--yes", "-j", 4, *words)
    until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
    out = it.folder / "outputs" / "m"
    workers = [first, *(it.start("work", "--until-idle", "-j", 4, "--out", out) for _ in range(2))]
    until(lambda: it.sql("SELECT count(DISTINCT worker) FROM batchedit.event WHERE name = 'Accepted'") == [(3,)])
    return workers


def nothing_went_wrong(it: Team, accepted: int) -> None:
    ledger = it.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"], ledger["bugs"]) == (accepted, 0, [])
    assert it.sql("SELECT count(*) FROM batchedit.orphan") == [(0,)]
    assert it.count_events()["Lost"] == 0, "an answer was lost, or a worker that lives was taken for dead"
    assert it.count_events()["Accepted"] == accepted


def test_the_database_crashes_every_two_seconds(team: Callable[..., Team], server: Server) -> None:
    """All that is confirmed is there again, and what is not is sent again: the workers buy up to the cap, and end with 75."""
    wanted, affordable = 80, 70
    it = team(wanted, new_database(url=server.url), latency="1.5")
    workers = three_workers(it, "--max-cost", f"{affordable * PRICE:.2f}")
    crashes = 0
    while any(lives(worker.pid) for worker in workers):
        server.restart("immediate")
        crashes += 1
        time.sleep(EVERY)
    assert [worker.wait() for worker in workers] == [75, 75, 75], [worker.stderr for worker in workers]
    assert crashes >= 3
    assert it.count_states() == {"done": affordable, "planned": wanted - affordable}
    nothing_went_wrong(it, affordable)
    it.run("run", "m.csv", "--yes", "--max-cost", "none")
    it.check_settled()
    assert len(list((it.folder / "outputs" / "m" / "files").iterdir())) == wanted


def test_an_outage_that_is_longer_than_the_leases_is_no_stampede(team: Callable[..., Team], server: Server) -> None:
    """All leases are over then, and all workers alive: nobody takes over, nothing is in doubt, nobody ends. The first that is
    back finds the others' leases over, for they are slower.
    """
    jobs = 24
    it = team(jobs, new_database(url=server.url), latency="1")
    workers = three_workers(it)
    server.stop("immediate")
    time.sleep(LEASE + 2)
    with pytest.raises(psycopg.OperationalError):
        it.count_states()
    _, *slower = workers
    for worker in slower:
        os.kill(worker.pid, signal.SIGSTOP)
    server.start()
    query = "SELECT count(*), max(heard) FROM batchedit.worker WHERE lease_until > now()"
    ((_, before),) = it.sql(query)
    until(lambda: (row := it.sql(query)[0])[0] == 1 and row[1] != before, LEASE / 2)
    for worker in slower:
        os.kill(worker.pid, signal.SIGCONT)
    assert [worker.wait() for worker in workers] == [0, 0, 0], [worker.stderr for worker in workers]
    assert it.count_states() == {"done": jobs}
    nothing_went_wrong(it, jobs)
    it.check_settled()
    assert len(list((it.folder / "outputs" / "m" / "files").iterdir())) == jobs


def test_a_worker_that_waits_for_work_waits_for_the_store_too(team: Callable[..., Team], server: Server) -> None:
    """It ended with 69 where the database was away at the moment in which it looked for work; so did one between two looks at
    a run. One that starts while the store is away is told so at once.
    """
    it = team(2, new_database(url=server.url), latency="2")
    first = it.start("run", "m.csv", "--yes")
    until(lambda: it.count_states()["waiting"])
    worker = it.start("work")
    assert first.wait() == 0
    until(lambda: it.sql("SELECT count(*) FROM batchedit.worker WHERE gone") == [(2,)], 30)  # it has helped, and waits
    server.stop("immediate")
    it.run("work", code=69)
    time.sleep(IDLE_SECONDS + 1)
    assert lives(worker.pid), worker.stderr
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 143, worker.stderr
