"""The steps of a draft as pages ask for them: is it done, what was found, what was chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step, read_step_result
from ..commands.drafts import CHOICES, Draft
from ..core.errors import UsageError
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, asked, call
from .pages import page
from .workers import Stand

MOST_OVER, MOST_VALUES, LONGEST_VALUE = 3, 50, 100
"""So many columns that rows are multiplied by, each with so many values of so many letters."""


class Steps:
    """The calls that every screen of a draft makes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/api/drafts/{draft}/state", asked(self.state)),
            Route("/api/drafts/{draft}/again", call(self.again), methods=["POST"]),
            Route("/api/drafts/{draft}/choices", call(self.choose), methods=["POST"]),
        ]

    async def state(self, request: Request) -> Payload:
        """How a step stands: ``done``, ``working`` or ``failed``, and what a person can mend."""
        draft = await self._desk.draft(request)
        step = _step(request.query_params.get("step"))
        return await to_thread.run_sync(stand_of, self._desk, draft, step)

    async def again(self, request: Request, told: Payload) -> Payload:
        """A step that ended without a word is tried once more."""
        draft = await self._desk.draft(request)
        await to_thread.run_sync(self._desk.workers.again, draft, _step(told.get("step")))
        return {"again": True}

    async def choose(self, request: Request, told: Payload) -> Payload:
        """Keep what was chosen; the steps that depend on it begin anew when they are asked for."""
        draft = await self._desk.draft(request)
        chosen = {**draft.choices, **{name: checked(name, value) for name, value in told.items()}}
        await to_thread.run_sync(replace(draft, choices=chosen).save)
        return {"chosen": True}


def _step(text: Any) -> Step:
    if not isinstance(text, str) or text not in set(Step):
        raise BadRequestError("there is no such step")
    return Step(text)


def stand_of(desk: Desk, draft: Draft, step: Step) -> Payload:
    """How a step stands; a sheet that has been taken in belongs to the draft from then on."""
    if step is Step.TAKE and draft.sheet:
        return {"stand": Stand.DONE, "error": None}
    if not draft.name:
        raise UsageError("the upload never ended", hint="drop the sheet again on the start page")
    stand = desk.workers.stand(draft, step)
    told = read_step_result(draft, step) if stand is Stand.DONE else {}
    if step is Step.TAKE and stand is Stand.DONE and not told.get("error"):
        name = str(told.get("name") or draft.name)
        replace(draft, name=name, sheet=told["sheet"], notes=tuple(told["notes"])).save()
    return {"stand": stand, "error": told.get("error")}


def checked(name: str, value: Any) -> Any:
    """A choice as the page sent it. BadRequestError for one that can't be."""
    match name, value:
        case (("encoding" | "delimiter" | "sheet" | "prompt" | "header_row"), None):
            return None
        case (("encoding" | "delimiter" | "sheet" | "prompt"), str()) if len(value) <= (
            20_000 if name == "prompt" else 100
        ) and (value or name == "prompt"):
            return value
        case (("header_row" | "variants"), int()) if value is not True and 0 < value <= (
            20 if name == "variants" else 10_000
        ):
            return value
        case "over", dict() if _is_over(value):
            return {column: list(dict.fromkeys(values)) for column, values in value.items() if values}
        case "sizes", list() if len(value) <= 20 and all(isinstance(one, str) for one in value):
            return value
        case (("map" | "set"), dict()) if all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            return {key: text for key, text in value.items() if text}
    raise BadRequestError(f"{name[:40]}: that is no {'value for it' if name in CHOICES else 'choice'}")


def _is_over(told: dict[Any, Any]) -> bool:
    texts: list[Any] = []
    for column, values in told.items():
        texts += [column, *values] if isinstance(values, list) and len(values) <= MOST_VALUES else [None]
    is_text = all(isinstance(text, str) and text.strip() and len(text) <= LONGEST_VALUE for text in texts)
    return is_text and len(told) <= MOST_OVER


async def looked(desk: Desk, request: Request, draft: Draft, step: Step, doing: str) -> Payload | Response:
    """What the step found; a page that waits for it where it is not there yet."""
    if not draft.sheet:
        raise UsageError("this sheet never arrived whole", hint="drop it again on the start page")
    told = await to_thread.run_sync(stand_of, desk, draft, step)
    if told["stand"] != Stand.DONE:
        failed = told["stand"] == Stand.FAILED
        return page(request, "wait", draft=draft, play=draft.play, step=step.value, doing=doing, failed=failed)
    return await to_thread.run_sync(read_step_result, draft, step)
