"""The rows of the sheet that a job is for, written with each event in ``run.jsonl``."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any

from ..core.errors import BatcheditError
from ..ledger.book import Book
from ..ledger.opening import open_checkpoint
from ..manifest.rownames import find_row_id, to_sheet_row
from ..manifest.rows import Form
from ..run_folder import RunFolder, read_form_of_run

_CACHED_JOBS = 8192
"""Each job in flight has several events; a read takes ten microseconds."""


class RowNames:
    """Maps a job's id to ``{"row": 7, "id": "00413"}``, numbers as in the sheet, and all ``rows`` where several ask for it.

    Reads through a connection of its own: the run's is locked while something is written, and an event must not wait for a
    disk. Where the ledger can't be read the result is empty, and the log goes on without rows.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._book: Book | None = None
        self._form: Form | None = None
        self.of = lru_cache(maxsize=_CACHED_JOBS)(self._read)

    def close(self) -> None:
        """Close the connection."""
        if self._book is not None:
            self._book.close()

    def _read(self, job: int) -> dict[str, Any]:
        with suppress(BatcheditError):
            if self._book is None or self._form is None:
                self._book = open_checkpoint(self._folder.checkpoint, read_only=True)
                self._form = read_form_of_run(self._book, self._folder)
            form = self._form
            rows = self._book.find_rows([job]).get(job, [])
            numbers = [to_sheet_row(form, row) for row, _ in rows]
            if rows:
                fields = {"row": numbers[0], "id": find_row_id(form, *rows[0])}
                return fields | ({"rows": numbers} if len(numbers) > 1 else {})
        return {}
