"""What the other runs of this person have of what a run wants: before anything is priced, and without buying anything.

A picture that is DONE in another run of the same service and account, with its file whole, is taken over: the file is linked
(or copied), and the job is DONE here at no cost. What another run has under way, in doubt or uncollected, and what a process
that may buy right now has in its sheet, is left to that run: told, and not bought here. All else is bought. Nothing passes
between a run of play money and one that is paid for.

Who looks must be alone (``Register.alone``) from looking until what was found is written down, and be marked as a buyer
(``Register.buying``) before: then of two runs that want one picture the second one sees the first, and leaves it to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from time import time
from typing import Self

from ..core.errors import BatcheditError, OutputError
from ..core.events import Event, Reused
from ..core.lifecycle import advance
from ..core.model import JobKey, Record, SavedFile, State
from ..core.typed import format_command
from ..disk import create, is_plain_file, make_folders, sync_folder
from ..jobs.aliases import aliases_of
from ..ledger.account import is_account
from ..ledger.book import Book
from ..ledger.facts import COMMITTED, read_fact, whole
from ..ledger.key_map import KeyMap
from ..ledger.lock import may_buy
from ..ledger.opening import open_checkpoint
from ..ledger.register import CHECKPOINT, Register
from ..ledger.values import Having
from ..run_folder import near

BUYING = "buying"
"""Where a job stands that another process may be buying at this moment; else a State's value."""
CHUNK = 500
_NOTHING = frozenset({State.PLANNED, State.FAILED, State.CANCELLED})
"""States in which another run has nothing of a picture to come."""


@dataclass(frozen=True, slots=True)
class Found:
    """A job of another run: in which folder, and how it stands there. ``record`` where it is DONE with its files there.

    ``stranger``: that run was bought with another token, so nothing is taken from it.
    """

    folder: Path
    state: str
    record: Record | None = None
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    folder: Path
    checkpoint: Book
    first: int  # the number of its job 0 among the jobs of all runs
    buying: bool
    stranger: bool


@dataclass
class Tally:
    """What was found, counted: jobs by ``(folder, state)``. ``done``: those that are reused, or would be.

    ``left``: left to the run in that folder. ``strange``: bought with another token. ``broken``: DONE in another run whose
    file is not whole any more, so they count as not bought.
    """

    done: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        """How many need not be bought here."""
        return self.done.total() + self.left.total()

    def add(self, found: Found) -> bool:
        """Count it. True if it need not be bought here."""
        if found.stranger:
            self.strange[str(found.folder)] += 1
            return False
        if found.record is not None:
            self.done[str(found.folder)] += 1
        elif found.state == State.DONE:
            self.broken[str(found.folder)] += 1
            return False
        else:
            self.left[str(found.folder), found.state] += 1
        return True


_STANDING = {
    BUYING: ("which may be buying them now", "when it has ended, type the same command again", ""),
    State.IN_DOUBT.value: ("which has them in doubt", "decide there", "doubt"),
    State.UNCOLLECTED.value: ("which has not collected them", "collect them there", "fetch"),
}
_UNDER_WAY = ("which has them under way", "collect them there", "fetch")


def left_lines(left: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """``2 pictures are left to outputs/x, which has them in doubt; decide there: batchedit doubt outputs/x``."""
    told: Counter[tuple[str, tuple[str, str, str]]] = Counter()
    for (folder, state), jobs in left.items():
        told[folder, _STANDING.get(state, _UNDER_WAY)] += jobs
    for (folder, (standing, what, verb)), jobs in told.items():
        run = near(Path(folder))
        how = f"{what}: {format_command(verb, run)}" if verb else what
        are = "picture is" if jobs == 1 else "pictures are"
        yield f"{jobs:,} {are} left to the run in {run}, {standing}; {how}"


def reused_lines(tally: Tally) -> Iterator[str]:
    """``3 pictures were bought in outputs/s and are reused: $0.00``."""
    for folder, jobs in tally.done.items():
        was = "picture was bought" if jobs == 1 else "pictures were bought"
        yield f"{jobs:,} {was} by the run in {near(Path(folder))} and cost nothing here"


def warnings_of(tally: Tally) -> Iterator[str]:
    """What another run bought and this one can't have."""
    for folder, jobs in tally.strange.items():
        yield (
            f"{jobs:,} of these were bought by the run in {near(Path(folder))} with another token: if that one was renewed "
            "for the same account, the same command with --another-account reuses them"
        )
    for folder, jobs in tally.broken.items():
        yield f"{jobs:,} of these were bought by the run in {near(Path(folder))}, but their files are not whole any more"


class OtherRuns:
    """The other runs' jobs by key. A context manager: their checkpoints are open for reading as long as it is."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._runs: list[_Run] = []
        self._keys = KeyMap()
        self._count = 0
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __bool__(self) -> bool:
        return self._count > 0

    @classmethod
    def look_up(
        cls,
        register: Register,
        here: Path,
        service: str,
        account: str,
        *,
        any_account: bool,
        same_money: Callable[[Book], bool],
    ) -> OtherRuns:
        """The runs of ``service`` but the one in ``here``. ``account`` "" takes every account for one's own, as does
        ``any_account``. ``same_money``: is a run bought with money of the same kind, play or not? At one address there may be
        a sandbox today and a service that costs money tomorrow.
        """
        runs = cls()
        try:
            for folder in register.folders(Path("outputs"), here.parent):
                if folder != here.resolve():
                    runs._open_one(folder, register, service, "" if any_account else account, same_money)
            runs._read()
        except BaseException:
            runs._open.close()
            raise
        return runs

    def _open_one(
        self, folder: Path, register: Register, service: str, account: str, same_money: Callable[[Book], bool]
    ) -> None:
        try:
            checkpoint = open_checkpoint(folder / CHECKPOINT, read_only=True)
            self._open.callback(checkpoint.close)
            if checkpoint.get("service") != service or not same_money(checkpoint):
                return
            stranger = not is_account(checkpoint, account)
        except BatcheditError as error:
            self.notes.append(f"the run in {folder} can't be read, so what it bought is not looked up: {error}")
            return
        first = self._runs[-1].first + _last(self._runs[-1].checkpoint) + 1 if self._runs else 0
        buying = register.is_buying(folder) or may_buy(folder)
        self._runs.append(_Run(folder, checkpoint, first, buying, stranger))

    def _read(self) -> None:
        """Own accounts before others; what is DONE before what is not, and where it was bought before where it was reused."""
        for run in sorted(self._runs, key=lambda run: run.stranger):
            self._add(run, Having.BOUGHT)
        for run in sorted(self._runs, key=lambda run: run.stranger):
            self._add(run, Having.DONE)
        for run in self._runs:
            if run.buying and not run.stranger:
                self._add(run, Having.TO_BUY)
            elif not run.stranger:
                self._add(run, Having.UNDER_WAY)

    def _add(self, run: _Run, having: Having) -> None:
        ids: set[int] = set()
        for key, job in run.checkpoint.keys(having):
            ids.add(job)
            self._put(key, run.first + job)
        for key, job in aliases_of(run.checkpoint).items():
            if job in ids:
                self._put(key, run.first + job)

    def _put(self, key: bytes, number: int) -> None:
        if key not in self._keys:
            self._keys.add(key, number)
            self._count += 1

    def find(self, key: JobKey) -> Found | None:
        """How this job stands in another run, the most useful one; None if nobody has anything of it."""
        number = self._keys.get(key) if self._count else None
        if number is None:
            return None
        run = next(run for run in reversed(self._runs) if run.first <= number)
        found = _found(run, run.checkpoint.record(number - run.first))
        if found is not None and found.record is None and found.state == State.DONE:
            others = (_found(other, other.checkpoint.record_of_key(key)) for other in self._runs)
            return min((other for other in (found, *others) if other is not None), key=_use)
        return found


def _found(run: _Run, record: Record | None) -> Found | None:
    """How the job stands there now, which may be further than when it was looked up."""
    if record is None:
        return None
    if record.state is State.DONE:
        whole = record if record.handle is not None and _are_there(run.folder, record.files) else None
        return Found(run.folder, State.DONE.value, whole, run.stranger)
    if run.buying:
        return Found(run.folder, BUYING if record.state in _NOTHING else record.state.value, None, run.stranger)
    if record.state not in _NOTHING:
        return Found(run.folder, record.state.value, None, run.stranger)
    return None


def _use(found: Found) -> tuple[bool, bool, bool]:
    """The less, the more useful: one's own before a stranger's, a whole picture before one to come before a lost one."""
    return found.stranger, found.record is None, found.state == State.DONE


def _last(checkpoint: Book) -> int:
    return read_fact(checkpoint, COMMITTED, whole, 0)


def _are_there(folder: Path, files: Sequence[SavedFile]) -> bool:
    """Do they lie in that run's ``files/``, each with its length? Their content is judged where they are taken over."""
    return bool(files) and all(_lies_in(folder, file) for file in files)


def _lies_in(folder: Path, file: SavedFile) -> bool:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] != ("files",):
        return False
    try:
        return is_plain_file(folder / path, folder / "files") and (folder / path).stat().st_size == file.bytes
    except OSError:
        return False


# --- taking over ----------------------------------------------------------------------------------

Saw = Callable[[Record, Event], None]


def take_over(checkpoint: Book, folder: Path, runs: OtherRuns, saw: Saw) -> Tally:
    """Make DONE what is DONE elsewhere, note what is left to other runs, and count both. ``folder`` is this run's.

    OutputError if a file can't be written. After a crash the next call goes on: a file whose job is not DONE is written over.
    """
    tally, left = Tally(), list[tuple[int, str, str]]()
    for chunk in _chunks(_wanted(checkpoint, runs)):
        changes: list[tuple[Record, Event]] = []
        folders: set[Path] = set()
        for job, found in chunk:
            files = None
            if found.record is not None and not found.stranger:
                (record,) = checkpoint.records_of([job])
                files = _bring(found, found.record, record, folder, checkpoint)
                found = found if files else Found(found.folder, found.state)  # noqa: PLW2901 - it is not whole
            if tally.add(found) and found.record is None:
                left.append((job, str(found.folder), found.state))
            elif files and found.record is not None and found.record.handle is not None:
                folders |= {(folder / file.path).parent for file in files}
                event = Reused(time(), found.record.handle, files, str(found.folder))
                changes.append((advance(record, event), event))
        for place in folders:
            sync_folder(place)
        checkpoint.save_all(changes)
        for change in changes:
            saw(*change)
    checkpoint.leave(left)
    return tally


def _wanted(checkpoint: Book, runs: OtherRuns) -> Iterator[tuple[int, Found]]:
    """The jobs that this run is to buy and another has something of."""
    if not runs:
        return
    also: dict[int, list[JobKey]] = {}
    for key, job in aliases_of(checkpoint).items():
        also.setdefault(job, []).append(key)
    for job, key in checkpoint.planned_keys():
        keys = (key, *also.get(job, ()))
        hits = [hit for one in keys if (hit := runs.find(one)) is not None]
        if hits:
            yield job, min(hits, key=_use)


def _chunks(found: Iterator[tuple[int, Found]]) -> Iterator[list[tuple[int, Found]]]:
    while chunk := [one for _, one in zip(range(CHUNK), found, strict=False)]:
        yield chunk


def _bring(found: Found, there: Record, here: Record, folder: Path, checkpoint: Book) -> tuple[SavedFile, ...] | None:
    """The files of ``there`` under the name of ``here``, whole; None if one of them is not whole any more."""
    brought = []
    for index, file in enumerate(there.files):
        name = here.job.name if index == 0 else f"{here.job.name}-{index + 1}"
        try:
            target = _free(folder, name, PurePosixPath(file.path).suffix, here, checkpoint)
            make_folders(target.parent, folder)
            if not _link(found.folder / file.path, target, file, here.id):
                return None
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            raise OutputError(
                f"the file{where} can't be written: {error.strerror or error}",
                hint="mend that, then run the same command again: nothing is bought twice",
            ) from error
        brought.append(SavedFile(target.relative_to(folder).as_posix(), *_about(file)))
    return tuple(brought)


def _about(file: SavedFile) -> tuple[str, int, int, int, str]:
    return file.sha256, file.bytes, file.width, file.height, file.url


def _free(folder: Path, name: str, ending: str, here: Record, checkpoint: Book) -> Path:
    """A final name that no other job's file has, as ``pool.download`` chooses it."""
    target = folder / "files" / PurePosixPath(name)
    for free in (target.name, f"{target.name}-{here.job.key.hex()[:8]}"):
        final = target.with_name(free + ending)
        if not final.exists() or not checkpoint.has_file(final.relative_to(folder).as_posix(), here.id):
            return final
    raise OutputError(f"{target}{ending} is another job's file")


def _link(source: Path, target: Path, file: SavedFile, job: int) -> bool:
    """The same content under both names, one file where the disk can do that. False if it is not what was downloaded.

    OSError if ``target`` can't be written.
    """
    part = target.with_name(f"{target.name}.{job}.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source, part, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:  # another disk, or one that has no links
            with source.open("rb") as content, create(part) as copy:
                shutil.copyfileobj(content, copy)
        with part.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                return False
            os.fsync(content.fileno())
        part.replace(target)  # the folder is synced by the caller, once for many
        return True
    finally:
        part.unlink(missing_ok=True)  # also where both were one file already: then nothing was renamed
