"""5,000 jobs in flight at once, 60 s each, from one process.

*Perfect* is the longest job: all are bought at the same moment and each end is noticed at once. What is lost against it
is the time that 5,000 POSTs take, and the looks.

    python benchmarks/inflight.py [--quick] [--json FILE]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import buy, hand_over, in_order, manifest, quick, sandbox, scratch
from inspection_curve import perfect
from makespan import last_file

JOBS = 5000


def once(latency: str, jobs: int, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    with sandbox("--latency", latency, "--plain-files", "200000") as service:
        ran = buy(service, manifest(folder / "m.csv", jobs), folder / "out", "-j", str(jobs), "--price", "0.04")
        ledger = service.ledger(full=True)
        ended = last_file(folder / "out")
    at = [job["accepted_at"] for job in ledger["requests"]]
    floor = perfect(in_order(ledger["requests"]), jobs)
    return {
        "latency": latency,
        "floor": floor,
        "ratio": (ended - min(at)) / floor,
        "bought_in": max(at) - min(at),
        "most": ledger["max_in_flight"],
        "gets": ledger["polled"] / jobs,
        "peak": ran.peak,
        "cpu_ms": 1000 * ran.cpu / jobs,
    }


def main() -> None:
    jobs = 300 if quick() else JOBS
    kinds = ("lognormal:6,0.2",) if quick() else ("lognormal:60,0.2", "60")
    # One scratch for both: ext4 avoids inodes that were deleted in the last minutes, and to look for others among 5,000
    # of them costs the second run a tenth of its CPU, which no user's run pays.
    with scratch() as folder:
        hand_over({"jobs": jobs, "rows": [once(latency, jobs, folder / latency) for latency in kinds]})


if __name__ == "__main__":
    main()
