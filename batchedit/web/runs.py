"""A run in progress: numbers, money, the last pictures; pause, stop, another cap. It does not depend on the page."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..commands.live import LiveState, find_live_state
from ..commands.pause_stop_set import wish
from ..commands.play_money import is_play_run
from ..commands.progress_chart import build_progress_chart
from ..core.budget import NO_CAP
from ..core.errors import BatcheditError
from ..core.money import MICRO
from ..disk import is_plain_file
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_get, serve_json_post, serve_page
from .pages import render_page
from .run_folders import RunFolders

WISHES = frozenset({"pause", "resume", "stop"})
_MOST_JOBS = 10_000


class Runs:
    """The screen of one run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders = RunFolders(desk)
        self.routes = [
            Route("/runs/{run}", serve_page(self.show)),
            Route("/runs/{run}/files/{place:int}", self.file),
            Route("/api/runs/{run}/live", serve_json_get(self.live)),
            Route("/api/runs/{run}/course", serve_json_get(self.course)),
            Route("/api/runs/{run}/wish", serve_json_post(self.wish), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page with the present state, which it then polls."""
        folder = await self._folders.find(request)
        now = await to_thread.run_sync(find_live_state, str(folder))
        play = await to_thread.run_sync(is_play_run, folder)
        state = _state_as_json(now)
        return render_page(request, "run", play=play, run=request.path_params["run"], now=state, name=folder.name)

    async def live(self, request: Request) -> Payload:
        """The present state; the page calls this once a second."""
        folder = await self._folders.find(request)
        return _state_as_json(await to_thread.run_sync(find_live_state, str(folder)))

    async def course(self, request: Request) -> Payload:
        """Pictures and money over time, and the most frequent errors."""
        return await to_thread.run_sync(build_progress_chart, await self._folders.find(request))

    async def file(self, request: Request) -> Response:
        """One of the last pictures, by the number of its job: the address holds no path."""
        try:
            folder = await self._folders.find(request)
            now = await to_thread.run_sync(find_live_state, str(folder))
        except BatcheditError:
            return PlainTextResponse("no such run\n", status_code=404)
        job = request.path_params["place"]
        name = next((str(picture["file"]) for picture in now.last_pictures if picture["job"] == job), "")
        if not name or not is_plain_file(folder / name, folder):
            return PlainTextResponse("no such picture\n", status_code=404)
        return FileResponse(folder / name, headers={"cache-control": "private, max-age=600"})

    async def wish(self, request: Request, body: Payload) -> Payload:
        """Store a wish: pause, go on, stop, another cap in US dollars (null: none), another number of jobs at once."""
        folder, kind = await self._folders.find(request), body.get("what")
        wishes: dict[str, Any]
        if kind in WISHES:
            wishes = {str(kind): True}
        elif kind == "cap" and (
            body.get("usd") is None or (type(body["usd"]) in {int, float} and 0 < body["usd"] < 1e6)
        ):
            wishes = {"max_cost": NO_CAP if body.get("usd") is None else round(body["usd"] * MICRO)}
        elif kind == "speed" and type(body.get("jobs")) is int and 0 <= body["jobs"] <= _MOST_JOBS:
            wishes = {"concurrency": body["jobs"]}
        else:
            raise BadRequestError("that can't be wished")
        await to_thread.run_sync(lambda: wish(str(folder), **wishes))
        return {"wished": True}


def _state_as_json(now: LiveState) -> dict[str, Any]:
    """The state as JSON, without paths of this machine."""
    values = now.as_json()
    pictures = [{name: picture[name] for name in ("job", "name")} for picture in now.last_pictures]
    return {name: value for name, value in values.items() if name not in {"folder", "process"}} | {
        "last_pictures": pictures
    }
