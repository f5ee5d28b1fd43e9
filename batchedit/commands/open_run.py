"""A run's checkpoint, opened to be changed: made if there is none, with the ids that a failing disk left beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ..core.errors import CheckpointError, UsageError
from ..core.typed import quoted
from ..core.words import number
from ..jobs.aliases import keep_aliases
from ..ledger.book import Book, Checkpoint
from ..ledger.facts import HasFacts
from ..ledger.opening import create_checkpoint, open_checkpoint, remove_checkpoint
from ..ledger.review_file import not_its_own
from ..ledger.values import STAGED
from ..run_folder import RunFolder, bought_here, never_began
from ..settings.model import SANDBOX, Settings
from .file_store import open_objects_of_run
from .older_copy import take_in_logged
from .play import bought_from
from .reading import bring_sheet
from .rescued import take_in_objects, take_in_rescued
from .store import need_psycopg


def _unheard(_: str) -> None:
    """Where nobody reads warnings."""


def open_run(
    folder: RunFolder,
    settings: Settings,
    warn: Callable[[str], None] = _unheard,
    environ: Mapping[str, str] = os.environ,
) -> Checkpoint:
    """The run's checkpoint, made if there is none. Refused if it belongs to another model or service.

    Ids that a failing disk sent to the side file are taken in first; ``warn`` is told of those that can't be.
    """
    folder.check_links()
    if settings.store is not None:
        return _open_shared(folder, settings, settings.store, warn, environ)
    if never_began(folder):
        _clear(folder)
    if not folder.checkpoint.exists():
        _must_be_new(folder)
        checkpoint = create_checkpoint(folder.checkpoint, model=settings.model, service=settings.service)
        keep_aliases(checkpoint)
        return checkpoint
    checkpoint = open_checkpoint(folder.checkpoint)
    try:
        _must_match(checkpoint, folder, settings)
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
    """The store's run of this name: the folder keeps a copy of it, which is made anew where it is gone."""
    need_psycopg()
    from ..ledger.postgres.shared_opening import open_shared  # noqa: PLC0415 - psycopg takes its time

    service = bought_from(settings, environ)
    checkpoint = open_shared(folder.checkpoint, url, model=settings.model, service=service)
    try:
        take_in_rescued(checkpoint, folder, warn)
        if objects := open_objects_of_run(checkpoint, folder.path, environ, settings):
            take_in_objects(checkpoint, objects, folder, warn)
        keep_aliases(checkpoint)
        folder.settle_snapshot(checkpoint.get("fingerprint") or "")
        bring_sheet(folder, checkpoint, url)
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def _must_be_new(folder: RunFolder) -> None:
    """A folder that something was bought in and that has no checkpoint any more would be bought anew, in silence. And what
    has the name of a run's own copy of the manifest would be replaced by that.
    """
    if bought := bought_here(folder):
        raise CheckpointError(
            f"{folder.checkpoint} is gone, and it knew of {number(bought, 'job that was', 'jobs that were')} bought here",
            hint="restore it from a backup; or, to buy everything anew, give another folder with --out DIR",
        )
    others = sorted((*folder.path.glob("manifest.*"), *folder.path.glob(f"{STAGED}.*")))
    if others:
        raise UsageError(
            f"a new run would replace {others[0]}: it keeps its own copy of the manifest under that name",
            hint="give another folder with --out DIR, or move that file away",
        )


def _clear(folder: RunFolder) -> None:
    """Remove what a run that never began has left: its checkpoint, and its own copy of the manifest."""
    try:
        for staged in folder.path.glob(f"{STAGED}.*"):
            staged.unlink()
        remove_checkpoint(folder.checkpoint)
    except OSError as error:
        raise CheckpointError(f"{folder.checkpoint} can't be made anew: {error.strerror or error}") from error


def _must_match(checkpoint: Book, folder: RunFolder, settings: Settings) -> None:
    if where := checkpoint.get("store"):
        raise not_its_own(folder.path, where)
    if refusal := other_purchase(checkpoint, folder, settings):
        raise refusal


def other_purchase(found: HasFacts, folder: RunFolder, settings: Settings) -> UsageError | None:
    """Why the run in ``folder`` takes no purchase with these settings: it is of another model or service. None if it does."""
    for name, wanted, how in (("model", settings.model, "with model "), ("service", settings.service, "from ")):
        was = found.get(name)
        if was != wanted:
            was, now = ("the sandbox" if one == SANDBOX else one for one in (was, wanted))
            other = folder.path.with_name(f"{folder.path.name}-2")
            return UsageError(
                f"the run in {folder.path} buys {how}{was}, not {how.removesuffix('model ')}{now}",
                hint=f"for a run of its own the same command with: --out {quoted(other)}",
            )
    return None
