"""What more would be bought in a run, the question, and the yes to that very question."""

from __future__ import annotations

from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.routing import Route

from ..commands.carry import Offer, Unattended, offer
from ..commands.confirmation import Command, Confirmation
from ..commands.draft_offer import offer_as_json
from ..commands.launch import start
from ..core.errors import UsageError
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, call
from .run_folders import RunFolders

_LONGEST = 2000
_KEPT = frozenset({"confirmation", "folder"})


class Offers:
    """The two calls behind every purchase in a run that is there."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self._offers: dict[str, dict[str, Any]] = {}
        self.routes = [
            Route("/api/runs/{run}/offer", call(self.offer), methods=["POST"]),
            Route("/api/runs/{run}/buy", call(self.buy), methods=["POST"]),
        ]

    async def offer(self, request: Request, told: Payload) -> Payload:
        """What it would come to, and the question. Nothing is bought."""
        folder, host = await self._folders.find(request), Unattended(self._desk.environ)
        command = command_of(str(folder), told)
        found = await to_thread.run_sync(lambda: anyio.run(offer, command, host))
        if not isinstance(found, Offer):
            return {"nothing": True}
        self._offers[request.path_params["run"]] = asked = offer_as_json(found)
        return {name: value for name, value in asked.items() if name not in _KEPT}

    async def buy(self, request: Request, told: Payload) -> Payload:
        """The yes. It is used once."""
        offered = self._offers.pop(request.path_params["run"], None)
        if offered is None or told.get("nonce") != offered["nonce"]:
            raise UsageError("this is another question than the one you saw; nothing was bought", hint="ask again")
        await to_thread.run_sync(start, Confirmation.read(offered["confirmation"]), self._desk.environ)
        return {"started": True}


def command_of(folder: str, told: Payload) -> Command:
    """``same_account``: the token that is set now was renewed for the account that bought.

    ``what`` is ``resume`` (the rest), ``redo`` (the rejected, with their notes and ``add`` behind every prompt) or
    ``doubt`` (the ``names`` once more). BadRequestError for anything else.
    """
    given = {"another_account": True} if told.get("same_account") is True else {}
    match told.get("what", "resume"):
        case "resume":
            return Command(verb="resume", target=folder, given=given)
        case "redo" if isinstance(add := told.get("add", ""), str) and len(add) <= _LONGEST:
            return Command(verb="redo", target=folder, given=given, prompt_add=add, use_notes=True)
        case "doubt" if (names := told.get("names")) and isinstance(names, list) and all(type(n) is str for n in names):
            return Command(verb="doubt", target=folder, given=given, rows=tuple(names))
    raise BadRequestError("that can't be offered")
