"""The files a run leaves behind: the enriched manifest in its forms, what failed, what is in doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .checkpoint.sqlite import SqliteCheckpoint
from .core.errors import NotFoundError, OutputError
from .manifest.read import Form, FormKind
from .manifest.results import write_results
from .planning import open_source
from .runfolder import RunFolder
from .settings import Settings

FAILED = frozenset({"failed", "invalid", "cancelled"})
"""What ``failed.csv`` holds, by ``result_status``."""


def write_all(checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings) -> None:
    """``results.csv``, ``results.jsonl``, ``failed.csv``, ``in_doubt.csv``, if anything changed since last time."""
    mark = checkpoint.change_mark()
    if (
        checkpoint.get("results_written") == mark
        and folder.results("csv").exists()
        and folder.results("jsonl").exists()
    ):
        return
    snapshot = folder.snapshot()
    if snapshot is None:
        return
    manifest = open_source(snapshot, settings, snapshot.name)
    added = tuple(settings.over)
    for kind in (FormKind.CSV, FormKind.JSONL):
        write_results(
            manifest, checkpoint.outcomes(), folder.results(kind), form=form_as(manifest.form, kind), added=added
        )
    csv = form_as(manifest.form, FormKind.CSV)
    for path, only in ((folder.failed, FAILED.__contains__), (folder.in_doubt, {"in_doubt"}.__contains__)):
        if not write_results(manifest, checkpoint.outcomes(), path, form=csv, only=only, added=added):
            path.unlink()
    checkpoint.put("results_written", mark)


def form_as(form: Form, kind: FormKind) -> Form:
    """The manifest's form if it is of ``kind``, else that kind's plain one."""
    if form.kind is kind:
        return replace(form, compression="")
    return Form(kind)


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
