"""A run's folder: where things are in it, and its checkpoint, opened for the right service and model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from .core.errors import CheckpointError, NotFoundError, OutputError, UsageError
from .core.lifecycle import Reserved, advance
from .core.model import State
from .disk import Steady
from .ledger.opening import create_checkpoint, open_checkpoint
from .ledger.rescue import NAME as RESCUED
from .ledger.rescue import clear_rescued, rescued
from .ledger.sqlite import SqliteCheckpoint
from .settings.model import Settings

STAGED = "staged"
_BLOCK = 2**16  # bytes: memory of this size is used again, larger pieces are asked of the system anew
SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".gz", ".txt"})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``outputs/<the manifest's name>/`` or ``--out``."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The SQLite file: the only truth."""
        return self.path / "checkpoint.sqlite"

    @property
    def log(self) -> Path:
        """``run.jsonl``: one line an event."""
        return self.path / "run.jsonl"

    def results(self, form: str) -> Path:
        """``results.csv``, ``results.jsonl``, …"""
        return self.path / f"results.{form}"

    @property
    def failed(self) -> Path:
        """The rows that failed or were invalid, as a manifest of their own."""
        return self.path / "failed.csv"

    @property
    def in_doubt(self) -> Path:
        """The rows that may have been bought, for a person to decide."""
        return self.path / "in_doubt.csv"

    @property
    def report(self) -> Path:
        """``report.json``: the summary of the last run."""
        return self.path / "report.json"

    @property
    def links(self) -> Path:
        """What ``--check-images`` was told about links."""
        return self.path / "links.sqlite"

    @property
    def settings(self) -> Path:
        """``settings.toml``: what the run was told, to be read and to be used again with ``--config``."""
        return self.path / "settings.toml"

    @property
    def sandbox_state(self) -> Path:
        """What the embedded sandbox remembers between two runs."""
        return self.path / "sandbox.jsonl"

    def snapshot(self) -> Path | None:
        """The manifest as this run last read it; None before the first intake."""
        found = sorted(self.path.glob("manifest.*"))
        return found[0] if found else None

    def stage_snapshot(self, source: Path) -> dict[Path, str]:
        """Copy the manifest in, synced, so that results can be written whatever becomes of the original. Returns where it
        is, and the digest of what was copied.

        It becomes the snapshot with ``settle_snapshot``, once the checkpoint has taken its jobs in: after a crash between
        the two the next start finds out which of them belongs to the checkpoint.
        """
        target = self.path / f"{STAGED}{suffixes(source)}"
        digest = hashlib.sha256()
        try:
            with source.open("rb") as file, BufferedWriter(Steady(target, "wb")) as copy:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
        except OSError as error:
            raise OutputError(f"{target} can't be written: {error.strerror or error}") from error
        return {target: digest.hexdigest()}

    def settle_snapshot(self, fingerprint: str, digests: Mapping[Path, str] | None = None) -> None:
        """The staged manifest becomes the snapshot if ``fingerprint`` is of its content; otherwise it is dropped.

        ``digests`` is what ``stage_snapshot`` returned: after a crash nobody has it, and the file is read.
        """
        for staged in self.path.glob(f"{STAGED}.*"):
            content = (digests or {}).get(staged) or digest_of(staged)
            if f":{content}:" not in fingerprint:
                staged.unlink()
                continue
            target = self.path / f"manifest{suffixes(staged)}"
            staged.replace(target)
            for other in self.path.glob("manifest.*"):
                if other != target:
                    other.unlink()

    def make(self) -> None:
        """Create the folder. OutputError (73) if that can't be done."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder {self.path} can't be made: {error.strerror or error}",
                hint="give another one with --out DIR",
            ) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex. OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def suffixes(path: Path) -> str:
    """``.csv``, ``.jsonl.gz``, …: the endings that say what a table is."""
    found = [suffix for suffix in path.suffixes[-2:] if suffix.lower() in SUFFIXES]
    return "".join(found) or ".csv"


def stem(path: Path) -> str:
    """The manifest's name without those endings."""
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


def folder_for(manifest: Path, out: str | None) -> RunFolder:
    """Where a run of ``manifest`` lives."""
    return RunFolder(Path(out) if out else Path("outputs") / stem(manifest))


def find_run(run: str, out: str | None = None) -> RunFolder:
    """RUN on the command line: a run's folder, or the manifest it came from. NotFoundError (66) if there is no run."""
    given = Path(run)
    for candidate in (RunFolder(given), folder_for(given, out)):
        if candidate.checkpoint.is_file():
            return candidate
    if given.is_dir():
        raise NotFoundError(
            f"{given} is not a run's folder: it has no checkpoint.sqlite", hint="runs live in outputs/<manifest's name>"
        )
    raise NotFoundError(
        f"there is no run for {run} (looked for {folder_for(given, out).checkpoint})",
        hint=f"start one with: batchedit run {run}" if given.is_file() else "give a run's folder or its manifest",
    )


def open_run(folder: RunFolder, settings: Settings) -> SqliteCheckpoint:
    """The run's checkpoint, made if there is none. Refused if it belongs to another model or service.

    Ids that a failing disk sent to the side file are taken in first.
    """
    if not folder.checkpoint.exists():
        _must_be_new(folder)
        return create_checkpoint(folder.checkpoint, model=settings.model, service=settings.service)
    checkpoint = open_checkpoint(folder.checkpoint)
    try:
        _must_match(checkpoint, folder, settings)
        take_in_rescued(checkpoint, folder)
        folder.settle_snapshot(checkpoint.get("fingerprint") or "")
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def _must_be_new(folder: RunFolder) -> None:
    """A folder that something was bought in and that has no checkpoint any more would be bought anew, in silence. And what
    has the name of a run's own copy of the manifest would be replaced by that.
    """
    bought = len(list(rescued(folder.path)))
    if folder.log.exists():
        with folder.log.open("rb") as log:
            bought += sum(b'"event":"Accepted"' in line for line in log)
    if bought:
        raise CheckpointError(
            f"{folder.checkpoint} is gone, and it knew of {bought:,} jobs that were bought here",
            hint="restore it from a backup; or, to buy everything anew, give another folder with --out DIR",
        )
    others = sorted((*folder.path.glob("manifest.*"), *folder.path.glob(f"{STAGED}.*")))
    if others:
        raise UsageError(
            f"a new run would replace {others[0]}: it keeps its own copy of the manifest under that name",
            hint="give another folder with --out DIR, or move that file away",
        )


def _must_match(checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings) -> None:
    for name, wanted in (("model", settings.model), ("service", settings.service)):
        found = checkpoint.get(name)
        if found != wanted:
            raise UsageError(
                f"the run in {folder.path} was bought with {name} {found}, not {wanted}",
                hint=f"for a run of its own: --out {folder.path}-2",
            )


def take_in_rescued(checkpoint: SqliteCheckpoint, folder: RunFolder) -> int:
    """Side-file ids into the checkpoint: → WAITING. Returns how many were news.

    CheckpointError, and the side file stays, for an id that would have to displace another one.
    """
    taken = 0
    for job, key, event in rescued(folder.path):
        for record in checkpoint.records("id = ? AND key = ?", (job, key)):
            if record.handle is not None and record.handle.request_id == event.handle.request_id:
                continue
            if record.state is State.PLANNED:  # its intention was lost with the disk
                checkpoint.set_cap(None)  # it is bought: no cap can refuse it; the run sets its own again
                intention = Reserved(event.at, checkpoint.top_price)
                record = checkpoint.save_now(advance(record, intention), intention)  # noqa: PLW2901 - the next version of it
            if record.state not in {State.SUBMITTING, State.IN_DOUBT}:
                raise CheckpointError(
                    f"{folder.path / RESCUED} says that job {record.job.name} was bought as {event.handle.request_id}, "
                    f"and the checkpoint has it as {record.state}",
                    hint="keep both files and look at the job on the service's site before going on",
                )
            checkpoint.save_now(advance(record, event), event)
            taken += 1
    clear_rescued(folder.path)
    return taken
