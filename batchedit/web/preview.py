"""Twenty rows as they will be sent: source picture, finished prompt, file name."""

from __future__ import annotations

import re

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..commands.draft_steps import Step, is_done
from ..commands.drafts import Draft
from ..core.errors import BatcheditError
from .desk import Desk, Payload, asked, shown
from .pages import page
from .steps import looked, stand_of
from .workers import Stand

_KEY = re.compile(r"[0-9a-f]{20}").fullmatch


class Preview:
    """The screen ``preview``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/drafts/{draft}/preview", shown(self.show)),
            Route("/api/drafts/{draft}/thumbs", asked(self.thumbs)),
            Route("/drafts/{draft}/thumbs/{key}.webp", self.thumb),
        ]

    async def show(self, request: Request) -> Response:
        """The rows; their pictures come as they are fetched."""
        draft = await self._desk.draft(request)
        told = await looked(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(told, Response):
            return told
        template = "unread" if told["error"] else "preview"
        return page(request, template, draft=draft, play=draft.play, look=told, at="preview")

    async def thumbs(self, request: Request) -> Payload:
        """Which pictures are there, and why others are not. The first question starts the fetching."""
        draft = await self._desk.draft(request)
        return await to_thread.run_sync(self._thumbs, draft)

    def _thumbs(self, draft: Draft) -> Payload:
        ready = is_done(draft, Step.CHECK) and stand_of(self._desk, draft, Step.PICTURES)["stand"] != Stand.WORKING
        folder = draft.folder / "thumbs"
        there = list(folder.iterdir()) if folder.is_dir() else []
        why = {path.stem: path.read_text(encoding="utf-8")[:300] for path in there if path.suffix == ".txt"}
        return {"ready": ready, "there": [path.stem for path in there if path.suffix == ".webp"], "why": why}

    async def thumb(self, request: Request) -> Response:
        """One small picture. Its name is a digest of where it came from; nothing else is served."""
        try:
            draft = await self._desk.draft(request)
        except BatcheditError:
            return PlainTextResponse("no such picture\n", status_code=404)
        key = request.path_params["key"]
        path = draft.folder / "thumbs" / f"{key}.webp"
        if not _KEY(key) or not path.is_file():
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})
