"""300 jobs of 0.7 s at ``-j 40`` against a service in trouble, over real sockets: ratios to the calm run of the same minute.

An account's limit is measured against its ideal, from the first accept to the last end, and a true limit against its floor
(``throttle.py``); all else as whole commands. The falling limit, the canary's question and the night are taken on the virtual
clock (``virtual.py``), outages over sockets by ``soak.py --outage``.

    python benchmarks/trouble.py [--quick] [--json FILE]     three rounds, 4 minutes each on a quiet machine

A row that fails is told on stderr and has no figure in that round. Exit code 1 if one is over its limit or has none; with
``--json`` whoever reads the file judges, and a row that fails ends it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

import throttle
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
        ledger = service.ledger(full=True)
    mine = ledger["requests"]
    took = max(job["ended_at"] for job in mine) - min(job["accepted_at"] for job in mine)
    ideal = jobs * RUNS / ACCOUNT
    return {"value": took / ideal, "most": 1.25 + 1.0 / ideal, "refused": refusals(ledger)}


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


def true_limit(seed: int) -> list[dict[str, Any]]:
    """Twenty POSTs a second, five at once."""
    throttled = throttle.once(seed)
    name = "limit of 20/s, burst 5"
    return [
        {"row": f"{name}: x floor", "value": throttled["ratio"], "most": 1.3, "refused": throttled["refused"]},
        {"row": f"{name}: 429s", "value": throttled["refused"], "most": 15, "refused": throttled["refused"]},
    ]


def once(seed: int, jobs: int) -> Iterator[dict[str, Any]]:
    """The table, once: calm before and after, and the mean of the two is what the rows are measured by."""

    def rows(take: Callable[[], Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
        try:
            return [{"seed": seed, **row} for row in take()]
        except Exception as error:
            if "--json" in sys.argv:
                raise
            print(f"seed {seed}: a row failed: {error!r:.300}", file=sys.stderr)
            return []

    before = whole(seed, jobs)["seconds"]
    figures: list[dict[str, Any]] = []
    for name, (fault, most) in BY_CHANCE.items():
        figures += rows(
            lambda name=name, fault=fault, most=most: [{"row": name, "most": most, **whole(seed, jobs, fault)}]
        )  # type: ignore[misc]
    calm = (before + whole(seed, jobs)["seconds"]) / 2
    yield {"row": "calm, seconds", "seed": seed, "value": calm, "most": None, "refused": 0}
    yield from ({**row, "value": row["seconds"] / calm} for row in figures)
    for at_once in ("20", "auto", "100"):
        name = f"account's limit of 10, -j {at_once}: x ideal"
        yield from rows(lambda name=name, at_once=at_once: [{"row": name, **account(seed, jobs, at_once)}])  # type: ignore[misc]
    yield from rows(lambda: true_limit(seed))
    if not quick():
        with scratch() as folder:
            yield from rows(lambda: [{"row": "stopped for 45 s, then a 429", **stopped(seed, jobs, folder, calm)}])


def show(rows: Sequence[dict[str, Any]], rounds: int) -> bool:
    """Print the table: is each figure of each round within its limit?"""
    print("| row | at most | median | worst | 429s |", "| --- " * 5 + "|", sep="\n")
    kept = True
    for name in dict.fromkeys(row["row"] for row in rows):
        mine = [row for row in rows if row["row"] == name]
        values, limited = [row["value"] for row in mine], mine[0]["most"] is not None
        missed = limited and (len(mine) < rounds or any(row["value"] > row["most"] for row in mine))
        most = f"{median(row['most'] for row in mine):.2f}" if limited else ""
        refused = ", ".join(str(row["refused"]) for row in mine)
        worst = f"{max(values):.2f}{': MISSED' if missed else ''}"
        print(f"| {name} | {most} | {median(values):.2f} | {worst} | {refused} |")
        kept = kept and not missed
    return kept


def main() -> int:
    jobs, seeds = (60, (1,)) if quick() else (JOBS, (1, 2, 3))
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for row in once(seed, jobs):
            rows.append(row)
            print(
                f"seed {seed}: {row['row']}: {row['value']:.2f} ({row['refused']} x 429)", file=sys.stderr, flush=True
            )
    kept = show(rows, len(seeds))
    if "--json" in sys.argv:
        hand_over({"jobs": jobs, "rows": rows})
        return 0
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
