"""``batchedit runs --import FOLDER``: a run of a folder becomes one of a store. Both are audited."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from time import time

from ..core.errors import CheckpointError
from ..core.shell_commands import format_command
from ..disk import sync_folder
from ..ledger.book import Book
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_checkpoint, open_for_reading
from ..ledger.register import CHECKPOINT, is_run
from ..ledger.values import UnreadableJob
from ..run_folder import RunFolder, find_run, read_form_of_run
from .audit_replay import Audit, prove
from .decide_doubts import note_crashes
from .open_run_to_read import update_copy_from_store
from .play_money import was_made_at_own_sandbox
from .store import need_psycopg
from .take_in_rescued_ids import take_in_rescued

FORMER_CHECKPOINT = "before-import.sqlite"
"""The folder's own checkpoint, kept under this name. No command buys with it."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What was taken over: the run's ``name`` in the store ``where``, and the audits of the folder and of the store."""

    name: str
    where: str
    before: Audit
    after: Audit


def import_run(run: Path, url: str) -> ImportedRun:
    """Take the run in the folder ``run`` over into the store at ``url``. If it was cut off, the same command continues it.

    UsageError (64) for a run that is in a store already, LockedError (75) while a process works on it, CheckpointError (74)
    where it does not add up, in the folder or in what the store holds of it: then the store keeps nothing.
    """
    need_psycopg()
    from ..ledger.postgres import imports  # noqa: PLC0415 - psycopg takes its time
    from ..ledger.postgres.url import hide_password  # noqa: PLC0415

    if not is_run(run) and (run / FORMER_CHECKPOINT).is_file():  # it was cut off after the last of its steps but one
        (run / FORMER_CHECKPOINT).replace(run / CHECKPOINT)
    folder = find_run(str(run))
    folder.check_links()
    with hold_run_lock(folder.path, "import"):
        with closing(open_checkpoint(folder.checkpoint)) as copy:
            imports.check_to_import(copy, folder.path, url)
            if not copy.get("store"):
                take_in_rescued(copy, folder)
                note_crashes(copy)
                folder.settle_snapshot(copy.get("fingerprint") or "")
            before = _prove_clean(copy, folder, "the run in the folder")
            audits: list[Audit] = []

            def check(path: Path) -> None:
                with open_for_reading(path) as checkpoint:
                    audits.append(_prove_clean(checkpoint, folder, "what the store would have of the run"))
                    if difference := _describe_difference(copy, checkpoint):
                        raise CheckpointError(f"the store would not hold the run as it is: {difference}")

            if (import_id := imports.find_import(copy, url)) is None:
                name = folder.path.resolve().name
                imports.check_new(copy, url, name)
                imports.give_up(copy, url, own_sandbox=was_made_at_own_sandbox(copy, os.environ))
                details: dict[str, object] = {"at": time(), "folder": str(folder.path.absolute())}
                details |= {"host": socket.gethostname()}
                imports.take_over(copy, url, name, folder.find_snapshot(), details, check)
            else:
                imports.read_again(url, import_id, check)
        _replace_by_copy(folder, url)
    return ImportedRun(folder.path.resolve().name, hide_password(url), before, audits[0])


def _prove_clean(checkpoint: Book, folder: RunFolder, subject: str) -> Audit:
    audit = prove(checkpoint, folder.path, read_form_of_run(checkpoint, folder))
    if not audit.clean:
        first = audit.findings[0]
        raise CheckpointError(
            f"{subject} does not add up, so it was not taken over: {first.problem}",
            hint=f"all of it: {format_command('audit', folder.path)}",
        )
    return audit


def _describe_difference(book: Book, other_book: Book) -> str:
    """What differs between the two, "" if nothing."""
    for record, other_record in zip_longest(book.read_all_records(), other_book.read_all_records()):
        is_same = record == other_record or (
            record is not None
            and other_record is not None
            and not isinstance(record, UnreadableJob)
            and not isinstance(other_record, UnreadableJob)
            and record._replace(serial=0) == other_record._replace(serial=0)
        )
        if not is_same:
            return f"job {getattr(record or other_record, 'id', '?')}"
    for event, other_event in zip_longest(book.read_log(), other_book.read_log()):
        if event is None or other_event is None or (event.job, event.at, event.name, event.data) != (
            other_event.job, other_event.at, other_event.name, other_event.data
        ):  # fmt: skip
            return "its log"
    if list(book.read_outcomes()) != list(other_book.read_outcomes()):
        return "its rows"
    if book.money() != other_book.money():
        return "its sums"
    return ""


def _replace_by_copy(folder: RunFolder, url: str) -> None:
    """Keep the folder's checkpoint under another name, and put a copy of the store's run in its place."""
    folder.checkpoint.replace(folder.path / FORMER_CHECKPOINT)
    sync_folder(folder.path)
    for suffix in ("-wal", "-shm"):
        folder.checkpoint.with_name(f"{folder.checkpoint.name}{suffix}").unlink(missing_ok=True)
    update_copy_from_store(folder, url)
