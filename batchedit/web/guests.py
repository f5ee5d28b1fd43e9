"""Links for colleagues: each is valid for one run and one name, and allows only viewing and deciding there.

They are stored beside the person's own link, readable by that person alone. A link that is revoked, or a week old, is refused
from the next request on.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from hmac import compare_digest
from pathlib import Path
from time import time
from typing import Any

import orjson
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..commands.play_money import is_play_run
from ..disk import check_own, replace_atomically
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post, serve_page
from .pages import render_page
from .run_folders import RunFolders
from .secret_link import KEPT_SECONDS

LONGEST_NAME = 60
_ONLY_MINE = 0o600


@dataclass(frozen=True, slots=True)
class Guest:
    """``run`` is the run's id in addresses; ``made_at`` is epoch seconds."""

    token: str
    run: str
    name: str
    made_at: float

    def may_open(self, path: str) -> bool:
        """True for that run's review, and for the style and modules of pages."""
        return path.startswith((f"/runs/{self.run}/review/", "/assets/"))


class GuestFile:
    """``guests.json`` in the folder of the person's own link."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "guests.json"

    def all(self) -> list[Guest]:
        """The guests whose links are valid now."""
        try:
            facts = self._path.lstat()
            saved = orjson.loads(self._path.read_bytes()) if not facts.st_mode & 0o077 else []
            guests = [Guest(**values) for values in saved]
        except (OSError, ValueError, TypeError):
            return []
        return [guest for guest in guests if 0 <= time() - guest.made_at < KEPT_SECONDS]

    def find(self, token: str) -> Guest | None:
        """The guest with this token."""
        token_bytes = token.encode(errors="replace")
        return next((guest for guest in self.all() if compare_digest(guest.token.encode(), token_bytes)), None)

    def invite(self, run: str, name: str) -> Guest:
        """Make a new link."""
        guest = Guest(secrets.token_urlsafe(24), run, name, time())
        self._save([*self.all(), guest])
        return guest

    def revoke(self, run: str, name: str) -> None:
        """Revoke every link of this name for this run."""
        self._save([guest for guest in self.all() if (guest.run, guest.name) != (run, name)])

    def _save(self, guests: list[Guest]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(self._path)
        with replace_atomically(self._path, _ONLY_MINE) as part:
            part.chmod(_ONLY_MINE)
            part.write_bytes(orjson.dumps([asdict(guest) for guest in guests]))


class OnlyReview:
    """ASGI middleware: a colleague is refused everything but the review that the link is for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """403 for a path that the link does not allow."""
        guest = scope.get("guest")
        if guest is None or guest.may_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/" and scope["method"] == "GET":
            answer: Response = Response(status_code=303, headers={"location": f"runs/{guest.run}/review/"})
        else:
            answer = PlainTextResponse("This link is for looking and marking only.\n", status_code=403)
        await answer(scope, receive, send)


class Colleagues:
    """The screen ``colleagues`` of a run: its links, a new one, and revoking."""

    def __init__(self, desk: Desk) -> None:
        self._folders = RunFolders(desk)
        self._guests = desk.guests
        self.routes = [
            Route("/runs/{run}/colleagues", serve_page(self.show)),
            Route("/api/runs/{run}/invite", serve_json_post(self.invite), methods=["POST"]),
            Route("/api/runs/{run}/revoke", serve_json_post(self.revoke), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page with the links of this run."""
        folder, run = await self._folders.find(request), request.path_params["run"]
        guests = [guest for guest in await to_thread.run_sync(self._guests.all) if guest.run == run]
        origin = f"http://{request.headers['host']}"
        guests_as_json: list[dict[str, Any]] = [
            {"name": g.name, "at": g.made_at, "link": f"{origin}/{g.token}/"} for g in guests
        ]
        play = await to_thread.run_sync(is_play_run, folder)
        return render_page(request, "colleagues", play=play, run=run, name=folder.name, guests=guests_as_json)

    async def invite(self, request: Request, body: Payload) -> Payload:
        """Make a link for a name."""
        await self._folders.find(request)
        await to_thread.run_sync(self._guests.invite, request.path_params["run"], _parse_name(body))
        return {"invited": True}

    async def revoke(self, request: Request, body: Payload) -> Payload:
        """Revoke a name's links, at once and also in open tabs."""
        await to_thread.run_sync(self._guests.revoke, request.path_params["run"], _parse_name(body))
        return {"revoked": True}


def _parse_name(body: Payload) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadRequestError(f"a name has 1 to {LONGEST_NAME} characters")
    return " ".join(name.split())
