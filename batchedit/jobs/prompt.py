"""Prompt templates: ``make an ad for {Title}: {Body (HTML)}``.

What stands in braces is a column's name, with spaces and all. ``{{`` and ``}}`` are braces. Compiled once; a row of
plain text then costs one formatting operation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from ..core.errors import UsageError
from ..manifest.cells import text_of
from ..manifest.nearest import listed, nearest
from .html_text import to_text

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def split_template(template: str, option: str) -> tuple[list[str], list[str]]:
    """Literals and the names between them, one literal more than names. UsageError for a lone brace."""
    literals, names, literal, place = [], [], "", 0
    for found in _PIECE.finditer(template):
        literal += template[place : found.start()]
        place = found.end()
        token = found.group()
        if token in {"{{", "}}"}:
            literal += token[0]
        elif found.group(1) is None:
            raise UsageError(
                f"{option} has a lone {token} in {template!r}", hint=f"For a brace itself write {token * 2}."
            )
        else:
            literals.append(literal)
            names.append(found.group(1))
            literal = ""
    return [*literals, literal + template[place:]], names


class Prompt:
    """A compiled template. ``columns`` are those it uses; ``empties`` counts the rows in which each was empty."""

    def __init__(self, template: str, columns: tuple[str, ...]) -> None:
        """UsageError for a name that is no column."""
        self._literals, names = split_template(template, "--prompt")
        self._names = [_column(name, columns) for name in names]
        self.columns = tuple(dict.fromkeys(self._names))
        self.empties: Counter[str] = Counter()
        self._format = "%s".join(literal.replace("%", "%%") for literal in self._literals)
        self._cells: Callable[[dict[str, Any]], Any] = itemgetter(*self._names) if self._names else lambda _: ()
        self._one = len(self._names) == 1

    def render(self, cells: dict[str, Any]) -> str:
        """The prompt for one row. Missing cells are empty, HTML becomes text."""
        try:
            values = self._cells(cells)
        except KeyError:
            return self._slowly(cells)
        if self._one:
            values = (values,)
        for value in values:
            if type(value) is not str or not value or "<" in value or "&" in value:
                return self._slowly(cells)
        return str(self._format % values)

    def _slowly(self, cells: dict[str, Any]) -> str:
        values = [to_text(text_of(cells.get(name))) for name in self._names]
        for name in dict.fromkeys(name for name, value in zip(self._names, values, strict=True) if not value.strip()):
            self.empties[name] += 1
        return self._format % tuple(values)


def _column(name: str, columns: tuple[str, ...]) -> str:
    if name in columns:
        return name
    alike = [column for column in columns if column.strip().casefold() == name.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    near = nearest(name, columns)
    hint = f"Did you mean {{{near}}}? " if near else ""
    raise UsageError(f"--prompt names {{{name}}}, which is no column", hint=f"{hint}Columns: {listed(columns, 'and')}.")
