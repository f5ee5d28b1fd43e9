"""The shared ledger under siege: four workers, every fault of the sandbox, and every few seconds something that breaks.

    python benchmarks/soak_store.py                       three seeds of 3,000 jobs
    python benchmarks/soak_store.py --seed 4 --jobs 300

What breaks: a worker is killed (SIGKILL), or stopped past its lease (SIGSTOP, later SIGCONT); PostgreSQL crashes and comes
back; a connection is cut, or the answer to a commit is lost; the object store is killed and comes back. Whoever ends is
started again, as systemd or Kubernetes do. The run has a cap of ``--cap`` of what all jobs cost, looked at after each event;
when it is used up, a person lifts it. At the end a person types ``run`` and ``audit``, and each picture is fetched from the
object store and its sha256 compared. ``STORE.md`` has what was printed; the exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import obstore
import psycopg
from soak import OPEN, PRICE, RULES, Siege, row, write_manifest

from batchedit.core.money import MICRO
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support import seaweed
from tests.support.postgres import Server, new_database
from tests.support.proxy import Proxy

WORKERS = 4
LEASE, EVERY = 12.0, 4.0
"""Seconds. A lease shorter than the 30 s of a real store, so that many leases end in a soak."""
MINUTES = 30.0
"""So long things are broken; after that the run may end in peace."""
BREAKS = {"kill": 30, "stop": 15, "crash": 5, "cut": 15, "lose": 25, "objects": 5}
"""What happens every few seconds, and how often beside the others."""
WORDS = ("-j", "30", "--poll-seconds", "0.5")
HEAD = (
    *("seed", "jobs", "seconds", "processes", "killed", "stopped", "PostgreSQL crashed", "connections cut"),
    *("answers of commits lost", "object store killed", "POSTs", "accepted", "answers of POSTs lost", "done", "failed"),
    *(
        "in doubt",
        "uncollected",
        "orphans",
        "duplicates",
        "live duplicates",
        "charged",
        "spent + reserved",
        "audit",
        "files",
    ),
)


@dataclass
class Machine:
    """A folder, and the process that runs in it now, if any."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes] | None = None
    stopped_until: float = 0.0
    rests_until: float = 0.0
    """Who has ended by itself is started again after a moment, as platforms do."""
    started: int = 0
    codes: Counter[int] = field(default_factory=Counter)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Field:
    """Servers, machines and what happens to them."""

    def __init__(self, seed: int, arguments: argparse.Namespace, folder: Path, sandbox: RunningSandbox) -> None:
        jobs, share, lease = arguments.jobs, arguments.cap, arguments.lease
        self.lease, self.every = lease, arguments.every
        self.rng, self.jobs, self.folder, self.sandbox = Random(seed), jobs, folder, sandbox
        self.began = time.monotonic()
        self.postgres, self.objects = Server(), seaweed.shared()
        self.url = new_database(url=self.postgres.url)
        self.proxy = Proxy(self.url)
        self.place = f"soak-{seed}-{os.getpid()}"
        self.happened: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.cap: float | None = round(share * jobs * PRICE, 2) if share else None
        self.cap_met = not self.cap
        self._restart: threading.Thread | None = None
        self.machines = [
            Machine(folder / f"machine-{n}", self.proxy.url if n % 2 else self.url) for n in range(WORKERS)
        ]
        for machine in self.machines:
            machine.folder.mkdir()
        self.sql("UPDATE batchedit.store SET lease_seconds = %s", lease)

    # --- what people and platforms do ---

    def start(self, machine: Machine, *words: str) -> None:
        """A process of ``machine``; its output goes to files there."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHEDIT_", "RUNCOMFY_", "YOUR_API"))}
        variables = {"RUNCOMFY_API_TOKEN": "soak", "BATCHEDIT_STORE": machine.url}
        variables["BATCHEDIT_STATE"] = str(machine.folder / "state")
        more = ("--base-url", self.sandbox.url, "--files", f"s3://{seaweed.BUCKET}/{self.place}")
        with (machine.folder / "out.txt").open("ab") as out, (machine.folder / "err.txt").open("ab") as err:
            machine.process = subprocess.Popen(
                [sys.executable, "-m", "batchedit", *words, *more],
                cwd=machine.folder,
                env=kept | self.objects.environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        machine.started += 1

    def run(self, *more: str) -> None:
        """The first machine's person buys."""
        cap = f"{self.cap:.2f}" if self.cap else "none"
        words = ("run", "m.csv", "--yes", "--stuck-after", "30", "--stop-after-failures", "1000000", "--max-cost", cap)
        self.start(self.machines[0], *words, *WORDS, *more)

    def keep_alive(self) -> None:
        """Whoever has ended is started again; whoever was stopped for long enough goes on."""
        now = time.monotonic()
        for machine in self.machines:
            if machine.stopped_until and now >= machine.stopped_until:
                machine.stopped_until = 0.0
                with suppress(ProcessLookupError):
                    assert machine.process is not None
                    os.kill(machine.process.pid, signal.SIGCONT)
            if machine.process is not None and machine.process.poll() is not None:
                machine.codes[machine.process.returncode] += 1
                allowed = {-9, 0, 1, 69, 74, 75, 76, 77}
                if machine.process.returncode not in allowed:
                    self.wrong[f"exit {machine.process.returncode}, see {machine.folder}/err.txt"] += 1
                machine.process, machine.rests_until = None, now + 1.0
            if machine.process is None and now >= machine.rests_until:
                states = self.states()
                if not states:
                    if machine is self.machines[0]:
                        self.run()  # killed before the store had its sheet
                elif machine is not self.machines[0] or self.cap is not None or not self.is_capped():
                    self.start(machine, "work", "--until-idle", *WORDS)

    # --- what breaks ---

    def breaks(self) -> None:
        """One thing."""
        what = self.rng.choices(list(BREAKS), list(BREAKS.values()))[0]
        alive = [machine for machine in self.machines if machine.runs and not machine.stopped_until]
        machine = self.rng.choice(alive) if alive else None
        match what:
            case "kill" if machine is not None:
                assert machine.process is not None
                machine.process.kill()
                machine.process.wait()
            case "stop" if machine is not None:
                assert machine.process is not None
                os.kill(machine.process.pid, signal.SIGSTOP)
                machine.stopped_until = time.monotonic() + self.lease + self.rng.uniform(1.0, 8.0)
            case "crash":
                self.postgres.stop("immediate")
                time.sleep(self.rng.choice((0.0, 1.0, self.lease + 2.0)) if self.rng.random() < 0.3 else 0.0)
                self.postgres.start()
            case "cut":
                mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'batchedit' ORDER BY random() LIMIT 1"
                self.sql(f"SELECT pg_terminate_backend(pid) FROM ({mine}) AS one")
            case "lose":
                self.proxy.lose(self.rng.choice(("batchedit.reserve(", "batchedit.save(")))
            case "objects" if self._restart is None or not self._restart.is_alive():
                self.objects.kill()
                self._restart = threading.Thread(target=self.objects.start)
                self._restart.start()
            case _:
                return
        self.happened[what] += 1

    # --- what is seen ---

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def states(self) -> Counter[str]:
        return Counter(dict(self.sql("SELECT state, count(*) FROM batchedit.job WHERE wanted GROUP BY state")))

    def known_money(self) -> float:
        """US dollars: spent and reserved by the store's books."""
        ((money,),) = self.sql("SELECT coalesce(sum(spent + held), 0)::bigint FROM batchedit.tally")
        return int(money) / MICRO

    def is_capped(self) -> bool:
        ((capped,),) = self.sql("SELECT bool_or(max_cost IS NOT NULL) FROM batchedit.run")
        return bool(capped)

    def look_at_the_cap(self) -> None:
        """Neither the store's books nor the service's own are ever above it."""
        ledger, ours = self.sandbox.ledger(), self.known_money()
        charged = ledger["charged_usd"] + ledger["reserved_usd"]
        for what, money in (("spent and reserved", ours), ("charged", charged)):
            if self.cap is not None and money > self.cap + 1e-6:
                self.wrong[f"${money:.2f} {what} under a cap of ${self.cap:.2f}"] += 1
        for what in ("duplicates", "live_duplicates"):
            if ledger[what]:
                self.wrong[f"{ledger[what]} {what}"] += 1

    def is_over(self) -> bool:
        """Does every job rest? At the cap a person lifts it, once."""
        states = self.states()
        moving = any(states[state] for state in OPEN if state != "planned")
        if self.cap is not None and states["planned"] and self.known_money() + PRICE > self.cap:
            self.cap, self.cap_met = None, True
        first = self.machines[0]
        if states and self.cap is None and not (first.runs or first.stopped_until) and self.is_capped():
            self.run()  # typed again where it was killed before it had lifted the cap
        return bool(states) and not moving and not states["planned"]

    def tell(self) -> None:
        state_text = " ".join(f"{count} {state}" for state, count in sorted(self.states().items()))
        broken = " ".join(f"{count} {what}" for what, count in sorted(self.happened.items()))
        print(f"  {time.monotonic() - self.began:5.0f} s  {state_text} · {broken}", file=sys.stderr, flush=True)

    # --- the end ---

    def end(self, machine: Machine) -> None:
        if machine.process is not None and machine.process.poll() is None:
            machine.process.kill()
            machine.process.wait()
        machine.process, machine.stopped_until = None, 0.0

    def peace(self) -> None:
        """Nothing breaks any more."""
        if self._restart is not None:
            self._restart.join()
        for machine in self.machines:
            if machine.stopped_until and machine.process is not None:
                os.kill(machine.process.pid, signal.SIGCONT)
            machine.stopped_until = 0.0

    def close(self) -> None:
        for machine in self.machines:
            self.end(machine)
        if self._restart is not None:
            self._restart.join()
        self.proxy.close()


def besiege(seed: int, arguments: argparse.Namespace, folder: Path) -> Siege:
    """Until all is bought, in doubt, refused or given up."""
    write_manifest(folder / "m.csv", arguments.jobs)
    options = {"latency": "lognormal:1,0.6", "plain_files": 20_000, "seed": seed, "price": PRICE}
    with serve(SandboxConfig(**options, faults=RULES)) as sandbox:
        field_ = Field(seed, arguments, folder, sandbox)
        try:
            (folder / "m.csv").rename(field_.machines[0].folder / "m.csv")
            field_.run()
            return _until_over(field_, seed)
        finally:
            field_.close()


def _until_over(it: Field, seed: int) -> Siege:
    told_at = 0.0
    while not it.is_over():
        time.sleep(it.every * it.rng.uniform(0.4, 1.6))
        it.keep_alive()
        if it.states() and time.monotonic() - it.began < MINUTES * 60:
            it.breaks()
        it.look_at_the_cap()
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            it.tell()
        assert time.monotonic() - it.began < 2 * MINUTES * 60, "it does not end"
    it.peace()
    seconds = time.monotonic() - it.began
    # Who still runs finds out by itself that nothing is left.
    for machine in it.machines:
        if machine.process is not None:
            machine.codes[machine.process.wait(timeout=300)] += 1
    it.cap = None
    first = it.machines[0]
    while (
        True
    ):  # a fault of the service (401, no money) may stop this one too, and what was given up is looked for once more
        it.run()
        assert first.process is not None
        code = first.process.wait(timeout=600)
        if code in {0, 1, 76} and not any(it.states()[state] for state in OPEN):
            break
        assert code in {0, 1, 69, 75, 76, 77}, f"exit {code}, see {first.folder}/err.txt"
    return _judge(it, seed, seconds)


def _judge(it: Field, seed: int, seconds: float) -> Siege:
    """The service's ledger and the object store against what the run knows."""
    first = it.machines[0]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHEDIT_", "RUNCOMFY_"))}
    variables = {"BATCHEDIT_STORE": first.url, "BATCHEDIT_STATE": str(first.folder / "state")}
    audit = subprocess.run(
        [sys.executable, "-m", "batchedit", "audit", "outputs/m"],
        cwd=first.folder,
        env=kept | it.objects.environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    ledger, states, ours = it.sandbox.ledger(full=True), it.states(), it.known_money()
    rows = [json.loads(line) for line in (first.folder / "outputs" / "m" / "results.jsonl").open(encoding="utf-8")]
    known = {str(one["result_request_id"]) for one in rows}
    doubtful = {one["prompt"] for one in rows if one["result_status"] == "in_doubt"}
    orphans = {str(request) for (request,) in it.sql("SELECT request_id FROM batchedit.orphan")}
    forgotten = [
        job["prompt"]
        for job in ledger["requests"]
        if job["request_id"] not in known | orphans and job["prompt"] not in doubtful
    ]
    charged = ledger["charged_usd"] + ledger["reserved_usd"]
    missing = list(_missing(it, rows))
    wrong = {
        f"{ledger['duplicates']} duplicates": ledger["duplicates"],
        f"{ledger['live_duplicates']} live duplicates": ledger["live_duplicates"],
        f"audit: {audit.stdout[-800:]}{audit.stderr[-800:]}": audit.returncode,
        f"bought and forgotten: {forgotten[:5]}": forgotten,
        f"charged {charged}, and the run knows of {ours}": charged > ours + 1e-6,
        f"rows: {len(rows)} of {it.jobs}": len(rows) != it.jobs,
        f"pictures: {missing[:5]}": missing,
        f"{len(orphans)} orphans": orphans,
        f"the sandbox itself: {ledger['bugs']}": ledger["bugs"],
        f"token leaked: {ledger['token_leaks']}": ledger["token_leaks"],
        "the cap was never reached": not it.cap_met,
        f"a traceback: {_tracebacks(it)}": _tracebacks(it),
    }
    count = it.happened
    cells = (
        *(seed, f"{it.jobs:,}", f"{seconds:.0f}", sum(machine.started for machine in it.machines)),
        *(count["kill"], count["stop"], count["crash"], count["cut"], it.proxy.lost, count["objects"]),
        *(f"{ledger['submits_seen']:,}", f"{ledger['accepted']:,}", ledger["answers_lost"], f"{states['done']:,}"),
        *(states["failed"], states["in_doubt"], states["uncollected"], len(orphans)),
        *(ledger["duplicates"], ledger["live_duplicates"], f"${charged:.2f}", f"${ours:.2f}"),
        *("clean" if audit.returncode == 0 else "FAILED", "all there" if not missing else f"{len(missing)} MISSING"),
    )
    exits = sum((machine.codes for machine in it.machines), Counter[int]())
    print(f"  exit codes: {dict(sorted(exits.items()))}", file=sys.stderr)
    return Siege(cells, (*(text for text, is_so in wrong.items() if is_so), *it.wrong))


def _missing(it: Field, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Pictures of done rows that are not in the object store as they were saved."""
    client, bucket = it.objects.client(), f"s3://{seaweed.BUCKET}/"
    for one in rows:
        if one["result_status"] != "done":
            continue
        try:
            content = bytes(obstore.get(client, str(one["result_file"]).removeprefix(bucket)).bytes())
        except (obstore.exceptions.BaseError, FileNotFoundError) as error:
            yield f"{one['result_file']}: {error!r:.200}"
            continue
        if hashlib.sha256(content).hexdigest() != one["result_sha256"]:
            yield f"{one['result_file']}: another sha256"


def _tracebacks(it: Field) -> list[str]:
    """Machines where somebody saw one."""
    logs = [machine.folder / "err.txt" for machine in it.machines]
    return [str(path) for path in logs if path.exists() and b"Traceback" in path.read_bytes()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help="may be given again  [default: 1, 2 and 3]")
    parser.add_argument("--jobs", type=int, default=3000, help="[default: 3000]")
    parser.add_argument(
        "--cap", type=float, default=0.6, help="as a share of what all jobs cost, 0: none  [default: 0.6]"
    )
    parser.add_argument(
        "--lease", type=float, default=LEASE, help=f"seconds; longer on a busy machine  [default: {LEASE:g}]"
    )
    parser.add_argument("--every", type=float, default=EVERY, help=f"seconds between two breaks  [default: {EVERY:g}]")
    parser.add_argument("--keep", type=Path, help="a folder for what each machine wrote  [default: thrown away]")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end too
    print(row(HEAD), row(("---",) * len(HEAD)), sep="\n", flush=True)
    failed = False
    for seed in arguments.seed or (1, 2, 3):
        with TemporaryDirectory(prefix="soak-") as name:
            folder = arguments.keep / str(seed) if arguments.keep else Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            siege = besiege(seed, arguments, folder)
        print(row(siege.cells), flush=True)
        for text in siege.wrong:
            print(f"WRONG: {text}", flush=True)
        failed = failed or bool(siege.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
