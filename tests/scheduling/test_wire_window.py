"""How many POSTs may be under way at once: begins at START, grows by quick acceptances, falls at whatever may be trouble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchedit.scheduling.wire_window import CALM, START, TOP, WireWindow

USUAL = 0.1  # seconds from a POST to its acceptance


class Wire:
    """A window, and the POSTs under way, the oldest first."""

    def __init__(self) -> None:
        self.window, self.now, self.under_way = WireWindow(), 0.0, list[float]()

    def fill(self) -> int:
        """Send as many as may go out; how many are under way then."""
        while self.window.admits(self.now):
            self.window.note_sent(self.now)
            self.under_way.append(self.now)
        return len(self.under_way)

    def answer(self, posts: int, *, after: float = USUAL, well: bool = True) -> None:
        """The oldest ``posts`` are answered, ``after`` seconds from now."""
        self.now += after
        for _ in range(posts):
            self.window.note_answer(self.now, self.under_way.pop(0), well=well)


def at_the_top() -> Wire:
    wire = Wire()
    while wire.fill() < TOP:
        wire.answer(1, after=USUAL if not wire.now else 0.0)
    return wire


def test_a_burst_begins_with_few_and_each_quick_acceptance_adds_one() -> None:
    wire = Wire()
    assert wire.fill() == START
    wire.answer(1)
    assert wire.fill() == START + 1
    wire.answer(2, after=0.0)
    assert wire.fill() == START + 3


def test_it_is_at_the_top_after_a_round_trip_and_no_further() -> None:
    wire = Wire()
    wire.fill()
    for n in range(START):
        wire.answer(1, after=0.0 if n else USUAL)
        wire.fill()
    assert wire.fill() == TOP
    wire.answer(1)
    assert wire.fill() == TOP


def test_an_answer_that_may_be_trouble_takes_it_back() -> None:
    wire = at_the_top()
    for left in range(TOP - 1, CALM, -1):
        wire.answer(1, after=0.0, well=False)
        assert wire.fill() == left, "those under way stay, and none is added to them"
    wire.answer(1, after=0.0, well=False)
    assert wire.fill() == START, "the breaker judges what this means"


def test_after_one_that_may_be_trouble_acceptances_prove_it_well_again() -> None:
    wire = at_the_top()
    wire.answer(1, well=False)
    wire.answer(3, after=0.0)
    assert wire.fill() == TOP - 4, "more than are proved"
    wire.answer(3, after=0.0)
    assert wire.fill() == CALM + 6
    assert CALM + 6 > TOP - 7


def test_acceptances_that_took_long_take_it_back() -> None:
    wire = at_the_top()  # eight of those under way went out a usual time before the others
    wire.answer(8, after=4.5 * USUAL)
    assert wire.fill() == START


def test_while_the_oldest_waits_for_long_no_more_than_at_the_start_go_out() -> None:
    """An outage whose answers come after two seconds, or never, is noticed before the first of them."""
    wire = Wire()
    wire.fill()
    wire.answer(START)
    assert wire.fill() == START
    wire.answer(3)
    wire.now += 10 * USUAL
    assert wire.fill() == START


def test_a_burst_that_follows_another_begins_with_few() -> None:
    """After a Retry-After the wire is empty; a service that is overloaded often asks for a pause before it fails."""
    wire = at_the_top()
    wire.answer(TOP)
    assert wire.fill() == START


def test_a_few_under_way_are_no_burst() -> None:
    """POSTs that go out one by one, as places come free, prove nothing about many at once."""
    wire = Wire()
    for _ in range(50):
        assert wire.window.admits(wire.now)
        wire.window.note_sent(wire.now)
        wire.under_way.append(wire.now)
        wire.answer(1)
    assert wire.fill() == START


def test_a_process_that_was_stopped_has_not_learned_that_a_post_takes_a_minute() -> None:
    wire = at_the_top()
    wire.answer(TOP, after=60.0)
    assert wire.fill() == START
    wire.answer(3, after=20 * USUAL)
    assert wire.fill() == START


def test_a_post_that_was_not_sent_leaves_its_place() -> None:
    wire = Wire()
    wire.fill()
    wire.window.note_unsent(wire.under_way.pop())
    assert wire.fill() == START


@given(st.lists(st.tuples(st.integers(1, TOP), st.floats(0.0, 100.0), st.booleans())))
def test_never_more_than_the_top_whatever_the_answers(answers: list[tuple[int, float, bool]]) -> None:
    wire = Wire()
    for posts, after, well in answers:
        before = len(wire.under_way)
        least = START if before <= CALM else before
        assert least <= wire.fill() <= TOP
        wire.answer(min(posts, len(wire.under_way)), after=after, well=well)
