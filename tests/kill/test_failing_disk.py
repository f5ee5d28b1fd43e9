"""Each call with which a run touches its folder, or the register of runs, fails once, or from there on: told in a sentence,
and the next run is whole.

A sample of the calls on every run of the tests; all of them with ``BATCHEDIT_DISK=1`` (some ten minutes), which also prints
what came of them.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.kill.failing_disk import KINDS, Fault, Seen, compiled, order
from tests.support.cli import manifest, on, rows
from tests.support.fork_server import Child, Nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the library is preloaded as Linux does it")
ROWS = 3
EVERY = os.environ.get("BATCHEDIT_DISK")
HARMLESS = (".lock", ".spare", "run.jsonl", "checkpoint.sqlite", "live.json", "thumbs")
"""Where a fault may pass without an exit code: the holder's name, the room that is kept, the log (which says so on the
screen), a file that SQLite opens in vain or whose content its WAL still has, the account for who watches from elsewhere (it
is written anew two seconds later, and the checkpoint is read where it is old), a small picture. That one nobody paid for,
and the gallery makes it anew: a run that ended for it would stop buying for nothing, so the screen says that it can't be
kept. And anywhere in the register: without it a run works, and only can't know of the others."""
RUN, REGISTER = "outputs/m", "state"
KNOWN = [
    Fault("unlink", 26, "EIO"),  # failed.csv: a traceback when it could not be removed
    Fault("open", 16, "EIO"),  # run.jsonl, read to see whether the run ever began: a traceback
    Fault("open", 29, "EIO"),  # manifest.csv, the run's own copy: 65, as if the sheet were wrong
    Fault("open", 21, "EIO"),  # a picture's .part: told in the report
    Fault("write", 110, "ENOSPC", stays=True),  # an id is on its way, and the spare room takes it
    Fault("write", 110, "EIO"),
]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(LD_PRELOAD=str(compiled(tmp_path_factory.mktemp("library"))))
    yield found
    found.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as running:
        yield running


class Trial:
    """A run on a disk that fails, and the next one on a disk that does not."""

    def __init__(self, nursery: Nursery, sandbox: RunningSandbox, folder: Path, where: str, fault: Fault) -> None:
        self.nursery, self.sandbox, self.folder, self.fault = nursery, sandbox, folder, fault
        folder.mkdir()
        manifest(folder / "m.csv", ROWS, prefix=f"{folder.name}-")
        self.run_folder, self.where = folder / "outputs" / "m", where
        self.ends: tuple[str, ...] = ()

    def command(self, disk: dict[str, object] | None = None) -> Child:
        os.environ["BATCHEDIT_STATE"] = str(self.folder / "state")  # no run may find what another one has
        told = ["run", "m.csv", *on(self.sandbox, "-j", 2, "--poll-seconds", 0.2)]
        child = self.nursery.start(*told, cwd=self.folder, disk=disk)
        child.wait()
        return child

    def failing(self) -> tuple[Child, Seen]:
        report = self.folder / "seen.json"
        child = self.command(order(self.folder / self.where, self.fault, report))
        return child, Seen(**json.loads(report.read_text()))

    def bought(self) -> Counter[str]:
        """The request ids of each prompt of this run's."""
        found: Counter[str] = Counter()
        for job in self.sandbox.ledger(full=True)["requests"]:
            if f" {self.folder.name}-" in job["prompt"]:
                found[job["prompt"]] += 1
        return found

    def problems(self) -> list[str]:
        """What is wrong with it all, in words."""
        child, seen = self.failing()
        found, told = [], child.stderr
        passed = not seen.hit or self.where == REGISTER or seen.hit.startswith(HARMLESS)
        if child.returncode not in ({0, 73, 74} if passed else {73, 74}):
            found.append(f"exit {child.returncode}")
        if (
            child.returncode
            and "batchedit: " not in told
            and not any(word in child.stdout for word in ("can't be", "failed:"))
        ):
            found.append("no sentence")
        lost = seen.hit.startswith("thumbs/") and self.fault.kind in {"open", "write", "rename"}
        if lost and not child.returncode and "small pictures can't be kept" not in told:
            found.append("nobody was told of the small pictures")
        if child.returncode == 0 and not self.is_whole():
            found.append("exit 0, and it is not whole")
        again = self.command()
        self.ends = (f"exit {child.returncode}", f"then exit {again.returncode}")
        if "Traceback" in told + again.stderr:
            found.append("a traceback")
        if max(self.bought().values()) > 1:
            found.append("bought twice")
        if again.returncode == 76:
            found += self.doubts_without_an_id(told)
        elif again.returncode or not self.is_whole():
            found.append(f"the next run: exit {again.returncode}")
        if findings := audit(str(self.run_folder), {})[1].findings:
            found.append(f"the audit finds {findings}")
        return [f"{self.fault} at {seen.hit}: {found}\n{told}\n{again.stderr}"] if found else []

    def is_whole(self) -> bool:
        return Counter(row["result_status"] for row in rows(self.run_folder)) == {"done": ROWS}

    def doubts_without_an_id(self, told: str) -> list[str]:
        """A job that was made may be in doubt only where its id was told on the screen, for a person to give it back."""
        table = rows(self.run_folder)
        doubts = {row["prompt"] for row in table if row["result_status"] == "in_doubt"}
        jobs = self.sandbox.ledger(full=True)["requests"]
        return [
            f"{job['request_id']} is lost" for job in jobs if job["prompt"] in doubts and job["request_id"] not in told
        ]


def faults(where: str, calls: dict[str, int]) -> list[Fault]:
    """Every call of the run fails once with EIO, and with ENOSPC from there on; or the known ones and a few of the others."""
    kinds = (("EIO", False), ("ENOSPC", True))
    every = [Fault(kind, n, *how) for kind in KINDS for n in range(1, calls[kind] + 1) for how in kinds]
    return every if EVERY else [*(KNOWN if where == RUN else ()), *random.Random(2).sample(every, 4)]


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("where", [RUN, REGISTER])
def test_a_disk_that_fails_at_any_call(tmp_path: Path, nursery: Nursery, sandbox: RunningSandbox, where: str) -> None:
    whole, seen = Trial(nursery, sandbox, tmp_path / f"{Path(where).name}-whole", where, Fault("open", 10**6)).failing()
    assert (whole.returncode, seen.hit) == (0, "")
    assert all(calls for kind, calls in seen.calls.items() if where == RUN or kind in {"open", "write"}), seen
    problems: list[str] = []
    table: Counter[tuple[str, ...]] = Counter()
    for number, fault in enumerate(faults(where, seen.calls), 1):
        trial = Trial(nursery, sandbox, tmp_path / f"{Path(where).name}-fault{number}", where, fault)
        problems += trial.problems()
        table[fault.kind, fault.error, *trial.ends] += 1
    if EVERY:
        print(f"{where}: {table.total()} faults, {len(problems)} problems")  # noqa: T201
        print("\n".join(f"{count:5}  {'  '.join(kinds)}" for kinds, count in sorted(table.items())))  # noqa: T201
    assert not problems, "\n".join(problems)
