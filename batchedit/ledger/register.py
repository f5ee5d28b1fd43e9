"""The register: the runs of this person, so that a picture bought in one of them is not bought in another.

One small SQLite file in the platform's state folder (``BATCHEDIT_STATE`` moves it) lists where runs are and which sheet,
service, model and account each belongs to. It is an index, not the source of truth: each fact is in the run's own
checkpoint too. So it repairs itself: a damaged file is put aside and replaced, a run that is gone is left out, and runs
beside a listed one or in ``outputs/`` are found without being listed. One fact is here alone: which runs this person made.

Two processes that look up each other's runs must not both buy the same picture. ``hold_turn`` lets one at a time look up, and
``mark_buying`` marks a run whose process may buy until it ends; the operating system drops the mark with the process. Where
the state folder can't be used, both use a spare one (``register_file``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from secrets import token_hex
from time import time

from filelock import FileLock, Timeout

from ..core.errors import LockedError
from ..disk import find_own_folder
from .book import Facts
from .lock import is_locked
from .register_file import NAME, RegisterFile, T, find_spare_folder, make_private

__all__ = ["CHECKPOINT", "NAME", "VARIABLE", "Entry", "Register", "claim", "is_mine", "is_run"]

VARIABLE = "BATCHEDIT_STATE"
CHECKPOINT = "checkpoint.sqlite"
TURN_SECONDS = 600.0
"""Maximum wait for another process that looks up what to reuse: it may be hashing ten thousand pictures."""
FORGET_SECONDS = 90 * 86_400.0
"""A run whose folder is gone is left out at once, and deleted after this time: its disk may come back."""
RUN_IDS = "run_ids"
"""The fact of a run's checkpoint with its ids, separated by blanks. Each person who claims the run adds one."""
_MOST_IDS = 50
_claimed: set[str] = set()
"""Ids of this person's runs that no register file could store. They are lost with the process."""
_problems: dict[Path, str] = {}
"""The problem with each register, by its folder."""
_failures: dict[Path, Exception] = {}
"""By the register's folder: the disk's error when the current command wrote or looked up something."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run. ``folder`` is absolute with links resolved; times are seconds since the epoch, 0 if unknown."""

    folder: Path
    source: str = ""
    service: str = ""
    model: str = ""
    account: str = ""
    made_at: float = 0.0
    used_at: float = 0.0


class Register:
    """The register in ``folder``, or in ``spare`` where that one can't be used. Nothing here raises for a disk that fails:
    ``problem`` says what happened and what it means, in a sentence for the user.
    """

    def __init__(self, folder: Path, spare: Path | None = None) -> None:
        self.folder = folder
        self._spare = spare
        self._files = [RegisterFile(folder), *([RegisterFile(spare)] if spare else [])]

    @property
    def problem(self) -> str:
        """The problem with it in this process, across all ``Register`` objects of this folder; "" for none."""
        return _problems.get(self.folder, "")

    @property
    def path(self) -> Path:
        """The person's own file, even if it does not exist; never the spare one."""
        return self.folder / NAME

    def take_failure(self) -> Exception | None:
        """The error of a disk that failed or was full since the last call, None without one. A folder that is read-only, or
        holds another program's file, is no failure: a run works without a register, and its ``problem`` says so.
        """
        return _failures.pop(self.folder, None)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Register:
        """The register that this environment points to."""
        folder_text = environ.get(VARIABLE)
        folder = Path(folder_text).expanduser().absolute() if folder_text else find_own_folder("state", environ)
        return cls(folder, find_spare_folder(folder, environ))

    def enter(self, entry: Entry) -> None:
        """Add a run, or update its entry. An empty field of the new entry leaves the old value."""
        now = time()
        values = (str(entry.folder), entry.source, entry.service, entry.model, entry.account, now, now, now)
        query = (
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "source = iif(excluded.source = '', source, excluded.source), service = excluded.service, "
            "model = excluded.model, account = iif(excluded.account = '', account, excluded.account), "
            "used_at = excluded.used_at, seen_at = excluded.seen_at"
        )
        self._write(lambda db: db.execute(query, values))

    def list_entries(self) -> list[Entry]:
        """The runs whose folders exist, the one used last first; none where no register can be read. Those that are gone for
        longer than FORGET_SECONDS are deleted.
        """
        entries = [entry for entry in self._read_entries() if is_run(entry.folder)]
        self._update_seen(entry.folder for entry in entries)
        return entries

    def list_gone(self) -> list[Entry]:
        """The runs whose folders are gone: moved, removed, or on a disk that is not connected."""
        return [entry for entry in self._read_entries() if not is_run(entry.folder)]

    def _read_entries(self) -> list[Entry]:
        query = "SELECT folder, source, service, model, account, made_at, used_at FROM runs"
        entries: dict[Path, Entry] = {}
        for rows in self._read(lambda db: db.execute(query).fetchall()):
            for folder, *facts in rows:
                entry = Entry(Path(folder), *facts)
                other = entries.get(entry.folder)
                if other is None or other.used_at < entry.used_at:
                    entries[entry.folder] = entry
        return sorted(entries.values(), key=lambda entry: -entry.used_at)

    def _update_seen(self, folders: Iterable[Path]) -> None:
        now = time()
        seen = [(now, str(folder)) for folder in folders]

        def update(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE runs SET seen_at = ? WHERE folder = ?", seen)
            db.execute("DELETE FROM runs WHERE seen_at < ?", (now - FORGET_SECONDS,))

        self._read(update)

    def list_folders(self, *places: Path) -> list[Path]:
        """The folder of every run that is entered, or beside an entered one, or in one of ``places``; those used last
        first.
        """
        entered = [entry.folder for entry in self.list_entries()]
        parents = dict.fromkeys((*(place.resolve() for place in places), *(folder.parent for folder in entered)))
        return list(dict.fromkeys((*entered, *(run for parent in parents for run in _list_runs_in(parent)))))

    def keep_cost(self, service: str, model: str, cost: int) -> None:
        """Store ``cost``, in micro-dollars: the price of a picture of ``model`` at ``service`` in the run that ends now."""
        query = "INSERT INTO costs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET cost = excluded.cost"
        self._write(lambda db: db.execute(query, (service, model, cost)))

    def find_cost(self, service: str, model: str) -> int:
        """The cost that ``keep_cost`` stored last, in micro-dollars; 0 if there is none."""
        query = "SELECT cost FROM costs WHERE service = ? AND model = ?"
        rows = self._read(lambda db: db.execute(query, (service, model)).fetchone())
        return max((int(row[0]) for row in rows if row), default=0)

    def keep_made(self, run: str) -> bool:
        """Store that the run with the id ``run`` is this person's. False if that fails."""
        query = "INSERT OR REPLACE INTO made VALUES (?, ?)"
        return self._write(lambda db: db.execute(query, (run, time())))

    def has_made(self, *runs: str) -> bool:
        """Is one of these the id of a run that this person made?"""
        query = "SELECT 1 FROM made WHERE run = ?"
        rows_by_file = self._read(lambda db: [db.execute(query, (run,)).fetchone() for run in runs])
        return any(row for rows in rows_by_file for row in rows)

    def has_older(self, folder: Path, source: str) -> bool:
        """Did a version that gave runs no ids enter the run in ``folder``, made from the sheet ``source``?"""
        query = "SELECT 1 FROM older WHERE folder = ? AND source = ?"
        rows = self._read(lambda db: db.execute(query, (str(folder.resolve()), source)).fetchone())
        return any(rows)

    # --- taking turns ---

    @contextmanager
    def hold_turn(self) -> Iterator[None]:
        """During the block no other process of this person is in such a block. LockedError (75) after ``TURN_SECONDS``."""
        lock = self._take_lock("register", TURN_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    @contextmanager
    def mark_buying(self, run: Path) -> Iterator[None]:
        """During the block the run in the folder ``run`` may buy, and other runs leave its pictures to it. LockedError (75)
        as ``hold_turn``. Where no folder takes the mark the block runs without one, and ``problem`` says so.
        """
        with self.hold_turn():
            lock = self._take_lock(_build_buying_lock_name(run), TURN_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def is_buying(self, run: Path) -> bool:
        """Is a process alive that may buy in ``run``? Call it inside ``hold_turn``, so that the check blocks no other
        process.
        """
        name = _build_buying_lock_name(run)
        return any(is_locked(file.folder / f"{name}.lock") for file in self._files)

    def _take_lock(self, name: str, seconds: float) -> FileLock | None:
        for file in self._files:
            lock = FileLock(file.folder / f"{name}.lock", timeout=seconds, thread_local=False, is_singleton=False)
            try:
                self._create_folder(file.folder)
                lock.acquire()
            except Timeout:
                raise LockedError(
                    f"another batchedit has been busy with {file.folder} for {seconds:.0f} seconds",
                    hint="wait until it ends, then type the same command again",
                ) from None
            except OSError as error:
                self._note_problem(file, error)
            else:
                return lock
        return None

    # --- the files ---

    def _create_folder(self, folder: Path) -> None:
        if folder == self._spare:
            make_private(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> bool:
        """Run ``change`` on the first file that accepts it. False if none does."""
        return any(result is not None for result in self._try_files(lambda db: (change(db),), self._files, once=True))

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> list[T]:
        """The results of ``query`` on each file that exists and can be read."""
        own, *spares = self._files
        return list(self._try_files(query, [own, *(file for file in spares if file.is_there())]))

    def _try_files(
        self, work: Callable[[sqlite3.Connection], T], files: Iterable[RegisterFile], *, once: bool = False
    ) -> Iterator[T]:
        for file in files:
            try:
                self._create_folder(file.folder)
                result = file.run_transaction(work)
            except (sqlite3.Error, OSError) as error:
                self._note_problem(file, error)
                continue
            if file.was_damaged:
                _problems[self.folder] = (
                    f"the register of runs in {file.folder} was damaged, and begun anew: a run in another folder is not "
                    "looked up until it is used again, so what it bought may be bought again here"
                )
            yield result
            if once:
                return

    def _note_problem(self, file: RegisterFile, error: Exception) -> None:
        cause = getattr(error, "strerror", None) or error
        if file.folder == self.folder and file.has_failed(error):
            _failures[self.folder] = error
        if file.folder == self._spare:
            addition = (
                f"; nor can {file.folder} ({cause}), so two runs that go on at once may both buy the same pictures"
            )
            if addition not in self.problem:
                _problems[self.folder] = self.problem + addition
        elif not self.problem:
            _problems[self.folder] = self._describe_problem(cause)

    def _describe_problem(self, cause: object) -> str:
        return (
            f"the register of runs in {self.folder} can't be used ({cause}): other runs are not looked up but for those that "
            "lie beside this one or go on now, so what they bought may be bought again here; make that folder writable, or "
            f"give another one: export {VARIABLE}=DIR"
        )


def claim(checkpoint: Facts, environ: Mapping[str, str]) -> None:
    """Make the run of this checkpoint this person's, wherever its folder is moved."""
    if _is_claimed(checkpoint, environ):
        return
    run = token_hex(16)
    checkpoint.put(RUN_IDS, " ".join([*_read_ids(checkpoint)[: _MOST_IDS - 1], run]))
    if not Register.from_environ(environ).keep_made(run):
        _claimed.add(run)


def is_mine(checkpoint: Facts, folder: Path, environ: Mapping[str, str]) -> bool:
    """Did this person make the run in ``folder``, as far as this machine knows? The content of the run proves nothing: its id
    must be in the register, or its folder must be there as one that an earlier version, which had no ids, used.
    """
    if _read_ids(checkpoint):
        return _is_claimed(checkpoint, environ)
    return Register.from_environ(environ).has_older(folder, checkpoint.get("source") or "")


def compute_run_id(checkpoint: Facts, folder: Path) -> str:
    """The id of a run in logs: 16 hex digits that stay when its folder is moved. It is not an id of ``claim``: that one
    proves to the register that a run is this person's, and is written nowhere else.
    """
    id_or_folder = (*_read_ids(checkpoint), str(folder.absolute()))[0]
    return sha256(id_or_folder.encode(errors="surrogateescape")).hexdigest()[:16]


def _is_claimed(checkpoint: Facts, environ: Mapping[str, str]) -> bool:
    ids = _read_ids(checkpoint)
    return bool(ids) and (not _claimed.isdisjoint(ids) or Register.from_environ(environ).has_made(*ids))


def _read_ids(checkpoint: Facts) -> list[str]:
    return (checkpoint.get(RUN_IDS) or "").split()[:_MOST_IDS]


def is_run(folder: Path) -> bool:
    """Is there a run in ``folder``?"""
    try:
        return (folder / CHECKPOINT).is_file()
    except OSError:
        return False


def _list_runs_in(parent: Path) -> Iterable[Path]:
    try:
        return sorted(folder for folder in parent.iterdir() if is_run(folder))
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return ()


def _build_buying_lock_name(run: Path) -> str:
    return f"buying-{blake2b(os.fsencode(run.resolve()), digest_size=12).hexdigest()}"
