"""The files that a command could not write, and no later try did: reported at its end, and never with exit code 0."""

from __future__ import annotations

from collections.abc import Iterator

from .plurals_and_durations import pluralize

UNWRITTEN_CODE = 74
"""As ``DiskError`` has it."""
_MAX_NAMED = 5
"""Files that are reported by name, at most."""


class WriteFailures:
    """Files that can be made again later, and that neither stop a run nor its purchases: small pictures, the log, the live
    file, the register's entry.

    There is one of these for each command. The writer of such a file adds its failures, from any thread; ``Report.code`` and
    ``Report.warnings`` show them to the person.
    """

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def add(self, path: object, error: Exception) -> None:
        """``path`` could not be made, written, renamed or removed."""
        self._why[str(path)] = str(getattr(error, "strerror", None) or error)

    def remove(self, path: object) -> None:
        """A later try wrote ``path``."""
        self._why.pop(str(path), None)

    def __bool__(self) -> bool:
        return bool(self._why)

    def describe(self) -> Iterator[str]:
        """A sentence for each file, up to ``_MAX_NAMED``, and one for all others."""
        for path, why in list(self._why.items())[:_MAX_NAMED]:
            yield f"{path} can't be written or removed ({why})"
        if len(self._why) > _MAX_NAMED:
            yield f"nor can {pluralize(len(self._why) - _MAX_NAMED, 'more file')} beside these"
