"""Clocks that are set while a run goes on, or between two runs, halt nothing."""

from __future__ import annotations

import pytest

from batchedit.commands.clock import SteadyClock
from batchedit.core.actions import MAX_SECONDS_AHEAD, Patience, Poll, Sleep, drop_future_due_at, next_action
from batchedit.core.model import Handle, State
from tests.support.factories import make_record

NOW = 1_800_000_000.0


def test_a_clock_that_is_set_changes_no_wait() -> None:
    wall, steady = [NOW], [50.0]
    clock = SteadyClock(lambda: wall[0], lambda: steady[0])
    assert clock() == NOW
    steady[0] += 10
    for wall[0] in (NOW - 7200, NOW + 7200):
        assert clock() == NOW + 10


@pytest.mark.parametrize("off", [600.0, 7200.0, 86_400.0])
def test_a_clock_that_was_ahead_and_is_right_again_halts_no_job(off: float) -> None:
    waiting = make_record(
        State.WAITING,
        handle=Handle("r"),
        submitted_at=NOW + off - 60,
        accepted_at=NOW + off - 59,
        due_at=NOW + off + 5,
        watched_from=NOW,
    )
    assert isinstance(next_action(waiting, NOW, Patience()), Sleep)
    corrected = drop_future_due_at(waiting, NOW)
    assert isinstance(next_action(corrected, NOW, Patience()), Poll)
    assert corrected == waiting._replace(due_at=0.0), "what its events told stands"


def test_a_wait_that_was_written_down_by_this_clock_is_kept() -> None:
    record = make_record(State.PLANNED, submitted_at=NOW - 1, due_at=NOW + MAX_SECONDS_AHEAD)
    assert drop_future_due_at(record, NOW) == record
    assert drop_future_due_at(record._replace(due_at=NOW + MAX_SECONDS_AHEAD + 1), NOW).due_at == 0.0
