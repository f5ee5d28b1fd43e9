"""The gallery served on this machine: the page, its pictures, and decisions that are durable before the reply."""

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
from .json_body import BadRequestError, make_json_response, read_json
from .local_server import LocalServer
from .page import build_policy
from .payload import decision_as_json

LONGEST_NOTE = 2000
MOST_DECISIONS = 200
"""In one request."""

_THUMB = re.compile(r"[0-9a-f]{1,40}(-large)?\.jpg").fullmatch


class DecisionStore(Protocol):
    """Where decisions are stored."""

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Durable when it returns."""
        ...

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """The latest change's number, and the decisions that changed after change ``seq``."""
        ...


@dataclass(frozen=True, slots=True)
class ServedGallery:
    """What is served. ``page`` renders the page as it is now, ``find_done_jobs`` returns those of the given jobs that may be
    decided on, ``files`` (paths below ``folder``) may be read.
    """

    folder: Path
    page: Callable[[], str]
    find_done_jobs: Callable[[AbstractSet[int]], AbstractSet[int]]
    files: Container[str]
    decisions: DecisionStore
    who: str


class ReviewRoutes:
    """The routes. One thread at a time reads or writes the checkpoint."""

    def __init__(self, gallery: ServedGallery, finish: Callable[[], None]) -> None:
        self._gallery = gallery
        self._finish = finish
        self._limiter = anyio.CapacityLimiter(1)
        self.routes = [
            Route("/", self.page),
            Route("/thumbs/{name}", self.thumb),
            Route("/files/{path:path}", self.file),
            Route("/api/marks", self.news),
            Route("/api/mark", self.mark, methods=["POST"]),
            Route("/api/finish", self.finish, methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """The page as it is now: a reload shows every decision."""
        text = await to_thread.run_sync(self._gallery.page, limiter=self._limiter)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    async def thumb(self, request: Request) -> Response:
        """A thumbnail. Its name is its content's digest, so a browser may cache it."""
        name = request.path_params["name"]
        path = self._gallery.folder / "thumbs" / name
        if not _THUMB(name) or not is_plain_file(path, self._gallery.folder):
            return PlainTextResponse("no such thumbnail\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "private, max-age=86400, immutable"})

    async def file(self, request: Request) -> Response:
        """One of the run's pictures at full size. Only what the gallery shows is served."""
        name = f"files/{request.path_params['path']}"
        path = self._gallery.folder / name
        if name not in self._gallery.files or not is_plain_file(path, self._gallery.folder):
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    async def news(self, request: Request) -> Response:
        """Decisions that changed since the page's last request, another tab's too."""
        text = request.query_params.get("since", "0")
        since = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        seq, decisions = await to_thread.run_sync(self._gallery.decisions.since, since, limiter=self._limiter)
        return make_json_response({"seq": seq, "marks": [decision_as_json(decision) for decision in decisions]})

    async def mark(self, request: Request) -> Response:
        """Write one decision: 200 with it, 409 with the stored one if that is newer, 400 if it is invalid. The reply to a
        list is ``marks``: for each its ``status``, and the decision or a ``message``.
        """
        try:
            body = await read_json(request)
            if not isinstance(body, list):
                ((status, answer),) = await to_thread.run_sync(self._write_decisions, [body], limiter=self._limiter)
                if status == 400:
                    raise BadRequestError(answer["message"])
                return make_json_response(answer, status=status)
            if not 0 < len(body) <= MOST_DECISIONS:
                raise BadRequestError(f"there are 1 to {MOST_DECISIONS} marks in a request")
            answers = await to_thread.run_sync(self._write_decisions, body, limiter=self._limiter)
        except BadRequestError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        return make_json_response({"marks": [{"status": status, **answer} for status, answer in answers]})

    def _write_decisions(self, body: list[Any]) -> list[tuple[int, dict[str, Any]]]:
        jobs = (sent.get("job") for sent in body if isinstance(sent, dict))
        known = self._gallery.find_done_jobs({job for job in jobs if type(job) is int})
        answers: list[tuple[int, dict[str, Any]]] = []
        for sent in body:
            try:
                outcome = self._gallery.decisions.put(self._parse_decision(sent, known))
            except BadRequestError as error:
                answers.append((400, {"message": str(error)}))
                continue
            if isinstance(outcome, Conflict):
                answers.append((409, decision_as_json(outcome.current)))
            else:
                answers.append((200, decision_as_json(outcome)))
        return answers

    def _parse_decision(self, sent: Any, known: AbstractSet[int]) -> PictureDecision:
        if not isinstance(sent, dict):
            raise BadRequestError("a mark is an object")
        job, serial, note, verdict = (sent.get(name) for name in ("job", "serial", "note", "verdict"))
        if type(job) is not int or job not in known:
            raise BadRequestError("there is no such picture")
        if type(serial) is not int or not isinstance(note, str) or len(note) > LONGEST_NOTE:
            raise BadRequestError(f"a mark has a serial and a note of at most {LONGEST_NOTE} characters")
        if not isinstance(verdict, str) or verdict not in set(Verdict):
            raise BadRequestError("a verdict is approve, reject, hold or empty")
        return PictureDecision(job, Verdict(verdict), note, serial, self._gallery.who, time.time())

    async def finish(self, _: Request) -> Response:
        """The person is done: the server ends after this reply."""
        self._finish()
        return make_json_response({"finished": True})


class ReviewServer(LocalServer):
    """The gallery of one run, served until the page says finish."""

    def __init__(
        self, gallery: ServedGallery, on_ready: Callable[[str], None], *, port: int = 0, token: str = ""
    ) -> None:
        """As of ``LocalServer``. The token is made here unless given, and is valid as long as the server runs."""
        token = token or secrets.token_urlsafe(24)
        app = Starlette(routes=ReviewRoutes(gallery, self.end).routes)
        super().__init__(app, on_ready, policy=build_policy(served=True), token=lambda: token, port=port)
