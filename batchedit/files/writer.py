"""The bytes of a download on their way to their final name. Blocking.

They go to ``….part`` beside that name, are hashed on the way, their type told from themselves and their pixels decoded,
fsynced, renamed, and the folder fsynced: nothing has its final name until it is whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..disk import forget
from ..images.verify import Seen, examine


class Landing:
    """One file. ``take`` its blocks in order, ``finish`` with the last one, and ``drop`` in any case in the end.

    The .part is made with the first block, so a picture that comes in one is finished in one go. ``size`` is what was taken
    so far, in bytes. All but ``drop`` raise OSError where the disk fails.
    """

    def __init__(self, part: Path) -> None:
        self.size = 0
        self._part = part
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._kept = False

    @property
    def sha256(self) -> str:
        """The digest of all that was taken, hex."""
        return self._digest.hexdigest()

    def take(self, block: bytes) -> IO[bytes]:
        """Write a block. Returns the open file."""
        if self._file is None:
            self._file = _create(self._part)
        self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        return self._file

    def finish(self, rest: bytes, name: Callable[[str], Path]) -> Seen:
        """Examine, write ``rest``, fsync, rename, fsync the folder: then the file is there to stay.

        ``name`` tells the final name for an ending. NotAMediaFileError where the file is no picture or video, or torn.
        """
        if self._file is None:
            seen = examine(rest)
            file = self.take(rest)
            file.flush()
        else:
            file = self.take(rest)
            file.flush()
            seen = examine(self._part)
        os.fsync(file.fileno())
        forget(file.fileno())
        file.close()
        final = name(seen.ending)
        self._part.replace(final)
        self._kept = True
        _sync_folder(final.parent)
        return seen

    def drop(self) -> None:
        """Close the .part and, unless it was renamed, remove it."""
        if self._kept:
            return
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self._part.unlink()


def _create(part: Path) -> IO[bytes]:
    try:
        return part.open("wb")
    except FileNotFoundError:
        missing = [folder for folder in (part.parent, *part.parent.parents) if not folder.exists()]
        part.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync_folder(folder.parent)
        return part.open("wb")


def _sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable. Where the system can't (Windows), it is not needed."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
