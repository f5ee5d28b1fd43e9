"""Running the real command as a process, against a sandbox on a socket."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from batchedit.cli import main
from batchedit.commands import wiring
from batchedit.sandbox import RunningSandbox

CHILD = Path(__file__).parents[1] / "kill" / "child.py"


def make_env(**more: str) -> dict[str, str]:
    """The caller's, without any setting of batchedit's but the test's state folder, and with a test's token."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHEDIT_", "RUNCOMFY_", "YOUR_API"))}
    state = {"BATCHEDIT_STATE": os.environ["BATCHEDIT_STATE"]}  # never the register of the person who runs the tests
    return {**inherited, **state, "RUNCOMFY_API_TOKEN": "test-token", **more}


def make_own_env(folder: Path) -> dict[str, str]:
    """The same with a state folder, and so a register of runs, of its own in ``folder``."""
    return make_env(BATCHEDIT_STATE=str(folder / "state"))


def batchedit(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, stdin: str = "", code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; ``code`` is what it must exit with, None for anything."""
    done = subprocess.run(
        [sys.executable, "-m", "batchedit", *map(str, arguments)],
        cwd=cwd,
        env=env or make_env(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_cli(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, stdin: bytes = b"", code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves the start of a Python: for what needs no process of its own."""
    out, err, stdin_stream = io.StringIO(), io.StringIO(), io.TextIOWrapper(io.BytesIO(stdin))
    command_line, before, env = ["batchedit", *map(str, arguments)], dict(os.environ), env or make_env()
    with ExitStack() as stack:
        stack.callback(lambda: (os.environ.clear(), os.environ.update(before)))
        stack.enter_context(chdir(cwd))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(patch.multiple(sys, argv=command_line, stdin=stdin_stream))
        stack.enter_context(patch.object(wiring, "REHEARSAL_LATENCY", "0.1"))
        os.environ.clear()
        os.environ.update(env)
        try:
            main()
        except SystemExit as leave:
            exit_code = leave.code if isinstance(leave.code, int) else 0
    assert code is None or exit_code == code, f"exit {exit_code}\n{out.getvalue()}\n{err.getvalue()}"
    return subprocess.CompletedProcess(command_line, exit_code, out.getvalue(), err.getvalue())


def start(
    *arguments: object,
    cwd: Path,
    script: Sequence[object] = ("-m", "batchedit"),
    env: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start it and come back at once."""
    return subprocess.Popen(
        [sys.executable, *map(str, script), *map(str, arguments)],
        cwd=cwd,
        env=env or make_env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.001)


def manifest(path: Path, rows: int, *, prefix: str = "sku") -> Path:
    """A CSV of ``rows`` different rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "image", "prompt"])
        for n in range(1, rows + 1):
            table.writerow([f"{prefix}-{n}", "https://images.example.com/mug.png", f"make an ad, number {prefix}{n}x"])
    return path


def on(sandbox: RunningSandbox, *more: object) -> list[object]:
    """The options that send a run to ``sandbox``."""
    return ["--base-url", sandbox.url, "--yes", *more]


def rows(folder: Path) -> list[dict[str, object]]:
    """The enriched manifest."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]
