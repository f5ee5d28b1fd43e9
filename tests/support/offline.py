"""Whole commands in this process without a socket or a wait: the sandbox in memory behind httpx, and a clock that jumps.

``batchedit.cli.main`` itself runs, with its own folders, checkpoints and register. What stands in for the world: httpx's
transport (the calls reach the sandbox's ``Service``, its fault plan and its ledger), trio's clock, threads (they run where
they are started), and the certificates that nobody needs.

A process that dies is simulated: at the point that ``Trouble.dies`` names, the whole folder is copied aside, and nothing more
reaches the service. What the dying command still does to the folder while it unwinds is thrown away with the folder, and the
copy takes its place. The next command opens the checkpoint anew. ``tests/kill`` has the same with SIGKILL.

Two writers at once (``Trouble.joined``): at such a point the command stands still, and the same one runs from its beginning
to its end in another thread, as a colleague's would on a shared disk that knows no locks.
"""

from __future__ import annotations

import gc
import io
import os
import shutil
import sqlite3
import ssl
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import anyio
import httpx
import trio
import trio.testing
from hypothesis import register_random

import batchedit.cli.app
import batchedit.cli.printed_text
import batchedit.commands.offer_and_carry_out
from batchedit.cli import main, terminal
from batchedit.commands import purchase_stages
from batchedit.commands.quote_to_confirm import Quote
from batchedit.core.events import Accepted
from batchedit.ledger import register
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.sandbox.apply_fault import apply_fault
from batchedit.sandbox.cheap_png import draw_cheap_png
from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.job_clock import Job
from batchedit.sandbox.service import Service
from batchedit.sandbox.wire import Delivery, Reply

URL = "http://127.0.0.1:9"
START = 1_800_000_000.0
TRIP = 0.01
BETWEEN = 60.0
"""Seconds of the service's clock: half a call, and between two commands."""
_RUN, _TERMINAL = anyio.run, terminal.Terminal
_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TRANSACTION = SqliteCheckpoint.transaction
_WRITE = SqliteCheckpoint._write


register_random(trio._core._run._r)


class DiedError(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Trouble:
    """The faults of one command. ``faults`` are the sandbox's, and ``connect=N``: the Nth POST is not connected.

    ``dies``: at the nth of ``ask`` (the question is shown and not answered yet), ``call`` (a call is about to reach the
    service), ``answer`` (it was handled, and nobody has heard the answer), ``commit`` (one is on disk), or ``step`` (any of
    these). ``full``: from the nth accepted id on the disk
    takes none. ``joined``: at the nth of such a point a colleague types the same command, and no lock holds it back.
    """

    faults: tuple[str, ...] = ()
    dies: tuple[str, int] | None = None
    full: int = 0
    joined: tuple[str, int] | None = None


CALM = Trouble()


@dataclass
class Ended:
    """How a command ended. ``code`` is None where its process died. ``asked`` are the questions
    that got a yes, and the run's folder."""

    code: int | None
    out: str
    err: str
    asked: list[tuple[Path, Quote]]
    made: list[Job] = field(default_factory=list)
    """What the service took."""
    heard: set[str] = field(default_factory=set)
    """Ids in answers that were received whole."""
    joined: bool = False
    """Another process worked on the same run meanwhile; its questions, ids and words are among these."""


class World:
    """A folder, a service and a clock, which outlive the commands."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder, self.now = folder / "world", START
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        self.service = Service(SandboxConfig(**{"latency": "3", "plain_files": 600} | config), START)
        self.tokens: dict[str, str] = {}
        """The token that each request was bought with."""
        self._copy, self.commands, self._ids = folder / "at-death", 0, 0
        self.few = purchase_stages.MAX_SINGLE_LOOKUPS

    def reprice(self, price: str, actual: str) -> None:
        """US dollars: what the catalogue says from now on, and what a picture really costs."""
        self.service.config = replace(self.service.config, price=price, actual_price=actual)

    def command(
        self, *arguments: object, cwd: Path | None = None, token: str = "one", trouble: Trouble = CALM, yes: bool = True
    ) -> Ended:
        """Run a command to its end, or its death."""
        self.commands += 1
        before = len(self.service.ledger.jobs)
        self.service.set_faults([rule for rule in trouble.faults if not rule.startswith("connect")], self.now)
        process = _Process(self, trouble, token, self.now)
        ended = process.run([*map(str, arguments), *(["--yes"] if yes else [])], cwd or self.folder)
        self.now = process.last + BETWEEN
        ended.made = list(self.service.ledger.jobs.values())[before:]
        if process.dead:
            shutil.rmtree(self.folder)
            self._copy.rename(self.folder)
        return ended

    def advance(self) -> None:
        """Let the service's jobs come to their ends."""
        self.service.job_clock.advance(self.now)

    def die(self) -> None:
        """Keep the folder as it is at this moment."""
        shutil.copytree(self.folder, self._copy, symlinks=True)

    def next_id(self) -> uuid.UUID:
        """A request id that is the same when the example is run again."""
        self._ids += 1
        return uuid.UUID(int=self._ids << 64 | 0x5EED, version=4)


class _Process:
    """One command's process: what is in its memory, and its part of the network."""

    def __init__(self, world: World, trouble: Trouble, token: str, started_at: float) -> None:
        self.world, self.trouble, self.token = world, trouble, token
        self.dead, self._passed, self._posts, self._accepts = False, Counter[str](), 0, 0
        self._asked: list[tuple[Path, Quote]] = []
        self._heard: set[str] = set()
        self._started_at = self.last = started_at
        self._state = world.state
        self._command: tuple[list[str], Path] = ([], world.folder)
        self._other: Ended | None = None

    def clock(self) -> float:
        """The service's seconds."""
        try:
            self.last = self._started_at + trio.current_time()
        except RuntimeError:
            return self.last
        return self.last

    def step(self, point: str) -> None:
        """One more thing that touches the world; maybe the last one."""
        if self.dead:
            raise DiedError
        self._passed.update((point, "step"))
        if self._is_at(self.trouble.joined, point):
            self._stand_still()
        if self._is_at(self.trouble.dies, point):
            self.dead = True
            self.world.die()
            raise DiedError

    def _is_at(self, place: tuple[str, int] | None, point: str) -> bool:
        return place is not None and place[0] in {point, "step"} and self._passed[place[0]] == place[1]

    def _stand_still(self) -> None:
        """While the same command runs from its beginning to its end on another machine: with locks of its own, on the run
        and on the register, whose content both share."""
        for lock in [*self.world.folder.glob("**/.lock"), *self.world.folder.glob("**/.buying.lock")]:
            lock.unlink()
        paused_at, colleague_state = self.clock(), self.world.folder / "colleague"
        shutil.copytree(self.world.state, colleague_state)
        other = _Process(self.world, CALM, self.token, paused_at)
        other._state = colleague_state
        with ThreadPoolExecutor(1) as machine:
            self._other = machine.submit(other.run, *self._command).result()
        self._started_at += other.last - paused_at
        shutil.copyfile(colleague_state / register.NAME, self.world.state / register.NAME)
        shutil.rmtree(colleague_state)

    def run(self, arguments: list[str], cwd: Path) -> Ended:
        """From its beginning to its end."""
        self._command = arguments, cwd
        out, err, code = io.StringIO(), io.StringIO(), 0
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.world.folder),
            "BATCHEDIT_STATE": str(self._state),
            "RUNCOMFY_API_TOKEN": self.token,
            "BATCHEDIT_STUCK_AFTER": "200",
        }
        with self._instead_of_the_world(), chdir(cwd), redirect_stdout(out), redirect_stderr(err):
            try:
                with patch.dict(os.environ, environ, clear=True), patch.object(sys, "argv", ["batchedit", *arguments]):
                    main()
            except SystemExit as leave:
                code = leave.code if isinstance(leave.code, int) else 1
            except BaseException:
                if not self.dead:
                    raise
        ended = Ended(None if self.dead else code, out.getvalue(), err.getvalue(), self._asked, heard=self._heard)
        if (other := self._other) is not None:
            ended.joined, ended.asked, ended.heard = True, ended.asked + other.asked, ended.heard | other.heard
            ended.err += f"\n--- meanwhile, exit {other.code}:\n{other.out}{other.err}"
        return ended

    @contextmanager
    def _instead_of_the_world(self) -> Iterator[None]:
        process = self

        class Asked(_TERMINAL):
            async def confirm(self, quote: Quote) -> None:
                process.step("ask")
                await super().confirm(quote)
                process._asked.append((quote.plan.folder.resolve(), quote))

        @contextmanager
        def transaction(checkpoint: SqliteCheckpoint, **how: Any) -> Iterator[sqlite3.Connection]:
            process.step("begin")
            with _TRANSACTION(checkpoint, **how) as db:
                yield db
            process.step("commit")

        def write(checkpoint: SqliteCheckpoint, db: sqlite3.Connection, ticket: Any, top: int) -> Any:
            if process.trouble.full and isinstance(ticket.event, Accepted):
                process._accepts += 1
                if process._accepts >= process.trouble.full:
                    raise sqlite3.OperationalError("database or disk is full")
            return _WRITE(checkpoint, db, ticket, top)

        def jumping(work: Any, *args: Any, **_: Any) -> Any:
            clock = trio.testing.MockClock(autojump_threshold=0)
            return _RUN(work, *args, backend="trio", backend_options={"clock": clock})

        with ExitStack() as stack:
            for target, name, instead in (
                (httpx, "AsyncHTTPTransport", lambda **_: _Wire(process)),
                (batchedit.commands.wiring, "create_ssl_context", lambda: _CONTEXT),
                (batchedit.commands.wiring, "SteadyClock", lambda: process.clock),
                (batchedit.commands.wiring, "time", process.clock),
                (batchedit.commands.wiring, "Random", lambda: Random(process.world.commands)),
                (anyio, "run", jumping),
                (anyio.to_thread, "run_sync", _here),
                (anyio, "open_signal_receiver", _no_signals),
                (terminal, "Terminal", Asked),
                (SqliteCheckpoint, "transaction", transaction),
                (SqliteCheckpoint, "_write", write),
                (gc, "freeze", lambda: None),
                (purchase_stages, "MAX_SINGLE_LOOKUPS", self.world.few),
                # What is left to chance would make an example that can't be found again.
                (uuid, "uuid4", process.world.next_id),
                (trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            ):
                stack.enter_context(patch.object(target, name, instead))
            yield

    # --- the network ---

    async def exchange(self, request: httpx.Request, path: str, body: bytes) -> Reply:
        """What the sandbox's routes do, in memory."""
        buys = request.method == "POST" and path.startswith("/v1/models/")
        if buys:
            self._posts += 1
            if f"connect={self._posts}" in self.trouble.faults:
                raise httpx.ConnectError("nobody there")
        await trio.sleep(TRIP)
        self.step("call")
        await _trace(request, "send_request_headers.started")
        service, place = self.world.service, _place(path, buys)
        rule = (
            service.memory.injector.pick(place, self.clock()) if place in {"submit", "poll", "cancel", "file"} else None
        )
        before = len(service.ledger.jobs)
        reply = apply_fault(rule, lambda: self._handle(request, path, body, place), self.clock())
        for request_id in list(service.ledger.jobs)[before:]:
            self.world.tokens[request_id] = self.token
        self.step("answer")
        await trio.sleep(TRIP)
        return reply

    def _handle(self, request: httpx.Request, path: str, body: bytes, place: str) -> Reply:
        service, now, token = self.world.service, self.clock(), request.headers.get("authorization", "")
        name = path.split("/")[-2]
        match place:
            case "submit":
                return service.submit(path.removeprefix("/v1/models/"), body, token, URL, now)
            case "model":
                return service.model(path.removeprefix("/v1/models/"), token)
            case "balance":
                return service.balance(token)
            case "cancel":
                return service.cancel(name, token, now)
            case "file":
                job = service.ledger.jobs[name]
                return Reply(body=draw_cheap_png(job.order, 0, 600), media="image/png", job=job)
        if path.endswith("/status"):
            return service.status(name, token, URL, now)
        return service.result(name, token, URL, now, with_cost=True)

    def delivered(self, job: Job) -> None:
        self.world.service.memory.deliver(job)
        self._heard.add(job.order.request_id)


def _place(path: str, buys: bool) -> str:
    if path.startswith("/v1/models/"):
        return "submit" if buys else "model"
    if path.startswith("/files/"):
        return "file"
    last = path.rsplit("/", 1)[-1]
    return last if last in {"cancel", "balance"} else "poll"


async def _trace(request: httpx.Request, name: str) -> None:
    if trace := request.extensions.get("trace"):
        seen_request = type("Seen", (), {"method": request.method.encode()})()
        await trace(f"http11.{name}", {"request": seen_request})


async def _here(work: Any, *args: Any, **_: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return work(*args)


@contextmanager
def _no_signals(*_: Any) -> Iterator[AsyncIterator[int]]:
    """None ever comes, and only the main thread may listen for one."""

    async def never() -> AsyncIterator[int]:
        await trio.sleep_forever()
        yield 0

    yield never()


class _Wire(httpx.AsyncBaseTransport):
    """A connection to the sandbox in memory: what it answers, and how it breaks."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self._pool = type("Pool", (), {})()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
        reply = await self._process.exchange(request, request.url.path, body)
        patience = request.extensions["timeout"]["read"]
        match reply.delivery:
            case Delivery.DROP:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            case Delivery.RESET:
                raise httpx.ReadError("connection reset")
            case Delivery.HANG:
                await trio.sleep(patience)
                raise httpx.ReadTimeout("no answer")
            case Delivery.LATE if reply.seconds >= patience:
                await trio.sleep(patience)
                raise httpx.ReadTimeout("no answer yet")
            case Delivery.LATE | Delivery.TRICKLE:
                await trio.sleep(reply.seconds)
        headers = {"content-type": reply.media, "content-length": str(len(reply.body)), **reply.headers}
        return httpx.Response(reply.status, headers=headers, stream=_Body(self._process, reply))


class _Body(httpx.AsyncByteStream):
    def __init__(self, process: _Process, reply: Reply) -> None:
        self._process, self._reply = process, reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reply = self._reply
        if reply.delivery is Delivery.CUT:
            yield reply.body[: len(reply.body) // 2]
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        yield reply.body
        if reply.job is not None:
            self._process.delivered(reply.job)
