"""A real process is killed at every point that matters, and the same command goes on: the sandbox's ledger is the witness."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import CHILD, batchedit, manifest, on, rows, start, until

ROWS = 12
QUICK = {"latency": "0.15", "plain_files": 20_000}


def finish(folder: Path, sandbox: RunningSandbox, *, doubts: int) -> None:
    """The same command again, twice; then everything must add up."""
    for _ in range(2):
        batchedit(*command(sandbox), cwd=folder, code=76 if doubts else 0)
    ledger = sandbox.ledger()
    states = Counter(row["result_status"] for row in rows(folder / "outputs" / "m"))
    expected = Counter({"done": ROWS - doubts})
    if doubts:
        expected["in_doubt"] = doubts
    assert states == expected
    assert ledger["duplicates"] == 0
    assert ROWS - doubts <= ledger["accepted"] <= ROWS
    assert ledger["bugs"] == []
    assert ledger["token_leaks"] == []
    assert "everything adds up" in batchedit("audit", "outputs/m", cwd=folder).stdout


def command(sandbox: RunningSandbox) -> list[object]:
    return ["run", "m.csv", *on(sandbox, "-j", 4)]


@pytest.mark.parametrize(
    ("point", "nth", "doubts"),
    [
        ("Reserved", 3, None),  # before the POST
        ("Accepted", 1, None),  # after the commit
        ("Accepted", 6, None),
        ("Completed", 4, None),
        ("Saved", 4, None),
        ("Saved", ROWS, 0),  # everything done, no results written
    ],
)
def test_killed_after_a_commit(tmp_path: Path, point: str, nth: int, doubts: int | None) -> None:
    manifest(tmp_path / "m.csv", ROWS)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        child = start(point, nth, *command(sandbox), cwd=tmp_path, script=[CHILD])
        child.communicate(timeout=90)
        assert child.returncode == -signal.SIGKILL
        assert not (tmp_path / "outputs" / "m" / "results.csv").exists()
        seen = batchedit(*command(sandbox), cwd=tmp_path, code=None)
        in_doubt = [row for row in rows(tmp_path / "outputs" / "m") if row["result_status"] == "in_doubt"]
        assert len(in_doubt) <= 4, "no more than were on the wire"
        assert doubts is None or len(in_doubt) == doubts
        if point == "Reserved":
            assert in_doubt, "its intention was written, so nobody knows"
        assert seen.returncode == (76 if in_doubt else 0)
        finish(tmp_path, sandbox, doubts=len(in_doubt))


def test_killed_while_the_post_is_on_the_wire(tmp_path: Path) -> None:
    """The job is made and its answer never comes: bought, in doubt, and not bought again."""
    manifest(tmp_path / "m.csv", ROWS)
    with serve(SandboxConfig(**QUICK, faults=("submit:hang_after=at:3",))) as sandbox:
        child = start(*command(sandbox), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] >= 3)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=90)
        assert child.returncode == -signal.SIGKILL
        batchedit(*command(sandbox), cwd=tmp_path, code=76)
        doubts = sum(row["result_status"] == "in_doubt" for row in rows(tmp_path / "outputs" / "m"))
        assert 1 <= doubts <= 4
        finish(tmp_path, sandbox, doubts=doubts)
        assert ROWS - doubts < sandbox.ledger()["accepted"] <= ROWS


def test_killed_in_a_download(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", ROWS)
    # Of files this large the first MiB goes to disk while the rest is on its way.
    large = QUICK | {"plain_files": 3_000_000}
    with serve(SandboxConfig(**large)) as sandbox:
        child = start("begun", 9, *command(sandbox), cwd=tmp_path, script=[CHILD])
        child.communicate(timeout=90)
        assert child.returncode == -signal.SIGKILL
        files = tmp_path / "outputs" / "m" / "files"
        assert list(files.glob("*.png"))
        assert [part for part in files.glob("*.part") if 0 < part.stat().st_size < 3_000_000]
        batchedit(*command(sandbox), cwd=tmp_path, code=None)
        doubts = sum(row["result_status"] == "in_doubt" for row in rows(tmp_path / "outputs" / "m"))
        assert doubts <= 4, "no more than were on the wire"
        finish(tmp_path, sandbox, doubts=doubts)
        assert sandbox.ledger()["accepted"] == ROWS
        assert not list(files.glob("*.part"))


@pytest.mark.parametrize("point", ["written", "renamed"])
def test_killed_while_the_results_are_written(tmp_path: Path, point: str) -> None:
    """Four of 3,000 rows are bought; killed with half of the file on disk, or all of it: nothing has a name yet."""
    manifest(tmp_path / "m.csv", 3_000)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        folder = tmp_path / "outputs" / "m"
        capped = [*command(sandbox), "--max-cost", "0.16"]
        child = start(f"{point}:results.jsonl", 1, *capped, cwd=tmp_path, script=[CHILD])
        child.communicate(timeout=90)
        assert child.returncode == -signal.SIGKILL
        part = folder / "results.jsonl.part"
        assert part.exists()
        lines = part.read_bytes().count(b"\n")
        assert lines == 3_000 if point == "renamed" else 0 < lines < 3_000
        assert not (folder / "results.jsonl").exists()
        batchedit(*capped, cwd=tmp_path, code=75)
        assert Counter(row["result_status"] for row in rows(folder)) == {"done": 4, "planned": 3_000 - 4}
        assert not part.exists()
        assert sandbox.ledger()["accepted"] == 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """POSTs on the wire are written down, remote jobs are left running, results are there, and the way on is told."""
    manifest(tmp_path / "m.csv", ROWS)
    # No look is answered, so that no job ends however late the signal comes.
    with serve(SandboxConfig(**QUICK, faults=("poll:503=1",))) as sandbox:
        child = start(*command(sandbox), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] == 4)
        child.send_signal(number)
        out, _ = child.communicate(timeout=90)
        assert child.returncode == code
        assert "to go on: batchedit run outputs/m" in out
        states = Counter(row["result_status"] for row in rows(tmp_path / "outputs" / "m"))
        assert states == {"submitted": 4, "planned": ROWS - 4}
        sandbox.set_faults([])
        finish(tmp_path, sandbox, doubts=0)
        assert sandbox.ledger()["accepted"] == ROWS


def test_the_second_process_is_refused_and_told_who_works(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(latency="600")) as sandbox:
        first = start(*command(sandbox), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] == 4)
        second = batchedit(*command(sandbox), cwd=tmp_path, code=75)
        assert f"pid {first.pid} on " in second.stderr
        first.kill()
        first.communicate()
