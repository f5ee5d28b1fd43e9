"""An account's limit of jobs at once, told from what is refused."""

from __future__ import annotations

from batchedit.core.pace import AccountPace
from batchedit.scheduling.account_limit import AccountLimit


def known(limit: int) -> AccountLimit:
    """Two waves of refusals have told the limit."""
    at_once = AccountLimit()
    for wave in (0.0, 1.5):
        for k in range(4):
            at_once.note_refused(limit, wave + 0.1, wave + 0.01 * k)
    assert at_once.limit == limit
    return at_once


def test_a_job_that_had_ended_unnoticed_made_the_refusals_behind_it_a_limit_of_speed() -> None:
    """The probe took the place of a job that was over: the limit rose from 10 to 13, and refusals at 10 told of no limit of
    ten any more, so that POSTs were paced by a speed that the service has no limit of.
    """
    at_once = known(10)
    at_once.note_sent(10, 20.0)
    at_once.note_accepted(11, 20.1, 20.0)
    assert at_once.note_refused(11, 20.2, 20.1)
    at_once.note_accepted(12, 20.3, 20.2)
    assert at_once.note_refused(10, 22.0, 21.9)
    assert at_once.limit == 10


def test_refusals_that_came_together_made_the_next_probe_wait_for_minutes() -> None:
    at_once = known(10)
    for k in range(4):
        assert at_once.note_refused(10, 20.1 + 0.01 * k, 20.0)
    assert at_once.compute_time_to_probe(10, 20.2) <= 20.0


def test_one_job_that_ended_since_the_probe_went_out_lowered_the_limit() -> None:
    at_once = known(10)
    at_once.note_sent(10, 20.0)
    assert at_once.note_refused(9, 20.1, 20.0)
    assert at_once.limit == 10
    assert at_once.note_refused(9, 22.1, 22.0)
    assert at_once.limit == 9


def test_a_limit_that_rises_is_found() -> None:
    at_once, in_flight, now = known(10), 10, 20.0
    while now < 60.0 and in_flight < 20:
        now += 0.1
        if at_once.admits(in_flight, now):
            at_once.note_sent(in_flight, now)
            in_flight += 1
            at_once.note_accepted(in_flight, now + 0.05, now)
    assert in_flight == 20
    assert now <= 30.0


def test_a_probe_whose_place_a_job_gave_back_meanwhile_ended_the_search() -> None:
    """The probe was accepted while a job ended: nothing was beyond the limit, and the next one came 80 s later."""
    at_once = known(10)
    at_once.note_sent(10, 20.0)
    at_once.note_accepted(10, 20.1, 20.0)
    assert at_once.admits(10, 20.1)


def test_an_account_that_was_raised_was_noticed_after_a_quarter_of_an_hour() -> None:
    """Each probe in vain doubled the time to the next one, whatever it had cost."""
    at_once, now = known(10), 20.0
    for _ in range(12):
        now += at_once.compute_time_to_probe(10, now)
        at_once.note_sent(10, now)
        at_once.note_refused(10, now + 0.1, now, 1.0)
    assert 60.0 <= at_once.compute_time_to_probe(10, now + 0.1) <= 101.0


def test_a_refusal_that_asks_for_minutes_is_not_asked_for_again_in_seconds() -> None:
    """A probe in vain that costs 300 s of pause each 20 s would be most of the night."""
    at_once = known(10)
    at_once.note_sent(10, 20.0)
    at_once.note_refused(10, 20.1, 20.0, 300.0)
    assert at_once.compute_time_to_probe(10, 20.1) >= 3000.0


def two(in_flight: int, *, waiting: int = 1) -> AccountPace:
    """What one of two workers hears of the other one."""
    return AccountPace(leads=True, workers=2, in_flight=in_flight, waiting=waiting)


def test_a_worker_that_had_learned_too_low_a_limit_was_shut_out_for_good_by_what_the_others_had() -> None:
    """Others had more in flight than all of the limit that it believed in, so that no place ever came free."""
    at_once = known(6)
    at_once.apply_account_pace(two(7), 0)
    assert not at_once.admits(0, 20.0), "one more than the limit may be a job that has ended"
    at_once.apply_account_pace(two(20), 0)
    assert at_once.admits(0, 21.0)


def test_a_free_place_beyond_its_part_is_left_to_a_worker_that_waits() -> None:
    at_once = known(10)
    at_once.apply_account_pace(two(3), 6)
    assert not at_once.admits(6, 2.0)
    assert at_once.admits(4, 2.0)
    at_once.apply_account_pace(two(3, waiting=0), 6)
    assert at_once.admits(6, 2.0), "nobody else wants it"


def test_what_others_have_beyond_a_candidate_speaks_against_it() -> None:
    """Nothing of its own was accepted meanwhile, and two waves of refusals at 5 looked like a limit of five."""
    at_once = AccountLimit()
    at_once.apply_account_pace(two(0), 5)
    for k in range(4):
        at_once.note_refused(5, 0.1, 0.01 * k)
    at_once.apply_account_pace(two(9), 5)
    for k in range(4):
        at_once.apply_account_pace(two(0), 5)
        at_once.note_refused(5, 1.6, 1.5 + 0.01 * k)
    assert at_once.limit is None


def refuse(at_once: AccountLimit, in_flight: int, at: float, count: int = 1) -> None:
    """``count`` POSTs that were under way together."""
    for k in range(count):
        at_once.note_refused(in_flight, at + 0.01 * k, at - 0.02)


def accept(at_once: AccountLimit, most: int, at: float) -> None:
    """Behind a hold nothing is in flight, and jobs are accepted until there are ``most``."""
    for in_flight in range(1, most + 1):
        at_once.note_accepted(in_flight, at + 0.01 * in_flight, at)


def test_jobs_that_had_ended_before_anybody_knew_how_long_they_take_hid_the_limit() -> None:
    """``-j auto``, an account of ten jobs: the first wave was refused with 16 counted as in flight, six of them over. The
    next refusals, at ten, began anew at one each, were taken for a limit of speed, and 20 s went by at two thirds of it.
    """
    at_once = AccountLimit()
    refuse(at_once, 16, 1.3, 4)
    accept(at_once, 10, 2.5)
    refuse(at_once, 10, 2.9)
    accept(at_once, 10, 4.1)
    refuse(at_once, 10, 4.5)
    assert at_once.limit == 10


def test_chance_refuses_few_together_and_so_tells_of_no_lower_limit() -> None:
    at_once = AccountLimit()
    refuse(at_once, 16, 1.3, 2)
    for wave in (2.9, 4.5, 6.1):
        accept(at_once, 10, wave - 0.4)
        refuse(at_once, 10, wave)
    assert at_once.limit is None


def test_what_was_accepted_beyond_it_meanwhile_is_no_limit() -> None:
    at_once = AccountLimit()
    refuse(at_once, 16, 1.3, 4)
    accept(at_once, 12, 2.5)
    for wave in (2.9, 4.5):
        refuse(at_once, 10, wave)
    assert at_once.limit is None
