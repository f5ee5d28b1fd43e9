"""SIGKILL in every other command that buys or collects: what is bought afterwards is what was asked, and nothing twice."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, rows
from tests.support.fork_server import Child, ForkServer

RUN = Path("outputs", "m")


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


def killed(fork_server: ForkServer, folder: Path, point: tuple[str, int], *words: object) -> Child:
    """Run a command that kills itself at ``point``."""
    child = fork_server.start(*words, cwd=folder, doom=point)
    assert child.wait() == -signal.SIGKILL, f"it was never reached\n{child.stdout}\n{child.stderr}"
    return child


def states(folder: Path, run: Path = RUN) -> Counter[str]:
    return Counter(str(row["result_status"]) for row in rows(folder / run))


def adds_up(folder: Path, run: Path = RUN) -> None:
    assert audit(str(folder / run), {})[1].findings == []


def bought(sandbox: RunningSandbox) -> int:
    return int(sandbox.ledger()["accepted"])


def is_what_was_asked(folder: Path, sandbox: RunningSandbox, purchases: int) -> None:
    """So many in all, but for those whose POST may not have been sent: the kill left them in doubt. Nothing else is open."""
    counts = states(folder)
    assert purchases - counts["in_doubt"] <= bought(sandbox) <= purchases
    assert counts.keys() <= {"done", "in_doubt"}
    assert counts["in_doubt"] <= 1


POINTS = ["Reserved", "answered", "Accepted", "Completed"]


@pytest.mark.parametrize("point", POINTS)
def test_a_retry_is_killed(tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, point: str) -> None:
    manifest(tmp_path / "m.csv", 3)
    sandbox.set_faults(["job:failed=first:2"])
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    killed(fork_server, tmp_path, (point, 1), "retry", RUN, "--failed", *on(sandbox, "-j", 1))
    for _ in range(2):
        fork_server.run("run", RUN, *on(sandbox), cwd=tmp_path, code=None)
    is_what_was_asked(tmp_path, sandbox, 5)
    assert sandbox.ledger()["live_duplicates"] == 0
    adds_up(tmp_path)


@pytest.mark.parametrize("point", POINTS)
def test_a_redo_is_killed(tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, point: str) -> None:
    manifest(tmp_path / "m.csv", 3)
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path)
    checkpoint = open_checkpoint(tmp_path / RUN / "checkpoint.sqlite")
    for job in (1, 2):
        FolderDecisions(checkpoint).put(PictureDecision(job, Verdict.REJECT))
    checkpoint.close()
    killed(fork_server, tmp_path, (point, 1), "redo", RUN, *on(sandbox, "-j", 1))
    for _ in range(2):
        fork_server.run("run", RUN, *on(sandbox), cwd=tmp_path, code=None)
    is_what_was_asked(tmp_path, sandbox, 5)
    adds_up(tmp_path)


@pytest.mark.parametrize("point", ["Reserved", "answered", "Accepted", "Completed"])
def test_doubts_are_bought_again_and_that_is_killed(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, point: str
) -> None:
    """Released is on disk for both of them, and one is bought: the next run buys the other, which was asked, and no more."""
    manifest(tmp_path / "m.csv", 4)
    sandbox.set_faults(["submit:drop_after=at:1+2"])
    fork_server.run("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76)
    assert (bought(sandbox), states(tmp_path)) == (4, Counter(in_doubt=2, done=2))
    killed(fork_server, tmp_path, (point, 1), "doubt", RUN, "--buy-again", "all", *on(sandbox))
    for _ in range(2):
        fork_server.run("run", RUN, *on(sandbox), cwd=tmp_path, code=None)
    is_what_was_asked(tmp_path, sandbox, 6)
    adds_up(tmp_path)


@pytest.mark.parametrize("point", ["Resumed", "Completed", "Saved"])
def test_a_fetch_is_killed(tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, point: str) -> None:
    manifest(tmp_path / "m.csv", 3)
    killed(fork_server, tmp_path, ("Accepted", 3), "run", "m.csv", *on(sandbox, "-j", 3))
    taken = bought(sandbox)
    killed(fork_server, tmp_path, (point, 1), "fetch", RUN, "--base-url", sandbox.url)
    fork_server.run("fetch", RUN, "--base-url", sandbox.url, cwd=tmp_path)
    assert (bought(sandbox), states(tmp_path)["done"]) == (taken, 3)
    adds_up(tmp_path)


def test_killed_between_the_copied_file_and_the_record_of_its_reuse(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    """The files lie under their names and no job has them; the next run takes them over and buys nothing."""
    manifest(tmp_path / "m.csv", 3)
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "m.csv", tmp_path / "n.csv")
    killed(fork_server, tmp_path, ("copied", 1), "run", "n.csv", *on(sandbox))
    left = Path("outputs", "n")
    assert len(list((tmp_path / left / "files").iterdir())) == 3
    fork_server.run("run", "n.csv", *on(sandbox), cwd=tmp_path)
    assert (bought(sandbox), states(tmp_path, left)) == (3, Counter(done=3))
    adds_up(tmp_path, left)


def test_killed_with_the_reuse_recorded_and_nothing_after_it(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "m.csv", 3)
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "m.csv", tmp_path / "n.csv")
    killed(fork_server, tmp_path, ("Reused", 1), "run", "n.csv", *on(sandbox))
    fork_server.run("run", "n.csv", *on(sandbox), cwd=tmp_path)
    assert bought(sandbox) == 3
    adds_up(tmp_path, Path("outputs", "n"))


@pytest.mark.parametrize("point", ["Released", "RetryAsked"])
def test_killed_between_the_decision_and_the_purchase(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, point: str
) -> None:
    """A job is planned again and not bought: what the next run buys is that one, after its own question, and once."""
    manifest(tmp_path / "m.csv", 3)
    sandbox.set_faults(["submit:drop_after=at:1" if point == "Released" else "job:failed=at:1"])
    fork_server.run("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76 if point == "Released" else 1)
    words = ["doubt", RUN, "--buy-again", "all"] if point == "Released" else ["retry", RUN, "--failed"]
    killed(fork_server, tmp_path, (point, 1), *words, *on(sandbox))
    assert bought(sandbox) == 3
    completed = fork_server.run("run", RUN, *on(sandbox), cwd=tmp_path)
    assert "1 picture" in completed.stderr
    fork_server.run("run", RUN, *on(sandbox), cwd=tmp_path)
    assert (bought(sandbox), states(tmp_path)) == (4, Counter(done=3))
    adds_up(tmp_path)


def test_doubt_said_that_nothing_was_in_doubt_after_a_kill(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    """The POST was made and nobody heard: doubt ended with 0, and bought nothing again of ``all``."""
    manifest(tmp_path / "m.csv", 1)
    killed(fork_server, tmp_path, ("answered", 1), "run", "m.csv", *on(sandbox))
    completed = fork_server.run("doubt", RUN, cwd=tmp_path, code=76)
    assert "1 job may have been bought" in completed.stdout
    fork_server.run("doubt", RUN, "--buy-again", "all", *on(sandbox), cwd=tmp_path)
    assert bought(sandbox) == 2
    adds_up(tmp_path)
