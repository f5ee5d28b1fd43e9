"""The enriched manifest: the user's rows as they were, our columns behind, one line an outcome.

Rows and outcomes stream side by side, both in order of row. Nothing stands under the final name until it is whole: the
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

from ..core.columns import RESULT_COLUMNS
from ..core.errors import ManifestError, OutputError
from ..core.model import Outcome
from ..disk import create, replace_atomically
from ..manifest.cells import to_json_text, to_cell_text
from ..manifest.jsonl import JsonlManifest, is_object, remove_our_keys
from ..manifest.rownames import describe_row
from ..manifest.rows import BadRow, Form, FormKind, Manifest, Row
from .columns import STATUS, csv_cells, json_object, named

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
    """Write one line an outcome to ``path`` and return how many.

    ``outcomes`` are sorted by row. ``form`` is the manifest's own unless given; a name in ``.gz`` is compressed.
    ``only`` chooses lines by their ``result_status``. ``added`` are the columns that ``Outcome.over`` fills.
    ``pictures`` is the run's folder if an Excel workbook is to show its pictures in small. ``warn`` is told what
    the form can't hold.
    ManifestError, with the old file left as it was, if the rows are not those that the outcomes were made from;
    OutputError if the file can't be written.
    """
    form = form or manifest.form
    form = replace(form, kind=FormKind.CSV) if form.kind is FormKind.FRAME else form
    added = tuple(column for column in added if column not in manifest.columns) if added else ()
    with _whole(path) as part:
        if form.kind is FormKind.JSONL and isinstance(manifest, JsonlManifest):
            with _text(part, path, form) as file:
                return _extend_jsonl(manifest, _side_by_side(manifest, manifest.read_lines(), outcomes, only), file, form)
        pairs = _side_by_side(manifest, manifest.rows(), outcomes, only)
        if form.kind in {FormKind.XLSX, FormKind.PARQUET}:
            from .tables import write_table  # noqa: PLC0415 - a CSV run loads no tables
            from .workbook import Scissors  # noqa: PLC0415 - as above

            scissors = Scissors()
            count = write_table(
                manifest, pairs, part, form, added, whole=only is None, pictures=pictures, scissors=scissors
            )
            if warn is not None and (told := scissors.told(manifest.form)):
                warn(told)
            return count
        with _text(part, path, form) as file:
            if form.kind is FormKind.JSONL:
                return _write_jsonl(manifest, pairs, file, form)
            if _keeps_text(manifest, form) and not added:
                return _append_csv(manifest, pairs, file, form)
            return _write_csv(manifest, pairs, file, form, added)


def _side_by_side(
    manifest: Manifest, rows: Iterator[AnyRow], outcomes: Iterable[Outcome], only: Only | None
) -> Iterator[Pair[AnyRow]]:
    """Each outcome with its row. ManifestError where a row has no outcome or an outcome no row."""
    row: AnyRow | None = None
    number = 0
    for outcome in outcomes:
        if outcome.row != number:
            row = next(rows, None)
            if row is None or row[0] != outcome.row:
                raise _changed(manifest, outcome.row if row is None else min(row[0], outcome.row))
            number = row[0]
        assert row is not None
        if only is None or only(STATUS[outcome.state]):
            yield row, outcome
    extra = next(rows, None)
    if extra is not None:
        raise _changed(manifest, extra[0])


def _changed(manifest: Manifest, index: int) -> ManifestError:
    return ManifestError(
        f"the manifest is no longer the one that this run took in: they differ from {describe_row(manifest.form, index)} on",
        hint="Run the same command again: rows that are already bought are not bought twice.",
    )


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``path`` if all goes well and is removed if not."""
    try:
        with replace_atomically(path) as part:
            yield part
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


_AS_READ = "batchedit-as-read"


def _as_read(error: UnicodeError) -> tuple[str | bytes, int]:
    """For ``codecs``: a byte that ``open_text`` handed on as half a character is that byte again, anything else an escape."""
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error(_AS_READ, _as_read)


@contextmanager
def _text(part: Path, path: Path, form: Form) -> Iterator[TextIO]:
    """A text file in the form's encoding. What it can't hold of *ours* becomes an escape; the user's cells fit, and bytes of
    theirs that are no text in it are written as they were read.
    """
    with create(part) as bare, io.BufferedWriter(bare, 2**20) as raw:
        packed = cast("BinaryIO", gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if path.suffix == ".gz" else None
        errors = "strict" if form.encoding.startswith(("utf-16", "utf-32")) else _AS_READ
        with io.TextIOWrapper(
            packed or raw, encoding=form.encoding, errors=errors, newline="", write_through=False
        ) as file:
            if form.bom:
                file.write("\ufeff")
            yield file
            file.flush()


def _keeps_text(manifest: Manifest, form: Form) -> bool:
    """Whether the records' own text can be copied: CSV to CSV with one delimiter and none of our columns in it."""
    same = manifest.form.kind is FormKind.CSV and manifest.form.delimiter == form.delimiter
    return same and not getattr(manifest, "dropped", False)


def _append_csv(manifest: Any, pairs: Pairs, file: TextIO, form: Form) -> int:
    write, delimiter, newline, record = file.write, form.delimiter, form.newline, _recorder(form)
    write(manifest.preamble + delimiter + delimiter.join(RESULT_COLUMNS) + newline)
    count = 0
    for row, outcome in pairs:
        raw = row.raw if isinstance(row, Row) else record(_bad_cells(row, manifest))
        write(raw + csv_cells(named(outcome, manifest.form), delimiter) + newline)
        count += 1
    return count


def _write_csv(manifest: Manifest, pairs: Pairs, file: TextIO, form: Form, added: tuple[str, ...]) -> int:
    columns, as_record = manifest.columns, _recorder(form)
    head = as_record([*columns, *added])
    file.write(head + form.delimiter + form.delimiter.join(RESULT_COLUMNS) + form.newline)
    count = 0
    for row, outcome in pairs:
        if isinstance(row, Row):
            cells = {**row.cells, **json.loads(outcome.over)} if outcome.over else row.cells
            record = [to_cell_text(cells.get(column)) for column in columns]
            record += [to_cell_text(cells.get(column)) for column in added]
        else:
            record = _bad_cells(row, manifest) + [""] * len(added)
        file.write(as_record(record) + csv_cells(named(outcome, manifest.form), form.delimiter) + form.newline)
        count += 1
    return count


def _bad_cells(row: BadRow, manifest: Manifest) -> list[str]:
    """A row that is too short gets empty cells behind; any other stands whole in the first column: nothing is lost."""
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
    """A file for ``csv.writer`` that hands back what is written."""

    @staticmethod
    def write(text: str) -> str:
        return text


def _recorder(form: Form) -> Callable[[list[str]], str]:
    """Turns cells into a record without its line end. The writer must know both of its letters to quote them."""
    writerow = csv.writer(_Echo(), delimiter=form.delimiter, lineterminator="\r\n").writerow
    return lambda cells: str(writerow(cells))[:-2]


def _extend_jsonl(
    manifest: Manifest, pairs: Iterable[tuple[tuple[int, str], Outcome]], file: TextIO, form: Form
) -> int:
    """Our keys behind the objects as they were written. Only an invalid row can be no object."""
    write, newline = file.write, form.newline
    count = 0
    for (number, raw), outcome in pairs:
        user = raw
        if outcome.state == "invalid" and not is_object(raw):
            user = _object_text(BadRow(number, "", raw))
        elif '"result_' in raw:
            user = remove_our_keys(raw)
        write(_with_ours(user, outcome, manifest) + newline)
        count += 1
    return count


def _write_jsonl(manifest: Manifest, pairs: Pairs, file: TextIO, form: Form) -> int:
    count = 0
    for row, outcome in pairs:
        file.write(_with_ours(_object_text(row), outcome, manifest) + form.newline)
        count += 1
    return count


def _with_ours(user: str, outcome: Outcome, manifest: Manifest) -> str:
    ours = json_object(named(outcome, manifest.form))[1:-1].decode()
    if outcome.over:
        user = _joined(user, outcome.over[1:-1])
    return _joined(user, ours)


def _joined(text: str, inside: str) -> str:
    body = text[:-1].rstrip()
    return f"{body}{inside}}}" if body == "{" else f"{body},{inside}}}"


def _object_text(row: Row | BadRow) -> str:
    """Cells that came from elsewhere as an object; an unreadable record whole, under one key."""
    if isinstance(row, BadRow):
        return to_json_text({"unreadable": row.raw.encode(errors="backslashreplace").decode()})
    return to_json_text(row.cells)
