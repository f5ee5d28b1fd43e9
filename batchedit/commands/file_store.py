"""Where a run's pictures are: in its folder, or in a store of files that several machines share (``--files``).

The address stands in the run's record, with the run's name behind it, and holds no keys. The run's folder has copies of what
somebody looked at there; each is what was bought, by its sha256.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..core.errors import ManifestError, UsageError
from ..core.model import SavedFile, State
from ..core.steps import Steps, report_progress, no_steps
from ..core.typed import quote_word
from ..disk import is_inside
from ..files.objects import BLOBS, Objects, check_url, join_url
from ..ledger.book import Book, Facts
from ..ledger.register import is_mine
from ..results.files import FILES_URL
from ..run_folder import RunFolder
from ..settings.model import Settings

AT_ONCE = 8
"""Files on their way between the folder and the store."""


def settle_place(checkpoint: Book, folder: RunFolder, settings: Settings, environ: Mapping[str, str]) -> None:
    """Where this run's pictures go, decided before the first is bought.

    UsageError (64) where others are somewhere else already, or where the record of a run that is not this person's names a
    place that this person did not type.
    """
    kept = checkpoint.get(FILES_URL) or ""
    if settings.files is None:
        if kept and not is_believed(checkpoint, folder.path, environ, settings):
            raise UsageError(
                f"the run in {folder.path} keeps its pictures in {kept}, and it is not known to be yours; nothing was sent",
                hint=f"only if you know that place, the same command with --files {quote_word(kept.rpartition('/')[0])}",
            )
        return
    wanted = join_url(check_url(settings.files), folder.path.resolve().name)
    if wanted == kept:
        return
    if checkpoint.money().spent or checkpoint.money().reserved or checkpoint.counts().of(State.DONE):
        raise elsewhere(folder.path.name, kept)
    checkpoint.put(FILES_URL, wanted)


def elsewhere(name: str, kept: str) -> UsageError:
    """Two places for one run's pictures would be two halves of it."""
    hint = (
        f"leave --files out, or give --files {quote_word(kept.rpartition('/')[0])}"
        if kept
        else "leave --files out; for a run of its own the same command with another --out"
    )
    return UsageError(f"the run {name} has its pictures in {kept or 'its folder'}, and they stay together", hint=hint)


def is_believed(checkpoint: Facts, folder: Path, environ: Mapping[str, str], settings: Settings | None = None) -> bool:
    """May the place that the record names be asked, with this person's keys?"""
    if is_mine(checkpoint, folder, environ) or (settings is not None and (settings.store or settings.mine)):
        return True
    typed = environ.get("BATCHEDIT_FILES")
    return bool(typed) and (checkpoint.get(FILES_URL) or "").startswith(f"{check_url(typed or '')}/")


def objects_at(url: str | None, environ: Mapping[str, str] = os.environ) -> Objects | None:
    """The store at this address; None where there is none: the pictures are in the run's folder alone."""
    return Objects(url, environ) if url else None


def objects_of(
    checkpoint: Facts, folder: Path, environ: Mapping[str, str] = os.environ, settings: Settings | None = None
) -> Objects | None:
    """The store of a run that is only looked at; None also for one whose word is not taken."""
    url = checkpoint.get(FILES_URL)
    return objects_at(url, environ) if url and is_believed(checkpoint, folder, environ, settings) else None


def blob_reader(objects: Objects | None) -> Callable[[str], bytes | None] | None:
    """What reads an input picture by its sha256, for ``LocalPictures``."""
    if objects is None:
        return None
    return lambda sha256: objects.read(f"{BLOBS}/{sha256}")


def bring(objects: Objects | None, folder: Path, files: Iterable[SavedFile], steps: Steps = no_steps) -> None:
    """Copy those of ``files`` into the run's folder that it has not. One that is gone, or another, is left to its reader.

    Raises as ``Objects`` where the store can't be asked.
    """
    if objects is None:
        return
    root = folder / "files"
    missing = {
        file.path: file.sha256
        for file in files
        if file.path.startswith("files/") and is_inside((folder / file.path).parent, root)
    }
    missing = {path: sha256 for path, sha256 in missing.items() if not (folder / path).exists()}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        fetched = threads.map(lambda one: objects.fetch(one[0], one[1], folder / one[0], folder), missing.items())
        with steps("fetching pictures") as told:
            for _ in report_progress(fetched, told, len(missing), every=1):
                pass


def give_pictures(objects: Objects, pictures: Mapping[str, Path]) -> None:
    """Local input pictures into the store, by their sha256: any worker may have to send them. Durable when it returns.

    ManifestError for one that is no longer what the sheet was read with.
    """
    there = objects.list_sizes(BLOBS)

    def give(one: tuple[str, Path]) -> None:
        """Put one picture there, unless the store has it already."""
        sha256, path = one
        key = f"{BLOBS}/{sha256}"
        try:
            if there.get(key) == path.stat().st_size:
                return
            content = path.read_bytes()
        except OSError as error:
            raise ManifestError(f"{path} can't be read: {error.strerror or error}") from None
        if not _is(content, sha256):
            raise ManifestError(
                f"{path} was saved while the sheet was taken in; nothing was bought", hint="type the same command again"
            )
        objects.keep(content, key, sha256)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(give, pictures.items()):
            pass


def _is(content: bytes, sha256: str) -> bool:
    from hashlib import sha256 as digest  # noqa: PLC0415 - the name is taken

    return digest(content).hexdigest() == sha256
