"""Where a run's pictures are: in its folder, or in a store of files that several machines share (``--files``).

The address is kept with the run, ends with the run's name and holds no keys. The run's folder holds copies of the pictures
that were viewed on this machine; each is checked by its sha256.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..core.errors import ManifestError, UsageError
from ..core.model import SavedFile, State
from ..core.shell_commands import quote_word
from ..core.steps import Steps, no_steps, report_progress
from ..disk import is_inside
from ..files.objects import BLOBS, Objects, check_url, join_url
from ..ledger.book import Book, Facts
from ..ledger.register import is_mine
from ..results.files import FILES_URL
from ..run_folder import RunFolder
from ..settings.model import Settings

CONCURRENT_FILES = 8
"""Files that are copied between the folder and the store at the same time."""


def decide_files_place(checkpoint: Book, folder: RunFolder, settings: Settings, environ: Mapping[str, str]) -> None:
    """Decide where this run's pictures go, before the first is bought.

    UsageError (64) where earlier ones are in another place, or where a run that is not this person's names a place that this
    person did not give.
    """
    kept_url = checkpoint.get(FILES_URL) or ""
    if settings.files is None:
        if kept_url and not is_believed(checkpoint, folder.path, environ, settings):
            raise UsageError(
                f"the run in {folder.path} keeps its pictures in {kept_url}, and it is not known to be yours; "
                "nothing was sent",
                hint=f"only if you know that place, the same command with --files {quote_word(kept_url.rpartition('/')[0])}",
            )
        return
    url = join_url(check_url(settings.files), folder.path.resolve().name)
    if url == kept_url:
        return
    if checkpoint.money().spent or checkpoint.money().reserved or checkpoint.counts().of(State.DONE):
        raise make_elsewhere_error(folder.path.name, kept_url)
    checkpoint.put(FILES_URL, url)


def make_elsewhere_error(name: str, kept_url: str) -> UsageError:
    """The error where a run's pictures would come into a second place: they stay together."""
    hint = (
        f"leave --files out, or give --files {quote_word(kept_url.rpartition('/')[0])}"
        if kept_url
        else "leave --files out; for a run of its own the same command with another --out"
    )
    return UsageError(
        f"the run {name} has its pictures in {kept_url or 'its folder'}, and they stay together", hint=hint
    )


def is_believed(checkpoint: Facts, folder: Path, environ: Mapping[str, str], settings: Settings | None = None) -> bool:
    """True if the place that the run names may be asked with this person's keys."""
    if is_mine(checkpoint, folder, environ) or (settings is not None and (settings.store or settings.mine)):
        return True
    given_url = environ.get("BATCHEDIT_FILES")
    return bool(given_url) and (checkpoint.get(FILES_URL) or "").startswith(f"{check_url(given_url or '')}/")


def open_objects(url: str | None, environ: Mapping[str, str] = os.environ) -> Objects | None:
    """The store at ``url``; None without one: the pictures are in the run's folder alone."""
    return Objects(url, environ) if url else None


def open_objects_of_run(
    checkpoint: Facts, folder: Path, environ: Mapping[str, str] = os.environ, settings: Settings | None = None
) -> Objects | None:
    """The store of a run that is only read; None also for one that is not believed."""
    url = checkpoint.get(FILES_URL)
    return open_objects(url, environ) if url and is_believed(checkpoint, folder, environ, settings) else None


def make_blob_reader(objects: Objects | None) -> Callable[[str], bytes | None] | None:
    """The function that reads an input picture by its sha256, for ``LocalPictures``."""
    if objects is None:
        return None
    return lambda sha256: objects.read(f"{BLOBS}/{sha256}")


def fetch_missing_files(
    objects: Objects | None, folder: Path, files: Iterable[SavedFile], steps: Steps = no_steps
) -> None:
    """Copy those of ``files`` into the run's folder that are missing there. One that the store lacks, or has with another
    sha256, is left out: whoever reads it reports that.

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
    with ThreadPoolExecutor(CONCURRENT_FILES) as threads:
        copies = threads.map(lambda item: objects.fetch(item[0], item[1], folder / item[0], folder), missing.items())
        with steps("fetching pictures") as on_progress:
            for _ in report_progress(copies, on_progress, len(missing), every=1):
                pass


def upload_pictures(objects: Objects, pictures: Mapping[str, Path]) -> None:
    """Copy local input pictures into the store, by their sha256: any worker may have to send them. Durable on return.

    ManifestError for one that was changed since the sheet was read.
    """
    sizes = objects.list_sizes(BLOBS)

    def upload(item: tuple[str, Path]) -> None:
        """Copy one picture, unless the store has it."""
        sha256, path = item
        key = f"{BLOBS}/{sha256}"
        try:
            if sizes.get(key) == path.stat().st_size:
                return
            content = path.read_bytes()
        except OSError as error:
            raise ManifestError(f"{path} can't be read: {error.strerror or error}") from None
        if not _has_digest(content, sha256):
            raise ManifestError(
                f"{path} was saved while the sheet was taken in; nothing was bought", hint="type the same command again"
            )
        objects.keep(content, key, sha256)

    with ThreadPoolExecutor(CONCURRENT_FILES) as threads:
        for _ in threads.map(upload, pictures.items()):
            pass


def _has_digest(content: bytes, sha256: str) -> bool:
    from hashlib import sha256 as digest  # noqa: PLC0415 - the name is taken

    return digest(content).hexdigest() == sha256
