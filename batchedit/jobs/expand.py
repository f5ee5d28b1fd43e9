"""Multiplies rows, prompt template, sizes and variants to jobs.

One pass; no row is kept. Options are checked when the Expander is made (UsageError, ManifestError), rows one by one
(InvalidLine, with all reasons), and names that several jobs want at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from ..core.errors import UsageError
from ..core.model import LEFT_OUT, CellProblem, InvalidLine, JobKey, ResultLine
from ..manifest.blank import MAX_PLACEHOLDER_LENGTH, is_blank, is_invisible, is_placeholder, strip_unseen_ends
from ..manifest.cells import (
    ERROR_FIRST_LETTERS,
    explain_unusable_cell,
    may_hold_error,
    to_cell_text,
    to_id_text,
    to_json_text,
)
from ..manifest.rownames import RowExamples
from ..manifest.rows import BadRow, Manifest, Row
from .collisions import Collisions
from .image_cells import CellError, Pages, Pictures
from .left_out import explain_no_product, is_no_picture, is_total, is_unticked
from .lines import EarlierJobs, LineMaker
from .local_files import OtherFolder
from .messages import explain_error, format_value
from .oddities import Oddities
from .prompt import Merge, Prompt
from .recipe import Recipe, choose_sources, find_column, find_id_column
from .schema import compile_schema

__all__ = ["EarlierJobs", "Expander", "Recipe", "expand_all"]


_AS_IT_STANDS = (None,)
_ANSWERS = frozenset({bool, int, float})  # types whose false values are values, not gaps


class Expander:
    """Makes lines from rows, in order, once. A second pass needs a new Expander."""

    def __init__(self, recipe: Recipe, columns: tuple[str, ...], known_jobs: EarlierJobs | None = None) -> None:
        """Raises UsageError or ManifestError if recipe, model and columns do not fit together."""
        if recipe.variants < 1:
            raise UsageError(f"--variants takes 1 or more, not {recipe.variants}")
        self._pictures = Pictures(
            recipe.image_roots,
            own=recipe.own_pictures,
            shrinks=recipe.shrinks,
            loopback=recipe.loopback,
            fetched=recipe.fetched,
        )
        self._schema = compile_schema(recipe.schema, self._pictures)
        over = tuple(recipe.over)
        all_columns = (*columns, *(column for column in over if column not in columns))
        sources = choose_sources(recipe, self._schema, all_columns)
        self._columns = sources.columns
        self._base_inputs = {**self._schema.defaults, **sources.constants}
        self._required = {name for name, field in self._schema.fields.items() if field.required}
        self.outputs = 1
        """The most pictures that one job so far gives, each of them paid."""
        self._size_field, self.sizes = sources.size_field, sources.sizes
        if self.sizes:
            self._base_inputs[self._size_field] = self.sizes[0]
        self._prompt_field = sources.prompt_field
        self._prompt = Prompt(recipe.prompt or "", all_columns) if sources.prompt_field else None
        self._merge = Merge(all_columns)
        self._platform = recipe.platform
        self.guesses = recipe.guesses
        self._shift = recipe.row_shift
        self._expansions = (
            [dict(zip(over, values, strict=True)) for values in product(*recipe.over.values())] if over else []
        )
        self._maker = LineMaker(recipe, all_columns, known_jobs, sized=bool(self._size_field))
        self.id_column = find_id_column(recipe.id_column, columns)
        self._fill_columns = tuple(find_column(column, columns, "--fill-down") for column in recipe.fill_down)
        self._carried: dict[str, Any] = {}
        self._carried_id: str | None = None
        self.oddities = Oddities(all_columns)
        self.notes = (*recipe.notes, *sources.notes)
        self._watched = self._list_used_columns()
        prompt_columns = self._prompt.columns if self._prompt else ()
        sent = (*(column for _, column, _ in self._columns), *prompt_columns, *self._maker.columns)
        self._sent_columns = tuple(dict.fromkeys((*sent, *([self.id_column] if self.id_column else ()))))
        self._last_id, self._last_cells = "", dict[str, Any]()
        self._blank_below: Counter[str] = Counter()

    @property
    def collisions(self) -> Collisions:
        """Names of an explicit template that several jobs so far want."""
        return self._maker.collisions

    @property
    def empties(self) -> Counter[str]:
        """Rows so far in which a column that the prompt names was empty, by column."""
        return self._prompt.empties if self._prompt else Counter()

    @property
    def placeholders(self) -> Counter[str]:
        """Rows so far in which a column that the prompt names held ``nan``, ``None`` or the like, by column."""
        return self._prompt.placeholders if self._prompt else Counter()

    @property
    def merged(self) -> Counter[str]:
        """Rows so far in which ``{Column}`` in a cell was filled, by column."""
        return self._merge.filled

    @property
    def unmerged(self) -> Counter[str]:
        """Rows so far that go out with ``{word}`` in them, where no column is called so, by word."""
        return self._merge.unfilled

    @property
    def local_pictures(self) -> bool:
        """True if any row names a picture on this machine. Its content may change without the manifest's."""
        return self._pictures.has_local

    @property
    def large_pictures(self) -> int:
        """Distinct local pictures so far that are too large and will be re-encoded."""
        return len(self._pictures.large)

    @property
    def cells_of_several(self) -> int:
        """Cells so far that name more than one picture."""
        return self._pictures.cells_of_several

    @property
    def mended_links(self) -> Mapping[str, int]:
        """Share links so far that were turned into direct ones, by the store's name."""
        return self._pictures.mended_links

    @property
    def probable_pages(self) -> Mapping[str, Pages]:
        """Links so far that probably lead to no picture, by what they lead to."""
        return self._pictures.probable_pages

    @property
    def beyond_rules(self) -> Mapping[str, RowExamples]:
        """Rows so far with a local picture that breaks a rule of the model, by what the model takes."""
        return self._pictures.beyond_rules

    @property
    def missing_file_rows(self) -> RowExamples:
        """Rows so far whose picture is a missing file."""
        return self._pictures.missing_file_rows

    def find_other_folder(self) -> OtherFolder | None:
        """A folder beside the sheet that has pictures which are missing where the rows say."""
        return self._pictures.find_other_folder()

    @property
    def picture_address(self) -> str:
        """The address at which a shop of this exporter serves the pictures that its sheets name by a path."""
        return f"https://www.example.com{self._platform.address if self._platform else ''}"

    @property
    def picture_columns(self) -> dict[str, str]:
        """The model's picture inputs, each with the column that it comes from, or its own name where there is none."""
        columns = {name: column for name, column, _ in self._columns}
        return {name: columns.get(name, name) for name, field in self._schema.fields.items() if field.picture}

    @property
    def unused_over(self) -> tuple[str, ...]:
        """Columns to expand over that no input comes from: their rows are duplicates of each other."""
        used = {column for _, column, _ in self._columns} | set(self._prompt.columns if self._prompt else ())
        return tuple(column for column in (self._expansions[0] if self._expansions else ()) if column not in used)

    def is_requested(self, key: JobKey) -> bool:
        """True if any row so far asks for this job."""
        return self._maker.is_requested(key)

    def find_fill_down_columns(self) -> tuple[str, ...]:
        """Columns that the recipe uses and that are empty below the first row of an id: ``--fill-down`` would help."""
        return tuple(column for column in self._watched if self._blank_below[column])

    def expand(self, row: Row | BadRow) -> list[ResultLine] | InvalidLine:
        """The lines of one row, or all its problems."""
        if isinstance(row, BadRow):
            return _make_bad_line(row)
        number, cells, raw = row
        cell = cells.get(self.id_column) if self.id_column else None
        id_ = cell.strip() if type(cell) is str and cell[:1] != "=" else to_id_text(cell)
        if not id_.isascii():
            id_ = strip_unseen_ends(id_)
        if "+" in id_:
            self.oddities.note_id(id_, number)
        id_ = id_ or str(number + self._shift)
        if self._fill_columns:
            cells, raw = self._fill_down(cells, id_), ""  # other rows' cells are among them
        same_id = id_ == self._last_id
        if not same_id:
            self._last_id, self._last_cells = id_, cells
        else:
            self._note_blanks(cells)
        try:
            if self._expansions:
                return self._expand_over(number, id_, cells)
            inputs = self._read_inputs(number, id_, cells, raw)
            if isinstance(inputs, dict):
                return self._make_lines(number, id_, cells, inputs, "")
            return self._mark_left_out(inputs, cells, same_id=same_id)
        except UnicodeEncodeError:
            return InvalidLine(number, id_, (CellProblem("", "", "holds half a character, which is no text"),))

    def _mark_left_out(self, line: InvalidLine, cells: dict[str, Any], *, same_id: bool) -> InvalidLine:
        """Mark an invalid row that orders no picture as left out, with the reason. A row with a picture is never marked."""
        pictures = [column for name, column, _ in self._columns if self._schema.fields[name].picture]
        if not pictures or not all(is_no_picture(cells.get(column)) for column in pictures):
            return line
        if self._platform is not None:
            reason = explain_no_product(cells, self._platform, same_product=same_id)
        elif is_total(cells) and all(is_blank(to_cell_text(cells.get(column))) for _, column, _ in self._columns):
            reason = "is a sum"
        elif is_unticked(cells):
            reason = "is a row with nothing in it but a box that is not ticked"
        else:
            return line
        if self._prompt is not None:
            self._prompt.forget(cells)
        return InvalidLine(line.row, line.id, (CellProblem(LEFT_OUT, "", reason),))

    def _expand_over(self, number: int, id_: str, cells: dict[str, Any]) -> list[ResultLine] | InvalidLine:
        lines: list[ResultLine] = []
        for added in self._expansions:
            expanded = {**cells, **added}
            inputs = self._read_inputs(number, id_, expanded, "")
            if isinstance(inputs, InvalidLine):
                return inputs
            lines += self._make_lines(number, id_, expanded, inputs, to_json_text(added))
        return lines

    def _read_inputs(self, number: int, id_: str, cells: dict[str, Any], raw: str) -> dict[str, Any] | InvalidLine:
        """The model's inputs from the row. ``raw`` is the text that its ``cells`` are from, ``""`` if there is none."""
        inputs = self._base_inputs.copy()
        pictures = self._pictures
        pictures.row, pictures.id, pictures.pictures_in_row = number, id_, 0
        problems = self._find_sheet_errors(cells) if may_hold_error(raw) else None
        for name, column, read in self._columns:
            cell = cells.get(column)
            if cell is None or cell == "" or (problems and explain_unusable_cell(cell)):
                continue
            try:
                value = self._read_text(cell, cells) if read is None else read(cell)
            except CellError as error:
                problems = problems or []
                if not (type(cell) is str and cell.isspace()):
                    problems.append(CellProblem(column, format_value(cell), str(error)))
                continue
            if (value and not (type(value) is str and is_blank(value))) or type(value) in _ANSWERS:
                inputs[name] = value
        if self._prompt is not None and (problem := self._put_prompt(self._prompt, inputs, cells)):
            problems = [*(problems or ()), problem]
        if problems or self._required.difference(inputs) or not self._schema.is_valid(inputs):
            return InvalidLine(number, id_, tuple(self._list_problems(inputs, cells, problems or [])))
        return inputs

    def _put_prompt(self, prompt: Prompt, inputs: dict[str, Any], cells: dict[str, Any]) -> CellProblem | None:
        """Put the row's prompt into ``inputs``. Returns the problem if there is one."""
        text = prompt.render(cells)
        if "{" in text and not prompt.has_braces:
            try:
                text = self._merge.fill(text, cells)
            except CellError as error:
                return CellProblem(self._prompt_field, format_value(text), str(error))
        self.oddities.note_text(text, self._pictures.row, self._pictures.id)
        if not is_blank(text):
            inputs[self._prompt_field] = text
        return None

    def _count_outputs(self, requested: Any) -> None:
        if str(requested).isdecimal():
            self.outputs = max(self.outputs, int(requested))

    def _read_text(self, cell: Any, cells: dict[str, Any]) -> str:
        """A cell for a field of plain text, ``{Column}`` in it filled. CellError for ``nan`` and the like."""
        text = cell if type(cell) is str else to_cell_text(cell)
        if len(text) <= MAX_PLACEHOLDER_LENGTH and is_placeholder(text):
            raise CellError("stands for an empty cell")
        self.oddities.note_text(text, self._pictures.row, self._pictures.id)
        return self._merge.fill(text, cells) if "{" in text else text

    def _find_sheet_errors(self, cells: dict[str, Any]) -> list[CellProblem] | None:
        """Cells with an error value such as ``#REF!`` among those that are sent or name a row or a file. None if there are
        none, which is the usual case.
        """
        problems: list[CellProblem] | None = None
        for column in self._sent_columns:
            cell = cells.get(column)
            if (
                isinstance(cell, str)
                and cell[:1] in ERROR_FIRST_LETTERS
                and (error_text := explain_unusable_cell(cell))
            ):
                problems = [*(problems or ()), CellProblem(column, "", error_text)]
        return problems

    def _list_problems(
        self, inputs: dict[str, Any], cells: dict[str, Any], problems: list[CellProblem]
    ) -> list[CellProblem]:
        """All reasons: cells that could not be read, required ones that are empty, and what the schema refuses."""
        columns = {name: column for name, column, _ in self._columns}
        reported = {problem.column for problem in problems}
        for name in self._schema.fields:
            column = columns.get(name, name)
            if name in self._required and name not in inputs and column not in reported:
                needed = "a picture" if self._schema.fields[name].picture else "it"
                problems.append(CellProblem(column, "", f"is empty, and the service needs {needed}"))
        for error in self._schema.errors(inputs):
            path = list(error.instance_path)
            name = str(path[0]) if path else ""
            if error.schema_path and error.schema_path[-1] == "required" and not path:
                continue
            column = columns.get(name, name)
            cell = cells.get(column, inputs.get(name, ""))
            problems.append(
                CellProblem(column, format_value(cell), explain_error(error, self._schema.fields.get(name)))
            )
        return problems

    def _make_lines(
        self, number: int, id_: str, cells: dict[str, Any], inputs: dict[str, Any], over: str
    ) -> list[ResultLine]:
        if self._schema.count_field:
            self._count_outputs(inputs.get(self._schema.count_field))
        lines: list[ResultLine] = []
        for size in self.sizes or _AS_IT_STANDS:
            if size is not None:
                inputs[self._size_field] = size
            size_text = str(inputs.get(self._size_field, ""))
            lines += self._maker.make_lines(number, id_, cells, inputs, size_text, over, self._pictures.pictures_in_row)
        return lines

    def _fill_down(self, cells: dict[str, Any], id_: str) -> dict[str, Any]:
        if id_ != self._carried_id:
            self._carried_id, self._carried = id_, {}
        for column in self._fill_columns:
            if to_cell_text(cells.get(column)).strip():
                self._carried[column] = cells[column]
            elif column in self._carried:
                cells = {**cells, column: self._carried[column]}
        return cells

    def _note_blanks(self, cells: dict[str, Any]) -> None:
        """Count columns that are empty below the first row of an id, as in Shopify's exports."""
        for column in self._watched:
            if not to_cell_text(cells.get(column)).strip() and to_cell_text(self._last_cells.get(column)).strip():
                self._blank_below[column] += 1

    def _list_used_columns(self) -> tuple[str, ...]:
        used = [column for name, column, _ in self._columns if not self._schema.fields[name].picture]
        used += self._prompt.columns if self._prompt else ()
        return tuple(dict.fromkeys(column for column in used if column != self.id_column))


def _make_bad_line(row: BadRow) -> InvalidLine:
    if all(map(is_invisible, row.raw)):
        return InvalidLine(row.number, "", (CellProblem(LEFT_OUT, "", "is a line with nothing to be seen in it"),))
    return InvalidLine(row.number, "", (CellProblem("", format_value(row.raw), row.reason),))


def expand_all(
    manifest: Manifest, recipe: Recipe, known_jobs: EarlierJobs | None = None, *, expander: Expander | None = None
) -> Iterator[ResultLine | InvalidLine]:
    """All lines of a manifest in order. ManifestError after the last one if an explicit ``--name`` collides.

    Pass an unused ``expander`` of the same recipe to read its notes and counts afterwards.
    """
    expander = expander or Expander(recipe, manifest.columns, known_jobs)
    expand = expander.expand
    for row in manifest.rows():
        result = expand(row)
        if not isinstance(result, list):
            yield result
        elif len(result) == 1:
            yield result[0]
        else:
            yield from result
    if expander.collisions.count:
        second_expander = Expander(recipe, manifest.columns, known_jobs)
        lines = (line for row in manifest.rows() for line in _to_list(second_expander.expand(row)))
        raise expander.collisions.build_error(lines, manifest.form)


def _to_list(result: list[ResultLine] | InvalidLine) -> list[ResultLine]:
    return [] if isinstance(result, InvalidLine) else result
