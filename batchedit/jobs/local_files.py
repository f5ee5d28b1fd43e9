"""Which files of this machine a cell may mean, and the folder that has those which are not where the cells say."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..manifest.rownames import Rows

_NAMES = 5
"""So many of the missing names are looked for in other folders."""
_FOLDERS = 200
"""In so many folders at most: it takes a moment, also on a network's disk."""
_DEEP = 2


def list_candidates(root: Path, text: str) -> Iterator[Path]:
    """Where the file that ``text`` names may lie below ``root``."""
    for spelled in _spellings(text):
        try:
            yield (root / Path(spelled).expanduser()).absolute()
        except (OSError, ValueError, RuntimeError):
            continue  # no such person's home
        if spelled.startswith("/"):  # as a shop writes what lies below its folder of pictures
            yield (root / spelled.lstrip("/")).absolute()


@dataclass(frozen=True, slots=True)
class OtherFolder:
    """A folder that has ``found`` of the first ``asked`` missing files."""

    path: Path
    found: int
    asked: int


@dataclass(slots=True)
class MissingFiles:
    """Rows that name a file which is not there, and the first few of the names."""

    rows: Rows = field(default_factory=Rows)
    names: list[str] = field(default_factory=list)

    def add(self, row: int, id_: str, name: str) -> None:
        self.rows.add(row, id_)
        if len(self.names) < _NAMES and name not in self.names:
            self.names.append(name)

    def find_other_folder(self, roots: Sequence[Path]) -> OtherFolder | None:
        """The folder below ``roots`` that has the most of the names; None where none has any."""
        best: OtherFolder | None = None
        for folder in _folders_below(roots):
            found = sum(any(_is_below(path, folder) for path in list_candidates(folder, name)) for name in self.names)
            if found > (best.found if best else 0):
                best = OtherFolder(folder, found, len(self.names))
        return best


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False  # too long for the system, a NUL: no file either


def _folders_below(roots: Sequence[Path]) -> list[Path]:
    """The folders below ``roots``, the nearest first; hidden ones and links are left out."""
    found = list[Path]()
    level = list(roots)
    for _ in range(_DEEP):
        level = [folder for above in level for folder in _folders_in(above)][: _FOLDERS - len(found)]
        found += level
    return found


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as inside:
            names = [one.name for one in inside if one.name[:1] != "." and one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _spellings(text: str) -> Iterator[str]:
    """``text``, then as other systems write it: ``/`` for the backslash, letters with their accents in one or apart."""
    written = dict.fromkeys((text, text.replace("\\", "/")))
    yield from dict.fromkeys(
        [*written, *(unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in written)]
    )
