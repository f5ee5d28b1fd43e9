"""The promise under siege: thousands of jobs, every fault at once, and a kill -9 every few seconds, until all is done.

    python benchmarks/soak.py                       three seeds of 5,000 jobs
    python benchmarks/soak.py --seed 4 --jobs 1000
    python benchmarks/soak.py --cap 0.6             under a cap of 60 % of what all jobs cost, then without one
    python benchmarks/soak.py --outage              1,000 jobs and an outage of 60 s, in five shapes
    python benchmarks/soak.py --alone               2,000 jobs, every fault and no kill: beside a calm run of the same
    python benchmarks/soak.py --alone --lasts 8     the same with jobs of 8 s, as real ones take, instead of 1 s

Each seed ends with ``batchedit audit`` and with the sandbox's own ledger; a line of the table is printed, and the exit code
is 1 if anything was bought twice, is unaccounted for, or does not add up.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from batchedit.core.money import MICRO
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve

OFTEN, SELDOM, RARE = 0.01, 0.004, 0.0005
FAULTS = {
    OFTEN: (
        *("submit:drop_before", "submit:drop_after", "submit:reset_before", "submit:reset_after", "submit:garbage"),
        *("submit:no_id", "submit:truncated", "submit:500_html", "submit:500_html_after", "submit:502"),
        *("submit:502_after", "submit:504", "submit:504_after", "submit:500", "submit:500_after"),
        *("submit:200_error", "submit:slow@1"),
        *("poll:404", "poll:unknown_status", "poll:500", "poll:garbage", "poll:drop_before", "poll:reset_after"),
        *("poll:truncated", "poll:502_after", "poll:429", "poll:503"),
        *("file:expired", "file:html", "file:404", "file:truncated", "file:500", "file:redirect", "file:drop_after"),
        *("job:failed", "job:moderated", "job:slow@20"),
    ),
    SELDOM: ("submit:422", "submit:429", "submit:429_date", "submit:429_bare", "submit:503"),
    RARE: (
        *("submit:hang_before", "submit:hang_after", "submit:401", "submit:403", "submit:no_money"),
        *("submit:no_money_400", "poll:hang_before", "poll:401", "file:hang_before", "job:stuck"),
    ),
}
RULES = tuple(f"{rule}={chance}" for chance, rules in FAULTS.items() for rule in rules)
OPEN = ("planned", "submitting", "waiting", "cancelling", "fetched")
PRICE = 0.04


@dataclass(frozen=True)
class Siege:
    """What came out of one seed. ``wrong`` is what must not be, in words."""

    cells: tuple[object, ...]
    wrong: tuple[str, ...]


HEAD = (
    *("seed", "jobs", "processes", "kills", "seconds", "POSTs", "accepted", "answers lost", "done", "failed"),
    *("in doubt", "uncollected", "duplicates", "live duplicates", "charged", "spent + reserved", "audit"),
)


def besiege(seed: int, jobs: int, minutes: float, folder: Path, share: float = 0.0) -> Siege:
    """Run, kill, run again, until a process ends by itself with nothing left to do.

    ``share`` of what all jobs cost is the cap, 0 for none. It is looked at after every process, by the service's ledger and
    by the run's own books. Where a process ends because of it, those after it have none.
    """
    rng, began, processes, kills = Random(seed), time.monotonic(), 0, 0
    write_manifest(folder / "m.csv", jobs)
    cap = round(share * jobs * PRICE, 2)
    capped, over = bool(cap), Counter[str]()
    options = {"latency": "lognormal:1,0.6", "plain_files": 20_000, "seed": seed, "price": PRICE}
    with serve(SandboxConfig(**options, faults=RULES)) as sandbox:
        while True:
            late = time.monotonic() - began > minutes * 60
            words = ("--stuck-after", "30", "--stop-after-failures", "1000000")
            limit = ("--max-cost", f"{cap:.2f}" if capped else "none") if cap else ()
            with command(folder, sandbox, *words, *limit) as process:
                processes += 1
                try:
                    # Every tenth may live long enough to give up what never ends.
                    process.wait(None if late else rng.uniform(0.3, 8.0) if rng.random() < 0.9 else 50.0)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    kills += 1
            states = count_states(folder)
            state_text = " ".join(f"{count} {state}" for state, count in sorted(states.items()))
            spent = ""
            if capped:
                over.update(passes_the_cap(folder, sandbox, cap))
                spent = f"  ${known_money(folder):.2f} of ${cap:.2f}"
            print(
                f"  {time.monotonic() - began:5.0f} s  exit {process.returncode:>3}  {state_text}{spent}",
                file=sys.stderr,
            )
            if capped and process.returncode == 75 and known_money(folder) + PRICE > cap:
                capped = False
            if process.returncode >= 0 and states and not any(states[state] for state in OPEN):
                break
            assert process.returncode in {-9, 0, 1, 75, 76, 77}, f"exit {process.returncode}, see {folder}/err.txt"
        seconds = time.monotonic() - began
        siege = judge(seed, jobs, processes, kills, seconds, folder, sandbox)
    if capped:
        over.update([f"the cap of ${cap:.2f} was never reached"])
    return Siege(siege.cells, (*siege.wrong, *over))


def known_money(folder: Path) -> float:
    """US dollars that the run has spent and put aside; 0 where there is no checkpoint yet."""
    path = folder / "outputs" / "m" / "checkpoint.sqlite"
    if not path.exists():
        return 0.0
    with closing(open_checkpoint(path, read_only=True)) as checkpoint:
        money = checkpoint.money()
    return (money.spent + money.reserved) / MICRO


def passes_the_cap(folder: Path, sandbox: RunningSandbox, cap: float) -> Iterator[str]:
    """What is above ``cap`` in US dollars, in words: by the run's books, and by those of the service."""
    ledger = sandbox.ledger()
    ours, charged = known_money(folder), ledger["charged_usd"] + ledger["reserved_usd"]
    if ours > cap + 1e-6:
        yield f"${ours:.2f} spent and reserved under a cap of ${cap:.2f}"
    if charged > cap + 1e-6:
        yield f"${charged:.2f} charged under a cap of ${cap:.2f}"


@dataclass(frozen=True)
class Ended:
    """Runs of one sheet until all is done. ``buying`` is seconds until the last intention to buy, of each process, and
    ``draining`` those until its end: it waits for what was bought then.
    """

    seconds: float
    buying: float
    draining: float
    processes: int
    found: Siege

    def __str__(self) -> str:
        return f"{self.seconds:.0f} (buying {self.buying:.0f}, draining {self.draining:.0f})"


def alone(seed: int, jobs: int, folder: Path, lasts: float) -> Siege:
    """Every fault and no kill: it ends in 3 x the calm time, typed again where a fault stops it (401, no money).

    How long a process drains is no matter of its pace: a lost POST is waited for up to 150 s (giving up sooner would leave
    a bought job in doubt), a stuck job 30 s (``--stuck-after``), and a slow one 20 s, at the end of each process.
    """
    calm = _ended_by_itself(seed, jobs, folder / "calm", (), lasts)
    every = _ended_by_itself(seed, jobs, folder / "all", RULES, lasts)
    ratios = f"{every.seconds / calm.seconds:.2f} x, buying {every.buying / calm.buying:.2f} x"
    cells = (*every.found.cells[:2], every.processes, 0, f"{every}; calm {calm}: {ratios}", *every.found.cells[5:])
    late = (f"{ratios}: over 3 x in {every.processes} processes",) if every.seconds > 3 * calm.seconds else ()
    return Siege(cells, (*calm.found.wrong, *every.found.wrong, *late))


def _ended_by_itself(seed: int, jobs: int, folder: Path, faults: tuple[str, ...], lasts: float) -> Ended:
    folder.mkdir()
    write_manifest(folder / "m.csv", jobs)
    began, spans = time.monotonic(), []
    with serve(
        SandboxConfig(latency=f"lognormal:{lasts:g},0.6", plain_files=20_000, seed=seed, price=PRICE, faults=faults)
    ) as sandbox:
        while not spans or any(count_states(folder)[state] for state in OPEN):
            started = time.time()
            with command(folder, sandbox, "--stuck-after", "30", "--stop-after-failures", "1000000") as process:
                process.wait()
            spans.append((started, time.time()))
        seconds = time.monotonic() - began
        intended = [at for at, event in _events(folder) if event == "Reserved"]
        last = [max((at for at in intended if since <= at <= until), default=since) for since, until in spans]
        buying = sum(at - since for at, (since, _) in zip(last, spans, strict=True))
        draining = sum(until - at for at, (_, until) in zip(last, spans, strict=True))
        siege = judge(seed, jobs, len(spans), 0, seconds, folder, sandbox)
        return Ended(seconds, buying, draining, len(spans), siege)


def _events(folder: Path) -> Iterator[tuple[float, str]]:
    """When each event of a run happened, and its name."""
    for line in (folder / "outputs" / "m" / "run.jsonl").open(encoding="utf-8"):
        entry = json.loads(line)
        if "job" in entry:
            yield datetime.fromisoformat(entry["at"]).timestamp(), entry["event"]


def judge(
    seed: int, jobs: int, processes: int, kills: int, seconds: float, folder: Path, sandbox: RunningSandbox
) -> Siege:
    """The sandbox's ledger against what the run knows."""
    audit = subprocess.run(
        [sys.executable, "-m", "batchedit", "audit", "outputs/m"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    ledger, states = sandbox.ledger(full=True), count_states(folder)
    rows = [json.loads(line) for line in (folder / "outputs" / "m" / "results.jsonl").open(encoding="utf-8")]
    known = {row["result_request_id"] for row in rows}
    doubtful = {row["prompt"] for row in rows if row["result_status"] == "in_doubt"}
    forgotten = [
        job["prompt"] for job in ledger["requests"] if job["request_id"] not in known and job["prompt"] not in doubtful
    ]
    ours, charged = known_money(folder), ledger["charged_usd"] + ledger["reserved_usd"]
    wrong = {
        f"{ledger['duplicates']} duplicates": ledger["duplicates"],
        f"{ledger['live_duplicates']} live duplicates": ledger["live_duplicates"],
        f"audit: {audit.stdout[-500:]}": audit.returncode,
        f"bought and forgotten: {forgotten[:5]}": forgotten,
        f"charged {charged}, and the run knows of {ours}": charged > ours + 1e-6,
        f"more answers lost ({ledger['answers_lost']}) than doubts": ledger["answers_lost"] > states["in_doubt"],
        f"rows: {len(rows)} of {jobs}": len(rows) != jobs,
        f"the sandbox itself: {ledger['bugs']}": ledger["bugs"],
        f"token leaked: {ledger['token_leaks']}": ledger["token_leaks"],
    }
    cells = (
        *(seed, f"{jobs:,}", processes, kills, f"{seconds:.0f}", f"{ledger['submits_seen']:,}"),
        *(f"{ledger['accepted']:,}", ledger["answers_lost"], f"{states['done']:,}", states["failed"]),
        *(states["in_doubt"], states["uncollected"], ledger["duplicates"], ledger["live_duplicates"]),
        *(f"${charged:.2f}", f"${ours:.2f}", "clean" if audit.returncode == 0 else "FAILED"),
    )
    return Siege(cells, tuple(text for text, is_so in wrong.items() if is_so))


# --- an outage ------------------------------------------------------------------------------------

OUTAGES = ("any:502", "any:drop_before", "any:hang_before", "submit:502", "submit:502_after")
CALM = "none"
OUTAGE_HEAD = ("outage of 60 s", "jobs", "seconds", "exit", "done", "in doubt", "answers lost", "duplicates")
MOST_DOUBTS, MOST_LONGER = 15, 90.0
calm_seconds: list[float] = []


def outage(fault: str, jobs: int, folder: Path) -> Siege:
    """One process alone, and the service gone for a minute when a seventh is bought. It must end by itself, and take no more
    than 90 s longer than the calm run before it.
    """
    write_manifest(folder / "m.csv", jobs)
    began = time.monotonic()
    with (
        serve(SandboxConfig(latency="lognormal:2,0.4", plain_files=20_000)) as sandbox,
        command(folder, sandbox) as run,
    ):
        while sandbox.ledger()["accepted"] < jobs * 0.15:  # not a multiple of -j: some places must be free
            time.sleep(0.05)
        if fault != CALM:
            sandbox.set_faults([f"{fault}=time:0-60"])
        run.wait()
        took = time.monotonic() - began
        ledger, states = sandbox.ledger(), count_states(folder)
    calm_seconds.append(took)
    wrong = {
        f"exit {run.returncode}": run.returncode not in {0, 76},
        f"{states['in_doubt']} doubts": states["in_doubt"] > MOST_DOUBTS,
        f"{took - calm_seconds[0]:.0f} s longer than calm": took > calm_seconds[0] + MOST_LONGER,
        "duplicates": ledger["duplicates"],
        f"{dict(states)}": states["done"] + states["in_doubt"] != jobs,
    }
    cells = (
        *(fault, f"{jobs:,}", f"{took:.0f}", run.returncode, f"{states['done']:,}"),
        *(states["in_doubt"], ledger["answers_lost"], ledger["duplicates"]),
    )
    return Siege(cells, tuple(text for text, is_so in wrong.items() if is_so))


# --- both -----------------------------------------------------------------------------------------


def write_manifest(path: Path, jobs: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "image", "prompt"])
        table.writerows([f"s{n}", "https://images.example.com/mug.png", f"an ad, number {n}"] for n in range(jobs))


@contextmanager
def command(folder: Path, sandbox: RunningSandbox, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """``batchedit run`` as a process. What it says goes to files; it never outlives the block."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHEDIT_", "RUNCOMFY_", "YOUR_API"))}
    arguments = ("run", "m.csv", "--base-url", sandbox.url, "--yes", "-j", "100", "--poll-seconds", "0.5")
    with (folder / "out.txt").open("ab") as out, (folder / "err.txt").open("ab") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchedit", *arguments, *more],
            cwd=folder,
            env={**kept, "RUNCOMFY_API_TOKEN": "soak"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def count_states(folder: Path) -> Counter[str]:
    """Jobs by state, whatever became of the process; nothing where it was killed before there was a checkpoint."""
    path = folder / "outputs" / "m" / "checkpoint.sqlite"
    if not path.exists():
        return Counter()
    with closing(open_checkpoint(path, read_only=True)) as checkpoint:
        return Counter({state.value: count for state, count in checkpoint.counts().by_state.items()})


def row(cells: tuple[object, ...]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help="may be given again  [default: 1, 2 and 3]")
    parser.add_argument("--jobs", type=int, help="[default: 5000; with --outage 1000, with --alone 2000]")
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of kills a seed; then it may finish  [default: 20]"
    )
    parser.add_argument("--cap", type=float, default=0.0, help="as a share of what all jobs cost  [default: no cap]")
    parser.add_argument("--alone", action="store_true", help="every fault and no kill, beside a calm run")
    parser.add_argument("--lasts", type=float, default=1.0, help="seconds of most jobs with --alone  [default: 1]")
    parser.add_argument("--outage", action="store_true", help="an outage instead of kills")
    arguments = parser.parse_args()
    head = OUTAGE_HEAD if arguments.outage else HEAD
    print(row(head), row(("---",) * len(head)), sep="\n", flush=True)
    failed = False
    for which in (CALM, *OUTAGES) if arguments.outage else arguments.seed or (1, 2, 3):
        with TemporaryDirectory(prefix="soak-") as name:
            siege = one(which, arguments, Path(name))
        print(row(siege.cells), flush=True)
        for text in siege.wrong:
            print(f"WRONG: {text}", flush=True)
        failed = failed or bool(siege.wrong)
    return int(failed)


def one(which: Any, arguments: argparse.Namespace, folder: Path) -> Siege:
    if arguments.outage:
        return outage(which, arguments.jobs or 1000, folder)
    if arguments.alone:
        return alone(which, arguments.jobs or 2000, folder, arguments.lasts)
    return besiege(which, arguments.jobs or 5000, arguments.minutes, folder, arguments.cap)


if __name__ == "__main__":
    sys.exit(main())
