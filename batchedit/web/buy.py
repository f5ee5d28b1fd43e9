"""The quote before anything is bought, and the click that confirms exactly this quote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..commands.confirmation_file import Confirmation
from ..commands.draft_offer import reset_offer
from ..commands.draft_steps import Step, read_step_result
from ..commands.drafts import Draft
from ..commands.launch import start_process
from ..core.errors import BatcheditError, UsageError
from ..core.money import MICRO
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post, serve_page
from .pages import render_page
from .run_folders import run_id
from .steps import read_step_or_wait

MOST_FIRST = 100
MOST_CAP = 1_000_000.0
"""US dollars."""


class Buy:
    """The screen ``buy``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/drafts/{draft}/buy", serve_page(self.show)),
            Route("/api/drafts/{draft}/wish", serve_json_post(self.wish), methods=["POST"]),
            Route("/api/drafts/{draft}/buy", serve_json_post(self.buy), methods=["POST"]),
        ]

    async def wish(self, request: Request, body: Payload) -> Payload:
        """Store how many to buy first (0: all at once), and the cap in US dollars (null: none). Nothing is bought."""
        draft = await self._desk.find_draft(request)
        first, cap_usd = body.get("first"), body.get("cap")
        if type(first) is not int or not 0 <= first <= MOST_FIRST:
            raise BadRequestError(f"how many first is a number up to {MOST_FIRST}")
        if cap_usd is not None and (type(cap_usd) not in {int, float} or not 0 < cap_usd <= MOST_CAP):
            raise BadRequestError("the cap is an amount in US dollars")
        choice = {"first": first, "cap": None if cap_usd is None else round(cap_usd * MICRO)}
        await to_thread.run_sync(replace(draft, choices={**draft.choices, "buy": choice}).save)
        await to_thread.run_sync(self._desk.workers.reset, draft, Step.OFFER)
        return {"kept": True}

    async def show(self, request: Request) -> Response:
        """The page with the quote; a draft that was bought from is redirected to its run."""
        draft = await self._desk.find_draft(request)
        if draft.run:
            return RedirectResponse(f"../../runs/{run_id(draft.run)}", status_code=303)
        step_result: Payload = {}
        for step, doing in ((Step.CHECK, "Checking every row"), (Step.OFFER, "Making the offer")):
            result = await read_step_or_wait(self._desk, request, draft, step, doing)
            if isinstance(result, Response):
                return result
            step_result = result
            if step_result["error"]:
                return render_page(
                    request, "unread", draft=draft, play=draft.play, look=step_result, at="price", step=step.value
                )
        return render_page(
            request,
            "buy",
            draft=draft,
            play=draft.play,
            offer=step_result,
            at="price",
            run=run_id(step_result["folder"]),
        )

    async def buy(self, request: Request, body: Payload) -> Payload:
        """Confirm the offer that the page showed, by its nonce, which is used once."""
        draft = await self._desk.find_draft(request)
        if draft.run:
            return {"run": run_id(draft.run)}
        offer = await to_thread.run_sync(read_step_result, draft, Step.OFFER)
        if not offer.get("nonce") or body.get("nonce") != offer["nonce"]:
            raise UsageError(
                "this is another question than the one you saw; nothing was bought", hint="reload the page"
            )
        await to_thread.run_sync(self._launch, draft, offer)
        return {"run": run_id(offer["folder"])}

    def _launch(self, draft: Draft, offer: dict[str, Any]) -> None:
        try:
            start_process(Confirmation.from_json(offer["confirmation"]), self._desk.environ)
        except BatcheditError:
            reset_offer(draft)  # a confirmation is used once: the next one needs a new offer
            raise
        replace(draft, run=offer["folder"]).save()
