"""The morning's screens: what is in doubt, what to redo, what to deliver."""

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

from ..commands.carry import Unattended
from ..commands.deliver import deliver
from ..commands.doubt import doubt
from ..commands.morning import MAX_LISTED, MAX_NOTE_LENGTH, list_delivery, list_doubts, list_rejected, write_note
from ..commands.play import is_play_run
from ..core.errors import BatcheditError
from ..disk import is_plain_file
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, call, shown
from .pages import page
from .review import who
from .run_folders import RunFolders

_FOLDER = "deliveries"


class Morning:
    """The screens ``doubt``, ``redo`` and ``deliver`` of a run. What they buy is asked by ``offers``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self.routes = [
            Route("/runs/{run}/doubt", shown(partial(self.show, "doubt", list_doubts))),
            Route("/runs/{run}/redo", shown(partial(self.show, "redo", list_rejected))),
            Route("/runs/{run}/deliver", shown(partial(self.show, "deliver", list_delivery))),
            Route("/runs/{run}/deliver/{name}", self.download),
            Route("/api/runs/{run}/give-up", call(self.give_up), methods=["POST"]),
            Route("/api/runs/{run}/note", call(self.note), methods=["POST"]),
            Route("/api/runs/{run}/deliver", call(self.deliver), methods=["POST"]),
        ]

    async def show(self, name: str, read: Callable[[Path], dict[str, Any]], request: Request) -> Response:
        """The list as it is now."""
        folder = await self._folders.find(request)
        told = await to_thread.run_sync(read, folder)
        play = await to_thread.run_sync(is_play_run, folder)
        run = request.path_params["run"]
        zips = [path.name for path in _zips(folder)]
        data = {"run": run, "name": folder.name, "told": told, "listed": MAX_LISTED, "zips": zips}
        return page(request, name, play=play, **data)

    async def give_up(self, request: Request, told: Payload) -> Payload:
        """One in doubt is given up: it counts as not bought, and nothing is sent."""
        folder, name = await self._folders.find(request), told.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequestError("which one?")
        host = Unattended(self._desk.environ)
        ask = partial(doubt, str(folder), {}, host, pasted={}, buy_again=(), write_off=(name,))
        found = await to_thread.run_sync(lambda: anyio.run(ask))
        return {"left": len(found.open)}

    async def note(self, request: Request, told: Payload) -> Payload:
        """What is to be better in one of the rejected ones."""
        folder, job, note = await self._folders.find(request), told.get("job"), told.get("note")
        if type(job) is not int or not isinstance(note, str) or len(note) > MAX_NOTE_LENGTH:
            raise BadRequestError(f"a note has at most {MAX_NOTE_LENGTH:,} characters")
        await to_thread.run_sync(write_note, folder, job, note.strip(), who(request), time.time())
        return {"kept": True}

    async def deliver(self, request: Request, _: Payload) -> Payload:
        """Make the zip. It stays in the run's folder, and an earlier one stays, too."""
        folder = await self._folders.find(request)
        to = folder / _FOLDER / f"{folder.name} {time.strftime('%Y-%m-%d %H-%M-%S')}.zip"
        made = await to_thread.run_sync(deliver, str(folder), {}, to)
        return {"name": to.name, "pictures": made.pictures, "bytes": made.bytes}

    async def download(self, request: Request) -> Response:
        """A zip that was made here, by its name in the list of those that are there."""
        try:
            folder = await self._folders.find(request)
        except BatcheditError:
            return PlainTextResponse("no such run\n", status_code=404)
        path = next((path for path in _zips(folder) if path.name == request.path_params["name"]), None)
        if path is None:
            return PlainTextResponse("no such file\n", status_code=404)
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})


def _zips(folder: Path) -> list[Path]:
    """Those that were made, the newest first."""
    found = (folder / _FOLDER).glob("*.zip") if (folder / _FOLDER).is_dir() else ()
    return sorted((path for path in found if is_plain_file(path, folder)), reverse=True)
