"""What every screen needs: the person's drafts, the worker processes, and the wrappers of its routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from ..commands.draft_messages import remove_cli_hints
from ..commands.drafts import Draft, Drafts
from ..core.errors import BatcheditError, NotFoundError, TokenError
from ..review.json_body import BadRequestError, make_json_response, read_json
from .pages import render_page
from .workers import Workers

Payload = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


class GuestLink(Protocol):
    """A colleague's link to one run."""

    @property
    def token(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def made_at(self) -> float: ...


class GuestLinks(Protocol):
    """The links of colleagues."""

    def all(self) -> Sequence[GuestLink]:
        """The links that are valid now."""
        ...

    def invite(self, run: str, name: str) -> GuestLink:
        """Make a new link."""
        ...

    def revoke(self, run: str, name: str) -> None:
        """Make the link invalid."""
        ...


@dataclass
class Desk:
    """``environ`` is shared with ``workers``: a token entered on the page replaces that of the terminal in it. ``home`` is
    the folder in which ``batchedit ui`` was started: runs are made in its ``outputs/``.
    """

    environ: dict[str, str]
    drafts: Drafts
    workers: Workers
    home: Path
    guests: GuestLinks

    async def find_draft(self, request: Request) -> Draft:
        """The draft in the request's path. NotFoundError if there is none."""
        return await to_thread.run_sync(self.drafts.find, request.path_params["draft"])


def serve_json_post(handler: Callable[[Request, Payload], Awaitable[Payload]]) -> Handler:
    """A route that takes JSON and returns JSON. An error is returned as its message and hint."""

    async def respond(request: Request) -> Response:
        """The reply of ``handler``, or the error."""
        try:
            body = await read_json(request)
            if not isinstance(body, dict):
                raise BadRequestError("what is sent here is an object")
            return make_json_response(await handler(request, body))
        except BadRequestError as error:
            return make_json_response({"message": str(error), "hint": ""}, status=400)
        except BatcheditError as error:
            return make_json_response(explain_error(error), status=_choose_status(error))

    return respond


def serve_json_get(handler: Callable[[Request], Awaitable[Payload]]) -> Handler:
    """A route that takes no body and returns JSON."""

    async def respond(request: Request) -> Response:
        try:
            return make_json_response(await handler(request))
        except BatcheditError as error:
            return make_json_response(explain_error(error), status=_choose_status(error))

    return respond


def serve_page(handler: Handler) -> Handler:
    """A route that returns a page. An error is a page, too."""

    async def respond(request: Request) -> Response:
        try:
            return await handler(request)
        except BatcheditError as error:
            return render_page(request, "error", status=_choose_status(error), **explain_error(error))

    return respond


def explain_error(error: BatcheditError) -> Payload:
    """An error as JSON for the page; ``token``: another token is needed."""
    return {"message": str(error), "hint": remove_cli_hints(error.hint), "token": isinstance(error, TokenError)}


def _choose_status(error: BatcheditError) -> int:
    return 404 if isinstance(error, NotFoundError) else 422
