"""The files of this machine that a cell may name, and the folder that has those which are missing where the cells say."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..manifest.rownames import RowExamples

_MOST_NAMES = 5
"""Missing names that are looked for in other folders."""
_MOST_FOLDERS = 200
"""Folders that are searched at most, to bound the time on a network disk."""
_DEPTH = 2


def list_candidates(root: Path, text: str) -> Iterator[Path]:
    """The paths below ``root`` that ``text`` may mean."""
    for spelled in _list_spellings(text):
        try:
            yield (root / Path(spelled).expanduser()).absolute()
        except (OSError, ValueError, RuntimeError):
            continue  # no home folder of that user
        if spelled.startswith("/"):  # a shop's path below its folder of pictures
            yield (root / spelled.lstrip("/")).absolute()


@dataclass(frozen=True, slots=True)
class OtherFolder:
    """A folder that has ``found`` of the first ``asked`` missing files."""

    path: Path
    found: int
    asked: int


@dataclass(slots=True)
class MissingFiles:
    """Rows that name a missing file, and the first few of the names."""

    rows: RowExamples = field(default_factory=RowExamples)
    names: list[str] = field(default_factory=list)

    def add(self, row: int, id_: str, name: str) -> None:
        self.rows.add(row, id_)
        if len(self.names) < _MOST_NAMES and name not in self.names:
            self.names.append(name)

    def find_other_folder(self, roots: Sequence[Path]) -> OtherFolder | None:
        """The folder below ``roots`` that has most of the names; None if none has any."""
        best: OtherFolder | None = None
        for folder in _list_folders_below(roots):
            count = sum(any(_is_below(path, folder) for path in list_candidates(folder, name)) for name in self.names)
            if count > (best.found if best else 0):
                best = OtherFolder(folder, count, len(self.names))
        return best


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False  # too long for the system, or with a NUL: no file


def _list_folders_below(roots: Sequence[Path]) -> list[Path]:
    """The folders below ``roots``, the nearest first; hidden ones and links are left out."""
    folders = list[Path]()
    level = list(roots)
    for _ in range(_DEPTH):
        level = [folder for above in level for folder in _list_folders_in(above)][: _MOST_FOLDERS - len(folders)]
        folders += level
    return folders


def _list_folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name[:1] != "." and entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _list_spellings(text: str) -> Iterator[str]:
    """``text``, then as other systems write it: ``/`` for the backslash, accented letters composed or decomposed."""
    spellings = dict.fromkeys((text, text.replace("\\", "/")))
    yield from dict.fromkeys(
        [*spellings, *(unicodedata.normalize(form, spelling) for form in ("NFC", "NFD") for spelling in spellings)]
    )
