"""Pictures that were sent as data URIs: kept whole while there is room, each once, whoever sends it how often.

With a state file they are also files in `<state>.d/`, named by digest and forgotten together with those in memory, so
that a later server draws the very same ads and the folder stays within the same 256 MB.
"""

import hashlib
from collections import OrderedDict
from pathlib import Path

_MOST = 256_000_000


class Uploads:
    """Bytes by `sha256:…`; those mentioned longest ago go first when the shelf is full."""

    def __init__(self, folder: Path | None, most: int = _MOST) -> None:
        self._folder, self._most = folder, most
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, data: bytes) -> str:
        """Their name from now on."""
        digest = hashlib.sha256(data).hexdigest()
        name = f"sha256:{digest}"
        if name not in self._kept and self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            (self._folder / digest).write_bytes(data)
        self._shelve(name, data)
        return name

    def recall(self, name: str) -> None:
        """An earlier server was sent this (or it is an URL); take it from the folder if it is still there."""
        kind, _, digest = name.partition(":")
        if kind != "sha256" or self._folder is None:
            return
        if name in self._kept:
            self._kept.move_to_end(name)
        elif (self._folder / digest).is_file():
            self._shelve(name, (self._folder / digest).read_bytes())

    def get(self, name: str) -> bytes | None:
        return self._kept.get(name)

    def _shelve(self, name: str, data: bytes) -> None:
        if name not in self._kept:
            self._kept[name] = data
            self._bytes += len(data)
        self._kept.move_to_end(name)
        while self._bytes > self._most:
            gone, lost = self._kept.popitem(last=False)
            self._bytes -= len(lost)
            if self._folder is not None:
                (self._folder / gone.removeprefix("sha256:")).unlink(missing_ok=True)
