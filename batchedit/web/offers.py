"""Offers of further purchases in a run, and the confirmation of exactly the offer that was shown."""

from __future__ import annotations

from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.routing import Route

from ..commands.confirmation_file import Command, Confirmation
from ..commands.draft_offer import offer_as_json
from ..commands.launch import start_process
from ..commands.offer_and_carry_out import Offer, Unattended, offer
from ..core.errors import UsageError
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post
from .run_folders import RunFolders

_LONGEST_ADDITION = 2000
_PRIVATE = frozenset({"confirmation", "folder"})


class Offers:
    """The two calls for every purchase in an existing run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self._offers: dict[str, dict[str, Any]] = {}
        self.routes = [
            Route("/api/runs/{run}/offer", serve_json_post(self.offer), methods=["POST"]),
            Route("/api/runs/{run}/buy", serve_json_post(self.buy), methods=["POST"]),
        ]

    async def offer(self, request: Request, body: Payload) -> Payload:
        """The offer, with its quote. Nothing is bought."""
        folder, host = await self._folders.find(request), Unattended(self._desk.environ)
        command = parse_command(str(folder), body)
        outcome = await to_thread.run_sync(lambda: anyio.run(offer, command, host))
        if not isinstance(outcome, Offer):
            return {"nothing": True}
        self._offers[request.path_params["run"]] = question = offer_as_json(outcome)
        return {name: value for name, value in question.items() if name not in _PRIVATE}

    async def buy(self, request: Request, body: Payload) -> Payload:
        """Confirm the offer, by its nonce, which is used once."""
        question = self._offers.pop(request.path_params["run"], None)
        if question is None or body.get("nonce") != question["nonce"]:
            raise UsageError("this is another question than the one you saw; nothing was bought", hint="ask again")
        await to_thread.run_sync(start_process, Confirmation.from_json(question["confirmation"]), self._desk.environ)
        return {"started": True}


def parse_command(folder: str, body: Payload) -> Command:
    """The command for the request. ``same_account``: the present token is a renewed one of the account that bought.

    ``what`` is ``resume`` (the rest), ``redo`` (the rejected, with their notes and ``add`` after every prompt) or ``doubt``
    (buy the ``names`` again). BadRequestError for anything else.
    """
    given = {"another_account": True} if body.get("same_account") is True else {}
    match body.get("what", "resume"):
        case "resume":
            return Command(verb="resume", target=folder, given=given)
        case "redo" if isinstance(add := body.get("add", ""), str) and len(add) <= _LONGEST_ADDITION:
            return Command(verb="redo", target=folder, given=given, prompt_add=add, use_notes=True)
        case "doubt" if (names := body.get("names")) and isinstance(names, list) and all(type(n) is str for n in names):
            return Command(verb="doubt", target=folder, given=given, rows=tuple(names))
    raise BadRequestError("that can't be offered")
