"""How a sheet is read, shown with its first rows, and changeable."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step
from .desk import Desk, Payload, shown
from .pages import page
from .steps import looked

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
        self.routes = [Route("/drafts/{draft}/sheet", shown(self.show))]

    async def show(self, request: Request) -> Response:
        """Form and first rows."""
        draft = await self._desk.draft(request)
        told = await looked(self._desk, request, draft, Step.LOOK, "Reading the sheet")
        if isinstance(told, Response):
            return told
        data: Payload = {"look": told, "chosen": draft.choices, "encodings": ENCODINGS, "delimiters": DELIMITERS}
        return page(request, "sheet", draft=draft, play=draft.play, at="sheet", **data)
