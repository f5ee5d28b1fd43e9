"""Find the run that an address names: looked up among this person's runs, never built from the address."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request

from ..core.errors import NotFoundError
from ..ledger.register import Register
from .desk import Desk


def run_id(folder: str | Path) -> str:
    """The id of a run in addresses: a digest, so that no address holds a path of this machine."""
    return sha256(str(Path(folder).resolve()).encode(errors="surrogateescape")).hexdigest()[:12]


class RunFolders:
    """The runs of this person, by their id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._folders: dict[str, Path] = {}

    async def find(self, request: Request) -> Path:
        """The folder of the run that the address names. NotFoundError unless it is one of this person's."""
        run = request.path_params["run"]
        if run not in self._folders:
            register = Register.from_environ(self._desk.environ)
            folders = await to_thread.run_sync(register.list_folders, self._desk.home / "outputs")
            self._folders = {run_id(folder): folder for folder in folders}
        if run not in self._folders:
            raise NotFoundError("there is no such run", hint="the start page lists those that are")
        return self._folders[run]
