"""A run's folder: the paths of its files, and functions that find it and open its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BufferedWriter
from pathlib import Path

from .core.errors import BatcheditError, NotFoundError, OutputError, UsageError
from .core.plurals_and_durations import pluralize
from .core.shell_commands import format_command, quote_word
from .disk import FOLDER_MODE, ForeignFileError, check_inside, check_own, create, is_plain_file
from .jobs.recipe import find_id_column
from .ledger.book import Book
from .ledger.lock import BUYING
from .ledger.opening import is_blank_checkpoint, open_for_reading
from .ledger.register import CHECKPOINT, Register, is_run
from .ledger.rescue_file import NAME as ACCEPTED_FILE
from .ledger.rescue_file import TAKING, count_lines
from .ledger.review_file import NAME as REVIEW_FILE
from .ledger.run_facts import read_fact
from .ledger.values import STAGED
from .manifest.nearest import find_nearest
from .manifest.read import Form, FormKind, Manifest, open_manifest, reopen_manifest
from .settings.model import ManifestOptions, Settings

RESULTS_LOCK = ".results.lock"
"""The lock of the results: held while results are written, during a run or after it."""
_BLOCK = 2**16  # bytes: a buffer of this size is reused by malloc, a larger one is mapped anew each time
SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".gz", ".txt"})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run: ``outputs/<the manifest's name>/`` or ``--out``."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The SQLite file with the ledger: the only truth about what was bought."""
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
        """The rows that failed or were invalid, as a new manifest."""
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
        """Thumbnails, and features of the pictures; may be deleted at any time."""
        return self.path / "thumbs"

    @property
    def links(self) -> Path:
        """The results of ``--check-images``."""
        return self.path / "links.sqlite"

    @property
    def inputs(self) -> Path:
        """Input pictures that were fetched because their links expire soon."""
        return self.path / "inputs"

    @property
    def settings(self) -> Path:
        """``settings.toml``: the settings of the run, to read and to use again with ``--config``."""
        return self.path / "settings.toml"

    @property
    def sandbox_state(self) -> Path:
        """The state of the embedded sandbox."""
        return self.path / "sandbox.jsonl"

    def find_snapshot(self) -> Path | None:
        """The manifest as this run last read it; None before the first intake. ForeignFileError for a link: the results would
        hold the content of a file that is not the run's.
        """
        copies = sorted(self.path.glob("manifest.*"))
        if copies and not is_plain_file(copies[0], self.path):
            raise ForeignFileError(
                f"{copies[0]} is a link: a run keeps a copy of its manifest under that name",
                hint="move the link away, and start the run with its manifest again",
            )
        return copies[0] if copies else None

    def stage_snapshot(self, source: Path, ending: str) -> dict[Path, str]:
        """Copy the manifest into the folder, synced, so that results can be written even if the original is changed or
        removed. Returns the path of the copy and the digest of its content. ``ending`` is the suffix of the sheet's form,
        whatever the name of the original.

        ``settle_snapshot`` makes it the snapshot after the checkpoint has taken its jobs in. After a crash between the two,
        the next start finds which of the copies belongs to the checkpoint.
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
        """Make the staged manifest the snapshot if ``fingerprint`` is of its content; otherwise remove it.

        ``digests`` is the result of ``stage_snapshot``; without it, as after a crash, the file is read.
        """
        for staged in self.path.glob(f"{STAGED}.*"):
            content = (digests or {}).get(staged) or hash_file(staged)
            if f":{content}:" not in fingerprint:
                staged.unlink()
                continue
            target = self.path / f"manifest{staged.name.removeprefix(STAGED)}"
            staged.replace(target)
            for other in self.path.glob("manifest.*"):
                if other != target:
                    other.unlink()

    def has_copy(self, fingerprint: str) -> bool:
        """True if there is a snapshot of the content in ``fingerprint``. ForeignFileError for a link."""
        snapshot = self.find_snapshot()
        return snapshot is not None and f":{hash_file(snapshot)}:" in fingerprint

    def check_links(self) -> None:
        """ForeignFileError (73) if writing into this folder would change a file outside. Called before anything is bought."""
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


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex. OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def strip_suffixes(path: Path) -> str:
    """The manifest's name without the suffixes in ``SUFFIXES``."""
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return name


def build_run_folder(manifest: Path, out: str | None) -> RunFolder:
    """The folder of a new run of ``manifest``."""
    return RunFolder(Path(out) if out else Path("outputs") / strip_suffixes(manifest))


def find_run_folder(manifest: Path, settings: Settings, register: Register) -> RunFolder:
    """The folder of the run of ``manifest`` with these settings: ``--out``; else the last used run of this service and model
    that was made from this sheet, in any folder; else a new one in ``outputs/``.
    """
    default = build_run_folder(manifest, settings.out)
    if settings.out or _is_made_from(default.path, manifest, settings):
        return default
    runs = [
        entry.folder
        for entry in register.list_entries()
        if (entry.service, entry.model) == (settings.service, settings.model) and is_same_file(entry.source, manifest)
    ]
    return RunFolder(shorten_path(runs[0])) if runs else default


def find_gone_runs(manifest: Path, settings: Settings, register: Register) -> list[Path]:
    """The missing folders of runs that were made from this sheet, for this service and model.

    Empty for the sandbox, whose pictures cost nothing, and for a run of a store, which has the record of its purchases.
    """
    if settings.sandbox or settings.store:
        return []
    return [
        entry.folder
        for entry in register.list_gone()
        if (entry.service, entry.model) == (settings.service, settings.model) and is_same_file(entry.source, manifest)
    ]


def _is_made_from(folder: Path, manifest: Path, settings: Settings | None = None) -> bool:
    """True if the run in ``folder`` was made from this sheet and, with ``settings``, for their service and model, according
    to its checkpoint.
    """
    if not is_run(folder) or has_never_begun(RunFolder(folder)):
        return False
    with open_for_reading(folder / CHECKPOINT) as checkpoint:
        if settings and (checkpoint.get("service"), checkpoint.get("model")) != (settings.service, settings.model):
            return False
        return is_same_file(checkpoint.get("source") or "", manifest)


def is_same_file(source: str, manifest: Path) -> bool:
    """True if ``source``, the manifest's path in a checkpoint, is the file ``manifest``."""
    try:
        return bool(source) and os.path.realpath(source) == os.path.realpath(manifest)
    except ValueError:  # a NUL in it: a checkpoint may hold anything
        return False


def shorten_path(folder: Path) -> Path:
    """``folder`` as one would type it: relative if it is below the current folder."""
    current = Path.cwd().resolve()
    return folder.relative_to(current) if folder.is_relative_to(current) and folder != current else folder


def find_run(run: str, out: str | None = None, environ: Mapping[str, str] = os.environ) -> RunFolder:
    """Find RUN of the command line: a run's folder, its name, or its manifest.

    NotFoundError (66) if there is no run; UsageError (64) if several have that name.
    """
    given, register = Path(run), Register.from_environ(environ)
    default = build_run_folder(given, out)
    if is_run(given):
        return RunFolder(given)
    if given.is_file() and not out and not _is_made_from(default.path, given):
        matching = [entry.folder for entry in register.list_entries() if is_same_file(entry.source, given)][:1]
    elif not is_run(default.path):
        matching = [folder for folder in register.list_folders(Path("outputs")) if folder.name == run]
    else:
        matching = []
    if not matching and is_run(default.path):
        return default
    if len(matching) > 1:
        names = ", ".join(str(shorten_path(folder)) for folder in matching)
        raise UsageError(
            f"{pluralize(len(matching), 'run is', 'runs are')} called {run}: {names}",
            hint="give the folder of one of them",
        )
    if matching:
        return RunFolder(shorten_path(matching[0]))
    if given.is_dir():
        raise NotFoundError(
            f"{given} is not a run's folder: it has no checkpoint.sqlite",
            hint=f"see yours with: {format_command('runs')}",
        )
    raise NotFoundError(
        f"there is no run for {run} (looked for {build_run_folder(given, out).checkpoint})",
        hint=f"start one with: {format_command('run', given)}"
        if given.is_file()
        else f"{_suggest_run(run, register)}give a run's folder, its name or its manifest; see yours with: "
        f"{format_command('runs')}",
    )


def _suggest_run(run: str, register: Register) -> str:
    suggestion = find_nearest(run, [folder.name for folder in register.list_folders(Path("outputs"))])
    return f"Did you mean {quote_word(suggestion)}? Else " if suggestion else ""


def count_purchases(folder: RunFolder) -> int:
    """The number of purchases in the log and the rescue file, for a folder whose checkpoint can't be read."""
    bought = count_lines(folder.path)
    if folder.log.exists():
        with folder.log.open("rb") as log:
            bought += sum(b'"event":"Accepted"' in line for line in log)
    return bought


def has_never_begun(folder: RunFolder) -> bool:
    """True if a run ended before its first job, for example because the disk was full: its checkpoint is empty, its log has
    no purchase, and there is no picture and no result.
    """
    return (
        folder.checkpoint.exists()
        and is_blank_checkpoint(folder.checkpoint)
        and not count_purchases(folder)
        and not any(folder.path.glob("results.*"))
        and not any(folder.path.glob("files/*"))
    )


def open_source(source: Path, settings: ManifestOptions, name: str, header_row: int | None = None) -> Manifest:
    """Open the sheet with the form in the settings. ``header_row`` overrides theirs."""
    return open_manifest(
        source,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        sheet=settings.sheet,
        header_row=settings.header_row if header_row is None else header_row,
        visible_only=settings.visible_only,
        pictures=find_pictures_folder(),
        name=name,
    )


def find_pictures_folder() -> Path:
    """The folder of pictures from workbooks. It is not in a run: ``plan`` has no folder, and a run may be moved."""
    return Register.from_environ().folder / "pictures"


FORM_META = "form"


def explain_how_to_start(checkpoint: Book, folder: RunFolder) -> str:
    """What to type for a run without a copy of its manifest: with the manifest's path, if it is known and exists."""
    source = Path(checkpoint.get("source") or "")
    if source.is_file():
        options = ["--config", folder.settings] if folder.settings.is_file() else []
        return f"take it in anew: {format_command('run', source, *options, '--out', folder.path)}"
    return f"start it anew with the command that it was begun with, and --out {quote_word(folder.path)}"


def open_snapshot(checkpoint: Book, folder: RunFolder, settings: Settings) -> Manifest:
    """Open the manifest of the run's last intake in the form of that time. NotFoundError before the first intake.

    A run of the first edition kept no form: the form of its copy is detected with the sheet's name, as at its intake.
    """
    snapshot = folder.find_snapshot()
    if snapshot is None:
        raise NotFoundError(
            f"the run in {folder.path} has no copy of its manifest", hint=explain_how_to_start(checkpoint, folder)
        )
    if form := read_fact(checkpoint, FORM_META, Form.load, None):
        return reopen_manifest(snapshot, form, snapshot.name, pictures=find_pictures_folder())
    name = Path(checkpoint.get("source") or snapshot).name
    manifest = open_source(snapshot, settings, name, header_row=0)
    if find_id_column(settings.id, manifest.columns):
        return manifest
    return reopen_manifest(snapshot, replace(manifest.form, ids_by_index=True), name, pictures=find_pictures_folder())


def read_form_of_run(checkpoint: Book, folder: RunFolder) -> Form:
    """The form of the run's sheet, for its row numbers. A run of the first edition kept no form: its copy is read, and if
    that fails, its rows are numbered by their position.
    """
    if form := read_fact(checkpoint, FORM_META, Form.load, None):
        return form
    try:
        return open_snapshot(checkpoint, folder, Settings.load(checkpoint.get("settings") or "{}")).form
    except BatcheditError:
        return Form(FormKind.FRAME)
