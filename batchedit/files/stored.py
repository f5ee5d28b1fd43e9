"""A file that is whole in the run's folder, on its way into the store of files. Blocking."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..core.errors import OutputError
from ..core.model import Record, SavedFile
from ..disk import sync_folder
from .objects import Objects, remove_quietly


def put_in_store(objects: Objects, folder: Path, saved: SavedFile, record: Record, copies: bool) -> SavedFile:
    """Put it, and return it under the name that it has there: its own, unless another content has that.

    What a crash left between this and the commit is found there with the same sha256. A paid picture is never overwritten.
    Unless ``copies`` the one in the folder is removed.
    """
    here, plain = folder / saved.path, PurePosixPath(saved.path)
    tags = ("", f"-{record.job.key.hex()[:8]}", f"-{record.job.key.hex()[:8]}-{saved.sha256[:8]}")
    for tag in tags:
        if tag and plain.stem.endswith(tag):
            continue
        path = plain.with_name(f"{plain.stem}{tag}{plain.suffix}").as_posix()
        if objects.keep(here, path, saved.sha256):
            break
    else:
        raise OutputError(f"{objects.url} has another file under the name {saved.path}")
    if not copies:
        remove_quietly(here)
    elif path != saved.path:
        here.replace(folder / path)
        sync_folder(here.parent)
    return SavedFile(path, saved.sha256, saved.bytes, saved.width, saved.height, saved.url)
