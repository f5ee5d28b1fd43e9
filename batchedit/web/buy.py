"""The question before anything is bought, and the click that is the yes to exactly what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..commands.confirmation import Confirmation
from ..commands.draft_offer import reset_offer
from ..commands.draft_steps import Step, read_step_result
from ..commands.drafts import Draft
from ..commands.launch import start
from ..core.errors import BatcheditError, UsageError
from ..core.money import MICRO
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, call, shown
from .pages import page
from .run_folders import run_id
from .steps import looked

MOST_FIRST = 100
MOST_CAP = 1_000_000.0
"""US dollars."""


class Buy:
    """The screen ``buy``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/drafts/{draft}/buy", shown(self.show)),
            Route("/api/drafts/{draft}/wish", call(self.wish), methods=["POST"]),
            Route("/api/drafts/{draft}/buy", call(self.buy), methods=["POST"]),
        ]

    async def wish(self, request: Request, told: Payload) -> Payload:
        """How many first (0: all at once), and the cap in US dollars (null: none). Nothing is bought."""
        draft = await self._desk.draft(request)
        first, cap = told.get("first"), told.get("cap")
        if type(first) is not int or not 0 <= first <= MOST_FIRST:
            raise BadRequestError(f"how many first is a number up to {MOST_FIRST}")
        if cap is not None and (type(cap) not in {int, float} or not 0 < cap <= MOST_CAP):
            raise BadRequestError("the cap is an amount in US dollars")
        wished = {"first": first, "cap": None if cap is None else round(cap * MICRO)}
        await to_thread.run_sync(replace(draft, choices={**draft.choices, "buy": wished}).save)
        await to_thread.run_sync(self._desk.workers.again, draft, Step.OFFER)
        return {"kept": True}

    async def show(self, request: Request) -> Response:
        """The question. A draft that was bought from is a run."""
        draft = await self._desk.draft(request)
        if draft.run:
            return RedirectResponse(f"../../runs/{run_id(draft.run)}", status_code=303)
        told: Payload = {}
        for step, doing in ((Step.CHECK, "Checking every row"), (Step.OFFER, "Making the offer")):
            answer = await looked(self._desk, request, draft, step, doing)
            if isinstance(answer, Response):
                return answer
            told = answer
            if told["error"]:
                return page(request, "unread", draft=draft, play=draft.play, look=told, at="price", step=step.value)
        return page(request, "buy", draft=draft, play=draft.play, offer=told, at="price", run=run_id(told["folder"]))

    async def buy(self, request: Request, told: Payload) -> Payload:
        """The yes: to the offer that the page showed, by its name. It is used once."""
        draft = await self._desk.draft(request)
        if draft.run:
            return {"run": run_id(draft.run)}
        offered = await to_thread.run_sync(read_step_result, draft, Step.OFFER)
        if not offered.get("nonce") or told.get("nonce") != offered["nonce"]:
            raise UsageError(
                "this is another question than the one you saw; nothing was bought", hint="reload the page"
            )
        await to_thread.run_sync(self._start, draft, offered)
        return {"run": run_id(offered["folder"])}

    def _start(self, draft: Draft, offered: dict[str, Any]) -> None:
        try:
            start(Confirmation.read(offered["confirmation"]), self._desk.environ)
        except BatcheditError:
            reset_offer(draft)  # a yes is used once: it is asked anew
            raise
        replace(draft, run=offered["folder"]).save()
