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
from ..manifest.cells import to_cell_text, to_json_text
from ..manifest.rows import BadRow, Form, FormKind, Manifest, Number, Row
from ..manifest.typed_tables import FrameManifest, ParquetManifest, XlsxManifest, load_parquet
from .columns import build_result_columns, to_python_values
from .workbook import TextCutter, extend_workbook

if TYPE_CHECKING:
    import pandas as pd

_GROUP_ROWS = 10_000
_MOST_SHEET_ROWS = 1_048_576
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
    cutter: TextCutter,
) -> int:
    """Parquet or xlsx to ``path``; how many lines it holds. ``whole``: all lines are wanted, so a workbook comes back as it
    was; ``pictures`` as of ``extend_workbook``. ``cutter`` cuts what no cell of Excel can hold.
    """
    if form.kind is FormKind.XLSX and whole and isinstance(manifest, XlsxManifest):
        count = extend_workbook(manifest, pairs, path, added, pictures, cutter)
        if count is not None:
            return count
    columns = (*manifest.columns, *added)
    if form.kind is FormKind.PARQUET and isinstance(manifest, ParquetManifest):
        return _extend_parquet(manifest, pairs, path, added)
    if form.kind is FormKind.PARQUET:
        return _write_parquet(
            (_build_line(row, outcome, columns, manifest.form) for row, outcome in pairs), columns, path
        )

    def build_lines() -> Iterator[tuple[list[Any], dict[str, Any]]]:
        for row, outcome in pairs:
            cutter.begin_line(outcome)
            yield _build_line(row, outcome, columns, manifest.form)

    return _write_xlsx(build_lines(), columns, path, cutter)


def _build_line(
    row: Row | BadRow, outcome: Outcome, columns: tuple[str, ...], form: Form
) -> tuple[list[Any], dict[str, Any]]:
    if type(row) is not Row:
        return [row.raw.encode(errors="backslashreplace").decode(), *[None] * (len(columns) - 1)], to_python_values(
            build_result_columns(outcome, form)
        )
    cells = {**row.cells, **json.loads(outcome.over)} if outcome.over else row.cells
    return [cells.get(column) for column in columns], to_python_values(build_result_columns(outcome, form))


def _build_result_fields(pa: Any) -> list[Any]:
    kinds = dict.fromkeys(_INTEGERS, pa.int64()) | dict.fromkeys(_FLOATS, pa.float64())
    kinds["result_files"] = pa.list_(pa.string())
    return [pa.field(name, kinds.get(name, pa.string())) for name in RESULT_COLUMNS]


def _write_parquet(lines: Iterator[tuple[list[Any], dict[str, Any]]], columns: tuple[str, ...], path: Path) -> int:
    """The user's columns are text, the result columns have types."""
    pa, parquet = load_parquet()
    schema = pa.schema([*(pa.field(name, pa.string()) for name in columns), *_build_result_fields(pa)])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(lines, _GROUP_ROWS)):
            user_columns = zip(*(cells for cells, _ in group), strict=True)
            data = [[None if cell is None else to_cell_text(cell) for cell in column] for column in user_columns]
            data += [[result[name] for _, result in group] for name in RESULT_COLUMNS]
            arrays = [pa.array(column, field.type) for column, field in zip(data, schema, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
            count += len(group)
    return count


def _extend_parquet(
    manifest: ParquetManifest, pairs: Iterable[tuple[Row | BadRow, Outcome]], path: Path, added: tuple[str, ...]
) -> int:
    """A Parquet manifest's own columns keep their types and values to the last bit: rows are taken, not rewritten."""
    pa, parquet = load_parquet()
    added_fields = [pa.field(name, pa.string()) for name in added] + _build_result_fields(pa)
    count, start, remaining = 0, 0, iter(pairs)
    pair = next(remaining, None)
    with manifest.open_batches() as (schema, batches):
        out_schema = pa.schema([*(schema.field(place) for place in manifest.positions), *added_fields])
        with parquet.ParquetWriter(path, out_schema, compression="zstd") as writer:
            for batch in batches:
                places: list[int] = []
                lines: list[dict[str, Any]] = []
                while pair is not None and pair[0].number <= start + batch.num_rows:
                    places.append(pair[0].number - 1 - start)
                    over = json.loads(pair[1].over) if pair[1].over else {}
                    lines.append(
                        {
                            **{name: over.get(name) for name in added},
                            **to_python_values(build_result_columns(pair[1], manifest.form)),
                        }
                    )
                    pair = next(remaining, None)
                start += batch.num_rows
                taken = batch.select(list(manifest.positions)).take(pa.array(places, pa.int64()))
                arrays = [*taken.columns, *(pa.array([line[f.name] for line in lines], f.type) for f in added_fields)]
                writer.write_table(pa.table(arrays, schema=out_schema))
                count += len(places)
    return count


def _write_xlsx(
    lines: Iterator[tuple[list[Any], dict[str, Any]]], columns: tuple[str, ...], path: Path, cutter: TextCutter
) -> int:
    """The user's cells are written as text, so that ``007`` and ``=A1`` stay as they were."""
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only Excel needs
    from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]  # noqa: PLC0415

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("results")

    def make_cell(value: Any) -> Any:
        if value is None or type(value) in {int, float, bool}:
            return value
        text_cell = WriteOnlyCell(sheet, cutter.fit(ILLEGAL_CHARACTERS_RE.sub("", to_cell_text(value))))
        text_cell.data_type = "s"
        text_cell.number_format = "@"
        return text_cell

    sheet.append([make_cell(name) for name in (*columns, *RESULT_COLUMNS)])
    count = 0
    for cells, result in lines:
        count += 1
        if count >= _MOST_SHEET_ROWS:
            raise OutputError(f"a sheet holds {_MOST_SHEET_ROWS:,} rows", hint="Write --format csv, jsonl or parquet.")
        sheet.append([make_cell(value) for value in (*cells, *result.values())])
    book.save(path)
    return count


def build_results_frame(manifest: Manifest, outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A DataFrame of one line an outcome. A DataFrame's own columns keep their values and types; others are text."""
    import pandas as pd  # noqa: PLC0415 - a CSV run loads no pandas

    all_outcomes = list(outcomes)
    result_columns = pd.DataFrame(
        [to_python_values(build_result_columns(outcome, manifest.form)) for outcome in all_outcomes],
        columns=list(RESULT_COLUMNS),
    )
    if isinstance(manifest, FrameManifest):
        indexes = [outcome.row - 1 for outcome in all_outcomes]
        user_columns = manifest.frame.iloc[
            indexes, list(manifest.positions)
        ]  # by place: a column's name may be a number, or a date
        result_columns.index = user_columns.index  # the same length and order, whatever its labels are
    else:
        rows = {row.number: row for row in manifest.rows()}
        lines = [
            _build_line(rows[outcome.row], outcome, manifest.columns, manifest.form)[0] for outcome in all_outcomes
        ]
        user_columns = pd.DataFrame(
            [list(map(_to_python, line)) for line in lines], columns=list(manifest.columns), dtype=object
        )
    overs = [json.loads(outcome.over) if outcome.over else {} for outcome in all_outcomes]
    for column in dict.fromkeys(name for added in overs for name in added):
        user_columns[column] = [added.get(column) for added in overs]
    frame: pd.DataFrame = pd.concat([user_columns, result_columns], axis=1)
    return frame


def _to_python(cell: Any) -> Any:
    return str(cell) if type(cell) is Number else to_json_text(cell) if type(cell) in {list, dict} else cell
