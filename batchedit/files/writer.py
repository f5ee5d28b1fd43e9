"""The bytes of a download on their way to their final name. Blocking.

They go to ``….part`` beside that name, are hashed on the way, their type told from themselves and their pixels decoded,
fsynced, renamed, and the folder fsynced: nothing has its final name until it is whole. The thumbnail and the features of a
picture come of the same decode and are kept last: nothing is lost with them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from typing import IO

from PIL import Image

from ..disk import create, make_folders, sync_folder
from ..images.features import Album, Reduced, reduce
from ..images.verify import Verified, examine


class AtomicDownload:
    """One file. ``take`` its blocks in order, ``finish`` with the last one, and ``drop`` in any case in the end.

    The .part is made with the first block, so a picture that comes in one is finished in one go. ``size`` is what was taken
    so far, in bytes. All but ``drop`` raise OSError where the disk fails, and OutputError for a folder that leads out of
    ``root``. Thumbnails go into ``album``, if there is one.
    """

    def __init__(self, part: Path, root: Path, album: Album | None = None) -> None:
        self.size = 0
        self._album = album
        self._reduced: Reduced | None = None
        self._part = part
        self._root = root
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
            self._file = self._create()
        self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        return self._file

    def finish(self, rest: bytes, name: Callable[[str], Path]) -> Verified:
        """Examine, write ``rest``, fsync, rename, fsync the folder: then the file is there to stay.

        ``name`` tells the final name for an ending. NotAMediaFileError where the file is no picture or video, or torn.
        """
        if self._file is None:
            seen = examine(rest, self._reduce)
            file = self.take(rest)
            file.flush()
        else:
            file = self.take(rest)
            file.flush()
            seen = examine(self._part, self._reduce)
        os.fsync(file.fileno())
        file.close()
        final = name(seen.ending)
        self._part.replace(final)
        self._kept = True
        sync_folder(final.parent)
        if self._album is not None and self._reduced is not None:
            self._album.keep(self.sha256, self._reduced)
        return seen

    def _reduce(self, picture: Image.Image) -> None:
        """A picture that is whole but can't be reduced has no thumbnail, and the gallery says why."""
        if self._album is not None:
            with suppress(Exception):
                self._reduced = reduce(picture)

    def drop(self) -> None:
        """Close the .part and, unless it was renamed, remove it."""
        if self._kept:
            return
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self._part.unlink()

    def _create(self) -> IO[bytes]:
        try:
            return BufferedWriter(create(self._part))
        except FileNotFoundError:
            make_folders(self._part.parent, self._root)
            return BufferedWriter(create(self._part))
