"""Copies a complete file from the run's folder into the store of files. Blocking."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..core.errors import OutputError
from ..core.model import Record, SavedFile
from ..disk import sync_folder
from .objects import Objects, remove_quietly


def put_in_store(objects: Objects, folder: Path, saved: SavedFile, record: Record, copies: bool) -> SavedFile:
    """Put the file, and return it with its name in the store: its own, unless that name has other content.

    A file that was put before a crash, and not committed, is found there with the same sha256. A paid picture is never
    overwritten. Unless ``copies``, the file in the folder is removed.
    """
    path_here, wanted_path = folder / saved.path, PurePosixPath(saved.path)
    suffixes = ("", f"-{record.job.key.hex()[:8]}", f"-{record.job.key.hex()[:8]}-{saved.sha256[:8]}")
    for suffix in suffixes:
        if suffix and wanted_path.stem.endswith(suffix):
            continue
        stored_path = wanted_path.with_name(f"{wanted_path.stem}{suffix}{wanted_path.suffix}").as_posix()
        if objects.keep(path_here, stored_path, saved.sha256):
            break
    else:
        raise OutputError(f"{objects.url} has another file under the name {saved.path}")
    if not copies:
        remove_quietly(path_here)
    elif stored_path != saved.path:
        path_here.replace(folder / stored_path)
        sync_folder(path_here.parent)
    return SavedFile(stored_path, saved.sha256, saved.bytes, saved.width, saved.height, saved.url)
