"""A file becomes a Manifest, whatever spreadsheet it came out of. Every reader is behind ``open_manifest``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ManifestError, NotFoundError, UsageError
from .csvfile import CsvManifest, readable
from .jsonl import JsonlManifest
from .nearest import listed, nearest
from .rows import BadRow, Form, FormKind, Manifest, Row
from .sniff import sniff_encoding, sniff_kind, sniff_layout

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BadRow", "Form", "FormKind", "Manifest", "Row", "manifest_from_frame", "open_manifest"]


def open_manifest(
    source: Path, *, encoding: str | None = None, delimiter: str | None = None, sheet: str | None = None, name: str = ""
) -> Manifest:
    """The table in ``source``, ready to be read any number of times.

    ``encoding``, ``delimiter`` and ``sheet`` override what would be found out. ``name`` stands for the file in
    messages and for its suffix, where ``source`` is a copy of standard input. NotFoundError for a missing file,
    ManifestError for one that is no table with rows, UsageError for an override that makes no sense.
    """
    name = name or source.name
    _must_be_file(source)
    with readable(name):
        form = sniff_kind(source, name)
        if form.kind in {FormKind.XLSX, FormKind.PARQUET}:
            manifest = _typed(source, replace(form, delimiter=",", sheet=sheet or ""), name)
        else:
            manifest = _text(source, form, encoding, delimiter, name)
        if next(iter(manifest.rows()), None) is None:
            raise ManifestError(
                f"{name} has no rows of data", hint="Put one row for each picture below the column names."
            )
    return manifest


def manifest_from_frame(frame: pd.DataFrame) -> Manifest:
    """A DataFrame as a manifest: missing values are empty cells, numpy scalars plain values, Timestamps ISO text."""
    from .sheets import FrameManifest  # noqa: PLC0415 - a CSV run loads no tables

    manifest = FrameManifest(frame)
    if next(iter(manifest.rows()), None) is None:
        raise ManifestError("the DataFrame has no rows")
    return manifest


def _text(source: Path, form: Form, encoding: str | None, delimiter: str | None, name: str) -> Manifest:
    form, note = sniff_encoding(source, form, encoding, name)
    form = sniff_layout(source, form, delimiter)
    notes = (f"{name}: {note}",) if note else ()
    return (
        JsonlManifest(source, form, name, notes)
        if form.kind is FormKind.JSONL
        else CsvManifest(source, form, name, notes)
    )


def _typed(source: Path, form: Form, name: str) -> Manifest:
    from .sheets import ParquetManifest, XlsxManifest  # noqa: PLC0415 - a CSV run loads no tables

    return XlsxManifest(source, form, name) if form.kind is FormKind.XLSX else ParquetManifest(source, form, name)


def _must_be_file(source: Path) -> None:
    if source.is_dir():
        tables = sorted(path.name for path in source.iterdir() if path.suffix.lower() in {".csv", ".jsonl", ".xlsx"})
        hint = f"Tables in it: {listed(tables, 'and')}." if tables else "batchedit init makes a manifest from a folder."
        raise ManifestError(f"{source} is a folder, not a manifest", hint=hint)
    if not source.exists():
        near = nearest(source.name, [path.name for path in source.parent.iterdir()]) if source.parent.is_dir() else ""
        raise NotFoundError(f"there is no file {source}", hint=f"Did you mean {source.parent / near}?" if near else "")
    if not source.is_file():
        raise UsageError(f"{source} is no regular file", hint="Copy it to a file first.")
