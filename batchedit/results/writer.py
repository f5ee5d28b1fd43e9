"""The enriched manifest: the user's rows as they were, the result columns after them, one line per outcome.

Rows and outcomes are streamed together, both in order of row. The file gets its final name only when complete: the
lines go to ``.part`` in the same folder, which is flushed, synced and renamed.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar, cast

from ..core.columns import RESULT_COLUMNS, STATUS
from ..core.errors import ManifestError, OutputError
from ..core.model import Outcome
from ..disk import create, replace_atomically
from ..manifest.cells import to_cell_text, to_json_text
from ..manifest.jsonl import JsonlManifest, is_object, remove_our_keys
from ..manifest.rownames import describe_row
from ..manifest.rows import BadRow, Form, FormKind, Manifest, Row
from .columns import build_result_columns, to_csv_cells, to_json_object

__all__ = ["RESULT_COLUMNS", "write_results"]

Only = Callable[[str], bool]
AnyRow = TypeVar("AnyRow", Row | BadRow, tuple[int, str])
Pair = tuple[AnyRow, Outcome]
Pairs = Iterable[tuple[Row | BadRow, Outcome]]


def write_results(
    manifest: Manifest,
    outcomes: Iterable[Outcome],
    path: Path,
    *,
    form: Form | None = None,
    only: Only | None = None,
    added: tuple[str, ...] = (),
    pictures: Path | None = None,
    warn: Callable[[str], None] | None = None,
) -> int:
    """Write one line per outcome to ``path`` and return how many.

    ``outcomes`` are sorted by row. ``form`` is the manifest's own unless given; a name in ``.gz`` is compressed.
    ``only`` chooses lines by their ``result_status``. ``added`` are the columns that ``Outcome.over`` fills.
    ``pictures`` is the run's folder if an Excel workbook is to show its pictures in small. ``warn`` is called with what
    the form can't hold.
    ManifestError, with the old file left as it was, if the rows are not those that the outcomes were made from;
    OutputError if the file can't be written.
    """
    form = form or manifest.form
    form = replace(form, kind=FormKind.CSV) if form.kind is FormKind.FRAME else form
    added = tuple(column for column in added if column not in manifest.columns) if added else ()
    with _write_whole(path) as part:
        if form.kind is FormKind.JSONL and isinstance(manifest, JsonlManifest):
            with _open_text(part, path, form) as file:
                return _extend_jsonl(manifest, _pair_rows(manifest, manifest.read_lines(), outcomes, only), file, form)
        pairs = _pair_rows(manifest, manifest.rows(), outcomes, only)
        if form.kind in {FormKind.XLSX, FormKind.PARQUET}:
            from .tables import write_table  # noqa: PLC0415 - a CSV run loads no tables
            from .workbook import TextCutter  # noqa: PLC0415 - as above

            cutter = TextCutter()
            count = write_table(
                manifest, pairs, part, form, added, whole=only is None, pictures=pictures, cutter=cutter
            )
            if warn is not None and (warning := cutter.describe_cuts(manifest.form)):
                warn(warning)
            return count
        with _open_text(part, path, form) as file:
            if form.kind is FormKind.JSONL:
                return _write_jsonl(manifest, pairs, file, form)
            if _can_copy_text(manifest, form) and not added:
                return _append_csv(manifest, pairs, file, form)
            return _write_csv(manifest, pairs, file, form, added)


def _pair_rows(
    manifest: Manifest, rows: Iterator[AnyRow], outcomes: Iterable[Outcome], is_chosen: Only | None
) -> Iterator[Pair[AnyRow]]:
    """Yield each outcome with its row. ManifestError where a row has no outcome or an outcome no row."""
    row: AnyRow | None = None
    number = 0
    for outcome in outcomes:
        if outcome.row != number:
            row = next(rows, None)
            if row is None or row[0] != outcome.row:
                raise _build_changed_error(manifest, outcome.row if row is None else min(row[0], outcome.row))
            number = row[0]
        assert row is not None
        if is_chosen is None or is_chosen(STATUS[outcome.state]):
            yield row, outcome
    unmatched = next(rows, None)
    if unmatched is not None:
        raise _build_changed_error(manifest, unmatched[0])


def _build_changed_error(manifest: Manifest, index: int) -> ManifestError:
    return ManifestError(
        f"the manifest is no longer the one that this run took in: they differ from {describe_row(manifest.form, index)} on",
        hint="Run the same command again: rows that are already bought are not bought twice.",
    )


@contextmanager
def _write_whole(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` if the block succeeds and is removed if not."""
    try:
        with replace_atomically(path) as part:
            yield part
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


_AS_READ = "batchedit-as-read"


def _restore_byte(error: UnicodeError) -> tuple[str | bytes, int]:
    """For ``codecs``: a byte that ``open_text`` passed as a lone surrogate becomes that byte, anything else an escape."""
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error(_AS_READ, _restore_byte)


@contextmanager
def _open_text(part: Path, path: Path, form: Form) -> Iterator[TextIO]:
    """A text file in the form's encoding. What it can't encode of *ours* becomes an escape; the user's cells fit, and bytes
    of theirs that are no text in it are written as they were read.
    """
    with create(part) as raw_file, io.BufferedWriter(raw_file, 2**20) as buffered:
        compressed = (
            cast("BinaryIO", gzip.GzipFile("", "wb", fileobj=buffered, mtime=0)) if path.suffix == ".gz" else None
        )
        errors = "strict" if form.encoding.startswith(("utf-16", "utf-32")) else _AS_READ
        with io.TextIOWrapper(
            compressed or buffered, encoding=form.encoding, errors=errors, newline="", write_through=False
        ) as file:
            if form.bom:
                file.write("\ufeff")
            yield file
            file.flush()


def _can_copy_text(manifest: Manifest, form: Form) -> bool:
    """Whether the records' text can be copied: CSV to CSV, the same delimiter, no result columns in it yet."""
    same = manifest.form.kind is FormKind.CSV and manifest.form.delimiter == form.delimiter
    return same and not getattr(manifest, "dropped", False)


def _append_csv(manifest: Any, pairs: Pairs, file: TextIO, form: Form) -> int:
    write, delimiter, newline, as_record = file.write, form.delimiter, form.newline, _make_recorder(form)
    write(manifest.preamble + delimiter + delimiter.join(RESULT_COLUMNS) + newline)
    count = 0
    for row, outcome in pairs:
        text = row.raw if isinstance(row, Row) else as_record(_split_bad_row(row, manifest))
        write(text + to_csv_cells(build_result_columns(outcome, manifest.form), delimiter) + newline)
        count += 1
    return count


def _write_csv(manifest: Manifest, pairs: Pairs, file: TextIO, form: Form, added: tuple[str, ...]) -> int:
    columns, as_record = manifest.columns, _make_recorder(form)
    head = as_record([*columns, *added])
    file.write(head + form.delimiter + form.delimiter.join(RESULT_COLUMNS) + form.newline)
    count = 0
    for row, outcome in pairs:
        if isinstance(row, Row):
            cells = {**row.cells, **json.loads(outcome.over)} if outcome.over else row.cells
            record = [to_cell_text(cells.get(column)) for column in columns]
            record += [to_cell_text(cells.get(column)) for column in added]
        else:
            record = _split_bad_row(row, manifest) + [""] * len(added)
        file.write(
            as_record(record)
            + to_csv_cells(build_result_columns(outcome, manifest.form), form.delimiter)
            + form.newline
        )
        count += 1
    return count


def _split_bad_row(row: BadRow, manifest: Manifest) -> list[str]:
    """A row that is too short is filled with empty cells; any other is kept whole in the first column: nothing is lost."""
    width, raw = len(manifest.columns), row.raw.replace("\0", "")
    if manifest.form.kind is FormKind.CSV and not getattr(manifest, "dropped", False):
        try:
            (cells,) = csv.reader(io.StringIO(raw, newline=""), delimiter=manifest.form.delimiter, strict=True)
        except (csv.Error, ValueError):
            cells = []
        if 0 < len(cells) < width:
            return cells + [""] * (width - len(cells))
    return [raw, *[""] * (width - 1)]


class _Echo:
    """A file for ``csv.writer`` that returns what is written."""

    @staticmethod
    def write(text: str) -> str:
        return text


def _make_recorder(form: Form) -> Callable[[list[str]], str]:
    """A function from cells to a record without its line end. The writer must know both of its letters to quote them."""
    writerow = csv.writer(_Echo(), delimiter=form.delimiter, lineterminator="\r\n").writerow
    return lambda cells: str(writerow(cells))[:-2]


def _extend_jsonl(
    manifest: Manifest, pairs: Iterable[tuple[tuple[int, str], Outcome]], file: TextIO, form: Form
) -> int:
    """Add the result keys to the objects as they were written. Only an invalid row may be no object."""
    write, newline = file.write, form.newline
    count = 0
    for (number, raw), outcome in pairs:
        text = raw
        if outcome.state == "invalid" and not is_object(raw):
            text = _format_object(BadRow(number, "", raw))
        elif '"result_' in raw:
            text = remove_our_keys(raw)
        write(_add_columns(text, outcome, manifest) + newline)
        count += 1
    return count


def _write_jsonl(manifest: Manifest, pairs: Pairs, file: TextIO, form: Form) -> int:
    count = 0
    for row, outcome in pairs:
        file.write(_add_columns(_format_object(row), outcome, manifest) + form.newline)
        count += 1
    return count


def _add_columns(text: str, outcome: Outcome, manifest: Manifest) -> str:
    result_text = to_json_object(build_result_columns(outcome, manifest.form))[1:-1].decode()
    if outcome.over:
        text = _join_object(text, outcome.over[1:-1])
    return _join_object(text, result_text)


def _join_object(text: str, inside: str) -> str:
    body = text[:-1].rstrip()
    return f"{body}{inside}}}" if body == "{" else f"{body},{inside}}}"


def _format_object(row: Row | BadRow) -> str:
    """The cells of another form as an object; an unreadable record whole, under one key."""
    if isinstance(row, BadRow):
        return to_json_text({"unreadable": row.raw.encode(errors="backslashreplace").decode()})
    return to_json_text(row.cells)
