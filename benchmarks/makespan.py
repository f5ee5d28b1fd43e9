"""Makespan, calls and CPU of 500 jobs of 4 s, 50 at a time: our command line beside the scripts people write.

The sandbox is a process of its own, draws the same durations for all (log-normal, sigma 0.5) and serves files of 200
kB. *Perfect* is the list schedule of the durations it drew, in the order in which it accepted the jobs, each end
noticed at once. The makespan is the service's own: from the first accept to the moment when the client had the last
file, the child's start-up left out; the whole child's seconds stand beside it.

    python benchmarks/makespan.py [--quick] [--json FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import time
from typing import Any

from common import HERE, Ran, Sandbox, buy, hand_over, in_order, manifest, quick, run, sandbox, scratch
from inspection_curve import perfect

JOBS, AT_ONCE = 500, 50
SERVICE = ("--latency", "lognormal:4,0.5", "--plain-files", "200000")


def judged(service: Sandbox, ran: Ran, ended: float, jobs: int, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """One client's figures. ``ended`` is when its last file was on disk, ``before`` the ledger as it found it."""
    ledger = service.ledger(full=True)
    before = before or {"accepted": 0, "served": 0, "polled": 0}
    assert ledger["accepted"] - before["accepted"] == ledger["served"] - before["served"] == jobs, ledger["answers"]
    mine = [job for job in ledger["requests"] if job["ordinal"] > before["accepted"]]
    floor = perfect(in_order(mine), AT_ONCE)
    return {
        "ratio": (ended - min(job["accepted_at"] for job in mine)) / floor,
        "floor": floor,
        "seconds": ran.seconds,
        "gets": (ledger["polled"] - before["polled"]) / jobs,
        "cpu_ms": 1000 * ran.cpu / jobs,
        "peak": ran.peak,
    }


def last_file(folder: Path) -> float:
    """When the last picture was written."""
    return max(path.stat().st_mtime for path in folder.rglob("*.png"))


def ours(folder: Path, seed: int, jobs: int) -> dict[str, dict[str, Any]]:
    """A run that has learned nothing, and a second one over as many new rows of the same sheet."""
    out, figures, before = folder / "ours", dict[str, dict[str, Any]](), None
    with sandbox(*SERVICE, "--seed", str(seed)) as service:
        for name, rows in (("first", jobs), ("second", 2 * jobs)):
            source = manifest(folder / "m.csv", rows)
            ran = buy(service, source, out, "-j", str(AT_ONCE), "--price", "0.04")
            figures[name] = judged(service, ran, last_file(out / "files"), jobs, before)
            before = service.ledger()
    return figures


def rival(script: str, pause: float, folder: Path, seed: int, jobs: int) -> dict[str, Any]:
    """One of the two scripts."""
    source, out = manifest(folder / "rival.csv", jobs), folder / f"{script}-{pause}"
    with sandbox(*SERVICE, "--seed", str(seed)) as service:
        path = HERE / "rivals" / f"{script}.py"
        ran = run(sys.executable, path, service.url, source, out, AT_ONCE, pause, folder=folder)
        return judged(service, ran, last_file(out), jobs)


RIVALS = (("threads_requests", 2.0), ("aiohttp_semaphore", 2.0), ("aiohttp_semaphore", 0.25))


def main() -> None:
    jobs, seeds = (100, (1,)) if quick() else (JOBS, (1, 2, 3))
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        with scratch() as folder:
            for name, figures in ours(folder, seed, jobs).items():
                rows.append({"client": f"batchedit, {name} run", "seed": seed, **figures})
        if seed in seeds[:2]:  # they hardly vary
            for script, pause in RIVALS:
                with scratch() as folder:
                    rows.append(
                        {"client": f"{script}, {pause:g} s", "seed": seed, **rival(script, pause, folder, seed, jobs)}
                    )
        print(f"seed {seed} done at {time():.0f}", file=sys.stderr)
    hand_over({"jobs": jobs, "at_once": AT_ONCE, "rows": rows})


if __name__ == "__main__":
    main()
