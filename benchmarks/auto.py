"""``-j auto`` against a service with 40 slots that nobody has told us of: 1,000 jobs of 4 s.

*What 40 busy slots could do* is the list schedule of the jobs' own durations on 40 machines. The queue is what the
service saw: jobs accepted and not started, after every accept. Settled is what comes after the first quarter of the
jobs.

    python benchmarks/auto.py [--quick] [--json FILE]
"""

from __future__ import annotations

from typing import Any

from common import buy, hand_over, in_order, manifest, quick, sandbox, scratch
from inspection_curve import perfect
from makespan import last_file

JOBS, SLOTS = 1000, 40


def queue_lengths(jobs: list[dict[str, Any]]) -> list[int]:
    """Jobs in the service's queue just after each accept, in order."""
    moments = [(job["accepted_at"], 0, 1) for job in jobs] + [(job["started_at"], 1, -1) for job in jobs]
    waiting, lengths = 0, []
    for _, begins, change in sorted(moments):
        waiting += change
        if not begins:
            lengths.append(waiting)
    return lengths


def once(seed: int, jobs: int) -> dict[str, Any]:
    with (
        scratch() as folder,
        sandbox(
            "--slots", str(SLOTS), "--latency", "lognormal:4,0.5", "--plain-files", "200000", "--seed", str(seed)
        ) as service,
    ):
        ran = buy(service, manifest(folder / "m.csv", jobs), folder / "out", "-j", "auto", "--price", "0.04")
        ledger = service.ledger(full=True)
        ended = last_file(folder / "out")
    assert ledger["accepted"] == ledger["served"] == jobs, ledger["answers"]
    mine = sorted(ledger["requests"], key=lambda job: job["ordinal"])
    began = mine[0]["accepted_at"]
    floor = perfect(in_order(mine), SLOTS)
    queue = queue_lengths(mine)
    # Settled throughput: the work that was done between two moments, over what 40 slots have.
    settled = (mine[jobs // 4]["started_at"], max(job["started_at"] for job in mine))
    work = sum(max(0.0, min(job["ended_at"], settled[1]) - max(job["started_at"], settled[0])) for job in mine)
    return {
        "seed": seed,
        "busy": floor / (ended - began),
        "busy_served": floor / (max(job["ended_at"] for job in mine) - began),
        "busy_settled": work / (SLOTS * (settled[1] - settled[0])),
        "gets": ledger["polled"] / jobs,
        "queue_settled": max(queue[jobs // 4 :]),
        "queue_ever": max(queue),
        "cpu_ms": 1000 * ran.cpu / jobs,
    }


def main() -> None:
    jobs, seeds = (200, (1,)) if quick() else (JOBS, (1, 2))
    hand_over({"jobs": jobs, "slots": SLOTS, "rows": [once(seed, jobs) for seed in seeds]})


if __name__ == "__main__":
    main()
