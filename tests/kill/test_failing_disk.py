"""Each call with which a run touches its folder, or the register of runs, fails once, or from there on: told in a sentence,
and the next run is whole.

A sample of the calls on every run of the tests; all of them with ``BATCHEDIT_DISK=1``, which also prints what came of them,
or a part of them with ``BATCHEDIT_DISK=2/5``, the second of five. With ``--basetemp`` on a disk in memory it takes half as
long.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from batchedit.commands.audit import audit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.kill.failing_disk import KINDS, Fault, Seen, compiled, order
from tests.support.cli import manifest, on, rows
from tests.support.fork_server import Child, ForkServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the library is preloaded as Linux does it")
ROWS = 3
EVERY = os.environ.get("BATCHEDIT_DISK")
AT_ONCE = 3
"""Most of a run's time is waiting."""
RUN, REGISTER = "outputs/m", "state"
KNOWN = [
    Fault("unlink", 26, "EIO"),  # failed.csv: a traceback when it could not be removed
    Fault("open", 16, "EIO"),  # run.jsonl, read to see whether the run ever began: a traceback
    Fault("open", 29, "EIO"),  # manifest.csv, the run's own copy: 65, as if the sheet were wrong
    Fault("open", 21, "EIO"),  # a picture's .part: told in the report
    Fault("write", 110, "ENOSPC", stays=True),  # an id is on its way, and the spare room takes it
    Fault("write", 110, "EIO"),
]
KNOWN_OF_REGISTER = [
    Fault("open", 13, "EIO"),  # its journal, looked at before it is written to: exit 0, and the run was not in it
    Fault("open", 14, "EIO"),
    Fault("open", 28, "ENOSPC", stays=True),  # exit 0, and the price that was told was not in it
    Fault("open", 38, "EIO"),
]


@pytest.fixture(scope="module")
def nurseries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ForkServer]]:
    library = str(compiled(tmp_path_factory.mktemp("library")))
    servers = [ForkServer(patience=900.0, LD_PRELOAD=library) for _ in range(AT_ONCE)]
    yield servers
    for fork_server in servers:
        fork_server.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as running:
        yield running


class Trial:
    """A run on a disk that fails, and the next one on a disk that does not."""

    def __init__(
        self, fork_server: ForkServer, sandbox: RunningSandbox, folder: Path, where: str, fault: Fault
    ) -> None:
        self.fork_server, self.sandbox, self.folder, self.fault = fork_server, sandbox, folder, fault
        folder.mkdir()
        manifest(folder / "m.csv", ROWS, prefix=f"{folder.name}-")
        self.run_folder, self.where = folder / "outputs" / "m", where
        self.at = ""
        self.ends: tuple[str, ...] = ()

    def command(self, disk: dict[str, object] | None = None) -> Child:
        arguments = ["run", "m.csv", *on(self.sandbox, "-j", 2, "--poll-seconds", 0.2)]
        state = self.folder / "state"  # no run may find what another one has
        child = self.fork_server.start(*arguments, cwd=self.folder, disk=disk, state=state)
        child.wait()
        return child

    def failing(self) -> tuple[Child, Seen]:
        report = self.folder / "seen.json"
        child = self.command(order(self.folder / self.where, self.fault, report))
        seen = Seen(**json.loads(report.read_text()))
        self.at = re.sub(r"[0-9a-f]{20,}|\d+-\d+|fault\d+--?\d+|\d{5,}", "*", seen.hit)
        return child, seen

    def bought(self) -> Counter[str]:
        """How many jobs were made of each prompt of this run's."""
        prompts: Counter[str] = Counter()
        for job in self.sandbox.ledger(full=True)["requests"]:
            if f" {self.folder.name}-" in job["prompt"]:
                prompts[job["prompt"]] += 1
        return prompts

    def problems(self, whole: dict[str, object]) -> list[str]:
        """What is wrong with it all, in words. ``whole`` is what a run leaves that nothing disturbed."""
        child, seen = self.failing()
        flaws, errors = [], child.stderr
        if child.returncode not in {0, 73, 74}:
            flaws.append(f"exit {child.returncode}")
        if child.returncode and not ("batchedit: " in errors or "warning: " in errors or "stopped" in child.stdout):
            flaws.append("no sentence")
        if child.returncode == 0 and (missing := _differences(whole, self.left())):
            flaws.append(f"exit 0, and {missing}")
        again = self.command()
        self.ends = (f"exit {child.returncode}", f"then exit {again.returncode}")
        if "Traceback" in errors + again.stderr:
            flaws.append("a traceback")
        if max(self.bought().values()) > 1:
            flaws.append("bought twice")
        if again.returncode == 76:
            flaws += self.doubts_without_an_id(errors)
        elif again.returncode or not self.is_whole():
            flaws.append(f"the next run: exit {again.returncode}")
        if findings := audit(str(self.run_folder), {})[1].findings:
            flaws.append(f"the audit finds {findings}")
        return [f"{self.fault} at {seen.hit}: {flaws}\n{errors}\n{child.stdout}\n{again.stderr}"] if flaws else []

    def is_whole(self) -> bool:
        return Counter(row["result_status"] for row in rows(self.run_folder)) == {"done": ROWS}

    def left(self) -> dict[str, object]:
        """What the run has left: how many files of each name, how often the log tells what, what the register knows."""
        plain = [
            re.sub(r"[0-9a-f]{40}", "*", str(path.relative_to(self.run_folder)).replace(self.folder.name, "*"))
            for path in self.run_folder.rglob("*")
        ]
        log = [json.loads(line)["event"] for line in (self.run_folder / "run.jsonl").read_text().splitlines()]
        live = self.run_folder / "live.json"
        return {
            "files": Counter(name for name in plain if not name.endswith(("-shm", "-wal"))),
            "log": Counter(event for event in log if event in {"started", "Accepted", "Completed", "Saved", "ended"}),
            "live": json.loads(live.read_text())["phase"] if live.exists() else "",
            "seen": len((self.run_folder / "thumbs" / "seen.jsonl").read_text().splitlines()),
            "done": self.is_whole(),
            "register": self.known(),
        }

    def known(self) -> object:
        path = self.folder / "state" / "register.sqlite"
        if not path.exists():
            return "no register"
        with closing(sqlite3.connect(path)) as db:
            run = "SELECT source != '', account != '' FROM runs"
            return [
                db.execute(query).fetchall() for query in (run, "SELECT cost FROM costs", "SELECT count(*) FROM made")
            ]

    def doubts_without_an_id(self, errors: str) -> list[str]:
        """A job that was made may be in doubt only where its id was told on the screen, for a person to give it back."""
        table = rows(self.run_folder)
        doubts = {row["prompt"] for row in table if row["result_status"] == "in_doubt"}
        jobs = self.sandbox.ledger(full=True)["requests"]
        return [
            f"{job['request_id']} is lost"
            for job in jobs
            if job["prompt"] in doubts and job["request_id"] not in errors
        ]


def _differences(whole: dict[str, object], left: dict[str, object]) -> str:
    return "; ".join(f"{name}: {left[name]}, not {whole[name]}" for name in whole if whole[name] != left[name])


def faults(where: str, calls: dict[str, int]) -> list[Fault]:
    """Every call of the run fails once with EIO, and with ENOSPC from there on; or the known ones and a few of the others."""
    kinds = (("EIO", False), ("ENOSPC", True))
    every = [Fault(kind, n, *how) for kind in KINDS for n in range(1, calls[kind] + 1) for how in kinds]
    if not EVERY:
        return [*(KNOWN if where == RUN else KNOWN_OF_REGISTER), *random.Random(2).sample(every, 4)]
    part, parts = (int(number) for number in EVERY.split("/")) if "/" in EVERY else (1, 1)
    return every[part - 1 :: parts]


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("where", [RUN, REGISTER])
def test_a_disk_that_fails_at_any_call(
    tmp_path: Path, nurseries: list[ForkServer], sandbox: RunningSandbox, where: str
) -> None:
    first = Trial(nurseries[0], sandbox, tmp_path / f"{Path(where).name}-whole", where, Fault("open", 10**6))
    whole, seen = first.failing()
    assert (whole.returncode, seen.hit) == (0, "")
    assert all(calls for kind, calls in seen.calls.items() if where == RUN or kind in {"open", "write"}), seen
    left = first.left()
    free: SimpleQueue[ForkServer] = SimpleQueue()
    for fork_server in nurseries:
        free.put(fork_server)

    def judged(number: int, fault: Fault) -> tuple[Trial, list[str]]:
        fork_server = free.get()
        try:
            trial = Trial(fork_server, sandbox, tmp_path / f"{Path(where).name}-fault{number}", where, fault)
            flaws = trial.problems(left)
        finally:
            free.put(fork_server)
        if EVERY:
            print(*flaws or [f"{fault}: {trial.at} {trial.ends}"], sep="\n", flush=True)  # noqa: T201
        return trial, flaws

    problems: list[str] = []
    table: Counter[tuple[str, ...]] = Counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for trial, flaws in threads.map(judged, *zip(*enumerate(faults(where, seen.calls), 1), strict=True)):
            problems += flaws
            table[trial.at, trial.fault.kind, trial.fault.error, *trial.ends, "BAD" if flaws else ""] += 1
    if EVERY:
        print(f"{where}: {table.total()} faults, {len(problems)} problems")  # noqa: T201
        print("\n".join(f"{count:5}  {'  '.join(kinds)}" for kinds, count in sorted(table.items())))  # noqa: T201
    assert not problems, "\n".join(problems)
