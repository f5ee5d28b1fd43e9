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
from .desk import Desk, Payload, serve_json_get, serve_page
from .pages import render_page
from .steps import check_step_state, read_step_or_wait
from .workers import StepState

_KEY = re.compile(r"[0-9a-f]{20}").fullmatch


class Preview:
    """The screen ``preview``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/drafts/{draft}/preview", serve_page(self.show)),
            Route("/api/drafts/{draft}/thumbs", serve_json_get(self.thumbs)),
            Route("/drafts/{draft}/thumbs/{key}.jpg", self.thumb),
        ]

    async def show(self, request: Request) -> Response:
        """The page with the rows; their pictures are loaded as they are fetched."""
        draft = await self._desk.find_draft(request)
        result = await read_step_or_wait(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(result, Response):
            return result
        template = "unread" if result["error"] else "preview"
        return render_page(request, template, draft=draft, play=draft.play, look=result, at="preview")

    async def thumbs(self, request: Request) -> Payload:
        """Which pictures are ready, and why others are not. The first call starts fetching."""
        draft = await self._desk.find_draft(request)
        return await to_thread.run_sync(self._list_thumbs, draft)

    def _list_thumbs(self, draft: Draft) -> Payload:
        ready = (
            is_done(draft, Step.CHECK)
            and check_step_state(self._desk, draft, Step.PICTURES)["stand"] != StepState.WORKING
        )
        folder = draft.folder / "thumbs"
        paths = list(folder.iterdir()) if folder.is_dir() else []
        reasons = {path.stem: path.read_text(encoding="utf-8")[:300] for path in paths if path.suffix == ".txt"}
        return {"ready": ready, "there": [path.stem for path in paths if path.suffix == ".jpg"], "why": reasons}

    async def thumb(self, request: Request) -> Response:
        """One thumbnail. Its name is a digest of its source's address; no other file is served."""
        try:
            draft = await self._desk.find_draft(request)
        except BatcheditError:
            return PlainTextResponse("no such picture\n", status_code=404)
        key = request.path_params["key"]
        path = draft.folder / "thumbs" / f"{key}.jpg"
        if not _KEY(key) or not path.is_file():
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})
