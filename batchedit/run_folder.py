"""A run's folder: where things are in it, and its checkpoint, opened for the right service and model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BufferedWriter
from pathlib import Path

from .core.errors import BatcheditError, NotFoundError, OutputError, UsageError
from .core.typed import quote_word, format_command
from .core.words import pluralize
from .disk import FOLDER_MODE, ForeignFileError, check_inside, check_own, create, is_plain_file
from .jobs.recipe import find_id
from .ledger.book import Book
from .ledger.facts import read_fact
from .ledger.lock import BUYING
from .ledger.opening import holds_nothing, reading
from .ledger.register import CHECKPOINT, Register, is_run
from .ledger.rescue import NAME as ACCEPTED_FILE
from .ledger.rescue import TAKING, count_lines
from .ledger.review_file import NAME as REVIEW_FILE
from .ledger.values import STAGED
from .manifest.nearest import nearest
from .manifest.read import Form, FormKind, Manifest, open_manifest, reopen_manifest
from .settings.model import ManifestOptions, Settings

RESULTS_LOCK = ".results.lock"
"""Held by who writes results, while a run goes on or after it."""
_BLOCK = 2**16  # bytes: memory of this size is used again, larger pieces are asked of the system anew
SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".gz", ".txt"})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``outputs/<the manifest's name>/`` or ``--out``."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The SQLite file: the only truth."""
        return self.path / CHECKPOINT

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
    def thumbs(self) -> Path:
        """Thumbnails, and what was seen of the pictures; may be deleted at any time."""
        return self.path / "thumbs"

    @property
    def links(self) -> Path:
        """What ``--check-images`` was told about links."""
        return self.path / "links.sqlite"

    @property
    def inputs(self) -> Path:
        """Input pictures that were fetched because their links die soon."""
        return self.path / "inputs"

    @property
    def settings(self) -> Path:
        """``settings.toml``: what the run was told, to be read and to be used again with ``--config``."""
        return self.path / "settings.toml"

    @property
    def sandbox_state(self) -> Path:
        """What the embedded sandbox remembers between two runs."""
        return self.path / "sandbox.jsonl"

    def snapshot(self) -> Path | None:
        """The manifest as this run last read it; None before the first intake. ForeignFileError for a link: results would
        hold what stands in a file that is not the run's.
        """
        found = sorted(self.path.glob("manifest.*"))
        if found and not is_plain_file(found[0], self.path):
            raise ForeignFileError(
                f"{found[0]} is a link: a run keeps a copy of its manifest under that name",
                hint="move the link away, and start the run with its manifest again",
            )
        return found[0] if found else None

    def stage_snapshot(self, source: Path, ending: str) -> dict[Path, str]:
        """Copy the manifest in, synced, so that results can be written whatever becomes of the original. Returns where it
        is, and the digest of what was copied. ``ending`` says what the sheet is, whatever the original is called.

        It becomes the snapshot with ``settle_snapshot``, once the checkpoint has taken its jobs in: after a crash between
        the two the next start finds out which of them belongs to the checkpoint.
        """
        target = self.path / f"{STAGED}{ending}"
        digest = hashlib.sha256()
        try:
            with source.open("rb") as file, BufferedWriter(create(target)) as copy:
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
            target = self.path / f"manifest{staged.name.removeprefix(STAGED)}"
            staged.replace(target)
            for other in self.path.glob("manifest.*"):
                if other != target:
                    other.unlink()

    def has_copy(self, fingerprint: str) -> bool:
        """Is the snapshot there, and of the content that ``fingerprint`` tells? ForeignFileError for a link."""
        found = self.snapshot()
        return found is not None and f":{digest_of(found)}:" in fingerprint

    def check_links(self) -> None:
        """ForeignFileError (73) if writing into this folder would change something outside: before anything is bought."""
        for folder in ("files", "thumbs"):
            check_inside(self.path / folder, self.path)
        ours = (ACCEPTED_FILE, f"{ACCEPTED_FILE}.taken-in", RESULTS_LOCK, BUYING, REVIEW_FILE, f"{REVIEW_FILE}-journal")
        taking = self.path.glob(f"{TAKING}*")
        for path in (self.log, self.links, *(self.path / name for name in ours), *taking):
            check_own(path)

    def make(self) -> None:
        """Create the folder. OutputError (73) if that can't be done."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder {self.path} can't be made: {error.strerror or error}",
                hint="give another one with --out DIR",
            ) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex. OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stem(path: Path) -> str:
    """The manifest's name without those endings."""
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


def folder_for(manifest: Path, out: str | None) -> RunFolder:
    """Where a run of ``manifest`` lives that is not found elsewhere."""
    return RunFolder(Path(out) if out else Path("outputs") / stem(manifest))


def folder_of(manifest: Path, settings: Settings, register: Register) -> RunFolder:
    """Where the run of ``manifest`` with these settings lives: ``--out``; else the run of this service and model that was
    made from this very sheet, wherever one stands, the one used last; else a new one in ``outputs/``.
    """
    usual = folder_for(manifest, settings.out)
    if settings.out or _made_from(usual.path, manifest, settings):
        return usual
    runs = [
        entry.folder
        for entry in register.entries()
        if (entry.service, entry.model) == (settings.service, settings.model) and same_file(entry.source, manifest)
    ]
    return RunFolder(near(runs[0])) if runs else usual


def gone_runs(manifest: Path, settings: Settings, register: Register) -> list[Path]:
    """The folders of runs that were made from this very sheet, for this service and model, and that are not there now.

    None for the sandbox, whose pictures cost nothing, and for a run of a store, which knows what was bought in it.
    """
    if settings.sandbox or settings.store:
        return []
    return [
        entry.folder
        for entry in register.gone()
        if (entry.service, entry.model) == (settings.service, settings.model) and same_file(entry.source, manifest)
    ]


def _made_from(folder: Path, manifest: Path, settings: Settings | None = None) -> bool:
    """Was the run in ``folder`` made from this very sheet, and with ``settings`` for their service and model? The checkpoint
    itself is asked.
    """
    if not is_run(folder) or never_began(RunFolder(folder)):
        return False
    with reading(folder / CHECKPOINT) as checkpoint:
        if settings and (checkpoint.get("service"), checkpoint.get("model")) != (settings.service, settings.model):
            return False
        return same_file(checkpoint.get("source") or "", manifest)


def same_file(source: str, manifest: Path) -> bool:
    """Is ``source``, a run's manifest as it was noted down, the file that is named ``manifest`` here?"""
    try:
        return bool(source) and os.path.realpath(source) == os.path.realpath(manifest)
    except ValueError:  # a NUL in it: a checkpoint may hold anything
        return False


def near(folder: Path) -> Path:
    """``folder`` as one would type it here: relative if it lies below the current folder."""
    here = Path.cwd().resolve()
    return folder.relative_to(here) if folder.is_relative_to(here) and folder != here else folder


def find_run(run: str, out: str | None = None, environ: Mapping[str, str] = os.environ) -> RunFolder:
    """RUN on the command line: a run's folder, its name, or the manifest it came from.

    NotFoundError (66) if there is no run; UsageError (64) if several have that name.
    """
    given, register = Path(run), Register.of(environ)
    usual = folder_for(given, out)
    if is_run(given):
        return RunFolder(given)
    if given.is_file() and not out and not _made_from(usual.path, given):
        found = [entry.folder for entry in register.entries() if same_file(entry.source, given)][:1]
    elif not is_run(usual.path):
        found = [folder for folder in register.folders(Path("outputs")) if folder.name == run]
    else:
        found = []
    if not found and is_run(usual.path):
        return usual
    if len(found) > 1:
        listed = ", ".join(str(near(folder)) for folder in found)
        raise UsageError(
            f"{pluralize(len(found), 'run is', 'runs are')} called {run}: {listed}", hint="give the folder of one of them"
        )
    if found:
        return RunFolder(near(found[0]))
    if given.is_dir():
        raise NotFoundError(
            f"{given} is not a run's folder: it has no checkpoint.sqlite", hint=f"see yours with: {format_command('runs')}"
        )
    raise NotFoundError(
        f"there is no run for {run} (looked for {folder_for(given, out).checkpoint})",
        hint=f"start one with: {format_command('run', given)}"
        if given.is_file()
        else f"{_meant(run, register)}give a run's folder, its name or its manifest; see yours with: "
        f"{format_command('runs')}",
    )


def _meant(run: str, register: Register) -> str:
    near = nearest(run, [folder.name for folder in register.folders(Path("outputs"))])
    return f"Did you mean {quote_word(near)}? Else " if near else ""


def bought_here(folder: RunFolder) -> int:
    """How many purchases the log and the side file tell of: for a folder whose checkpoint can't say."""
    bought = count_lines(folder.path)
    if folder.log.exists():
        with folder.log.open("rb") as log:
            bought += sum(b'"event":"Accepted"' in line for line in log)
    return bought


def never_began(folder: RunFolder) -> bool:
    """Did a run end before its first job, for example because the disk was full? Its checkpoint holds nothing, its log tells
    of no purchase, and there is no picture and no result.
    """
    return (
        folder.checkpoint.exists()
        and holds_nothing(folder.checkpoint)
        and not bought_here(folder)
        and not any(folder.path.glob("results.*"))
        and not any(folder.path.glob("files/*"))
    )


def open_source(source: Path, settings: ManifestOptions, name: str, header_row: int | None = None) -> Manifest:
    """The sheet as the settings say it is. ``header_row`` goes over theirs."""
    return open_manifest(
        source,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        sheet=settings.sheet,
        header_row=settings.header_row if header_row is None else header_row,
        visible_only=settings.visible_only,
        pictures=sheet_pictures(),
        name=name,
    )


def sheet_pictures() -> Path:
    """Where pictures out of workbooks are kept: ``plan`` has no folder of its own, and a run may be moved."""
    return Register.of().folder / "pictures"


FORM_META = "form"


def how_to_start(checkpoint: Book, folder: RunFolder) -> str:
    """What to type for a run that has no copy of its manifest: with the manifest's name, where that is known and there."""
    source = Path(checkpoint.get("source") or "")
    if source.is_file():
        kept = ["--config", folder.settings] if folder.settings.is_file() else []
        return f"take it in anew: {format_command('run', source, *kept, '--out', folder.path)}"
    return f"start it anew with the command that it was begun with, and --out {quote_word(folder.path)}"


def open_snapshot(checkpoint: Book, folder: RunFolder, settings: Settings) -> Manifest:
    """The manifest as the run last took it in, read as what it was then. NotFoundError before the first intake.

    A run of the first edition kept no form: its copy is recognised by the name that the sheet had, as it was at its intake.
    """
    snapshot = folder.snapshot()
    if snapshot is None:
        raise NotFoundError(
            f"the run in {folder.path} has no copy of its manifest", hint=how_to_start(checkpoint, folder)
        )
    if form := read_fact(checkpoint, FORM_META, Form.load, None):
        return reopen_manifest(snapshot, form, snapshot.name, pictures=sheet_pictures())
    name = Path(checkpoint.get("source") or snapshot).name
    manifest = open_source(snapshot, settings, name, header_row=0)
    if find_id(settings.id, manifest.columns):
        return manifest
    return reopen_manifest(snapshot, replace(manifest.form, ids_by_index=True), name, pictures=sheet_pictures())


def form_of_run(checkpoint: Book, folder: RunFolder) -> Form:
    """What the run's sheet is, for its row numbers. A run of the first edition kept no form: its copy is looked at, and
    where that can't be read its rows are known by their position alone.
    """
    if form := read_fact(checkpoint, FORM_META, Form.load, None):
        return form
    try:
        return open_snapshot(checkpoint, folder, Settings.load(checkpoint.get("settings") or "{}")).form
    except BatcheditError:
        return Form(FormKind.FRAME)
