"""The page's address: a secret in its path, the same for a week, stored where only this person can read it.

Tabs and bookmarks outlive a restart of the server. A new link revokes the old one at once, also in a server that runs.
"""

from __future__ import annotations

import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time

import orjson

from ..core.errors import OutputError
from ..disk import check_own, replace_atomically

KEPT_SECONDS = 7 * 86_400.0
_ONLY_MINE = 0o600


@dataclass(frozen=True, slots=True)
class Link:
    """``port`` is the one that was served on last, 0 before; ``made_at`` is epoch seconds."""

    token: str
    port: int = 0
    made_at: float = 0.0

    @property
    def is_valid(self) -> bool:
        """Whether it was made within the last seven days."""
        return bool(self.token) and 0 <= time() - self.made_at < KEPT_SECONDS


class LinkFile:
    """``link.json`` in a folder of this person."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "link.json"
        self._file_version = (-1, -1)
        self._link = Link("")

    def get(self, *, renew: bool = False) -> Link:
        """The valid link; a new one if there is none, or with ``renew``."""
        link = self._read()
        if renew or not link.is_valid:
            link = Link(secrets.token_urlsafe(24), link.port, time())
            self.save(link)
        return link

    def save(self, link: Link) -> None:
        """OutputError where the disk refuses."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            check_own(self.path)
            with replace_atomically(self.path, _ONLY_MINE) as part:
                part.chmod(_ONLY_MINE)
                part.write_bytes(orjson.dumps(asdict(link)))
        except OSError as error:
            raise OutputError(f"{self.path} can't be written: {error.strerror or error}") from error

    def read_token(self) -> str:
        """The valid token, ``""`` for none. Called at each request, so the file is read only when it changed."""
        try:
            facts = self.path.stat()
        except OSError:
            return ""
        if self._file_version != (facts.st_mtime_ns, facts.st_ino):
            self._link, self._file_version = self._read(), (facts.st_mtime_ns, facts.st_ino)
        return self._link.token if self._link.is_valid else ""

    def _read(self) -> Link:
        """The stored link; an empty one if others could have read or written the file."""
        try:
            facts = self.path.lstat()
            if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077:
                return Link("")
            return Link(**orjson.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Link("")
