"""``batchedit runs --import FOLDER``: a run of a folder becomes one of a store, with proof on both sides."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from time import time

from ..core.errors import CheckpointError
from ..core.typed import format_command
from ..disk import sync_folder
from ..ledger.book import Book
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_checkpoint, open_for_reading
from ..ledger.register import CHECKPOINT, is_run
from ..ledger.values import UnreadableJob
from ..run_folder import RunFolder, find_run, read_form_of_run
from .doubts import note_crashes
from .play import was_made_at_own_sandbox
from .proof import Audit, prove
from .reading import update_copy_from_store
from .rescued import take_in_rescued
from .store import need_psycopg

BEFORE = "before-import.sqlite"
"""The folder's own checkpoint, kept. It buys nothing."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken over: the run's ``name`` in the store ``where``, and the audits of the folder and of the store."""

    name: str
    where: str
    before: Audit
    after: Audit


def import_run(run: Path, url: str) -> Imported:
    """Take the run in the folder ``run`` over into the store at ``url``. Typed again after it was cut off, it goes on.

    UsageError (64) for a run that is in a store already, LockedError (75) while a process works on it, CheckpointError (74)
    where it does not add up, in the folder or in what the store holds of it: then the store keeps nothing.
    """
    need_psycopg()
    from ..ledger.postgres import imports  # noqa: PLC0415 - psycopg takes its time
    from ..ledger.postgres.url import hide_password  # noqa: PLC0415

    if not is_run(run) and (run / BEFORE).is_file():  # it was cut off after the last of its steps but one
        (run / BEFORE).replace(run / CHECKPOINT)
    folder = find_run(str(run))
    folder.check_links()
    with hold_run_lock(folder.path, "import"):
        with closing(open_checkpoint(folder.checkpoint)) as copy:
            imports.check_to_import(copy, folder.path, url)
            if not copy.get("store"):
                take_in_rescued(copy, folder)
                note_crashes(copy)
                folder.settle_snapshot(copy.get("fingerprint") or "")
            before = _clean(copy, folder, "the run in the folder")
            found: list[Audit] = []

            def check(path: Path) -> None:
                with open_for_reading(path) as there:
                    found.append(_clean(there, folder, "what the store would have of the run"))
                    if difference := _differs(copy, there):
                        raise CheckpointError(f"the store would not hold the run as it is: {difference}")

            if (number := imports.find_import(copy, url)) is None:
                name = folder.path.resolve().name
                imports.check_new(copy, url, name)
                imports.give_up(copy, url, own_sandbox=was_made_at_own_sandbox(copy, os.environ))
                about: dict[str, object] = {"at": time(), "folder": str(folder.path.absolute())}
                about |= {"host": socket.gethostname()}
                imports.take_over(copy, url, name, folder.find_snapshot(), about, check)
            else:
                imports.read_again(url, number, check)
        _become_a_copy(folder, url)
    return Imported(folder.path.resolve().name, hide_password(url), before, found[0])


def _clean(checkpoint: Book, folder: RunFolder, what: str) -> Audit:
    audit = prove(checkpoint, folder.path, read_form_of_run(checkpoint, folder))
    if not audit.clean:
        first = audit.findings[0]
        raise CheckpointError(
            f"{what} does not add up, so it was not taken over: {first.problem}",
            hint=f"all of it: {format_command('audit', folder.path)}",
        )
    return audit


def _differs(one: Book, other: Book) -> str:
    """What is not the same in both, "" if nothing."""
    for mine, its in zip_longest(one.read_all_records(), other.read_all_records()):
        same = mine == its or (
            mine is not None
            and its is not None
            and not isinstance(mine, UnreadableJob)
            and not isinstance(its, UnreadableJob)
            and mine._replace(serial=0) == its._replace(serial=0)
        )
        if not same:
            return f"job {getattr(mine or its, 'id', '?')}"
    for mine_, its_ in zip_longest(one.read_log(), other.read_log()):
        if mine_ is None or its_ is None or (mine_.job, mine_.at, mine_.name, mine_.data) != (
            its_.job, its_.at, its_.name, its_.data
        ):  # fmt: skip
            return "its log"
    if list(one.read_outcomes()) != list(other.read_outcomes()):
        return "its rows"
    if one.money() != other.money():
        return "its sums"
    return ""


def _become_a_copy(folder: RunFolder, url: str) -> None:
    """The folder's checkpoint is kept under another name, and a copy of the store's run takes its place."""
    folder.checkpoint.replace(folder.path / BEFORE)
    sync_folder(folder.path)
    for suffix in ("-wal", "-shm"):
        folder.checkpoint.with_name(f"{folder.checkpoint.name}{suffix}").unlink(missing_ok=True)
    update_copy_from_store(folder, url)
