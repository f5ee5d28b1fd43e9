"""The steps of a draft as pages call them: state, result, choices."""

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
from .desk import Desk, Payload, serve_json_get, serve_json_post
from .pages import render_page
from .workers import StepState

MOST_OVER, MOST_VALUES, LONGEST_VALUE = 3, 50, 100
"""Most columns by which rows are multiplied, most values of each, most letters of a value."""


class DraftCalls:
    """The calls of all screens of a draft."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/api/drafts/{draft}/state", serve_json_get(self.state)),
            Route("/api/drafts/{draft}/again", serve_json_post(self.again), methods=["POST"]),
            Route("/api/drafts/{draft}/choices", serve_json_post(self.choose), methods=["POST"]),
        ]

    async def state(self, request: Request) -> Payload:
        """The state of a step: ``done``, ``working`` or ``failed``, and an error that a person can correct."""
        draft = await self._desk.find_draft(request)
        step = _parse_step(request.query_params.get("step"))
        return await to_thread.run_sync(check_step_state, self._desk, draft, step)

    async def again(self, request: Request, body: Payload) -> Payload:
        """Retry a step that ended without a result."""
        draft = await self._desk.find_draft(request)
        await to_thread.run_sync(self._desk.workers.reset, draft, _parse_step(body.get("step")))
        return {"again": True}

    async def choose(self, request: Request, body: Payload) -> Payload:
        """Store choices; the steps that depend on them run again when they are next needed."""
        draft = await self._desk.find_draft(request)
        chosen = {**draft.choices, **{name: check_choice(name, value) for name, value in body.items()}}
        await to_thread.run_sync(replace(draft, choices=chosen).save)
        return {"chosen": True}


def _parse_step(text: Any) -> Step:
    if not isinstance(text, str) or text not in set(Step):
        raise BadRequestError("there is no such step")
    return Step(text)


def check_step_state(desk: Desk, draft: Draft, step: Step) -> Payload:
    """The state of a step, which is started if need be. When ``take`` is done, its sheet is stored in the draft."""
    if step is Step.TAKE and draft.sheet:
        return {"stand": StepState.DONE, "error": None}
    if not draft.name:
        raise UsageError("the upload never ended", hint="drop the sheet again on the start page")
    state = desk.workers.ensure_running(draft, step)
    result = read_step_result(draft, step) if state is StepState.DONE else {}
    if step is Step.TAKE and state is StepState.DONE and not result.get("error"):
        name = str(result.get("name") or draft.name)
        replace(draft, name=name, sheet=result["sheet"], notes=tuple(result["notes"])).save()
    return {"stand": state, "error": result.get("error")}


def check_choice(name: str, value: Any) -> Any:
    """The value to store for a choice that the page sent. BadRequestError if it is invalid."""
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
        case "sizes", list() if len(value) <= 20 and all(isinstance(size, str) for size in value):
            return value
        case (("map" | "set"), dict()) if all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            return {key: text for key, text in value.items() if text}
    raise BadRequestError(f"{name[:40]}: that is no {'value for it' if name in CHOICES else 'choice'}")


def _is_over(over: dict[Any, Any]) -> bool:
    texts: list[Any] = []
    for column, values in over.items():
        texts += [column, *values] if isinstance(values, list) and len(values) <= MOST_VALUES else [None]
    is_text = all(isinstance(text, str) and text.strip() and len(text) <= LONGEST_VALUE for text in texts)
    return is_text and len(over) <= MOST_OVER


async def read_step_or_wait(desk: Desk, request: Request, draft: Draft, step: Step, doing: str) -> Payload | Response:
    """The step's result, or a page that waits for it."""
    if not draft.sheet:
        raise UsageError("this sheet never arrived whole", hint="drop it again on the start page")
    status = await to_thread.run_sync(check_step_state, desk, draft, step)
    if status["stand"] != StepState.DONE:
        failed = status["stand"] == StepState.FAILED
        return render_page(request, "wait", draft=draft, play=draft.play, step=step.value, doing=doing, failed=failed)
    return await to_thread.run_sync(read_step_result, draft, step)
