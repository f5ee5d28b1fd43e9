"""Twenty rows spread over a sheet of any length, each as it will be sent: pictures, the final prompt, the file's name."""

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
_MOST_KEPT = 4 * SHOWN


class EvenSample:
    """Keeps some items of a stream of unknown length, evenly spread over it."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._stride, self._count = 1, 0

    def accepts_next(self) -> bool:
        """Count the next item. Returns whether it is to be kept."""
        self._count += 1
        return (self._count - 1) % self._stride == 0

    def add(self, item: Any) -> None:
        """Keep an item for which ``accepts_next`` was True. When there are too many, every second one is dropped."""
        self._items.append(item)
        if len(self._items) > _MOST_KEPT:
            self._items, self._stride = self._items[::2], self._stride * 2

    def select(self) -> list[Any]:
        """At most twenty, the first and the last among them."""
        count = len(self._items)
        if count <= SHOWN:
            return self._items
        return [self._items[round(place * (count - 1) / (SHOWN - 1))] for place in range(SHOWN)]


def describe_sample_row(recipe: Recipe, number: int, row: Row, line: ResultLine, lines: int) -> dict[str, Any]:
    """One row as a page shows it; ``lines`` is how many pictures it asks for."""
    inputs = orjson.loads(line.job.inputs)
    prompt = str(inputs.get("prompt", ""))
    return {
        "row": number,
        "id": line.id,
        "name": line.job.name,
        "size": line.job.size,
        "pictures": list(_list_pictures(inputs)),
        "prompt": _split_prompt(recipe, {**row.cells, **(orjson.loads(line.over) if line.over else {})}, prompt),
        "lines": lines,
    }


def _list_pictures(inputs: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Each source picture: its link or file, and the name of its thumbnail."""
    for value in inputs.values():
        for item in value if isinstance(value, list) else ():
            file = item.get("$file", "") if isinstance(item, dict) else ""
            link = item if isinstance(item, str) else ""
            if file or link:
                key = hashlib.sha256((file or link).encode(errors="surrogateescape")).hexdigest()[:20]
                yield {"file": file, "link": link, "key": key}


def _split_prompt(recipe: Recipe, cells: dict[str, Any], prompt: str) -> list[tuple[str, bool]]:
    """The prompt in pieces, each with whether it comes from a cell. Joined, they are exactly the prompt."""
    template = recipe.prompt
    if template is None:
        column = recipe.mapping.get("prompt") or next((name for name in cells if normalize_name(name) == "prompt"), "")
        template = (
            to_cell_text(cells.get(column)).replace("{{", "{").replace("}}", "}")
        )  # a cell's {{Title}} is {Title}
        if "{" not in template:
            return [(prompt, False)]
    by_plain = {normalize_name(name): name for name in reversed(list(cells))}
    try:
        literals, names = split_template(template, "the prompt")
        values = [to_text(to_cell_text(cells[by_plain[normalize_name(name)]])) for name in names]
    except (KeyError, BatcheditError):  # braces in a cell may be no template: the prompt is shown in one piece
        return [(prompt, False)]
    pieces = [(literals[0], False)]
    for value, literal in zip(values, literals[1:], strict=True):
        pieces += [(value, True), (literal, False)]
    return (
        [piece for piece in pieces if piece[0]] if "".join(text for text, _ in pieces) == prompt else [(prompt, False)]
    )
