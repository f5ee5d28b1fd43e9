"""Review during and after the run: the gallery in pages, with the decisions of ``batchedit review``."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..commands.gallery_page import PAGE_FILTERS, build_gallery_page, count_pictures, find_done_jobs, open_read_only
from ..commands.proxy import find_proxy
from ..commands.thumbnails_on_demand import (
    MissingThumbnail,
    find_picture_file,
    find_small_picture,
    make_placeholder,
    make_small,
)
from ..ledger.decisions import FolderDecisions
from ..review import server
from ..review.page import read_script, read_style, render_gallery
from .desk import Desk, Payload, serve_json_get, serve_page
from .run_folders import RunFolders

_MOST_DIGITS = 12
"""Most digits of a line's number in an address."""


class Review:
    """The screen ``review`` of a run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self._shrink_limiter = CapacityLimiter(2)
        """Pictures shrunk at once."""
        self._link_limiter = CapacityLimiter(2)
        """Links fetched at once, limited apart from the above: local pictures don't wait for a shop's server."""
        at = "/runs/{run}/review/"
        self.routes = [
            Route(at, serve_page(self.show)),
            Route(f"{at}api/pictures", serve_json_get(self.pictures)),
            Route(f"{at}api/marks", self._serve_decisions("news")),
            Route(f"{at}api/mark", self._serve_decisions("mark"), methods=["POST"]),
            Route(f"{at}thumbs/{{job:int}}/{{place}}.jpg", serve_page(self.thumb)),
            Route(f"{at}files/{{job:int}}/{{place:int}}", serve_page(self.file)),
            Route("/assets/gallery.js", _serve_text(read_script, "text/javascript")),
            Route("/assets/gallery.css", _serve_text(read_style, "text/css")),
        ]

    async def show(self, request: Request) -> Response:
        """A page of the gallery as it is now: a reload shows every decision."""
        data = await self._read_page(request)
        data["guest"] = bool(request.scope.get("guest"))
        back = "" if data["guest"] else f"../../{request.path_params['run']}"
        text = render_gallery(data, served=True, assets="../../../assets/", back=back)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    async def pictures(self, request: Request) -> Payload:
        """How many pictures there are by now, and whether more may come."""
        folder = await self._folders.find(request)

        def read() -> Payload:
            with open_read_only(folder) as run:
                return count_pictures(run)

        return await to_thread.run_sync(read)

    async def _read_page(self, request: Request) -> Payload:
        """A hundred lines. ``from`` is a line's number, ``row`` the sheet's row, ``show`` selects lines."""
        folder = await self._folders.find(request)
        first, show = _parse_number(request, "from") or 1, request.query_params.get("show", "all")

        def read() -> Payload:
            with open_read_only(folder) as run:
                return build_gallery_page(
                    run, first, show if show in PAGE_FILTERS else "all", _parse_number(request, "row")
                )

        return await to_thread.run_sync(read)

    async def thumb(self, request: Request) -> Response:
        """A thumbnail; a grey picture where there is none to show."""
        folder = await self._folders.find(request)
        job, place = request.path_params["job"], request.path_params["place"]
        thumbnail = await to_thread.run_sync(find_small_picture, folder, job, place)
        path = await self._make_thumbnail(thumbnail) if isinstance(thumbnail, MissingThumbnail) else thumbnail
        if path is None:
            return Response(make_placeholder(), media_type="image/jpeg", headers={"cache-control": "no-store"})
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})

    async def _make_thumbnail(self, unmade: MissingThumbnail) -> Path | None:
        """Shrink the picture in a separate process, so that other pages are served meanwhile."""
        limiter = self._shrink_limiter if unmade.wanted else self._link_limiter
        try:
            proxy = find_proxy(self._desk.environ) if unmade.link else None
            return await to_process.run_sync(make_small, unmade, proxy, limiter=limiter)
        except (BrokenWorkerProcess, OSError):  # the process died, or none can be started: no picture is shown
            return None

    async def file(self, request: Request) -> Response:
        """One of the run's pictures at full size, by the number of its job."""
        folder, params = await self._folders.find(request), request.path_params
        path = await to_thread.run_sync(find_picture_file, folder, params["job"], params["place"])
        if path is None:
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    def _serve_decisions(self, name: str) -> Callable[[Request], Any]:
        """The route of that name of ``batchedit review``."""

        async def answer(request: Request) -> Response:
            folder = await self._folders.find(request)
            gallery = server.ServedGallery(
                folder, str, partial(find_done_jobs, folder), (), FolderDecisions(folder), find_reviewer(request)
            )
            return cast("Response", await getattr(server.ReviewRoutes(gallery, lambda: None), name)(request))

        return serve_page(answer)


def find_reviewer(request: Request) -> str:
    """The name of the colleague's link, else this person's."""
    guest = request.scope.get("guest")
    if guest is not None:
        return str(guest.name)
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


def _parse_number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _serve_text(content: Callable[[], str], kind: str) -> Callable[[Request], Any]:
    async def answer(_: Request) -> Response:
        return Response(content(), media_type=kind, headers={"cache-control": "no-cache"})

    return answer
