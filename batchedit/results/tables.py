"""Results as Parquet, Excel and DataFrames. Libraries are imported where they are used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.columns import RESULT_COLUMNS
from ..core.errors import OutputError
from ..core.model import Outcome
from ..manifest.cells import to_json_text, to_cell_text
from ..manifest.rows import BadRow, Form, FormKind, Manifest, Number, Row
from ..manifest.sheets import FrameManifest, ParquetManifest, XlsxManifest, load_parquet
from .columns import named, typed
from .workbook import Scissors, extend_workbook

if TYPE_CHECKING:
    import pandas as pd

_GROUP = 10_000
_SHEET_ROWS = 1_048_576
_INTEGERS = {"result_row", "result_variant", "result_version", "result_bytes", "result_width", "result_height"}
_FLOATS = {"result_cost_usd", "result_seconds"}


def write_table(
    manifest: Manifest,
    pairs: Iterable[tuple[Row | BadRow, Outcome]],
    path: Path,
    form: Form,
    added: tuple[str, ...],
    *,
    whole: bool,
    pictures: Path | None,
    scissors: Scissors,
) -> int:
    """Parquet or xlsx to ``path``; how many lines it holds. ``whole``: all lines are wanted, so a workbook comes back as it
    was; ``pictures`` as of ``extend_workbook``. ``scissors`` cut what no cell of Excel can hold.
    """
    if form.kind is FormKind.XLSX and whole and isinstance(manifest, XlsxManifest):
        count = extend_workbook(manifest, pairs, path, added, pictures, scissors)
        if count is not None:
            return count
    columns = (*manifest.columns, *added)
    if form.kind is FormKind.PARQUET and isinstance(manifest, ParquetManifest):
        return _extended(manifest, pairs, path, added)
    if form.kind is FormKind.PARQUET:
        return _parquet((_line(row, outcome, columns, manifest.form) for row, outcome in pairs), columns, path)

    def lines() -> Iterator[tuple[list[Any], dict[str, Any]]]:
        for row, outcome in pairs:
            scissors.at(outcome)
            yield _line(row, outcome, columns, manifest.form)

    return _xlsx(lines(), columns, path, scissors)


def _line(
    row: Row | BadRow, outcome: Outcome, columns: tuple[str, ...], form: Form
) -> tuple[list[Any], dict[str, Any]]:
    if type(row) is not Row:
        return [row.raw.encode(errors="backslashreplace").decode(), *[None] * (len(columns) - 1)], typed(
            named(outcome, form)
        )
    cells = {**row.cells, **json.loads(outcome.over)} if outcome.over else row.cells
    return [cells.get(column) for column in columns], typed(named(outcome, form))


def _our_fields(pa: Any) -> list[Any]:
    kinds = dict.fromkeys(_INTEGERS, pa.int64()) | dict.fromkeys(_FLOATS, pa.float64())
    kinds["result_files"] = pa.list_(pa.string())
    return [pa.field(name, kinds.get(name, pa.string())) for name in RESULT_COLUMNS]


def _parquet(lines: Iterator[tuple[list[Any], dict[str, Any]]], columns: tuple[str, ...], path: Path) -> int:
    """The user's columns are text, ours have types."""
    pa, parquet = load_parquet()
    schema = pa.schema([*(pa.field(name, pa.string()) for name in columns), *_our_fields(pa)])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(lines, _GROUP)):
            users = zip(*(cells for cells, _ in group), strict=True)
            data = [[None if cell is None else to_cell_text(cell) for cell in column] for column in users]
            data += [[result[name] for _, result in group] for name in RESULT_COLUMNS]
            arrays = [pa.array(column, field.type) for column, field in zip(data, schema, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
            count += len(group)
    return count


def _extended(
    manifest: ParquetManifest, pairs: Iterable[tuple[Row | BadRow, Outcome]], path: Path, added: tuple[str, ...]
) -> int:
    """A Parquet manifest's own columns keep their types and values to the last bit: rows are taken, not rewritten."""
    pa, parquet = load_parquet()
    more = [pa.field(name, pa.string()) for name in added] + _our_fields(pa)
    count, start, waiting = 0, 0, iter(pairs)
    pair = next(waiting, None)
    with manifest.open_batches() as (schema, batches):
        whole = pa.schema([*(schema.field(place) for place in manifest.positions), *more])
        with parquet.ParquetWriter(path, whole, compression="zstd") as writer:
            for batch in batches:
                places: list[int] = []
                lines: list[dict[str, Any]] = []
                while pair is not None and pair[0].number <= start + batch.num_rows:
                    places.append(pair[0].number - 1 - start)
                    over = json.loads(pair[1].over) if pair[1].over else {}
                    lines.append({**{name: over.get(name) for name in added}, **typed(named(pair[1], manifest.form))})
                    pair = next(waiting, None)
                start += batch.num_rows
                taken = batch.select(list(manifest.positions)).take(pa.array(places, pa.int64()))
                arrays = [*taken.columns, *(pa.array([line[f.name] for line in lines], f.type) for f in more)]
                writer.write_table(pa.table(arrays, schema=whole))
                count += len(places)
    return count


def _xlsx(
    lines: Iterator[tuple[list[Any], dict[str, Any]]], columns: tuple[str, ...], path: Path, scissors: Scissors
) -> int:
    """All cells of the user's as text, so that ``007`` and ``=A1`` stay what they were."""
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only Excel needs
    from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]  # noqa: PLC0415

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("results")

    def cell(value: Any) -> Any:
        if value is None or type(value) in {int, float, bool}:
            return value
        made = WriteOnlyCell(sheet, scissors.fit(ILLEGAL_CHARACTERS_RE.sub("", to_cell_text(value))))
        made.data_type = "s"
        made.number_format = "@"
        return made

    sheet.append([cell(name) for name in (*columns, *RESULT_COLUMNS)])
    count = 0
    for cells, result in lines:
        count += 1
        if count >= _SHEET_ROWS:
            raise OutputError(f"a sheet holds {_SHEET_ROWS:,} rows", hint="Write --format csv, jsonl or parquet.")
        sheet.append([cell(value) for value in (*cells, *result.values())])
    book.save(path)
    return count


def results_frame(manifest: Manifest, outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A DataFrame of one line an outcome. A DataFrame's own columns keep their values and types; others are text."""
    import pandas as pd  # noqa: PLC0415 - a CSV run loads no pandas

    every = list(outcomes)
    ours = pd.DataFrame([typed(named(outcome, manifest.form)) for outcome in every], columns=list(RESULT_COLUMNS))
    if isinstance(manifest, FrameManifest):
        places = [outcome.row - 1 for outcome in every]
        users = manifest.frame.iloc[
            places, list(manifest.positions)
        ]  # by place: a column's name may be a number, or a date
        ours.index = users.index  # the same length and order, whatever its labels are
    else:
        rows = {row.number: row for row in manifest.rows()}
        lines = [_line(rows[outcome.row], outcome, manifest.columns, manifest.form)[0] for outcome in every]
        users = pd.DataFrame([list(map(_python, line)) for line in lines], columns=list(manifest.columns), dtype=object)
    over = [json.loads(outcome.over) if outcome.over else {} for outcome in every]
    for column in dict.fromkeys(name for added in over for name in added):
        users[column] = [added.get(column) for added in over]
    frame: pd.DataFrame = pd.concat([users, ours], axis=1)
    return frame


def _python(cell: Any) -> Any:
    return str(cell) if type(cell) is Number else to_json_text(cell) if type(cell) in {list, dict} else cell
