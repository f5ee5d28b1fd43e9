"""At a real terminal: the question, its answers, Ctrl-C at it, and the bar."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import environment, manifest


def at_a_terminal(arguments: list[str], cwd: Path, until: str, answer: str) -> tuple[str, int]:
    """Run the command with a terminal of its own; type ``answer`` once ``until`` was shown."""
    pid, terminal = pty.fork()
    if pid == 0:  # the child: nothing but exec may happen here
        os.chdir(cwd)
        os.execve(sys.executable, [sys.executable, "-m", "batchedit", *arguments], environment(COLUMNS="120"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    shown, typed = "", not until
    try:
        while True:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk.decode(errors="replace")
            if not typed and until in shown:
                os.write(terminal, answer.encode())
                typed = True
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    return shown, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(("answer", "code", "bought"), [("y\n", 0, 3), ("n\n", 64, 0), ("\n", 64, 0), ("\x03", 130, 0)])
def test_the_question(tmp_path: Path, answer: str, code: int, bought: int) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url]
        shown, left = at_a_terminal(arguments, tmp_path, "Buy 3 pictures for about $0.12?", answer)
        assert left == code, shown
        assert sandbox.ledger()["accepted"] == bought
        if bought:
            assert "3/3 done" in shown
            assert "Traceback" not in shown


def test_the_canary_asks_again(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "3", "--yes"]
        shown, code = at_a_terminal(arguments, tmp_path, "", "")
        assert (code, sandbox.ledger()["accepted"]) == (0, 9), shown
        assert "canary: 3 of 3 done" in shown
