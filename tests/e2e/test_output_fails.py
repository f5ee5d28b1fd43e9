"""What the screen can't take never ends a run, and never changes its exit code."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, run_cli, until

COMMAND = [sys.executable, "-m", "batchedit"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "latin-1", "ascii"])
def test_output_that_cannot_be_encoded_is_replaced(tmp_path: Path, encoding: str) -> None:
    """Our own arrow ended the command with a traceback and exit 1 after everything was bought."""
    manifest(tmp_path / "m.csv", 2)
    completed = subprocess.run(
        [*COMMAND, "run", "m.csv", "--sandbox"],
        cwd=tmp_path,
        env=make_env(PYTHONIOENCODING=encoding),
        capture_output=True,
        check=False,
    )
    assert (completed.returncode, b"Traceback" in completed.stderr) == (0, False), completed.stderr
    assert b"2 done" in completed.stdout


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_full_disk_under_stdout_is_no_other_exit_code(tmp_path: Path, command: str) -> None:
    manifest(tmp_path / "m.csv", 2)
    with Path("/dev/full").open("w") as full:
        completed = subprocess.run(
            [*COMMAND, command, "m.csv", "--sandbox"],
            cwd=tmp_path,
            env=make_env(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (completed.returncode, completed.stderr.count(b"Error")) == (0, 0), completed.stderr


def test_a_closed_pipe_does_not_end_a_run(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with subprocess.Popen(
        [*COMMAND, "run", "m.csv", "--sandbox"],
        cwd=tmp_path,
        env=make_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 0
    assert len(list((tmp_path / "outputs/m/files").iterdir())) == 3


def test_a_closed_terminal_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    """SIGHUP was not heard: 8 of 12 POSTs that were under way went in doubt. A real terminal is hung up here."""
    manifest(tmp_path / "m.csv", 6)
    # No job ends however late the terminal goes. Looks are answered: a run whose looks fail stops buying, and on a slow
    # machine that came before the sixth POST.
    with serve(SandboxConfig(latency="600", plain_files=4_000, faults=("submit:slow@1.5=1",))) as sandbox:
        arguments = ["run", "m.csv", "--yes", "--base-url", sandbox.url]
        pid, terminal = pty.fork()
        if pid == 0:  # the child: nothing but exec may happen here
            os.chdir(tmp_path)
            os.execve(sys.executable, [*COMMAND, *arguments], make_env())

        def all_are_sent() -> bool:
            if select.select([terminal], [], [], 0)[0]:  # a terminal that nobody reads holds the run up once it is full
                os.read(terminal, 4096)
            return bool(sandbox.ledger()["submits_seen"] == 6)

        until(all_are_sent)
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 129
        assert (tmp_path / "outputs/m/results.csv").is_file()
        assert "nothing is in doubt" in run_cli("doubt", "outputs/m", cwd=tmp_path).stdout
        assert sandbox.ledger()["accepted"] == 6
