"""The gallery served on this machine: the page, its pictures, and marks that are durable before they are answered."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Container
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..core.review import Conflict, PictureDecision, Verdict
from ..disk import is_plain_file
from .json_body import BadRequestError, json_answer, read_json
from .local_server import LocalServer
from .page import policy
from .payload import mark_json

LONGEST_NOTE = 2000
MOST_MARKS = 200
"""In one request."""

_THUMB = re.compile(r"[0-9a-f]{1,40}(-large)?\.webp").fullmatch


class MarkStore(Protocol):
    """Where marks live."""

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Durable when it returns."""
        ...

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """The latest change's number, and the marks that changed after change ``seq``."""
        ...


@dataclass(frozen=True, slots=True)
class Show:
    """What is served. ``page`` renders it anew, ``done`` says which of these jobs may be marked, ``files`` (paths below
    ``folder``) may be seen.
    """

    folder: Path
    page: Callable[[], str]
    done: Callable[[AbstractSet[int]], AbstractSet[int]]
    files: Container[str]
    marks: MarkStore
    who: str


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
        if not _THUMB(name) or not is_plain_file(path, self._show.folder):
            return PlainTextResponse("no such thumbnail\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "private, max-age=86400, immutable"})

    async def file(self, request: Request) -> Response:
        """One of the run's pictures, whole. Nothing that the gallery does not show is served."""
        name = f"files/{request.path_params['path']}"
        path = self._show.folder / name
        if name not in self._show.files or not is_plain_file(path, self._show.folder):
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    async def news(self, request: Request) -> Response:
        """Marks that changed since the page last asked: another tab's too."""
        text = request.query_params.get("since", "0")
        since = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        seq, marks = await to_thread.run_sync(self._show.marks.since, since, limiter=self._one)
        return json_answer({"seq": seq, "marks": [mark_json(mark) for mark in marks]})

    async def mark(self, request: Request) -> Response:
        """Write one mark: 200 with it, 409 with the other one if somebody was faster, 400 for nonsense. A list of marks is
        answered with ``marks``: for each its ``status``, and the mark or a ``message``.
        """
        try:
            told = await read_json(request)
            if not isinstance(told, list):
                ((status, answer),) = await to_thread.run_sync(self._put, [told], limiter=self._one)
                if status == 400:
                    raise BadRequestError(answer["message"])
                return json_answer(answer, status=status)
            if not 0 < len(told) <= MOST_MARKS:
                raise BadRequestError(f"there are 1 to {MOST_MARKS} marks in a request")
            answers = await to_thread.run_sync(self._put, told, limiter=self._one)
        except BadRequestError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        return json_answer({"marks": [{"status": status, **answer} for status, answer in answers]})

    def _put(self, told: list[Any]) -> list[tuple[int, dict[str, Any]]]:
        named = (each.get("job") for each in told if isinstance(each, dict))
        done = self._show.done({job for job in named if type(job) is int})
        answers: list[tuple[int, dict[str, Any]]] = []
        for each in told:
            try:
                outcome = self._show.marks.put(self._read(each, done))
            except BadRequestError as error:
                answers.append((400, {"message": str(error)}))
                continue
            if isinstance(outcome, Conflict):
                answers.append((409, mark_json(outcome.current)))
            else:
                answers.append((200, mark_json(outcome)))
        return answers

    def _read(self, told: Any, done: AbstractSet[int]) -> PictureDecision:
        if not isinstance(told, dict):
            raise BadRequestError("a mark is an object")
        job, serial, note, verdict = (told.get(name) for name in ("job", "serial", "note", "verdict"))
        if type(job) is not int or job not in done:
            raise BadRequestError("there is no such picture")
        if type(serial) is not int or not isinstance(note, str) or len(note) > LONGEST_NOTE:
            raise BadRequestError(f"a mark has a serial and a note of at most {LONGEST_NOTE} characters")
        if not isinstance(verdict, str) or verdict not in set(Verdict):
            raise BadRequestError("a verdict is approve, reject, hold or empty")
        return PictureDecision(job, Verdict(verdict), note, serial, self._show.who, time.time())

    async def finish(self, _: Request) -> Response:
        """The person is done: the server ends once this is answered."""
        self._finish()
        return json_answer({"finished": True})


class ReviewServer(LocalServer):
    """The gallery of one run, served until the page says finish."""

    def __init__(self, show: Show, ready: Callable[[str], None], *, port: int = 0, token: str = "") -> None:
        """As of ``LocalServer``. The token is made here unless given, and ends with the server."""
        token = token or secrets.token_urlsafe(24)
        app = Starlette(routes=Desk(show, self.end).routes)
        super().__init__(app, ready, policy=policy(served=True), token=lambda: token, port=port)
