"""Prompt templates: ``make an ad for {Title}: {Body (HTML)}``.

The text in braces is a column's name, spaces included. ``{{`` and ``}}`` are literal braces. A template is compiled once;
a row of plain text then costs one formatting operation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from ..core.errors import UsageError
from ..manifest.blank import PLACEHOLDERS
from ..manifest.cells import explain_unusable_cell, to_cell_text
from ..manifest.nearest import find_nearest, join_names, normalize_name
from .html_text import to_text
from .image_cells import CellError

_FIELD = re.compile(r"(?<!\{)\{{1,2}\s*([^{}\r\n\":,]{1,80}?)\s*\}{1,2}(?!\})")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def split_template(template: str, option: str) -> tuple[list[str], list[str]]:
    """Literals and the names between them, one literal more than names. UsageError for a lone brace."""
    literals, names, literal, place = [], [], "", 0
    for match in _PIECE.finditer(template):
        literal += template[place : match.start()]
        place = match.end()
        token = match.group()
        if token in {"{{", "}}"}:
            literal += token[0]
        elif match.group(1) is None:
            raise UsageError(
                f"{option} has a lone {token} in {template!r}", hint=f"For a brace itself write {token * 2}."
            )
        else:
            literals.append(literal)
            names.append(match.group(1))
            literal = ""
    return [*literals, literal + template[place:]], names


class Prompt:
    """A compiled template. ``columns`` are those that it uses. ``empties`` counts the rows in which each was empty, and
    ``placeholders`` those in which each was ``nan``, ``None`` or the like. ``has_braces``: it has literal braces.
    """

    def __init__(self, template: str, columns: tuple[str, ...]) -> None:
        """UsageError for a name that is no column."""
        self._literals, names = split_template(template, "--prompt")
        self._names = [_find_prompt_column(name, columns) for name in names]
        self.columns = tuple(dict.fromkeys(self._names))
        self.empties: Counter[str] = Counter()
        self.placeholders: Counter[str] = Counter()
        self.has_braces = any("{" in literal for literal in self._literals)
        self._format = "%s".join(literal.replace("%", "%%") for literal in self._literals)
        self._get_cells: Callable[[dict[str, Any]], Any] = itemgetter(*self._names) if self._names else lambda _: ()
        self._is_single = len(self._names) == 1

    def render(self, cells: dict[str, Any]) -> str:
        """The prompt for one row. Missing cells are empty, HTML becomes text."""
        try:
            values = self._get_cells(cells)
        except KeyError:
            return self._render_slowly(cells)
        if self._is_single:
            values = (values,)
        for value in values:
            if type(value) is not str or not value or "<" in value or "&" in value or value in PLACEHOLDERS:
                return self._render_slowly(cells)
        return str(self._format % values)

    def _render_slowly(self, cells: dict[str, Any]) -> str:
        values = [to_text(to_cell_text(cells.get(name))) for name in self._names]
        for name in dict.fromkeys(name for name, value in zip(self._names, values, strict=True) if not value.strip()):
            self.empties[name] += 1
        for name in {name for name, value in zip(self._names, values, strict=True) if value in PLACEHOLDERS}:
            self.placeholders[name] += 1
        return self._format % tuple(values)

    def forget(self, cells: dict[str, Any]) -> None:
        """Take the row's cells out of the counts, for a row that orders no picture."""
        for name in self.columns:
            value = to_text(to_cell_text(cells.get(name)))
            for counts, counted in ((self.empties, not value.strip()), (self.placeholders, value in PLACEHOLDERS)):
                if counted and counts[name]:
                    counts[name] -= 1
                if not counts[name]:
                    del counts[name]


class Merge:
    """Fills ``{Title}`` and ``{{Title}}`` inside the cells of a column, as mail merge does, where Title is a column.

    A cell with braces around anything else stays as it is: only what names a column can have been meant for one.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = {normalize_name(column): column for column in reversed(columns)}
        self.filled: Counter[str] = Counter()
        self.unfilled: Counter[str] = Counter()

    def fill(self, text: str, cells: dict[str, Any]) -> str:
        """``text`` with the row's cells in it. Braces inside these cells are not filled again. CellError for a cell with an
        error value.
        """
        used: dict[str, None] = {}
        unfilled: dict[str, None] = {}

        def put_cell(match: re.Match[str]) -> str:
            """The row's cell for a column in braces; braces that name none stay as they are."""
            column = self._columns.get(normalize_name(match.group(1)))
            if column is None:
                unfilled[match.group()] = None
                return match.group()
            used[column] = None
            if problem := explain_unusable_cell(cells.get(column)):
                raise CellError(f"names {match.group()}, which {problem}")
            return to_text(to_cell_text(cells.get(column)))

        filled = _FIELD.sub(put_cell, text)
        self.filled.update(list(used))
        self.unfilled.update(list(unfilled))
        return filled


def _find_prompt_column(name: str, columns: tuple[str, ...]) -> str:
    if name in columns:
        return name
    similar = [column for column in columns if column.strip().casefold() == name.strip().casefold()]
    if len(similar) == 1:
        return similar[0]
    suggestion = find_nearest(name, columns)
    hint = f"Did you mean {{{suggestion}}}? " if suggestion else ""
    raise UsageError(
        f"--prompt names {{{name}}}, which is no column", hint=f"{hint}Columns: {join_names(columns, 'and')}."
    )
