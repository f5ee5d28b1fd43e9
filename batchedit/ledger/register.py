"""The runs of this person, so that what was bought in one of them is not bought in another.

One small SQLite file in the platform's state folder (``BATCHEDIT_STATE`` moves it) lists where runs are and which sheet,
service, model and account each belongs to. It is an index and no truth: each fact stands in the run's own checkpoint too.
So it heals itself: a damaged file is put aside and begun anew, a run that is gone is left out, and runs that lie beside a
listed one or in ``outputs/`` are found without being listed. One fact it has alone: which runs this person made.

Two processes that look each other's runs up must not both buy the same picture. ``alone`` makes their looking up take
turns, and ``buying`` marks a run whose process may buy until it ends; the operating system drops the mark with the process.
Where the state folder can't be used, both meet in a spare one (``register_file``).
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
from .register_file import NAME, RegisterFile, T, make_private, spare_folder

__all__ = ["CHECKPOINT", "NAME", "VARIABLE", "Entry", "Register", "claim", "is_mine", "is_run"]

VARIABLE = "BATCHEDIT_STATE"
CHECKPOINT = "checkpoint.sqlite"
TURN_SECONDS = 600.0
"""So long a process waits for another one that looks up what to reuse: it may be hashing ten thousand pictures."""
FORGET_SECONDS = 90 * 86_400.0
"""A run that is not where it was is left out at once, and forgotten after this: its disk may come back."""
RUN_IDS = "run_ids"
"""In a run's checkpoint: its ids, apart by blanks. Each person who says that it is theirs adds one."""
_MOST_IDS = 50
_claimed: set[str] = set()
"""Ids of runs that are this person's and that no register could take. They end with the process."""
_problems: dict[Path, str] = {}
"""By the register's folder."""
_failures: dict[Path, Exception] = {}
"""By the register's folder: why its disk did not take what the command in hand had to write or to look up."""


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
    """The register in ``folder``, or in ``spare`` where that one can't be used. Nothing here raises for a disk that refuses:
    ``problem`` says what happened and what it means, in a sentence for the person.
    """

    def __init__(self, folder: Path, spare: Path | None = None) -> None:
        self.folder = folder
        self._spare = spare
        self._files = [RegisterFile(folder), *([RegisterFile(spare)] if spare else [])]

    @property
    def problem(self) -> str:
        """What this process has found wrong with it, however many registers of this folder it has made."""
        return _problems.get(self.folder, "")

    @property
    def path(self) -> Path:
        """The person's own file, whether it is there or not; never the spare one."""
        return self.folder / NAME

    def take_failure(self) -> Exception | None:
        """Why its disk failed or was full since this was asked last, None if it did not. A folder that is read-only, or holds
        another program's file, is no failure: a run works without a register, and its ``problem`` says so.
        """
        return _failures.pop(self.folder, None)

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Register:
        """The register of whoever has this environment."""
        told = environ.get(VARIABLE)
        folder = Path(told).expanduser().absolute() if told else find_own_folder("state", environ)
        return cls(folder, spare_folder(folder, environ))

    def enter(self, entry: Entry) -> None:
        """Add a run, or bring its entry up to date. What the new entry does not tell stays as it was."""
        now = time()
        values = (str(entry.folder), entry.source, entry.service, entry.model, entry.account, now, now, now)
        query = (
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "source = iif(excluded.source = '', source, excluded.source), service = excluded.service, "
            "model = excluded.model, account = iif(excluded.account = '', account, excluded.account), "
            "used_at = excluded.used_at, seen_at = excluded.seen_at"
        )
        self._write(lambda db: db.execute(query, values))

    def entries(self) -> list[Entry]:
        """The runs that are there, the one used last first; none where no register can be read. Those that are gone for
        longer than FORGET_SECONDS are forgotten.
        """
        found = [entry for entry in self._all() if is_run(entry.folder)]
        self._note_seen(entry.folder for entry in found)
        return found

    def gone(self) -> list[Entry]:
        """The runs that are not where they were: moved, removed, or on a disk that is not there now."""
        return [entry for entry in self._all() if not is_run(entry.folder)]

    def _all(self) -> list[Entry]:
        query = "SELECT folder, source, service, model, account, made_at, used_at FROM runs"
        found: dict[Path, Entry] = {}
        for rows in self._read(lambda db: db.execute(query).fetchall()):
            for folder, *facts in rows:
                entry = Entry(Path(folder), *facts)
                known = found.get(entry.folder)
                if known is None or known.used_at < entry.used_at:
                    found[entry.folder] = entry
        return sorted(found.values(), key=lambda entry: -entry.used_at)

    def _note_seen(self, found: Iterable[Path]) -> None:
        now = time()
        there = [(now, str(folder)) for folder in found]

        def note(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE runs SET seen_at = ? WHERE folder = ?", there)
            db.execute("DELETE FROM runs WHERE seen_at < ?", (now - FORGET_SECONDS,))

        self._read(note)

    def folders(self, *places: Path) -> list[Path]:
        """Every run's folder that is known or lies beside a known one or in one of ``places``; those used last first."""
        listed = [entry.folder for entry in self.entries()]
        beside = dict.fromkeys((*(place.resolve() for place in places), *(folder.parent for folder in listed)))
        return list(dict.fromkeys((*listed, *(run for place in beside for run in _runs_in(place)))))

    def keep_cost(self, service: str, model: str, cost: int) -> None:
        """``cost``, in micro-dollars, is what a picture of ``model`` came to at ``service`` in the run that ends now."""
        query = "INSERT INTO costs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET cost = excluded.cost"
        self._write(lambda db: db.execute(query, (service, model, cost)))

    def cost(self, service: str, model: str) -> int:
        """What ``keep_cost`` was last told, in micro-dollars; 0 if no run was ever told a cost."""
        query = "SELECT cost FROM costs WHERE service = ? AND model = ?"
        found = self._read(lambda db: db.execute(query, (service, model)).fetchone())
        return max((int(row[0]) for row in found if row), default=0)

    def keep_made(self, run: str) -> bool:
        """The run with the id ``run`` is this person's. False if that can't be written down."""
        query = "INSERT OR REPLACE INTO made VALUES (?, ?)"
        return self._write(lambda db: db.execute(query, (run, time())))

    def has_made(self, *runs: str) -> bool:
        """Is one of these ids that of a run which this person made?"""
        query = "SELECT 1 FROM made WHERE run = ?"
        found = self._read(lambda db: [db.execute(query, (run,)).fetchone() for run in runs])
        return any(row for rows in found for row in rows)

    def has_older(self, folder: Path, source: str) -> bool:
        """Did a version that gave runs no ids enter the run in ``folder``, made from the sheet ``source``?"""
        query = "SELECT 1 FROM older WHERE folder = ? AND source = ?"
        found = self._read(lambda db: db.execute(query, (str(folder.resolve()), source)).fetchone())
        return any(found)

    # --- taking turns ---

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process of this person is inside at the same time. LockedError (75) after ``TURN_SECONDS``."""
        lock = self._lock("register", TURN_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    @contextmanager
    def buying(self, run: Path) -> Iterator[None]:
        """The run in the folder ``run`` may buy as long as the block lasts: others leave its pictures to it. LockedError (75)
        as ``alone``. Where no folder takes the mark the block runs without one, and ``problem`` says so.
        """
        with self.alone():
            lock = self._lock(_mark(run), TURN_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def is_buying(self, run: Path) -> bool:
        """Does a process live that may buy in ``run``? Ask inside ``alone``, so that asking keeps nobody out."""
        name = _mark(run)
        return any(is_locked(file.folder / f"{name}.lock") for file in self._files)

    def _lock(self, name: str, seconds: float) -> FileLock | None:
        for file in self._files:
            lock = FileLock(file.folder / f"{name}.lock", timeout=seconds, thread_local=False, is_singleton=False)
            try:
                self._make(file.folder)
                lock.acquire()
            except Timeout:
                raise LockedError(
                    f"another batchedit has been busy with {file.folder} for {seconds:.0f} seconds",
                    hint="wait until it ends, then type the same command again",
                ) from None
            except OSError as error:
                self._refused(file, error)
            else:
                return lock
        return None

    # --- the files ---

    def _make(self, folder: Path) -> None:
        if folder == self._spare:
            make_private(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> bool:
        """Do ``change`` in the first file that takes it. False if none does."""
        return any(done is not None for done in self._tried(lambda db: (change(db),), self._files, once=True))

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> list[T]:
        """What ``look`` returns for each file that is there and can be read."""
        own, *spare = self._files
        return list(self._tried(look, [own, *(file for file in spare if file.is_there())]))

    def _tried(
        self, work: Callable[[sqlite3.Connection], T], files: Iterable[RegisterFile], *, once: bool = False
    ) -> Iterator[T]:
        for file in files:
            try:
                self._make(file.folder)
                done = file.do(work)
            except (sqlite3.Error, OSError) as error:
                self._refused(file, error)
                continue
            if file.was_damaged:
                _problems[self.folder] = (
                    f"the register of runs in {file.folder} was damaged, and begun anew: a run in another folder is not "
                    "looked up until it is used again, so what it bought may be bought again here"
                )
            yield done
            if once:
                return

    def _refused(self, file: RegisterFile, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        if file.folder == self.folder and file.has_failed(error):
            _failures[self.folder] = error
        if file.folder == self._spare:
            told = f"; nor can {file.folder} ({why}), so two runs that go on at once may both buy the same pictures"
            if told not in self.problem:
                _problems[self.folder] = self.problem + told
        elif not self.problem:
            _problems[self.folder] = self._what_it_means(why)

    def _what_it_means(self, why: object) -> str:
        return (
            f"the register of runs in {self.folder} can't be used ({why}): other runs are not looked up but for those that "
            "lie beside this one or go on now, so what they bought may be bought again here; make that folder writable, or "
            f"give another one: export {VARIABLE}=DIR"
        )


def claim(checkpoint: Facts, environ: Mapping[str, str]) -> None:
    """From now on the run of this checkpoint is this person's, wherever its folder is moved."""
    if _knows(checkpoint, environ):
        return
    run = token_hex(16)
    checkpoint.put(RUN_IDS, " ".join([*_ids(checkpoint)[: _MOST_IDS - 1], run]))
    if not Register.of(environ).keep_made(run):
        _claimed.add(run)


def is_mine(checkpoint: Facts, folder: Path, environ: Mapping[str, str]) -> bool:
    """Did this person make the run in ``folder``, as far as this machine knows? What stands in the run proves nothing: its id
    must stand in the register, or its folder as one that an earlier version, which gave no ids, worked in for this person.
    """
    if _ids(checkpoint):
        return _knows(checkpoint, environ)
    return Register.of(environ).has_older(folder, checkpoint.get("source") or "")


def run_id(checkpoint: Facts, folder: Path) -> str:
    """What a run is called in logs: 16 hex digits that stay when its folder is moved. No id of ``claim``: such a one says to
    the register that a run is this person's, and stands nowhere else.
    """
    known = (*_ids(checkpoint), str(folder.absolute()))[0]
    return sha256(known.encode(errors="surrogateescape")).hexdigest()[:16]


def _knows(checkpoint: Facts, environ: Mapping[str, str]) -> bool:
    ids = _ids(checkpoint)
    return bool(ids) and (not _claimed.isdisjoint(ids) or Register.of(environ).has_made(*ids))


def _ids(checkpoint: Facts) -> list[str]:
    return (checkpoint.get(RUN_IDS) or "").split()[:_MOST_IDS]


def is_run(folder: Path) -> bool:
    """Does a run live in ``folder``?"""
    try:
        return (folder / CHECKPOINT).is_file()
    except OSError:
        return False


def _runs_in(place: Path) -> Iterable[Path]:
    try:
        return sorted(folder for folder in place.iterdir() if is_run(folder))
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return ()


def _mark(run: Path) -> str:
    return f"buying-{blake2b(os.fsencode(run.resolve()), digest_size=12).hexdigest()}"
