"""The gallery served on this machine: the page, its pictures, and marks that are durable before they are answered."""

from __future__ import annotations

import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import anyio
import orjson
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..core.errors import InterruptedRunError, UsageError
from ..core.review import Conflict, Mark, Verdict
from .guard import Guard
from .page import policy
from .payload import mark_json

LONGEST_NOTE = 2000
LARGEST_BODY = 65_536

_THUMB = re.compile(r"[0-9a-f]{1,40}(-large)?\.webp").fullmatch


class MarkStore(Protocol):
    """Where marks live."""

    def put(self, wanted: Mark, via: str = "review") -> Mark | Conflict:
        """Durable when it returns."""
        ...

    def since(self, seq: int) -> tuple[int, list[Mark]]:
        """The latest change's number, and the marks that changed after change ``seq``."""
        ...


@dataclass(frozen=True, slots=True)
class Show:
    """What is served: ``page`` renders it anew, ``jobs`` may be marked, ``files`` (paths below ``folder``) be seen."""

    folder: Path
    page: Callable[[], str]
    jobs: frozenset[int]
    files: frozenset[str]
    marks: MarkStore
    who: str


class _BadRequestError(Exception):
    """What the page sent makes no sense."""


class Desk:
    """The routes. One thread at a time touches the checkpoint."""

    def __init__(self, show: Show, finish: Callable[[], None]) -> None:
        self._show = show
        self._finish = finish
        self._one = anyio.CapacityLimiter(1)
        self.routes = [
            Route("/", self.page),
            Route("/thumbs/{name}", self.thumb),
            Route("/files/{path:path}", self.file),
            Route("/api/marks", self.news),
            Route("/api/mark", self.mark, methods=["POST"]),
            Route("/api/finish", self.finish, methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """The page as it is now: a reload shows every mark."""
        text = await to_thread.run_sync(self._show.page, limiter=self._one)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    async def thumb(self, request: Request) -> Response:
        """A thumbnail. Its name is its content's digest, so a browser may keep it."""
        name = request.path_params["name"]
        path = self._show.folder / "thumbs" / name
        if not _THUMB(name) or not path.is_file():
            return PlainTextResponse("no such thumbnail\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "private, max-age=86400, immutable"})

    async def file(self, request: Request) -> Response:
        """One of the run's pictures, whole. Nothing that the gallery does not show is served."""
        name = f"files/{request.path_params['path']}"
        path = self._show.folder / name
        if name not in self._show.files or not path.is_file():
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    async def news(self, request: Request) -> Response:
        """Marks that changed since the page last asked: another tab's too."""
        text = request.query_params.get("since", "0")
        since = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        seq, marks = await to_thread.run_sync(self._show.marks.since, since, limiter=self._one)
        return _json({"seq": seq, "marks": [mark_json(mark) for mark in marks]})

    async def mark(self, request: Request) -> Response:
        """Write one mark: 200 with it, 409 with the other one if somebody was faster, 400 for nonsense."""
        try:
            wanted = self._read(await _body(request))
        except _BadRequestError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        outcome = await to_thread.run_sync(self._show.marks.put, wanted, limiter=self._one)
        if isinstance(outcome, Conflict):
            return _json(mark_json(outcome.current), status=409)
        return _json(mark_json(outcome))

    def _read(self, told: Any) -> Mark:
        if not isinstance(told, dict):
            raise _BadRequestError("a mark is an object")
        job, serial, note, verdict = (told.get(name) for name in ("job", "serial", "note", "verdict"))
        if type(job) is not int or job not in self._show.jobs:
            raise _BadRequestError("there is no such picture")
        if type(serial) is not int or not isinstance(note, str) or len(note) > LONGEST_NOTE:
            raise _BadRequestError(f"a mark has a serial and a note of at most {LONGEST_NOTE} characters")
        if not isinstance(verdict, str) or verdict not in set(Verdict):
            raise _BadRequestError("a verdict is approve, reject, hold or empty")
        return Mark(job, Verdict(verdict), note, serial, self._show.who, time.time())

    async def finish(self, _: Request) -> Response:
        """The person is done: the server ends once this is answered."""
        self._finish()
        return _json({"finished": True})


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _BadRequestError("a mark is JSON")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise _BadRequestError("that is too long")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _BadRequestError("a mark is JSON") from None


def _json(value: Mapping[str, Any], *, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(value), status_code=status, media_type="application/json", headers=headers)


class ReviewServer(uvicorn.Server):
    """Listens on 127.0.0.1 from the moment it is made; ``url`` holds the token. ``run_until_done`` serves."""

    def __init__(self, show: Show, *, port: int = 0, token: str = "") -> None:
        """UsageError if ``port`` is taken. ``port`` 0 is any free one; the token is made here unless given."""
        try:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            raise UsageError(
                f"port {port} can't be had: {error.strerror or error}", hint="leave --port out: any free port will do"
            ) from error
        token = token or secrets.token_urlsafe(24)
        number: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{number}/{token}/"
        self._signal = 0
        app = Starlette(routes=Desk(show, self._end).routes)
        guarded = Guard(app, token=token, port=number, policy=policy(served=True))
        super().__init__(
            uvicorn.Config(
                guarded, log_level="warning", access_log=False, lifespan="off", server_header=False, ws="none",
                timeout_graceful_shutdown=2,
            )
        )  # fmt: skip

    def run_until_done(self) -> None:
        """Serve until the page says finish. InterruptedRunError (130, 143) for Ctrl-C and SIGTERM."""
        try:
            self.run(sockets=[self._listener])
        finally:
            self._listener.close()
        if self._signal:
            raise InterruptedRunError(self._signal)

    def _end(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is told as an exception instead of being raised again."""

        def heard(number: int, frame: FrameType | None) -> None:
            self._signal = number
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, heard) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


_SIGNALS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
