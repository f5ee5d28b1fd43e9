"""Opens a run's checkpoint to change it: makes it if there is none, and takes in the ids of the rescue file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ..core.errors import CheckpointError, UsageError
from ..core.plurals_and_durations import pluralize
from ..core.shell_commands import quote_word
from ..jobs.aliases import keep_aliases
from ..ledger.book import Book, Checkpoint
from ..ledger.opening import create_checkpoint, open_checkpoint, remove_checkpoint
from ..ledger.review_file import build_store_run_error
from ..ledger.run_facts import FactReader
from ..ledger.values import STAGED
from ..run_folder import RunFolder, count_purchases, has_never_begun
from ..settings.model import SANDBOX, Settings
from .file_store import open_objects_of_run
from .older_copy import take_in_logged
from .open_run_to_read import copy_sheet_from_store
from .play_money import identify_seller
from .store import need_psycopg
from .take_in_rescued_ids import take_in_objects, take_in_rescued


def _ignore_warning(_: str) -> None:
    """A ``warn`` that does nothing."""


def open_run(
    folder: RunFolder,
    settings: Settings,
    warn: Callable[[str], None] = _ignore_warning,
    environ: Mapping[str, str] = os.environ,
) -> Checkpoint:
    """The run's checkpoint, made if there is none. Refused if it belongs to another model or service.

    The ids of the rescue file are taken in first; ``warn`` gets a message about each that can't be.
    """
    folder.check_links()
    if settings.store is not None:
        return _open_shared(folder, settings, settings.store, warn, environ)
    if has_never_begun(folder):
        _remove_unbegun(folder)
    if not folder.checkpoint.exists():
        _check_is_new(folder)
        checkpoint = create_checkpoint(folder.checkpoint, model=settings.model, service=settings.service)
        keep_aliases(checkpoint)
        return checkpoint
    checkpoint = open_checkpoint(folder.checkpoint)
    try:
        _check_matches(checkpoint, folder, settings)
        take_in_rescued(checkpoint, folder, warn)
        take_in_logged(checkpoint, folder, warn)
        keep_aliases(checkpoint)
        folder.settle_snapshot(checkpoint.get("fingerprint") or "")
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def _open_shared(
    folder: RunFolder, settings: Settings, url: str, warn: Callable[[str], None], environ: Mapping[str, str]
) -> Checkpoint:
    """The store's run of this name. The folder keeps a copy of it, which is made again where it is missing."""
    need_psycopg()
    from ..ledger.postgres.shared_opening import open_shared  # noqa: PLC0415 - psycopg takes its time

    service = identify_seller(settings, environ)
    checkpoint = open_shared(folder.checkpoint, url, model=settings.model, service=service)
    try:
        take_in_rescued(checkpoint, folder, warn)
        if objects := open_objects_of_run(checkpoint, folder.path, environ, settings):
            take_in_objects(checkpoint, objects, folder, warn)
        keep_aliases(checkpoint)
        folder.settle_snapshot(checkpoint.get("fingerprint") or "")
        copy_sheet_from_store(folder, checkpoint, url)
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def _check_is_new(folder: RunFolder) -> None:
    """Refuses a folder that something was bought in and whose checkpoint is missing: everything would be bought again without
    a word. Refuses a file with the name of a run's own copy of the manifest: it would be replaced.
    """
    if count := count_purchases(folder):
        raise CheckpointError(
            f"{folder.checkpoint} is gone, and it knew of {pluralize(count, 'job that was', 'jobs that were')} bought here",
            hint="restore it from a backup; or, to buy everything anew, give another folder with --out DIR",
        )
    others = sorted((*folder.path.glob("manifest.*"), *folder.path.glob(f"{STAGED}.*")))
    if others:
        raise UsageError(
            f"a new run would replace {others[0]}: it keeps its own copy of the manifest under that name",
            hint="give another folder with --out DIR, or move that file away",
        )


def _remove_unbegun(folder: RunFolder) -> None:
    """Remove the files of a run that never began: its checkpoint, and its own copy of the manifest."""
    try:
        for staged in folder.path.glob(f"{STAGED}.*"):
            staged.unlink()
        remove_checkpoint(folder.checkpoint)
    except OSError as error:
        raise CheckpointError(f"{folder.checkpoint} can't be made anew: {error.strerror or error}") from error


def _check_matches(checkpoint: Book, folder: RunFolder, settings: Settings) -> None:
    if store := checkpoint.get("store"):
        raise build_store_run_error(folder.path, store)
    if refusal := explain_other_purchase(checkpoint, folder, settings):
        raise refusal


def explain_other_purchase(facts: FactReader, folder: RunFolder, settings: Settings) -> UsageError | None:
    """Why no purchase with these settings fits the run in ``folder``: another model or service. None if it fits."""
    for fact, wanted, preposition in (("model", settings.model, "with model "), ("service", settings.service, "from ")):
        current = facts.get(fact)
        if current != wanted:
            service, other = ("the sandbox" if value == SANDBOX else value for value in (current, wanted))
            other_folder = folder.path.with_name(f"{folder.path.name}-2")
            return UsageError(
                f"the run in {folder.path} buys {preposition}{service}, not {preposition.removesuffix('model ')}{other}",
                hint=f"for a run of its own the same command with: --out {quote_word(other_folder)}",
            )
    return None
