"""Two different jobs with one file name: found while rows are read, and reported with both rows before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.errors import ManifestError
from ..core.model import ResultLine
from ..manifest.rownames import describe_row
from ..manifest.rows import Form

MAX_LISTED = 20


class Collisions:
    """The first 20 names that several jobs want, and how many there are. The earlier rows are looked up only if needed."""

    def __init__(self) -> None:
        self.count = 0
        self._collisions: dict[int, tuple[str, int, str]] = {}

    def add(self, name_hash: int, name: str, row: int, id_: str) -> None:
        """The row ``row`` wants ``name``, which an earlier row has."""
        self.count += 1
        if len(self._collisions) < MAX_LISTED:
            self._collisions.setdefault(name_hash, (name, row, id_))

    def build_error(self, lines: Iterable[ResultLine], form: Form) -> ManifestError:
        """The error to raise. ``lines`` are all lines of the manifest from the top, ``form`` is its form."""
        first_rows: dict[int, tuple[int, str]] = {}
        for line in lines:
            if line.name_hash in self._collisions and line.name_hash not in first_rows:
                first_rows[line.name_hash] = (line.row, line.id)
                if len(first_rows) == len(self._collisions):
                    break
        descriptions = [
            f"{name!r} ({describe_row(form, *first_rows[name_hash])} and {describe_row(form, row, id_)})"
            if name_hash in first_rows and first_rows[name_hash][0] != row
            else f"{name!r} ({describe_row(form, row, id_)})"
            for name_hash, (name, row, id_) in self._collisions.items()
        ]
        more = self.count - len(descriptions)
        names = ", ".join(descriptions) + (f" and {more} more" if more > 0 else "")
        return ManifestError(
            f"--name gives one name to different pictures: {names}",
            hint="Tell them apart, such as with {row}, {size} or {variant} in --name, or leave --name out.",
        )
