"""Two different jobs that want one file name: found while rows go by, told with both rows before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.errors import ManifestError
from ..core.model import Line
from ..manifest.rownames import row_name, row_word, sheet_row
from ..manifest.rows import Form

TOLD = 20


class Collisions:
    """The first 20 names wanted twice, and how many there are. The earlier rows are looked up only if there is one."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted: dict[int, tuple[str, int]] = {}

    def add(self, slot: int, name: str, row: int) -> None:
        """Row ``row`` wants ``name``, which an earlier row has."""
        self.count += 1
        if len(self._wanted) < TOLD:
            self._wanted.setdefault(slot, (name, row))

    def error(self, again: Iterable[Line], form: Form) -> ManifestError:
        """What to raise. ``again`` are the same lines from the top, of a manifest of this ``form``."""
        first: dict[int, int] = {}
        for line in again:
            if line.slot in self._wanted and line.slot not in first:
                first[line.slot] = line.row
                if len(first) == len(self._wanted):
                    break
        told = [
            f"{name!r} ({row_word(form)}s {sheet_row(form, first[slot])} and {sheet_row(form, row)})"
            if first.get(slot, row) != row
            else f"{name!r} ({row_name(form, row)})"
            for slot, (name, row) in self._wanted.items()
        ]
        more = self.count - len(told)
        names = ", ".join(told) + (f" and {more} more" if more > 0 else "")
        return ManifestError(
            f"--name gives one name to different pictures: {names}",
            hint="Tell them apart, such as with {row}, {size} or {variant} in --name, or leave --name out.",
        )
