"""Opens a file as a Manifest, whatever its form. ``open_manifest`` chooses the reader."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ManifestError, NotFoundError, UsageError
from ..core.shell_commands import format_command, quote_word
from .csvfile import CsvManifest, convert_read_errors
from .jsonl import JsonlManifest
from .nearest import find_nearest, join_names
from .rows import BadRow, Form, FormKind, Manifest, Row
from .sniff import choose_ending, sniff_encoding, sniff_kind, sniff_layout

if TYPE_CHECKING:
    import pandas as pd

_WEB_ADDRESS = re.compile(r"(https?:)[/\\]+(.+)", re.IGNORECASE | re.DOTALL).match  # pathlib turns two slashes into one

__all__ = [
    "BadRow",
    "Form",
    "FormKind",
    "Manifest",
    "Row",
    "choose_ending",
    "manifest_from_frame",
    "open_manifest",
    "reopen_manifest",
]


def open_manifest(
    source: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
    header_row: int | None = None,
    visible_only: bool = False,
    pictures: Path | None = None,
    name: str = "",
) -> Manifest:
    """Open the table in ``source``. It can be read any number of times.

    ``encoding``, ``delimiter``, ``sheet`` and ``header_row`` (from 1; 0: as the first edition read it) override what is
    detected. ``visible_only`` leaves a workbook's hidden rows out. ``pictures`` is the folder that the pictures in its cells
    are written to. ``name`` replaces the file's name in messages and for its suffix, where ``source`` is a copy of standard
    input.

    NotFoundError for a missing file, ManifestError for a file that is no table with rows, UsageError for an impossible
    override.
    """
    name = name or source.name
    _check_is_file(source)
    with convert_read_errors(name):
        form = sniff_kind(source, name)
        if form.kind in {FormKind.XLSX, FormKind.PARQUET}:
            form = replace(form, delimiter=",", sheet=sheet or "", visible_only=visible_only)
            manifest = _open_typed_manifest(source, form, name, header_row, pictures)
        else:
            manifest = _open_text_manifest(source, form, encoding, delimiter, name, header_row)
        if header_row and not manifest.form.header_row:
            raise UsageError(f"{name} has no header row", hint="Leave --header-row out.")
        if next(iter(manifest.rows()), None) is None:
            raise ManifestError(
                f"{name} has no rows of data", hint="Put one row for each picture below the column names."
            )
    return manifest


def reopen_manifest(source: Path, form: Form, name: str, *, pictures: Path | None = None) -> Manifest:
    """Open a file whose ``form`` was detected before, without detecting it again."""
    with convert_read_errors(name):
        if form.kind in {FormKind.XLSX, FormKind.PARQUET}:
            return _open_typed_manifest(source, form, name, form.header_row, pictures)
        if form.kind is FormKind.JSONL:
            return JsonlManifest(source, form, name)
        return CsvManifest(source, form, name, header_row=form.header_row)


def manifest_from_frame(frame: pd.DataFrame) -> Manifest:
    """A DataFrame as a manifest: missing values are empty cells, numpy scalars Python values, Timestamps ISO text."""
    from .typed_tables import FrameManifest  # noqa: PLC0415 - a CSV run loads no tables

    manifest = FrameManifest(frame)
    if next(iter(manifest.rows()), None) is None:
        raise ManifestError("the DataFrame has no rows")
    return manifest


def _open_text_manifest(
    source: Path, form: Form, encoding: str | None, delimiter: str | None, name: str, header_row: int | None
) -> Manifest:
    form, note = sniff_encoding(source, form, encoding, name)
    form = sniff_layout(source, form, delimiter)
    notes = (f"{name}: {note}",) if note else ()
    return (
        JsonlManifest(source, form, name, notes)
        if form.kind is FormKind.JSONL
        else CsvManifest(source, form, name, notes, header_row=header_row)
    )


def _open_typed_manifest(
    source: Path, form: Form, name: str, header_row: int | None, pictures: Path | None
) -> Manifest:
    from .typed_tables import ParquetManifest, XlsxManifest  # noqa: PLC0415 - a CSV run loads no tables

    if form.kind is FormKind.XLSX:
        return XlsxManifest(source, form, name, header_row=header_row, pictures=pictures)
    return ParquetManifest(source, form, name)


def _check_is_file(source: Path) -> None:
    if source.is_dir():
        tables = _list_tables(source)
        hint = (
            f"Tables in it: {join_names(tables, 'and')}."
            if tables
            else f"To make a manifest of its pictures: {format_command('init', source)}"
        )
        raise ManifestError(f"{source} is a folder, not a manifest", hint=hint)
    if not source.exists():
        if address := _WEB_ADDRESS(str(source)):
            raise NotFoundError(
                f"{address.group(1)}//{address.group(2)} is a link, and a manifest is a file on this machine",
                hint="download the sheet first (Google Sheets: File, Download, Comma-separated values), then name the file",
            )
        raise NotFoundError(f"there is no file {source}", hint=_suggest_file(source.parent, source.name))
    if not source.is_file():
        raise UsageError(f"{source} is no regular file", hint="Copy it to a file first.")


def _list_tables(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in {".csv", ".jsonl", ".xlsx"})


def _suggest_file(folder: Path, name: str) -> str:
    """A hint for the file ``name``, which is not in ``folder``."""
    if not folder.is_dir():
        return f"There is no folder {folder} either."
    if suggestion := find_nearest(name, [path.name for path in folder.iterdir()]):
        return f"Did you mean {quote_word(folder / suggestion)}?"
    if tables := _list_tables(folder):
        return f"Tables in {quote_word(folder.absolute())}: {join_names(map(quote_word, tables), 'and')}."
    return (
        f"There is no table in {folder.absolute()}. For one to begin with: {format_command('template', '--examples')}"
    )
