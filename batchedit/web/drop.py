"""The drop zone for a sheet: the page, and the upload."""

from __future__ import annotations

from dataclasses import replace

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_take import UPLOAD_MOST, check_room, choose_file_name, resolve_upload_path
from ..commands.drafts import Draft
from ..core.errors import BatcheditError, ManifestError, UsageError
from ..core.limits import format_mb
from ..disk import create
from ..review.json_body import BadRequestError, make_json_response
from .desk import Desk, Payload, explain_error, serve_json_post, serve_page
from .pages import render_page

LONGEST_NAME = 300
LONGEST_LINK = 4_000


class Drop:
    """The drop zone's routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/new", serve_page(self.new)),
            Route("/api/drafts", serve_json_post(self.make), methods=["POST"]),
            Route("/api/drafts/{draft}/file", self.put, methods=["PUT"]),
            Route("/api/drafts/{draft}/arrived", serve_json_post(self.arrived), methods=["POST"]),
        ]

    async def new(self, request: Request) -> Response:
        """The page with the drop zone."""
        return render_page(request, "new", play="play" in request.query_params, most=f"{UPLOAD_MOST // 10**9} GB")

    async def make(self, _: Request, body: Payload) -> Payload:
        """Make a draft before the upload."""
        draft = await to_thread.run_sync(lambda: self._desk.drafts.make(play=body.get("play") is True))
        return {"id": draft.id}

    async def put(self, request: Request) -> Response:
        """Store one file, unchanged."""
        try:
            draft = await self._desk.find_draft(request)
            if draft.sheet:
                raise UsageError("this sheet is complete", hint="drop another one on the start page")
            return make_json_response({"bytes": await _receive(request, draft)})
        except BatcheditError as error:
            return make_json_response(explain_error(error), status=422)

    async def arrived(self, request: Request, body: Payload) -> Payload:
        """The upload is complete, or the sheet is at ``link``."""
        draft = await self._desk.find_draft(request)
        name, link = body.get("name"), body.get("link", "")
        if (
            not isinstance(name, str)
            or not isinstance(link, str)
            or len(name) > LONGEST_NAME
            or len(link) > LONGEST_LINK
        ):
            raise BadRequestError("what arrived has a name")
        if not draft.sheet:
            choices = {**draft.choices, "arrived": name or "sheet", "link": link}
            await to_thread.run_sync(replace(draft, name=name or "sheet", choices=choices).save)
        return {"id": draft.id}


async def _receive(request: Request, draft: Draft) -> int:
    """Stream the body to a file under a name of our choice. Returns its size. An upload that is cut off leaves no file."""
    length = request.headers.get("content-length", "")
    announced_size = int(length) if length.isdecimal() and len(length) < 16 else 0
    await to_thread.run_sync(check_room, draft, announced_size)
    name = request.query_params.get("name", "")
    keeps_path = request.query_params.get("inside") == "1"
    target = resolve_upload_path(draft, name if keeps_path else choose_file_name(name))
    part = target.with_name(f"{target.name}.part")
    total = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with create(part) as file:
            async for chunk in request.stream():
                total += len(chunk)
                if total > UPLOAD_MOST:
                    raise ManifestError(f"the file is larger than {format_mb(UPLOAD_MOST)}")
                await to_thread.run_sync(file.write, chunk)
        part.replace(target)
    except ClientDisconnect:
        raise ManifestError("the upload was cut off", hint="drop the file again") from None
    except OSError as error:
        raise ManifestError(f"the file can't be kept here: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return total
