"""The ledger on PostgreSQL passes the suites that SQLite and memory pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batchedit.core.errors import UsageError
from batchedit.core.model import ResultLine
from batchedit.ledger.book import Checkpoint
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.intake import add_run
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.postgres.shared import SharedCheckpoint
from batchedit.ledger.postgres.shared_opening import open_shared
from tests.ledger.book_suite import BookSuite
from tests.ledger.ledger_suite import LedgerSuite, Make
from tests.support.factories import make_line
from tests.support.postgres import MODEL, new_database, new_run, shared_store

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


def test_what_was_taken_in_is_known_to_the_planner(tmp_path: Path) -> None:
    """Without statistics writes were three times slower, until the server came to it by itself."""
    url, path = new_database(), tmp_path / "spring" / "checkpoint.sqlite"
    path.parent.mkdir()
    with closing(open_shared(path, url, model=MODEL, service=BoughtFrom("sandbox", own_sandbox=False))) as checkpoint:
        intake = checkpoint.begin_intake()
        intake.add([make_line(n) for n in range(1, 8)])
        intake.commit("a sheet")
    with psycopg.connect(url) as connection:
        query = (
            "SELECT relname, reltuples FROM pg_class WHERE oid = ANY ('{batchedit.job,batchedit.request}'::regclass[])"
        )
        assert dict(connection.execute(query).fetchall()) == {"job": 7, "request": 7}


@pytest.mark.parametrize("model", [MODEL, "another/model"])
def test_who_begins_a_run_while_another_does_opens_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """Both had looked and found none of that name; one of them got a duplicate key (74)."""
    name = f"begun-{next(_numbers)}"

    def begun_by(who: str, model: str) -> SharedCheckpoint:
        (tmp_path / who / name).mkdir(parents=True)
        path = tmp_path / who / name / "checkpoint.sqlite"
        return open_shared(path, shared_store(), model=model, service=BoughtFrom("sandbox", own_sandbox=False))

    def overtaken(*values: Any) -> int:
        monkeypatch.undo()
        begun_by("other", MODEL).close()
        return add_run(*values)

    monkeypatch.setattr("batchedit.ledger.postgres.shared_opening.add_run", overtaken)
    with nullcontext() if model == MODEL else pytest.raises(UsageError, match=f"model {MODEL}, not {model}"):
        begun_by("one", model).close()
    with psycopg.connect(shared_store()) as connection:
        counts = connection.execute("SELECT count(*) FROM batchedit.run WHERE name = %s", (name,)).fetchall()
    assert counts == [(1,)]
