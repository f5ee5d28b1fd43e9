"""An error that nobody foresaw harms the job that it is about, and only where that job is paid for already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from batchedit.core.actions import Action, Poll, Sleep
from batchedit.core.errors import TokenError
from batchedit.core.events import Event, GivenUp
from batchedit.core.model import Kind, Record, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.collecting import attempt
from batchedit.pool.learning import Downloads
from batchedit.pool.slots import Slot
from tests.pool.test_pool import Service, make_governor, make_pool, virtually
from tests.support.factories import make_line, make_record


@dataclass
class Failing(Service):
    """A service whose every look ends in ``error``."""

    error: Exception = field(default_factory=Exception)

    async def poll(self, record: Record) -> Any:
        raise self.error


def attempted(record: Record, action: Action, error: Exception) -> Event | None:
    results: list[Event | None] = []

    async def main() -> None:
        service = Failing(error=error)
        governor = make_governor(service)
        pool = make_pool(service, MemoryCheckpoint([make_line(1)]), governor)
        results.append(await attempt(pool, record, action, Slot(governor.slots)))

    virtually(main)
    return results[0]


@pytest.mark.parametrize("state", [State.WAITING, State.CANCELLING])
def test_a_defect_while_a_bought_job_is_looked_at_keeps_its_id_and_ends_no_run(state: State) -> None:
    event = attempted(make_record(state), Poll(), ZeroDivisionError("a defect of ours"))
    assert isinstance(event, GivenUp)
    assert event.problem.kind is Kind.INTERNAL
    assert "a defect of ours" in event.problem.message


def test_a_token_that_has_expired_ends_the_run_and_not_one_job() -> None:
    with pytest.raises(TokenError, match="expired"):
        attempted(make_record(State.WAITING), Poll(), TokenError("it has expired"))


def test_a_defect_about_a_job_that_nothing_was_paid_for_is_not_written_down_as_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def defect(*_: object) -> None:
        raise ZeroDivisionError("a defect of ours")

    monkeypatch.setattr("batchedit.pool.collecting._sleep", defect)
    with pytest.raises(ZeroDivisionError):
        attempted(make_record(State.PLANNED), Sleep(5.0), ValueError())


def test_the_time_left_was_none_while_hundreds_of_files_were_still_to_be_had() -> None:
    """ "0 s left" stood in the line a minute for two minutes: all jobs had ended, and their files came five a second."""
    downloads = Downloads()
    assert downloads.estimate_seconds(3, 0, 0.0) == 0.0, "a few are on their way at any moment"
    assert downloads.estimate_seconds(700, 0, 10.0) is None, "nobody knows"
    assert downloads.estimate_seconds(600, 100, 30.0) == pytest.approx(600 / (100 / 30), rel=0.01)
    assert downloads.estimate_seconds(300, 400, 90.0) == pytest.approx(300 / 5.0, rel=0.01), "what came lately counts"
