"""The rows of the sheet that a job is for, told with each event in ``run.jsonl``."""

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

_REMEMBERED = 8192
"""Jobs in flight come up again and again; a read takes ten microseconds."""


class RowNames:
    """For a job's id ``{"row": 7, "id": "00413"}``, numbers as the sheet shows them, and all ``rows`` where several ask.

    Reads through a connection of its own: the run's is held while something is written, and an event must not wait for a
    disk. Nothing is told of a job where the record can't be read: the log goes on without.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._book: Book | None = None
        self._form: Form | None = None
        self.of = lru_cache(maxsize=_REMEMBERED)(self._read)

    def close(self) -> None:
        """Give the connection back."""
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
                named = {"row": numbers[0], "id": find_row_id(form, *rows[0])}
                return named | ({"rows": numbers} if len(numbers) > 1 else {})
        return {}
