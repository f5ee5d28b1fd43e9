"""The overlay of a dropped sheet: corrected cells over a sheet that is itself never changed."""

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
class ReplaceRule:
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
    """``cells``: the sheet's row → column → text. The rules ``alike`` are applied first, in order; ``cells`` override them.
    ``left_out``: rows with a fault that are not to be bought.
    """

    cells: dict[str, dict[str, str]] = field(default_factory=dict)
    alike: list[ReplaceRule] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.cells or self.alike)

    @classmethod
    def load(cls, draft: Draft) -> Edits:
        """Read the draft's edits; empty if the file is missing or can't be read."""
        try:
            saved = orjson.loads(_build_path(draft).read_bytes())
        except (OSError, ValueError):
            return cls()
        return cls(saved["cells"], [ReplaceRule(**rule) for rule in saved["alike"]], saved["left_out"])

    def save(self, draft: Draft) -> None:
        """Durable when it returns."""
        write_atomically(_build_path(draft), orjson.dumps(asdict(self)))

    def apply(self, number: int, cells: dict[str, Any]) -> dict[str, Any]:
        """A row's cells with the edits applied."""
        edited = dict(cells)
        for rule in self.alike:
            if rule.column in edited:
                text = format_draft_cell(edited[rule.column])
                if (replaced := rule.apply(text)) != text:
                    edited[rule.column] = replaced
        edited.update(self.cells.get(str(number), {}))
        return edited


def format_draft_cell(cell: Any) -> str:
    """A cell as the pages show it: its link where it has one."""
    return cell.link if isinstance(cell, Linked) else to_cell_text(cell)


def _build_path(draft: Draft) -> Path:
    return draft.folder / "edits.json"
