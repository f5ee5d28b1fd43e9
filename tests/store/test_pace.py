"""How fast the workers of an account send, as the store tells it: one learns it, the others keep it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchedit.core.pace import AccountPace, PaceReport
from batchedit.ledger.postgres.ledger import PostgresLedger
from tests.support.factories import make_line
from tests.support.postgres import MODEL, new_database, new_run

pytestmark = pytest.mark.process


def report(rate: float | None, refused: int, held: float = 0.0, *, sends: bool = True) -> PaceReport:
    return PaceReport(sends, rate, 10 * refused, refused, held, in_flight=refused + 1, waits=sends)


def tell(ledger: PostgresLedger, report: PaceReport) -> AccountPace | None:
    return anyio.run(ledger.share_pace, report)


def test_the_oldest_worker_leads_and_the_next_one_takes_over_what_it_published(tmp_path: Path) -> None:
    url, run = new_run([make_line(1), make_line(2)], url=new_database())
    one, other = PostgresLedger(url, run, MODEL, tmp_path), PostgresLedger(url, run, MODEL, tmp_path)
    try:
        assert tell(one, report(None, 0)) is not None
        first = tell(one, report(20.0, 3, 5.0))
        second = tell(other, report(7.0, 1))
        assert first is not None
        assert second is not None
        assert (first.leads, first.workers) == (True, 1)
        assert (second.leads, second.workers, second.rate, second.refused) == (False, 2, 20.0, 3)
        assert 0 < second.held <= 5.0
        assert (second.accepted, second.in_flight, second.waiting) == (30, 4, 1)
        again = tell(one, report(21.0, 3))
        assert again is not None
        assert (again.leads, again.workers, again.refused) == (True, 2, 1)
        one.close()
        alone = tell(other, report(7.0, 1))
        assert alone is not None
        assert (alone.leads, alone.workers, alone.rate) == (True, 1, 21.0)
        tell(other, report(19.0, 1))
        third = PostgresLedger(url, run, MODEL, tmp_path)
        pace = tell(third, report(None, 0, sends=False))
        assert pace is not None
        assert (pace.leads, pace.rate, pace.in_flight) == (False, 19.0, 2)
        third.close()
    finally:
        one.close()
        other.close()


def test_a_pace_is_no_reason_to_end(tmp_path: Path) -> None:
    """The store is away for a moment: the pace that was heard last holds."""
    url, run = new_run([make_line(1)], url=new_database())
    ledger = PostgresLedger(url, run, MODEL, tmp_path)
    try:
        ledger._reservations.close()
        ledger._reservations._url = "postgresql://nobody@127.0.0.1:9/nowhere"
        assert tell(ledger, report(None, 0)) is None
    finally:
        ledger.close()
