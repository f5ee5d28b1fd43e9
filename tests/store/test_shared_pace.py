"""Two real processes, one account: what the service bears is found out by one and kept by both."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.cli import until
from tests.support.store_team import Team

RATE, JOBS = 8, 200


def test_two_processes_keep_a_limit_of_the_account_together(team: Callable[..., Team]) -> None:
    """Each for itself, they took 0.57 and 0.60 of the limit; together 0.83 and 0.93 where it goes well.

    In one run of two or three on a busy machine it is 0.44 to 0.65 (benchmarks/LOG.md): the floor is below that.
    """
    it = team(JOBS, rate_limit=f"{RATE}/s,burst=5", latency="1")
    first = it.start("run", "m.csv", "--yes", "-j", 50)
    until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
    second = it.start("work", "--until-idle", "-j", 50)
    assert [first.wait(), second.wait()] == [0, 0], first.stderr + second.stderr
    ledger = it.sandbox.ledger(full=True)
    accepted = sorted(job["accepted_at"] for job in ledger["requests"])
    refused = ledger["answers"]["submit"].get("429", 0)
    by_worker = dict(it.sql("SELECT worker, count(*) FROM batchedit.event WHERE name = 'Accepted' GROUP BY worker"))
    assert len(accepted) == JOBS
    assert refused < 0.2 * JOBS
    assert JOBS / (accepted[-1] - accepted[0]) > 0.3 * RATE
    assert min(by_worker.values()) > 0.2 * JOBS
    it.settled()
