"""Writes a download atomically. Blocking.

The bytes go to ``….part`` beside the final name and are hashed as they come. Then the type is recognised from the bytes and
the pixels are decoded, the file is fsynced and renamed, and the folder is fsynced: no file has its final name until it is
whole. The thumbnail, the preview and the features of a picture come from the same decode and are stored last, because losing
them loses nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BufferedWriter
from pathlib import Path
from typing import IO

from PIL import Image

from ..disk import create, make_folders, sync_folder
from ..images.thumbnails_and_features import Album, Derived, derive
from ..images.verify import Verified, examine


class AtomicDownload:
    """One file. Call ``take`` with its blocks in order, ``finish`` with the last one, and always ``drop`` in the end.

    The .part is made with the first block, so a picture of one block is finished in one step. ``size`` is the number of
    bytes taken so far. All but ``drop`` raise OSError if the disk fails, and OutputError for a folder outside ``root``.
    Thumbnails go into ``album``, if there is one.
    """

    def __init__(self, part: Path, root: Path, album: Album | None = None) -> None:
        self.size = 0
        self._album = album
        self._derived: Derived | None = None
        self._part = part
        self._root = root
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._renamed = False

    @property
    def sha256(self) -> str:
        """The hex digest of all bytes taken so far."""
        return self._digest.hexdigest()

    def take(self, block: bytes) -> IO[bytes]:
        """Write a block. Returns the open file."""
        if self._file is None:
            self._file = self._create()
        self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        return self._file

    def finish(self, last_block: bytes, choose_path: Callable[[str], Path]) -> Verified:
        """Examine, write ``last_block``, fsync, rename, fsync the folder. The file is durable then.

        ``choose_path`` gives the final path for an ending. NotAMediaFileError if the file is no picture or video, or torn.
        """
        if self._file is None:
            verified = examine(last_block, partial(self._derive, len(last_block)))
            file = self.take(last_block)
            file.flush()
        else:
            file = self.take(last_block)
            file.flush()
            verified = examine(self._part, partial(self._derive, self.size))
        os.fsync(file.fileno())
        file.close()
        final = choose_path(verified.ending)
        self._part.replace(final)
        self._renamed = True
        sync_folder(final.parent)
        if self._album is not None and self._derived is not None:
            self._album.keep(self.sha256, self._derived)
        return verified

    def _derive(self, size: int, picture: Image.Image) -> None:
        """Make thumbnail, preview and features of the picture of ``size`` bytes. One that is whole but can't be reduced has
        none, and the gallery says why.
        """
        if self._album is not None:
            with suppress(Exception):
                self._derived = derive(picture, size)

    def drop(self) -> None:
        """Close the .part and, unless it was renamed, remove it."""
        if self._renamed:
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
