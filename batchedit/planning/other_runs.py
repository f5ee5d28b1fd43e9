"""Jobs of a run that other runs of this person have: looked up before anything is priced, and without buying anything.

A picture that is DONE in another run of the same service and account, with its file whole, is taken over: the file is linked
(or copied), and the job is DONE here at no cost. A job that another run has under way, in doubt or uncollected, or that a
process which may buy right now has in its sheet, is left to that run: it is reported, and not bought here. All other jobs are
bought. Runs of play money and runs of real money share nothing.

A process must hold ``Register.hold_turn`` from the look-up until the results are written, and must be marked as a buyer
(``Register.buying``) before: then of two runs that want one picture, the second sees the first and leaves the picture to it.
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

from ..core.digests import DigestMap
from ..core.errors import BatcheditError, OutputError
from ..core.events import Event, Reused
from ..core.lifecycle import advance
from ..core.model import JobKey, Record, SavedFile, State
from ..core.shell_commands import format_command
from ..disk import create, is_plain_file, make_folders, sync_folder
from ..jobs.aliases import find_aliases
from ..ledger.account import is_account
from ..ledger.book import Book
from ..ledger.lock import may_buy
from ..ledger.opening import open_checkpoint
from ..ledger.register import CHECKPOINT, Register
from ..ledger.run_facts import COMMITTED, parse_whole_number, read_fact
from ..ledger.values import Availability
from ..run_folder import shorten_path

BUYING = "buying"
"""The state of a job that another process may be buying at this moment; else it is a State's value."""
CHUNK = 500
_WITHOUT_PICTURE = frozenset({State.PLANNED, State.FAILED, State.CANCELLED})
"""States in which another run has no picture and is getting none."""


@dataclass(frozen=True, slots=True)
class ElsewhereJob:
    """A job of another run: its folder and its state there. ``record`` is set if it is DONE and its files exist.

    ``other_account``: that run was bought with another token, so nothing is taken from it.
    """

    folder: Path
    state: str
    record: Record | None = None
    other_account: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    folder: Path
    checkpoint: Book
    first: int  # the number of its job 0 among the jobs of all runs
    buying: bool
    other_account: bool


@dataclass
class ElsewhereTotals:
    """Counts of jobs that other runs have, by folder. ``done``: jobs that are reused, or would be.

    ``left``: left to that run, by ``(folder, state)``. ``strange``: bought with another token. ``broken``: DONE there, but
    the file is not whole any more, so they count as not bought.
    """

    done: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def not_bought_here(self) -> int:
        """The number of jobs that need not be bought here."""
        return self.done.total() + self.left.total()

    def add(self, job: ElsewhereJob) -> bool:
        """Count a job. True if it need not be bought here."""
        if job.other_account:
            self.strange[str(job.folder)] += 1
            return False
        if job.record is not None:
            self.done[str(job.folder)] += 1
        elif job.state == State.DONE:
            self.broken[str(job.folder)] += 1
            return False
        else:
            self.left[str(job.folder), job.state] += 1
        return True


_STATE_WORDS = {
    BUYING: ("which may be buying them now", "when it has ended, type the same command again", ""),
    State.IN_DOUBT.value: ("which has them in doubt", "decide there", "doubt"),
    State.UNCOLLECTED.value: ("which has not collected them", "collect them there", "fetch"),
}
_UNDER_WAY = ("which has them under way", "collect them there", "fetch")


def describe_left(left: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """``2 pictures are left to outputs/x, which has them in doubt; decide there: batchedit doubt outputs/x``."""
    jobs_by_wording: Counter[tuple[str, tuple[str, str, str]]] = Counter()
    for (folder, state), count in left.items():
        jobs_by_wording[folder, _STATE_WORDS.get(state, _UNDER_WAY)] += count
    for (folder, (reason, advice, command)), count in jobs_by_wording.items():
        run = shorten_path(Path(folder))
        advice_text = f"{advice}: {format_command(command, run)}" if command else advice
        are = "picture is" if count == 1 else "pictures are"
        yield f"{count:,} {are} left to the run in {run}, {reason}; {advice_text}"


def describe_reused(totals: ElsewhereTotals) -> Iterator[str]:
    """``3 pictures were bought by the run in outputs/s and cost nothing here``."""
    for folder, count in totals.done.items():
        were_bought = "picture was bought" if count == 1 else "pictures were bought"
        yield f"{count:,} {were_bought} by the run in {shorten_path(Path(folder))} and cost nothing here"


def list_elsewhere_warnings(totals: ElsewhereTotals) -> Iterator[str]:
    """Warnings about jobs that another run bought and this one can't take over."""
    for folder, count in totals.strange.items():
        yield (
            f"{count:,} of these were bought by the run in {shorten_path(Path(folder))} with another token: "
            "if that one was renewed for the same account, the same command with --another-account reuses them"
        )
    for folder, count in totals.broken.items():
        run = shorten_path(Path(folder))
        yield f"{count:,} of these were bought by the run in {run}, but their files are not whole any more"


class OtherRuns:
    """The other runs' jobs by key. A context manager: their checkpoints are open for reading as long as it is."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._runs: list[_Run] = []
        self._keys = DigestMap()
        self._checkpoints = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpoints.close()

    def __bool__(self) -> bool:
        return len(self._keys) > 0

    @classmethod
    def look_up(
        cls,
        register: Register,
        own_folder: Path,
        service: str,
        account: str,
        *,
        any_account: bool,
        same_money: Callable[[Book], bool],
    ) -> OtherRuns:
        """The runs of ``service`` except the one in ``own_folder``. With ``account`` "" or ``any_account`` every account
        counts as one's own. ``same_money`` is True for a run bought with the same kind of money, play or real: one address
        may be a sandbox today and a paid service tomorrow.
        """
        runs = cls()
        try:
            for folder in register.list_folders(Path("outputs"), own_folder.parent):
                if folder != own_folder.resolve():
                    runs._open_one(folder, register, service, "" if any_account else account, same_money)
            runs._read_keys()
        except BaseException:
            runs._checkpoints.close()
            raise
        return runs

    def _open_one(
        self, folder: Path, register: Register, service: str, account: str, same_money: Callable[[Book], bool]
    ) -> None:
        try:
            checkpoint = open_checkpoint(folder / CHECKPOINT, read_only=True)
            self._checkpoints.callback(checkpoint.close)
            if checkpoint.get("service") != service or not same_money(checkpoint):
                return
            other_account = not is_account(checkpoint, account)
        except BatcheditError as error:
            self.notes.append(f"the run in {folder} can't be read, so what it bought is not looked up: {error}")
            return
        first = self._runs[-1].first + _read_last_job(self._runs[-1].checkpoint) + 1 if self._runs else 0
        buying = register.is_buying(folder) or may_buy(folder)
        self._runs.append(_Run(folder, checkpoint, first, buying, other_account))

    def _read_keys(self) -> None:
        """Add the keys by rank: own accounts before others, DONE before other states, bought before reused."""
        for run in sorted(self._runs, key=lambda run: run.other_account):
            self._add_keys(run, Availability.BOUGHT)
        for run in sorted(self._runs, key=lambda run: run.other_account):
            self._add_keys(run, Availability.DONE)
        for run in self._runs:
            if run.buying and not run.other_account:
                self._add_keys(run, Availability.TO_BUY)
            elif not run.other_account:
                self._add_keys(run, Availability.UNDER_WAY)

    def _add_keys(self, run: _Run, having: Availability) -> None:
        ids: set[int] = set()
        for key, job in run.checkpoint.read_keys(having):
            ids.add(job)
            self._keys.add(key, run.first + job)
        for key, job in find_aliases(run.checkpoint).items():
            if job in ids:
                self._keys.add(key, run.first + job)

    def find(self, key: JobKey) -> ElsewhereJob | None:
        """The job of this key in the most useful other run; None if no other run has it."""
        number = self._keys.get(key)
        if number is None:
            return None
        run = next(run for run in reversed(self._runs) if run.first <= number)
        job = _find_job_in(run, run.checkpoint.record(number - run.first))
        if job is not None and job.record is None and job.state == State.DONE:
            others = (_find_job_in(other, other.checkpoint.find_record_of_key(key)) for other in self._runs)
            return min((other for other in (job, *others) if other is not None), key=_rank)
        return job


def _find_job_in(run: _Run, record: Record | None) -> ElsewhereJob | None:
    """The job's state in that run now, which may have changed since the keys were read."""
    if record is None:
        return None
    if record.state is State.DONE:
        record_with_files = record if record.handle is not None and _has_all_files(run.folder, record.files) else None
        return ElsewhereJob(run.folder, State.DONE.value, record_with_files, run.other_account)
    if run.buying:
        return ElsewhereJob(
            run.folder, BUYING if record.state in _WITHOUT_PICTURE else record.state.value, None, run.other_account
        )
    if record.state not in _WITHOUT_PICTURE:
        return ElsewhereJob(run.folder, record.state.value, None, run.other_account)
    return None


def _rank(job: ElsewhereJob) -> tuple[bool, bool, bool]:
    """Sort key, the most useful first: one's own account before others; a whole picture, a coming one, a lost one."""
    return job.other_account, job.record is None, job.state == State.DONE


def _read_last_job(checkpoint: Book) -> int:
    return read_fact(checkpoint, COMMITTED, parse_whole_number, 0)


def _has_all_files(folder: Path, files: Sequence[SavedFile]) -> bool:
    """True if all lie in that run's ``files/``, each with its length. Their content is checked when they are taken over."""
    return bool(files) and all(_is_file_of_run(folder, file) for file in files)


def _is_file_of_run(folder: Path, file: SavedFile) -> bool:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] != ("files",):
        return False
    try:
        return is_plain_file(folder / path, folder / "files") and (folder / path).stat().st_size == file.bytes
    except OSError:
        return False


# --- taking over ----------------------------------------------------------------------------------

OnEvent = Callable[[Record, Event], None]


def take_over(checkpoint: Book, folder: Path, runs: OtherRuns, on_event: OnEvent) -> ElsewhereTotals:
    """Make jobs DONE that are DONE in another run, note those that are left to other runs, and count both. ``folder`` is
    this run's.

    OutputError if a file can't be written. After a crash the next call continues: a file whose job is not DONE is
    overwritten.
    """
    totals, left = ElsewhereTotals(), list[tuple[int, str, str]]()
    for chunk in _split_chunks(_list_wanted(checkpoint, runs)):
        changes: list[tuple[Record, Event]] = []
        folders: set[Path] = set()
        for job_id, job in chunk:
            files = None
            if job.record is not None and not job.other_account:
                (record,) = checkpoint.read_records([job_id])
                files = _copy_files(job, job.record, record, folder, checkpoint)
                job = job if files else ElsewhereJob(job.folder, job.state)  # noqa: PLW2901 - it is not whole
            if totals.add(job) and job.record is None:
                left.append((job_id, str(job.folder), job.state))
            elif files and job.record is not None and job.record.handle is not None:
                folders |= {(folder / file.path).parent for file in files}
                event = Reused(time(), job.record.handle, files, str(job.folder))
                changes.append((advance(record, event), event))
        for parent in folders:
            sync_folder(parent)
        checkpoint.save_all(changes)
        for change in changes:
            on_event(*change)
    checkpoint.leave_jobs(left)
    return totals


def _list_wanted(checkpoint: Book, runs: OtherRuns) -> Iterator[tuple[int, ElsewhereJob]]:
    """The jobs that this run is to buy and that another run has."""
    if not runs:
        return
    other_keys: dict[int, list[JobKey]] = {}
    for key, job_id in find_aliases(checkpoint).items():
        other_keys.setdefault(job_id, []).append(key)
    for job_id, key in checkpoint.list_planned_keys():
        keys = (key, *other_keys.get(job_id, ()))
        matches = [match for each_key in keys if (match := runs.find(each_key)) is not None]
        if matches:
            yield job_id, min(matches, key=_rank)


def _split_chunks(jobs: Iterator[tuple[int, ElsewhereJob]]) -> Iterator[list[tuple[int, ElsewhereJob]]]:
    while chunk := [pair for _, pair in zip(range(CHUNK), jobs, strict=False)]:
        yield chunk


def _copy_files(
    job: ElsewhereJob, source: Record, own: Record, folder: Path, checkpoint: Book
) -> tuple[SavedFile, ...] | None:
    """The files of ``source`` under the name of ``own``; None if one of them is not whole any more."""
    copies = []
    for index, file in enumerate(source.files):
        name = own.job.name if index == 0 else f"{own.job.name}-{index + 1}"
        try:
            target = _find_free_path(folder, name, PurePosixPath(file.path).suffix, own, checkpoint)
            make_folders(target.parent, folder)
            if not _link_or_copy(job.folder / file.path, target, file, own.id):
                return None
        except OSError as error:
            file_text = f" {error.filename}" if error.filename else ""
            raise OutputError(
                f"the file{file_text} can't be written: {error.strerror or error}",
                hint="mend that, then run the same command again: nothing is bought twice",
            ) from error
        copies.append(SavedFile(target.relative_to(folder).as_posix(), *_copy_facts(file)))
    return tuple(copies)


def _copy_facts(file: SavedFile) -> tuple[str, int, int, int, str]:
    return file.sha256, file.bytes, file.width, file.height, file.url


def _find_free_path(folder: Path, name: str, ending: str, own: Record, checkpoint: Book) -> Path:
    """A final path that no other job's file has, as ``files.download`` chooses it."""
    target = folder / "files" / PurePosixPath(name)
    for candidate in (target.name, f"{target.name}-{own.job.key.hex()[:8]}"):
        final = target.with_name(candidate + ending)
        if not final.exists() or not checkpoint.has_file(final.relative_to(folder).as_posix(), own.id):
            return final
    raise OutputError(f"{target}{ending} is another job's file")


def _link_or_copy(source: Path, target: Path, file: SavedFile, job: int) -> bool:
    """Put the content of ``source`` at ``target`` too, as a hard link if the disk can. False if it is not as downloaded.

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
        part.unlink(missing_ok=True)  # also if both were one file already: nothing is renamed then
