"""What the disk refused of a command, and took no later try of: told at the end, and never with exit code 0."""

from __future__ import annotations

from collections.abc import Iterator

from .words import pluralize

CODE = 74
"""As ``DiskError`` has it."""
_MOST = 5
"""So many files are told of by name."""


class WriteFailures:
    """Files that can be made again later, and that a run neither stops nor stops buying for: small pictures, the log, the
    account for who watches from elsewhere, the register's entry.

    One of these for each command. Whoever writes such a file says what came of it, from any thread; ``Report.code`` and
    ``Report.warnings`` make of it what the person is told.
    """

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def add(self, path: object, error: Exception) -> None:
        """The disk refused ``path``: it could not be made, written, renamed or removed."""
        self._why[str(path)] = str(getattr(error, "strerror", None) or error)

    def remove(self, path: object) -> None:
        """A later try wrote all that had been refused of ``path``."""
        self._why.pop(str(path), None)

    def __bool__(self) -> bool:
        return bool(self._why)

    def describe(self) -> Iterator[str]:
        """A sentence for each file, of a few."""
        for path, why in list(self._why.items())[:_MOST]:
            yield f"{path} can't be written or removed ({why})"
        if len(self._why) > _MOST:
            yield f"nor can {pluralize(len(self._why) - _MOST, 'more file')} beside these"
