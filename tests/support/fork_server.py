"""The command without its half second of imports: a process that has them forks a child for each command it is sent.

A child is a process of its own, with its own pid, environment, folder and exit code, and dies of SIGKILL like any other;
it runs ``batchedit.cli.main`` and nothing else. Tests that start dozens of them would take minutes without this; those
that start a few use ``tests.support.cli``.

``doom`` names a point at which the child kills itself (see ``child.py``). ``gate`` holds answers back until the test has done
to the disk what it wants to: the answers of the POSTs that buy, from the NTH on, are on their way until the file is there.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.cli import make_env


class Child:
    """A command under way. ``returncode`` is negative for a signal, as subprocess has it."""

    def __init__(self, fork_server: ForkServer, pid: int, out: Path, err: Path) -> None:
        self.pid, self._nursery, self._out, self._err = pid, fork_server, out, err
        self.returncode: int | None = None

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._nursery.tell({"wait": self.pid}))
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    @property
    def stdout(self) -> str:
        return self._out.read_text() if self._out.exists() else ""

    @property
    def stderr(self) -> str:
        return self._err.read_text() if self._err.exists() else ""


class ForkServer:
    """The forking process: ``start`` and ``run`` are ``tests.support.cli``'s, quicker. ``patience``: seconds that a
    command may take.
    """

    def __init__(self, *, patience: float = 90.0, **env: str) -> None:
        self._patience = patience
        self._folder = TemporaryDirectory(prefix="nursery-")
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=Path(__file__).parents[2],
            env=make_env(**env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self,
        *arguments: object,
        cwd: Path,
        doom: tuple[str, int] | None = None,
        gate: tuple[int, str] | None = None,
        disk: Mapping[str, Any] | None = None,
        state: Path | None = None,
        **limits: int,
    ) -> Child:
        """``disk``: what fails, see ``tests/kill/test_failing_disk.py``. ``limits``: ``fsize``, the largest file that the
        child may write, in bytes. ``state``: the register of another person or machine.
        """
        self._count += 1
        out, err = (Path(self._folder.name, f"{self._count}.{name}") for name in ("out", "err"))
        order = {"argv": [*map(str, arguments)], "cwd": str(cwd), "out": str(out), "err": str(err), "doom": doom}
        order |= {"gate": gate, "disk": disk, "state": str(state or os.environ["BATCHEDIT_STATE"])}
        return Child(self, int(self.tell(order | {"limits": limits})), out, err)

    def run(self, *arguments: object, cwd: Path, code: int | None = 0, **more: Any) -> Child:
        child = self.start(*arguments, cwd=cwd, **more)
        child.wait()
        assert "Traceback" not in child.stderr, child.stderr
        assert code is None or child.returncode == code, f"exit {child.returncode}\n{child.stdout}\n{child.stderr}"
        return child

    def tell(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], self._patience)[0], f"no answer to {order}"
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=self._patience)
        self._folder.cleanup()


# --- the other side -------------------------------------------------------------------------------


def serve() -> None:
    """One order a line on stdin: a command to start (the answer is its pid) or a pid to wait for (its exit code)."""
    import anyio._backends._asyncio  # noqa: F401 - what a command imports on its way: a second of every child's
    import certifi  # noqa: F401
    import httpcore  # noqa: F401
    import wakepy  # noqa: F401

    import batchedit.cli.app
    import batchedit.cli.detached
    import batchedit.cli.printed_text
    import batchedit.cli.stdin
    import batchedit.cli.terminal
    import batchedit.commands.launch
    import batchedit.commands.offer_and_carry_out  # noqa: F401

    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                _be(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _be(order: dict[str, Any]) -> None:
    """In the child: become the command, and never return."""
    from batchedit.cli import main

    code, report_failures = 70, lambda: None
    try:
        for target, (path, mode) in enumerate(
            [
                (os.devnull, os.O_RDONLY),
                (order["out"], os.O_WRONLY | os.O_CREAT),
                (order["err"], os.O_WRONLY | os.O_CREAT),
            ]
        ):
            descriptor = os.open(path, mode, 0o600)
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(order["cwd"])
        os.environ["BATCHEDIT_STATE"] = order["state"]
        if order["doom"]:
            from tests.kill.child import doom

            doom(*order["doom"])
        if order["disk"]:
            from tests.kill.failing_disk import arm

            report_failures = arm(**order["disk"])
        if order["gate"]:
            _wait_at(*order["gate"])
        if "fsize" in order["limits"]:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["limits"]["fsize"],) * 2)
        sys.argv = ["batchedit", *order["argv"]]
        main()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:  # noqa: BLE001 - it is printed, and the child ends here
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        report_failures()
        os._exit(code)


def _wait_at(nth: int, path: str) -> None:
    import anyio

    from batchedit.runcomfy.client import Client

    submit, posts = Client.submit, itertools.count(1)

    async def held(client, record, permit):
        number = next(posts)
        event = await submit(client, record, permit)
        if number >= nth:
            while not await anyio.Path(path).exists():  # noqa: ASYNC110 - a test makes the file
                await anyio.sleep(0.01)  # what cancels a POST on its way cancels this too
        return event

    Client.submit = held


if __name__ == "__main__":
    serve()
