"""How many POSTs may be under way at once: START, more with what quick acceptances prove, and START again in any trouble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchedit.scheduling.post_rate import PostRate
from batchedit.scheduling.shared_rate import SharedRate
from batchedit.scheduling.wire_window import START, TOP, WireWindow

USUAL = 0.1  # seconds from a POST to its acceptance


class Wire:
    """A window, and the POSTs under way, the oldest first."""

    def __init__(self) -> None:
        self.window, self.now, self.under_way = WireWindow(), 0.0, list[float]()

    def send(self) -> None:
        self.window.note_sent(self.now)
        self.under_way.append(self.now)

    def fill(self, *, is_free: bool = True) -> int:
        """Send as many as may go out; how many are under way then."""
        while self.window.admits(self.now, is_free=is_free):
            self.send()
        return len(self.under_way)

    def accept(self, posts: int = 1, *, after: float = USUAL) -> None:
        """The oldest ``posts`` are accepted, ``after`` seconds from now."""
        self.now += after
        for _ in range(posts):
            self.window.note_accepted(self.now, self.under_way.pop(0))

    def refuse(self) -> None:
        self.window.note_refused(self.under_way.pop(0))

    def fail(self) -> None:
        self.window.note_trouble(self.under_way.pop(0))


def prove(acceptances: int = 200) -> Wire:
    """After so many quick acceptances, one after the other; none is under way."""
    wire = Wire()
    for _ in range(acceptances):
        wire.send()
        wire.accept()
    return wire


def fill_a_burst(wire: Wire) -> int:
    """How many are under way once the first of a burst is accepted."""
    assert wire.fill() == START, "none is accepted yet"
    wire.accept()
    return wire.fill()


def test_a_service_of_which_nothing_is_known_gets_eight_at_once() -> None:
    wire = Wire()
    for _ in range(3):
        assert wire.fill() == START
        wire.accept(4)


def test_each_two_that_are_accepted_quickly_let_one_more_be_under_way() -> None:
    assert fill_a_burst(prove(20)) == START
    assert fill_a_burst(prove(21)) == START + 1
    assert fill_a_burst(prove(30)) == START + 5
    assert fill_a_burst(prove()) == TOP


def test_a_burst_begins_with_eight_whatever_was_proved_before() -> None:
    """After a Retry-After the wire is empty; a service that is overloaded often asks for a pause before it fails."""
    wire = prove()
    assert fill_a_burst(wire) == TOP
    wire.accept(TOP)
    assert wire.fill() == START


def test_a_refusal_takes_back_what_twelve_have_proved() -> None:
    for refusals, left in ((1, TOP - 6), (2, START), (3, START)):
        wire = prove()
        for _ in range(refusals):
            wire.send()
            wire.refuse()
        assert fill_a_burst(wire) == left


def test_a_service_that_refuses_eight_in_a_hundred_stays_at_eight() -> None:
    wire = Wire()
    for post in range(1, 600):
        wire.send()
        if post % 12:
            wire.accept()
        else:
            wire.refuse()
    assert fill_a_burst(wire) == START


def test_where_a_limit_of_speed_is_known_it_stays_at_eight() -> None:
    wire = prove()
    assert wire.fill() == START
    wire.accept()
    assert wire.fill(is_free=False) == START


def test_a_post_without_an_answer_takes_all_back() -> None:
    wire = prove()
    assert fill_a_burst(wire) == TOP
    wire.fail()
    while wire.under_way:
        assert not wire.window.admits(wire.now, is_free=True) or len(wire.under_way) < START
        wire.accept(after=0.0)
    assert fill_a_burst(wire) == START


def test_while_the_oldest_waits_for_long_no_more_than_eight_go_out() -> None:
    """An outage whose answers come after two seconds, or never, is noticed before the first of them."""
    wire = prove()
    assert wire.fill() == START
    wire.accept()
    wire.now += 2.1 * USUAL
    assert wire.fill() == START


def test_an_acceptance_that_took_long_proves_nothing() -> None:
    for after, more in ((USUAL, 1), (2.1 * USUAL, 0)):
        wire = prove(20)
        wire.send()
        wire.accept(after=after)
        assert fill_a_burst(wire) == START + more


def test_a_process_that_was_stopped_has_not_learned_that_a_post_takes_a_minute() -> None:
    wire = prove()
    wire.fill()
    wire.accept(after=60.0)
    wire.accept(START - 1, after=0.0)
    assert wire.fill() == START
    wire.accept(after=6 * USUAL)
    assert wire.fill() == START, "six times the usual is not quick, though one took a minute"


def test_a_post_that_was_not_sent_leaves_its_place() -> None:
    wire = Wire()
    wire.fill()
    wire.window.note_unsent(wire.under_way.pop())
    assert wire.fill() == START


@given(st.lists(st.tuples(st.integers(1, TOP), st.floats(0.0, 100.0), st.sampled_from(["accept", "refuse", "fail"]))))
def test_never_fewer_than_eight_nor_more_than_twenty_whatever_the_answers(
    answers: list[tuple[int, float, str]],
) -> None:
    wire = prove()
    for posts, after, answer in answers:
        before = len(wire.under_way)
        assert max(before, START) <= wire.fill() <= TOP
        for _ in range(min(posts, len(wire.under_way))):
            match answer:
                case "accept":
                    wire.accept(after=after)
                case "refuse":
                    wire.refuse()
                case _:
                    wire.fail()


def test_a_worker_beside_others_is_never_free() -> None:
    """With twenty under way each, two workers met a limit of 8 a second with 39 refusals of 200 POSTs; 36 are allowed."""
    alone, worker = PostRate(None), SharedRate(None)
    assert alone.is_free
    assert not worker.is_free
    assert not PostRate(5.0).is_free
