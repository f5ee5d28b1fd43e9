"""Pictures that were sent as data URIs: kept while there is room, each once.

With a state file they are also files in `<state>.d/`, named by digest and removed together with those in memory, so that
a later server draws the same ads and the folder stays within the same 256 MB.
"""

import hashlib
from collections import OrderedDict
from pathlib import Path

_MAX_BYTES = 256_000_000


class Uploads:
    """Bytes by `sha256:…`; the least recently used are dropped when there are too many."""

    def __init__(self, folder: Path | None, max_bytes: int = _MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, data: bytes) -> str:
        """Keep ``data``; returns its name."""
        digest = hashlib.sha256(data).hexdigest()
        name = f"sha256:{digest}"
        if name not in self._pictures and self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            (self._folder / digest).write_bytes(data)
        self._store(name, data)
        return name

    def restore(self, name: str) -> None:
        """Read an earlier server's picture from the folder if it is still there; nothing for a URL."""
        kind, _, digest = name.partition(":")
        if kind != "sha256" or self._folder is None:
            return
        if name in self._pictures:
            self._pictures.move_to_end(name)
        elif (self._folder / digest).is_file():
            self._store(name, (self._folder / digest).read_bytes())

    def get(self, name: str) -> bytes | None:
        return self._pictures.get(name)

    def _store(self, name: str, data: bytes) -> None:
        if name not in self._pictures:
            self._pictures[name] = data
            self._bytes += len(data)
        self._pictures.move_to_end(name)
        while self._bytes > self._max_bytes:
            oldest_name, oldest_data = self._pictures.popitem(last=False)
            self._bytes -= len(oldest_data)
            if self._folder is not None:
                (self._folder / oldest_name.removeprefix("sha256:")).unlink(missing_ok=True)
