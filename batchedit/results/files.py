"""The files a run leaves behind: the enriched manifest in its forms, what failed, what is in doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from ..core.errors import NotFoundError, OutputError
from ..ledger.sqlite import SqliteCheckpoint
from ..manifest.read import Form, FormKind
from ..planning.intake import open_source
from ..run_folder import RunFolder
from ..settings.model import Settings
from .writer import write_results

FAILED = frozenset({"failed", "invalid", "cancelled"})
"""What ``failed.csv`` holds, by ``result_status``."""


def one_writer(folder: RunFolder) -> FileLock:
    """``results`` may be typed while a run finishes: they take turns at the files, the second one waits."""
    return FileLock(folder.path / ".results.lock")


def write_all(checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings) -> None:
    """``results.csv``, ``results.jsonl``, ``failed.csv``, ``in_doubt.csv``, if anything changed since last time."""
    mark = checkpoint.change_mark()
    snapshot = folder.snapshot()
    if snapshot is None:
        return
    kinds = {FormKind.CSV, FormKind.JSONL, *([FormKind(settings.format)] if settings.format else _own_kind(snapshot))}
    if checkpoint.get("results_written") == mark and all(folder.results(kind).exists() for kind in kinds):
        return
    with one_writer(folder):
        _write_kinds(checkpoint, folder, settings, snapshot, kinds)
    checkpoint.put("results_written", mark)


def _write_kinds(
    checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings, snapshot: Path, kinds: set[FormKind]
) -> None:
    manifest = open_source(snapshot, settings, snapshot.name)
    added = tuple(settings.over)
    for kind in sorted(kinds):
        write_results(
            manifest, checkpoint.outcomes(), folder.results(kind), form=form_as(manifest.form, kind), added=added
        )
    csv = form_as(manifest.form, FormKind.CSV)
    for path, only, any_ in (
        (folder.failed, FAILED.__contains__, anything_failed(checkpoint)),
        (folder.in_doubt, {"in_doubt"}.__contains__, bool(checkpoint.money().doubts)),
    ):
        if not any_:
            path.unlink(missing_ok=True)
        elif not write_results(manifest, checkpoint.outcomes(), path, form=csv, only=only, added=added):
            path.unlink()


def anything_failed(checkpoint: SqliteCheckpoint) -> bool:
    """Whether any line belongs into ``failed.csv``. A line may ask for a job that ``--limit`` leaves out."""
    ((found,),) = checkpoint.rows(
        "SELECT EXISTS (SELECT 1 FROM lines WHERE job IS NULL) "
        "OR EXISTS (SELECT 1 FROM jobs WHERE state NOT IN ('planned', 'done') AND state IN ('failed', 'cancelled'))"
    )
    return bool(found)


def _own_kind(snapshot: Path) -> list[FormKind]:
    """Excel and Parquet manifests get their results in the same form, beside the two that every run has."""
    return [kind for kind in (FormKind.XLSX, FormKind.PARQUET) if snapshot.suffix == f".{kind}"]


def form_as(form: Form, kind: FormKind) -> Form:
    """The manifest's form if it is of ``kind``, else that kind's plain one.

    CSV gets a byte order mark where Excel would otherwise take its letters for others.
    """
    if form.kind is kind:
        unmarked = form.encoding.startswith("utf-16") or (form.encoding == "utf-8" and not form.ascii)
        return replace(form, compression="", bom=form.bom or (kind is FormKind.CSV and unmarked))
    return Form(kind, bom=kind is FormKind.CSV)


def write_one(
    checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings, kind: str | None, to: Path | None
) -> Path:
    """The enriched manifest in its own form or ``kind``; returns where it is. NotFoundError before the first intake."""
    snapshot = folder.snapshot()
    if snapshot is None:
        raise NotFoundError(f"the run in {folder.path} never took a manifest in", hint="start it with batchedit run")
    manifest = open_source(snapshot, settings, snapshot.name)
    chosen = FormKind(kind) if kind else manifest.form.kind
    path = to or folder.results(chosen.value)
    form = form_as(manifest.form, chosen)
    with one_writer(folder):
        write_results(manifest, checkpoint.outcomes(), path, form=form, added=tuple(settings.over))
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` under another name, then rename. OutputError if that can't be done."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
