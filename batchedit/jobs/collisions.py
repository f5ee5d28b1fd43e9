"""Two different jobs that want one file name: found while rows go by, told with both rows before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.errors import ManifestError
from ..core.model import ResultLine
from ..manifest.rownames import row_name
from ..manifest.rows import Form

TOLD = 20


class Collisions:
    """The first 20 names wanted twice, and how many there are. The earlier rows are looked up only if there is one."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted: dict[int, tuple[str, int, str]] = {}

    def add(self, slot: int, name: str, row: int, id_: str) -> None:
        """The row ``row`` wants ``name``, which an earlier row has."""
        self.count += 1
        if len(self._wanted) < TOLD:
            self._wanted.setdefault(slot, (name, row, id_))

    def build_error(self, again: Iterable[ResultLine], form: Form) -> ManifestError:
        """What to raise. ``again`` are the same lines from the top, of a manifest of this ``form``."""
        first: dict[int, tuple[int, str]] = {}
        for line in again:
            if line.name_hash in self._wanted and line.name_hash not in first:
                first[line.name_hash] = (line.row, line.id)
                if len(first) == len(self._wanted):
                    break
        told = [
            f"{name!r} ({row_name(form, *first[slot])} and {row_name(form, row, id_)})"
            if slot in first and first[slot][0] != row
            else f"{name!r} ({row_name(form, row, id_)})"
            for slot, (name, row, id_) in self._wanted.items()
        ]
        more = self.count - len(told)
        names = ", ".join(told) + (f" and {more} more" if more > 0 else "")
        return ManifestError(
            f"--name gives one name to different pictures: {names}",
            hint="Tell them apart, such as with {row}, {size} or {variant} in --name, or leave --name out.",
        )
