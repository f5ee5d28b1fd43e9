"""Twenty rows spread over a sheet of any length, each as it will be sent: pictures, the finished prompt, the file's name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from ..core.errors import BatcheditError
from ..core.model import ResultLine
from ..jobs.html_text import to_text
from ..jobs.prompt import split_template
from ..jobs.recipe import Recipe
from ..manifest.cells import to_cell_text
from ..manifest.nearest import normalize_name
from ..manifest.rows import Row

SHOWN = 20
_KEPT = 4 * SHOWN


class Spread:
    """Keeps some of a stream, evenly over all of it, however long it turns out to be."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._every, self._met = 1, 0

    def wants(self) -> bool:
        """Is the next one to be kept?"""
        self._met += 1
        return (self._met - 1) % self._every == 0

    def add(self, item: Any) -> None:
        """Keep one that ``wants`` was True for. Too many: each second one goes."""
        self._kept.append(item)
        if len(self._kept) > _KEPT:
            self._kept, self._every = self._kept[::2], self._every * 2

    def chosen(self) -> list[Any]:
        """At most twenty, the first and the last among them."""
        count = len(self._kept)
        if count <= SHOWN:
            return self._kept
        return [self._kept[round(place * (count - 1) / (SHOWN - 1))] for place in range(SHOWN)]


def sample(recipe: Recipe, number: int, row: Row, line: ResultLine, lines: int) -> dict[str, Any]:
    """One row as a page shows it; ``lines`` is how many pictures it asks for."""
    inputs = orjson.loads(line.job.inputs)
    prompt = str(inputs.get("prompt", ""))
    return {
        "row": number,
        "id": line.id,
        "name": line.job.name,
        "size": line.job.size,
        "pictures": list(_pictures(inputs)),
        "prompt": _marked(recipe, {**row.cells, **(orjson.loads(line.over) if line.over else {})}, prompt),
        "lines": lines,
    }


def _pictures(inputs: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Each source picture: its link or file, and the name of its thumbnail."""
    for value in inputs.values():
        for item in value if isinstance(value, list) else ():
            file = item.get("$file", "") if isinstance(item, dict) else ""
            link = item if isinstance(item, str) else ""
            if file or link:
                key = hashlib.sha256((file or link).encode(errors="surrogateescape")).hexdigest()[:20]
                yield {"file": file, "link": link, "key": key}


def _marked(recipe: Recipe, cells: dict[str, Any], prompt: str) -> list[tuple[str, bool]]:
    """The prompt in pieces, each with whether it came out of a cell. Together they are the prompt, letter for letter."""
    template = recipe.prompt
    if template is None:
        column = recipe.mapping.get("prompt") or next((name for name in cells if normalize_name(name) == "prompt"), "")
        template = to_cell_text(cells.get(column)).replace("{{", "{").replace("}}", "}")  # a cell's {{Title}} is {Title}
        if "{" not in template:
            return [(prompt, False)]
    by_plain = {normalize_name(name): name for name in reversed(list(cells))}
    try:
        literals, names = split_template(template, "the prompt")
        values = [to_text(to_cell_text(cells[by_plain[normalize_name(name)]])) for name in names]
    except (KeyError, BatcheditError):  # a cell's braces need be no template: it is shown without marks
        return [(prompt, False)]
    pieces = [(literals[0], False)]
    for value, literal in zip(values, literals[1:], strict=True):
        pieces += [(value, True), (literal, False)]
    return (
        [piece for piece in pieces if piece[0]] if "".join(text for text, _ in pieces) == prompt else [(prompt, False)]
    )
