"""A run as it goes on: numbers, money, the last pictures; pause, stop, another cap. It goes on whoever looks."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..commands.course import build_progress_chart
from ..commands.live import LiveState, find_live_state
from ..commands.play import is_play_run
from ..commands.wishes import wish
from ..core.errors import BatcheditError
from ..core.money import MICRO
from ..core.policy import NO_CAP
from ..disk import is_plain_file
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, asked, call, shown
from .pages import page
from .run_folders import RunFolders

WISHES = frozenset({"pause", "resume", "stop"})
_MOST = 10_000


class Runs:
    """The screen of one run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self.routes = [
            Route("/runs/{run}", shown(self.show)),
            Route("/runs/{run}/files/{place:int}", self.file),
            Route("/api/runs/{run}/live", asked(self.live)),
            Route("/api/runs/{run}/course", asked(self.course)),
            Route("/api/runs/{run}/wish", call(self.wish), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """How it stands now; the page asks on."""
        folder = await self._folders.find(request)
        now = await to_thread.run_sync(find_live_state, str(folder))
        play = await to_thread.run_sync(is_play_run, folder)
        told = _told(now)
        return page(request, "run", play=play, run=request.path_params["run"], now=told, name=folder.name)

    async def live(self, request: Request) -> Payload:
        """Once a second while somebody looks."""
        folder = await self._folders.find(request)
        return _told(await to_thread.run_sync(find_live_state, str(folder)))

    async def course(self, request: Request) -> Payload:
        """Pictures and money over time, and the commonest errors."""
        return await to_thread.run_sync(build_progress_chart, await self._folders.find(request))

    async def file(self, request: Request) -> Response:
        """One of the last pictures, by the number of its job: no path is taken from an address."""
        try:
            folder = await self._folders.find(request)
            now = await to_thread.run_sync(find_live_state, str(folder))
        except BatcheditError:
            return PlainTextResponse("no such run\n", status_code=404)
        job = request.path_params["place"]
        name = next((str(told["file"]) for told in now.last_pictures if told["job"] == job), "")
        if not name or not is_plain_file(folder / name, folder):
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(folder / name, headers={"cache-control": "private, max-age=600"})

    async def wish(self, request: Request, told: Payload) -> Payload:
        """Pause, go on, stop, another cap in US dollars (null: none), another number of jobs at once."""
        folder, what = await self._folders.find(request), told.get("what")
        given: dict[str, Any]
        if what in WISHES:
            given = {str(what): True}
        elif what == "cap" and (
            told.get("usd") is None or (type(told["usd"]) in {int, float} and 0 < told["usd"] < 1e6)
        ):
            given = {"max_cost": NO_CAP if told.get("usd") is None else round(told["usd"] * MICRO)}
        elif what == "speed" and type(told.get("jobs")) is int and 0 <= told["jobs"] <= _MOST:
            given = {"concurrency": told["jobs"]}
        else:
            raise BadRequestError("that can't be wished")
        await to_thread.run_sync(lambda: wish(str(folder), **given))
        return {"wished": True}


def _told(now: LiveState) -> dict[str, Any]:
    """As JSON, without a path of this machine."""
    told = now.as_json()
    pictures = [{name: picture[name] for name in ("job", "name")} for picture in now.last_pictures]
    return {name: value for name, value in told.items() if name not in {"folder", "process"}} | {
        "last_pictures": pictures
    }
