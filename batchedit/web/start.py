"""The start page: runs and drafts, their states, what to do next; and the token."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.drafts import Draft
from ..commands.runs import ListedRun, list_runs
from ..commands.token import describe_token_source, forget_variables, keep_token
from ..core.model import State
from ..ledger.register import Register
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post, serve_page
from .pages import render_page
from .run_folders import run_id

LONGEST_TOKEN = 4_000


class Start:
    """The start page's routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/", serve_page(self.show)),
            Route("/api/token", serve_json_post(self.token), methods=["POST"]),
            Route("/api/drafts/{draft}/remove", serve_json_post(self.remove), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page with runs, drafts, and whether there is a token."""
        desk = self._desk
        runs = await to_thread.run_sync(list_runs, Register.from_environ(desk.environ))
        drafts = await to_thread.run_sync(desk.drafts.all)
        token = await to_thread.run_sync(describe_token_source, desk.environ)
        return render_page(
            request,
            "start",
            runs=[_run_as_json(run) for run in runs],
            drafts=[_draft_as_json(d) for d in drafts],
            token=token,
        )

    async def token(self, _: Request, body: Payload) -> Payload:
        """Store the token that was pasted, and use it from now on. It is never shown again."""
        text = body.get("token")
        if not isinstance(text, str) or len(text) > LONGEST_TOKEN:
            raise BadRequestError("a token is a text")
        await to_thread.run_sync(keep_token, text, self._desk.environ)
        forget_variables(self._desk.environ)
        return {"kept": True}

    async def remove(self, request: Request, _: Payload) -> Payload:
        """Delete a draft, with its copy of the sheet."""
        draft = await self._desk.find_draft(request)
        await to_thread.run_sync(self._desk.drafts.remove, draft)
        return {"removed": True}


def _run_as_json(run: ListedRun) -> dict[str, Any]:
    total = sum(run.counts.by_state.values())
    return {
        "id": run_id(run.folder),
        "name": run.folder.name,
        "state": run.state,
        "done": run.counts.of(State.DONE),
        "total": total,
        "failed": run.counts.of(State.FAILED),
        "money": run.money,
        "play": run.play,
        "used_at": run.used_at,
        "why": run.why if run.state not in {"running", "done"} else "",
    }


def _draft_as_json(draft: Draft) -> dict[str, Any]:
    return {"id": draft.id, "name": draft.name, "play": draft.play, "made_at": draft.made_at}
