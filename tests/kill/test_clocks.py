"""A clock that is set while a run goes on, or between two runs, halts nothing: a real process, whose wall clock is off by
what a file says.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, rows, run_cli, start, until

ROWS = 12
WITH_A_CLOCK = """
import sys, time
from pathlib import Path
off, right = Path(sys.argv.pop(1)), time.time
time.time = lambda: right() + float(off.read_text())  # before anything has taken it from its module
from batchedit.cli import main
main()
"""
FAULTS = ("submit:429_date@1=at:3+8",)
"""Two Retry-Afters that are dates by the service's clock, which is right."""


@contextmanager
def run(sandbox: RunningSandbox, folder: Path) -> Iterator[subprocess.Popen[str]]:
    # A job that is two hours old by its record is looked at once a minute: not what is tried here.
    command = ("run", "m.csv", *on(sandbox, "-j", 3, "--poll-seconds", 0.3))
    with start(folder / "off", *command, cwd=folder, script=["-c", WITH_A_CLOCK]) as process:
        try:
            yield process
        finally:
            process.kill()


def set_clock(folder: Path, off: float) -> None:
    """By ``off`` seconds ahead of the right one; at once, for it is read at any moment."""
    (folder / "new").write_text(str(off))
    (folder / "new").replace(folder / "off")


@pytest.mark.parametrize(
    ("at_first", "then"),
    [(0.0, (-7200.0,)), (0.0, (7200.0, 0.0)), (-7200.0, (7200.0, -86_400.0))],
    ids=["set back", "ahead and then right", "to and fro"],
)
def test_a_clock_that_is_set_while_a_run_goes_on(tmp_path: Path, at_first: float, then: tuple[float, ...]) -> None:
    """What waited by the wall's time waited for two hours."""
    manifest(tmp_path / "m.csv", ROWS)
    set_clock(tmp_path, at_first)
    with serve(SandboxConfig(latency="0.4", plain_files=20_000, faults=FAULTS)) as sandbox:
        with run(sandbox, tmp_path) as process:
            for n, off in enumerate(then):
                until(lambda n=n: sandbox.ledger()["accepted"] >= 2 + 3 * n)
                set_clock(tmp_path, off)
            out, err = process.communicate(timeout=90)
        assert process.returncode == 0, out + err
        assert sandbox.ledger()["accepted"] == ROWS
    assert "everything adds up" in run_cli("audit", "outputs/m", cwd=tmp_path).stdout


@pytest.mark.parametrize("off", [7200.0, -7200.0], ids=["ahead", "behind"])
def test_killed_while_the_clock_was_off_and_started_with_the_right_one(tmp_path: Path, off: float) -> None:
    manifest(tmp_path / "m.csv", ROWS)
    set_clock(tmp_path, off)
    with serve(SandboxConfig(latency="1", plain_files=20_000, faults=FAULTS)) as sandbox:
        with run(sandbox, tmp_path) as process:
            until(lambda: sandbox.ledger()["accepted"] >= 5)
            process.kill()
            process.communicate()
        began = time.time()
        with closing(sqlite3.connect(tmp_path / "outputs" / "m" / "checkpoint.sqlite")) as db:
            ((latest,),) = db.execute("SELECT max(due_at) FROM jobs")
        assert (latest or 0.0) <= began + off + 3600.0, "an hour ahead of the clock that wrote it"
        set_clock(tmp_path, 0.0)
        with run(sandbox, tmp_path) as process:
            out, err = process.communicate(timeout=90)
        assert process.returncode in {0, 76}, out + err
        assert time.time() - began < 100.0
    states = [row["result_status"] for row in rows(tmp_path / "outputs" / "m")]
    assert states.count("done") >= ROWS - 3, "at most what was on the wire is in doubt"
    assert set(states) <= {"done", "in_doubt"}
    assert "everything adds up" in run_cli("audit", "outputs/m", cwd=tmp_path).stdout, "times that events told are kept"
