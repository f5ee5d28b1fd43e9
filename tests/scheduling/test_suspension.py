"""A suspension is told from two clocks: the one that can't be set, and the wall's."""

from __future__ import annotations

import pytest

from batchedit.scheduling.suspension import Beats, Suspension


def test_a_stopped_process_a_machine_that_slept_and_a_clock_that_was_set() -> None:
    beats = Beats()
    assert beats.beat(3.0, 1003.0) is None, "nobody watches yet"
    beats.begin(10.0, 1010.0)
    assert beats.beat(11.2, 1011.2) is None
    assert beats.beat(57.2, 1057.2) == Suspension(45.0, 45.0)
    assert beats.beat(58.2, 8058.2) == Suspension(pytest.approx(7000.0), 0.0)
    assert beats.beat(59.2, 859.2) is None, "set back: nothing passed without us"
    assert beats.beat(60.2, 860.2) is None


def test_patience_is_used_up_by_what_was_waited_for_alone() -> None:
    beats = Beats()
    beats.begin(0.0, 0.0)
    beats.beat(46.0, 46.0)
    beats.beat(146.0, 146.0)
    beats.begin(200.0, 5000.0)
    assert beats.beat(201.0, 5001.0) is None
    assert (beats.count_suspended(0.0), beats.count_suspended(50.0), beats.count_suspended(150.0)) == (144.0, 99.0, 0.0)
