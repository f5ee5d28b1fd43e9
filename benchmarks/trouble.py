"""300 jobs of 0.7 s at ``-j 40`` against a service in trouble, over real sockets: ratios to the calm run of the same minute.

An account's limit is measured against its ideal, from the first accept to the last end; all else as whole commands. The
falling limit, the outages and the night are taken on the virtual clock (``tests/support/trouble_rows.py``,
``paces.py``), outages over sockets by ``soak.py --outage``, a true limit by ``throttle.py``.

    python benchmarks/trouble.py [--quick] [--json FILE]
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from common import CLI, TOKEN, Sandbox, buy, hand_over, manifest, quick, run, sandbox, scratch, surroundings

JOBS, RUNS, ACCOUNT = 300, 0.7, 10
SERVICE = ("--latency", str(RUNS), "--plain-files", "2000")
DOUBTS = 76
BY_CHANCE = {
    "2 % 429, Retry-After 1": ("submit:429@1=0.02", 1.6),
    "8 % 429, Retry-After 1": ("submit:429@1=0.08", 3.6),
    "8 % 429 without Retry-After": ("submit:429_bare=0.08", 2.6),
    "5 % 5xx (500001)": ("submit:500=0.05", 2.0),
}
STOPPED_AFTER, STOPPED = 3.0, 45.0


def whole(seed: int, jobs: int, *faults: str) -> dict[str, Any]:
    """Seconds of a whole command, and what the service answered with 429."""
    options = [word for fault in faults for word in ("--fault", fault)]
    with scratch() as folder, sandbox(*SERVICE, "--seed", str(seed), *options) as service:
        source = manifest(folder / "m.csv", jobs)
        ran = run(
            *(*CLI, "run", source, "--base-url", service.url, "--out", folder / "out", "--yes"),
            *("-j", "40", "--price", "0.04"),
            folder=folder,
            codes=(0, DOUBTS),
        )
        return {"seconds": ran.seconds, "refused": refusals(service.ledger())}


def set_faults(service: Sandbox, *faults: str) -> None:
    plan = json.dumps({"faults": faults}).encode()
    urlopen(Request(f"{service.url}/_sandbox/faults", plan, {"content-type": "application/json"})).close()


def refusals(ledger: dict[str, Any]) -> int:
    return sum(count for answer, count in ledger["answers"]["submit"].items() if answer.startswith("429"))


def account(seed: int, jobs: int, at_once: str) -> dict[str, Any]:
    """An account that has ten jobs at once."""
    with scratch() as folder, sandbox(*SERVICE, "--seed", str(seed), "--at-once", str(ACCOUNT)) as service:
        buy(service, manifest(folder / "m.csv", jobs), folder / "out", "-j", at_once, "--price", "0.04")
        told = service.ledger(full=True)
    mine = told["requests"]
    took = max(job["ended_at"] for job in mine) - min(job["accepted_at"] for job in mine)
    ideal = jobs * RUNS / ACCOUNT
    return {"value": took / ideal, "most": 1.25 + 1.0 / ideal, "refused": refusals(told)}


def stopped(seed: int, jobs: int, folder: Path, calm: float) -> dict[str, Any]:
    """SIGSTOP for 45 s, and a 429 for the next POST but a few behind it."""
    with sandbox(*SERVICE, "--seed", str(seed)) as service:
        source = manifest(folder / "m.csv", jobs)
        began = time.monotonic()
        child = subprocess.Popen(
            [
                *CLI,
                "run",
                source,
                "--base-url",
                service.url,
                "--out",
                folder / "out",
                "--yes",
                "-j",
                "40",
                "--price",
                "0.04",
            ],
            cwd=folder,
            env=surroundings(TOKEN),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(STOPPED_AFTER)
        child.send_signal(signal.SIGSTOP)
        set_faults(service, "submit:429@1=at:5")
        time.sleep(STOPPED)
        child.send_signal(signal.SIGCONT)
        assert child.wait(300) == 0
        seconds = time.monotonic() - began - STOPPED
        return {"value": seconds / calm, "most": (calm + 6.0) / calm, "refused": refusals(service.ledger())}


def once(seed: int, jobs: int) -> list[dict[str, Any]]:
    """The table, once: calm before and after, and the mean of the two is what the rows are measured by."""
    before = whole(seed, jobs)["seconds"]
    rows = []
    for name, (fault, most) in BY_CHANCE.items():
        found = whole(seed, jobs, fault)
        rows.append({"row": name, "seed": seed, "most": most, **found})
    calm = (before + whole(seed, jobs)["seconds"]) / 2
    for row in rows:
        row["value"] = row["seconds"] / calm
    rows.insert(0, {"row": "calm, seconds", "seed": seed, "value": calm, "most": None, "refused": 0})
    rows += [
        {"row": f"account's limit of 10, -j {at_once}: x ideal", "seed": seed, **account(seed, jobs, at_once)}
        for at_once in ("20", "auto", "100")
    ]
    if not quick():
        with scratch() as folder:
            rows.append({"row": "stopped for 45 s, then a 429", "seed": seed, **stopped(seed, jobs, folder, calm)})
    print(*(f"{row['row']}: {row['value']:.2f} ({row['refused']} x 429)" for row in rows), sep="\n", file=sys.stderr)
    return rows


def main() -> None:
    jobs, seeds = (60, (1,)) if quick() else (JOBS, (1, 2, 3))
    hand_over({"jobs": jobs, "rows": [row for seed in seeds for row in once(seed, jobs)]})


if __name__ == "__main__":
    main()
