"""Screens for after a run: what is in doubt, what to redo, what to deliver."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..commands.after_run_lists import (
    MAX_LISTED,
    MAX_NOTE_LENGTH,
    list_delivery,
    list_doubts,
    list_rejected,
    write_note,
)
from ..commands.deliver import deliver
from ..commands.doubt import doubt
from ..commands.offer_and_carry_out import Unattended
from ..commands.play_money import is_play_run
from ..core.errors import BatcheditError
from ..disk import is_plain_file
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post, serve_page
from .pages import render_page
from .review import find_reviewer
from .run_folders import RunFolders

_FOLDER = "deliveries"


class AfterRun:
    """The screens ``doubt``, ``redo`` and ``deliver`` of a run. Their purchases are offered by ``offers``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self.routes = [
            Route("/runs/{run}/doubt", serve_page(partial(self.show, "doubt", list_doubts))),
            Route("/runs/{run}/redo", serve_page(partial(self.show, "redo", list_rejected))),
            Route("/runs/{run}/deliver", serve_page(partial(self.show, "deliver", list_delivery))),
            Route("/runs/{run}/deliver/{name}", self.download),
            Route("/api/runs/{run}/give-up", serve_json_post(self.give_up), methods=["POST"]),
            Route("/api/runs/{run}/note", serve_json_post(self.note), methods=["POST"]),
            Route("/api/runs/{run}/deliver", serve_json_post(self.deliver), methods=["POST"]),
        ]

    async def show(self, name: str, read: Callable[[Path], dict[str, Any]], request: Request) -> Response:
        """The page with the list as it is now."""
        folder = await self._folders.find(request)
        content = await to_thread.run_sync(read, folder)
        play = await to_thread.run_sync(is_play_run, folder)
        run = request.path_params["run"]
        zips = [path.name for path in _list_zips(folder)]
        data = {"run": run, "name": folder.name, "told": content, "listed": MAX_LISTED, "zips": zips}
        return render_page(request, name, play=play, **data)

    async def give_up(self, request: Request, body: Payload) -> Payload:
        """Write off one job in doubt; nothing is sent."""
        folder, name = await self._folders.find(request), body.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequestError("which one?")
        host = Unattended(self._desk.environ)
        settle = partial(doubt, str(folder), {}, host, pasted={}, buy_again=(), write_off=(name,))
        doubts = await to_thread.run_sync(lambda: anyio.run(settle))
        return {"left": len(doubts.open)}

    async def note(self, request: Request, body: Payload) -> Payload:
        """Store a note about a rejected picture."""
        folder, job, note = await self._folders.find(request), body.get("job"), body.get("note")
        if type(job) is not int or not isinstance(note, str) or len(note) > MAX_NOTE_LENGTH:
            raise BadRequestError(f"a note has at most {MAX_NOTE_LENGTH:,} characters")
        await to_thread.run_sync(write_note, folder, job, note.strip(), find_reviewer(request), time.time())
        return {"kept": True}

    async def deliver(self, request: Request, _: Payload) -> Payload:
        """Make the zip in the run's folder; earlier ones stay."""
        folder = await self._folders.find(request)
        to = folder / _FOLDER / f"{folder.name} {time.strftime('%Y-%m-%d %H-%M-%S')}.zip"
        delivery = await to_thread.run_sync(deliver, str(folder), {}, to)
        return {"name": to.name, "pictures": delivery.pictures, "bytes": delivery.bytes}

    async def download(self, request: Request) -> Response:
        """Download a zip that was made here; only names that are in the folder are served."""
        try:
            folder = await self._folders.find(request)
        except BatcheditError:
            return PlainTextResponse("no such run\n", status_code=404)
        path = next((path for path in _list_zips(folder) if path.name == request.path_params["name"]), None)
        if path is None:
            return PlainTextResponse("no such file\n", status_code=404)
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})


def _list_zips(folder: Path) -> list[Path]:
    """The zips that were made, the newest first."""
    paths = (folder / _FOLDER).glob("*.zip") if (folder / _FOLDER).is_dir() else ()
    return sorted((path for path in paths if is_plain_file(path, folder)), reverse=True)
