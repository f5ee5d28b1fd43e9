"""What every screen needs: the person's drafts, the work that goes on in processes of its own, answers to its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from ..commands.draft_words import remove_cli_hints
from ..commands.drafts import Draft, Drafts
from ..core.errors import BatcheditError, NotFoundError, TokenError
from ..review.json_body import BadRequestError, make_json_response, read_json
from .pages import render_page
from .workers import Workers

Payload = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


class GuestLink(Protocol):
    """A colleague's link, for one run."""

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
        """Those that hold now."""
        ...

    def invite(self, run: str, name: str) -> GuestLink:
        """A new one."""
        ...

    def revoke(self, run: str, name: str) -> None:
        """It admits nobody any more."""
        ...


@dataclass
class Desk:
    """``environ`` is shared with ``workers``: a token that is given on the page takes the place of the terminal's in it.
    ``home`` is the folder that ``batchedit ui`` was started in: runs go to ``outputs/`` in it.
    """

    environ: dict[str, str]
    drafts: Drafts
    workers: Workers
    home: Path
    guests: GuestLinks

    async def find_draft(self, request: Request) -> Draft:
        """The draft that the address names. NotFoundError if there is none."""
        return await to_thread.run_sync(self.drafts.find, request.path_params["draft"])


def serve_json_post(handler: Callable[[Request, Payload], Awaitable[Payload]]) -> Handler:
    """A call of the page: JSON in, JSON out. What goes wrong is a sentence, and what to do about it."""

    async def answer(request: Request) -> Response:
        """What ``act`` says, or the sentence that refuses it."""
        try:
            body = await read_json(request)
            if not isinstance(body, dict):
                raise BadRequestError("what is sent here is an object")
            return make_json_response(await handler(request, body))
        except BadRequestError as error:
            return make_json_response({"message": str(error), "hint": ""}, status=400)
        except BatcheditError as error:
            return make_json_response(explain_error(error), status=_choose_status(error))

    return answer


def serve_json_get(handler: Callable[[Request], Awaitable[Payload]]) -> Handler:
    """A question of the page: nothing in, JSON out."""

    async def answer(request: Request) -> Response:
        try:
            return make_json_response(await handler(request))
        except BatcheditError as error:
            return make_json_response(explain_error(error), status=_choose_status(error))

    return answer


def serve_page(handler: Handler) -> Handler:
    """A page; what goes wrong is a page, too."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BatcheditError as error:
            return render_page(request, "error", status=_choose_status(error), **explain_error(error))

    return answer


def explain_error(error: BatcheditError) -> Payload:
    """An error as the page says it; ``token``: it needs another token."""
    return {"message": str(error), "hint": remove_cli_hints(error.hint), "token": isinstance(error, TokenError)}


def _choose_status(error: BatcheditError) -> int:
    return 404 if isinstance(error, NotFoundError) else 422
