"""The ledger in memory passes both suites."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from batchedit.core.model import ResultLine
from batchedit.ledger.book import Checkpoint
from batchedit.ledger.memory import MemoryCheckpoint
from tests.ledger.book_suite import BookSuite
from tests.ledger.ledger_suite import LedgerSuite, Make


class TestMemory(LedgerSuite):
    @pytest.fixture
    def make(self) -> Make:
        def make(lines: Iterable[ResultLine], cap: int | None = None) -> MemoryCheckpoint:
            return MemoryCheckpoint(lines, cap=cap)

        return make


class TestMemoryBook(BookSuite):
    @pytest.fixture
    def book(self) -> Checkpoint:
        book = MemoryCheckpoint()
        book.put("model", "openai/gpt-4o-image/edit")
        return book
