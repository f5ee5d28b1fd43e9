"""The columns: for each input of the model the column found and why, and the prompt as a template with column names."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step
from .desk import Desk, serve_page
from .pages import render_page
from .steps import read_step_or_wait

INPUT_LABELS = {"image": "Source picture", "prompt": "What is to be made of it", "size": "Size"}
"""Labels of the model's inputs."""


class Columns:
    """The screen ``columns``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/drafts/{draft}/columns", serve_page(self.show))]

    async def show(self, request: Request) -> Response:
        """The page: inputs, unused columns, the prompt."""
        draft = await self._desk.find_draft(request)
        sheet = await read_step_or_wait(self._desk, request, draft, Step.LOOK, "Reading the sheet")
        if isinstance(sheet, Response):
            return sheet
        return render_page(
            request,
            "unread" if sheet["error"] else "columns",
            draft=draft,
            play=draft.play,
            look=sheet,
            words=INPUT_LABELS,
            model=draft.settings.model,
            at="columns",
        )
