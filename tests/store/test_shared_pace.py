"""Two real processes, one account: what the service bears is found out by one and kept by both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.cli import manifest, until
from tests.support.store_team import Team

RATE, JOBS, TRIES = 8, 200, 3


def posts_a_second(it: Team) -> float:
    """Of two workers that buy all jobs together; each took its part, few POSTs were refused, and the books add up."""
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
    assert min(by_worker.values()) > 0.2 * JOBS
    it.check_settled()
    return JOBS / (accepted[-1] - accepted[0])


def test_two_processes_keep_a_limit_of_the_account_together(team: Callable[..., Team], tmp_path: Path) -> None:
    """Each for itself, they were not over in 90 s. Together they took 0.67 to 0.98 of the limit, more on a quiet machine
    (benchmarks/LOG.md): so one of three tries must show that they share.
    """
    speeds: list[float] = []
    while max(speeds, default=0.0) <= 0.7 * RATE:
        assert len(speeds) < TRIES, speeds
        it = team(JOBS, rate_limit=f"{RATE}/s,burst=5", latency="1")
        it.folder = tmp_path / f"try-{len(speeds)}"
        it.folder.mkdir()
        manifest(it.folder / "m.csv", JOBS)
        speeds.append(posts_a_second(it))
