"""The ledger on PostgreSQL passes the suites that SQLite and memory pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from batchedit.core.model import ResultLine
from batchedit.ledger.book import Checkpoint
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.postgres.shared_opening import open_shared
from tests.ledger.book_suite import BookSuite
from tests.ledger.ledger_suite import LedgerSuite, Make
from tests.support.postgres import MODEL, new_run, shared_store

_numbers = count(1)

pytestmark = pytest.mark.process


class TestPostgres(LedgerSuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Make]:
        opened: list[PostgresLedger] = []

        def make(lines: Iterable[ResultLine], cap: int | None = None) -> PostgresLedger:
            opened.append(PostgresLedger(*new_run(lines, cap=cap), MODEL, tmp_path))
            return opened[-1]

        yield make
        for ledger in opened:
            ledger.close()


class TestSharedBook(BookSuite):
    """Commands on a run of the store have the same book: changes go to the store, reading to the folder's copy."""

    @pytest.fixture
    def book(self, tmp_path: Path) -> Iterator[Checkpoint]:
        folder = tmp_path / f"book-{next(_numbers)}"
        folder.mkdir()
        checkpoint = open_shared(
            folder / "checkpoint.sqlite", shared_store(), model=MODEL, service=BoughtFrom("sandbox", own_sandbox=False)
        )
        yield checkpoint
        checkpoint.close()
