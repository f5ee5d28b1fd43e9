"""What was mended in a dropped sheet: an overlay of cells over a sheet that is itself never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..disk import write_atomically
from ..manifest.cells import to_cell_text
from ..manifest.rows import Linked
from .drafts import Draft


@dataclass(frozen=True, slots=True)
class Alike:
    """In every cell of ``column`` that contains ``find``, that part becomes ``put``; ``whole``: cells that are ``find``."""

    column: str
    find: str
    put: str
    whole: bool = False

    def apply(self, text: str) -> str:
        """The cell's text afterwards."""
        if self.whole:
            return self.put if text == self.find else text
        return text.replace(self.find, self.put)


@dataclass(slots=True)
class Edits:
    """``cells``: the sheet's row → column → text. ``alike`` come first, in order; a cell of its own goes over them.
    ``left_out``: rows that are not bought though they have a fault.
    """

    cells: dict[str, dict[str, str]] = field(default_factory=dict)
    alike: list[Alike] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.cells or self.alike)

    @classmethod
    def of(cls, draft: Draft) -> Edits:
        """What was mended in the draft; nothing where its file is not there or can't be read."""
        try:
            told = orjson.loads(_path(draft).read_bytes())
        except (OSError, ValueError):
            return cls()
        return cls(told["cells"], [Alike(**one) for one in told["alike"]], told["left_out"])

    def keep(self, draft: Draft) -> None:
        """Durable when it returns."""
        write_atomically(_path(draft), orjson.dumps(asdict(self)))

    def apply(self, number: int, cells: dict[str, Any]) -> dict[str, Any]:
        """A row's cells with what was mended in it."""
        found = dict(cells)
        for rule in self.alike:
            if rule.column in found:
                text = _text(found[rule.column])
                if (mended := rule.apply(text)) != text:
                    found[rule.column] = mended
        found.update(self.cells.get(str(number), {}))
        return found


def _text(cell: Any) -> str:
    return cell.link if isinstance(cell, Linked) else to_cell_text(cell)


def _path(draft: Draft) -> Path:
    return draft.folder / "edits.json"
