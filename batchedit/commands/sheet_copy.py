"""A run's own copy of its sheet. The results are made from it, so it is checked before anything is bought."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ManifestError, NotFoundError
from ..ledger.book import Book
from ..manifest.read import choose_ending
from ..run_folder import RunFolder, explain_how_to_start, hash_file, read_form_of_run


def check_copy(checkpoint: Book, folder: RunFolder, *, is_mine: bool) -> str:
    """Restore a copy that is gone or another one from the sheet, and return a message about it; "" where the copy is right.
    The sheet must still be the one that the run was made from, and the run this person's: else no file that it names is read.

    Where that can't be done: NotFoundError (66) for a copy that is gone, ManifestError (65) for another one.
    """
    fingerprint = checkpoint.get("fingerprint") or ""
    if not fingerprint or folder.has_copy(fingerprint):
        return ""
    is_gone = folder.find_snapshot() is None
    condition = "is gone" if is_gone else "is another one than the run was made from"
    source = Path(checkpoint.get("source") or "")
    if is_mine and _has_content(source, fingerprint):
        staged = folder.stage_snapshot(source, choose_ending(source.name, read_form_of_run(checkpoint, folder)))
        folder.settle_snapshot(fingerprint, staged)
        if folder.has_copy(fingerprint):
            return f"the run's own copy of its sheet {condition}; it was taken in anew from {source}"
    error_type = NotFoundError if is_gone else ManifestError
    raise error_type(
        f"the run's own copy of its sheet {condition}, and it can't be taken in anew from {source}: nothing was bought",
        hint=explain_how_to_start(checkpoint, folder),
    )


def _has_content(source: Path, fingerprint: str) -> bool:
    try:
        return source.is_file() and f":{hash_file(source)}:" in fingerprint
    except OSError:
        return False
