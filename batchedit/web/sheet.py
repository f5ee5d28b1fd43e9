"""How a sheet is read: shown with its first rows, and changeable."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step
from .desk import Desk, Payload, serve_page
from .pages import render_page
from .steps import read_step_or_wait

ENCODINGS = (
    "utf-8",
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "mac_roman",
    "utf-16",
    "cp932",
    "gb18030",
    "big5",
)
DELIMITERS = ((",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar"))


class Sheet:
    """The screen ``sheet``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/drafts/{draft}/sheet", serve_page(self.show))]

    async def show(self, request: Request) -> Response:
        """The page with the form and the first rows."""
        draft = await self._desk.find_draft(request)
        sheet = await read_step_or_wait(self._desk, request, draft, Step.LOOK, "Reading the sheet")
        if isinstance(sheet, Response):
            return sheet
        data: Payload = {"look": sheet, "chosen": draft.choices, "encodings": ENCODINGS, "delimiters": DELIMITERS}
        return render_page(request, "sheet", draft=draft, play=draft.play, at="sheet", **data)
