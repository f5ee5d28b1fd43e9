"""The table: every state with every event, and what a record carries from one to the next."""

from __future__ import annotations

import typing

import pytest

from batchedit.core import events, lifecycle
from batchedit.core.actions import (
    Cancel,
    Download,
    GiveUp,
    Patience,
    Poll,
    Reserve,
    Rest,
    Sleep,
    Submit,
    next_action,
    recover,
)
from batchedit.core.errors import IllegalEventError
from batchedit.core.events import (
    Accepted,
    CancelAsked,
    CancelConfirmed,
    CancelDenied,
    Completed,
    Declined,
    Errored,
    Event,
    GivenUp,
    Gone,
    Lost,
    Missed,
    Pending,
    Priced,
    Refused,
    Released,
    Reopened,
    Reserved,
    Resumed,
    RetryAsked,
    Reused,
    Saved,
    Spoiled,
    WrittenOff,
)
from batchedit.core.lifecycle import TRANSITIONS, advance
from batchedit.core.model import Handle, Kind, Output, Problem, Record, SavedFile, State
from tests.support.factories import make_job, make_record

NOW = 200.0
PROBLEM = Problem(Kind.SERVICE, "it broke", 500, 500001)
FILE = SavedFile("files/job-1.png", "ab" * 32, 10, 1, 1, "https://files.runcomfy.net/1.png")
OUTPUTS = (Output("https://files.runcomfy.net/1.png"),)
EVENTS: tuple[Event, ...] = (
    Reserved(NOW, 40_000),
    Reused(NOW, Handle("req-8"), (FILE,), "/runs/other"),
    Accepted(NOW, Handle("req-9")),
    Declined(NOW, PROBLEM, NOW + 5, counts=True),
    Refused(NOW, PROBLEM),
    Lost(NOW, PROBLEM),
    Released(NOW, "a person"),
    WrittenOff(NOW, "a person"),
    Pending(NOW, NOW + 5),
    Missed(NOW, NOW + 5, PROBLEM),
    Completed(NOW, OUTPUTS, 50_000),
    Errored(NOW, PROBLEM),
    Gone(NOW, PROBLEM),
    GivenUp(NOW, PROBLEM),
    Resumed(NOW),
    CancelAsked(NOW),
    CancelConfirmed(NOW),
    CancelDenied(NOW),
    Saved(NOW, (FILE,)),
    Spoiled(NOW, NOW + 5, PROBLEM),
    Priced(NOW, 50_000),
    RetryAsked(NOW),
    Reopened(NOW),
)
PATIENCE = Patience(stuck_after=60.0, spoils=3)
EVENTS_OF_ALL_KINDS = typing.get_args(events.Event)


TABLE = {
    State.PLANNED: {Reserved: State.SUBMITTING, Reused: State.DONE},
    State.SUBMITTING: {
        Accepted: State.WAITING,
        Declined: State.PLANNED,
        Refused: State.FAILED,
        Lost: State.IN_DOUBT,
    },
    State.IN_DOUBT: {
        Accepted: State.WAITING,
        Declined: State.PLANNED,
        Released: State.PLANNED,
        WrittenOff: State.FAILED,
    },
    State.WAITING: {
        Pending: State.WAITING,
        Missed: State.WAITING,
        Resumed: State.WAITING,
        Completed: State.FETCHED,
        Errored: State.FAILED,
        Gone: State.UNCOLLECTED,
        GivenUp: State.UNCOLLECTED,
        CancelAsked: State.CANCELLING,
        CancelConfirmed: State.CANCELLED,
    },
    State.CANCELLING: {
        CancelConfirmed: State.CANCELLED,
        CancelDenied: State.WAITING,
        Missed: State.CANCELLING,
        Completed: State.FETCHED,
        GivenUp: State.UNCOLLECTED,
    },
    State.FETCHED: {
        Saved: State.DONE,
        Spoiled: State.FETCHED,
        Completed: State.FETCHED,
        Pending: State.FETCHED,
        Missed: State.FETCHED,
        GivenUp: State.UNCOLLECTED,
        Errored: State.UNCOLLECTED,
        Gone: State.UNCOLLECTED,
        CancelConfirmed: State.UNCOLLECTED,
    },
    State.UNCOLLECTED: {
        Resumed: State.WAITING,
        Priced: State.UNCOLLECTED,
        Released: State.PLANNED,
        WrittenOff: State.FAILED,
    },
    State.DONE: {Priced: State.DONE},
    State.FAILED: {RetryAsked: State.PLANNED, Reopened: State.UNCOLLECTED, Priced: State.FAILED},
    State.CANCELLED: {RetryAsked: State.PLANNED, Priced: State.CANCELLED},
}
"""The table once more, by hand: every other test of it takes the program's own for true."""


def test_a_line_of_the_table_is_changed_in_two_places_or_not_at_all() -> None:
    assert TABLE == TRANSITIONS


def test_which_states_take_a_slot_are_bought_and_are_over() -> None:
    """Of one that is missing here a restart would not know that it is bought, or would put too many in flight."""
    assert {State.SUBMITTING, State.IN_DOUBT, State.WAITING, State.CANCELLING} == lifecycle.REMOTE
    assert {State.WAITING, State.CANCELLING, State.FETCHED, State.UNCOLLECTED} == lifecycle.BOUGHT
    assert {State.DONE, State.FAILED, State.CANCELLED} == lifecycle.FINAL


def test_every_event_of_the_union_is_here() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(events.Event))


def test_every_state_has_its_line_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_table_is_the_only_way_to_move(state: State, event: Event) -> None:
    record = make_record(state)
    before = record._replace()
    target = TRANSITIONS[state].get(type(event))
    if target is None:
        with pytest.raises(IllegalEventError):
            advance(record, event)
    else:
        assert advance(record, event).state is target
    assert record == before


def test_only_what_was_surely_not_taken_leads_back_to_planned_by_itself() -> None:
    back = {event for moves in TRANSITIONS.values() for event, target in moves.items() if target is State.PLANNED}
    assert back == {Declined, Released, RetryAsked}
    assert [state for state in State if TRANSITIONS[state].get(Declined) is State.PLANNED] == [
        State.SUBMITTING,
        State.IN_DOUBT,
    ]
    assert [event for event, target in TRANSITIONS[State.SUBMITTING].items() if target is State.PLANNED] == [Declined]


def test_a_post_is_sent_from_submitting_alone_and_only_reserved_leads_there() -> None:
    into = {
        (state, event) for state, moves in TRANSITIONS.items() for event, to in moves.items() if to is State.SUBMITTING
    }
    assert into == {(State.PLANNED, Reserved)}
    sends = [state for state in State if next_action(make_record(state), NOW, PATIENCE) == Submit()]
    assert sends == [State.SUBMITTING]


@pytest.mark.parametrize(
    ("state", "changes", "action"),
    [
        (State.PLANNED, {}, Reserve()),
        (State.PLANNED, {"due_at": NOW + 1}, Sleep(NOW + 1)),
        (State.SUBMITTING, {}, Submit()),
        (State.IN_DOUBT, {}, Rest()),
        (State.WAITING, {}, Poll()),
        (State.WAITING, {"due_at": NOW + 1}, Sleep(NOW + 1)),
        (State.CANCELLING, {}, Cancel()),
        (State.FETCHED, {}, Download()),
        (State.FETCHED, {"outputs": ()}, Poll()),
        (State.FETCHED, {"due_at": NOW + 1}, Sleep(NOW + 1)),
        (State.FETCHED, {"spoils": 3, "problem": PROBLEM}, GiveUp(PROBLEM)),
        (State.UNCOLLECTED, {}, Rest()),
        (State.DONE, {}, Rest()),
        (State.FAILED, {}, Rest()),
        (State.CANCELLED, {}, Rest()),
    ],
)
def test_what_to_do_next(state: State, changes: dict[str, object], action: object) -> None:
    assert next_action(make_record(state, **changes), NOW, PATIENCE) == action


BEFORE = Problem(Kind.LOST, "what was wrong before")
FULL = Record(
    id=1,
    job=make_job(),
    serial=3,
    attempts=2,
    due_at=150.0,
    reserved=40_000,
    earlier_spent=7,
    handle=Handle("req-1"),
    outputs=(Output("https://files.runcomfy.net/old.png"),),
    files=(SavedFile("files/old.png", "cd" * 32, 10, 1, 1, "https://files.runcomfy.net/old.png"),),
    problem=BEFORE,
    submitted_at=100.0,
    accepted_at=101.0,
    finished_at=130.0,
    watched_from=102.0,
    polled_at=110.0,
    queued_at=104.0,
    absent=2,
    spoils=1,
)
"""Nothing in it is empty, so whatever an event leaves, sets or empties can be told apart."""
SETTLED = {"reserved": 0, "cost": 40_000}
TOLD = {"reserved": 0, "cost": 50_000, "cost_known": True}
AS_NEW = {
    "attempts": 0,
    "due_at": 0.0,
    "earlier_spent": 40_007,
    "reserved": 0,
    "handle": None,
    "outputs": (),
    "files": (),
    "problem": None,
    "submitted_at": None,
    "accepted_at": None,
    "finished_at": None,
    "watched_from": 0.0,
    "polled_at": 0.0,
    "queued_at": None,
    "absent": 0,
    "spoils": 0,
}
WRITTEN_OFF = Problem(
    Kind.WRITTEN_OFF, "given up (by hand); it may have been charged; before that: what was wrong before"
)


@pytest.mark.parametrize(
    ("state", "event", "changed"),
    [
        (
            State.PLANNED,
            Reserved(NOW, 50_000),
            {"reserved": 50_000, "submitted_at": NOW, "problem": None, "finished_at": None},
        ),
        (
            State.PLANNED,
            Reused(NOW, Handle("req-8"), (FILE,), "/runs/other"),
            {
                "handle": Handle("req-8"),
                "files": (FILE,),
                "cost": 0,
                "cost_known": True,
                "problem": None,
                "due_at": 0.0,
                "finished_at": NOW,
            },
        ),
        (
            State.SUBMITTING,
            Accepted(NOW, Handle("req-9")),
            {"handle": Handle("req-9"), "accepted_at": NOW, "watched_from": NOW, "due_at": 0.0, "problem": None},
        ),
        (State.SUBMITTING, Declined(NOW, PROBLEM, NOW + 5), {"reserved": 0, "problem": PROBLEM, "due_at": NOW + 5}),
        (
            State.SUBMITTING,
            Declined(NOW, PROBLEM, NOW + 5, counts=True),
            {"reserved": 0, "problem": PROBLEM, "due_at": NOW + 5, "attempts": 3},
        ),
        (State.SUBMITTING, Refused(NOW, PROBLEM), {"reserved": 0, "problem": PROBLEM, "finished_at": NOW}),
        (State.SUBMITTING, Lost(NOW, PROBLEM), {"problem": PROBLEM}),
        (State.IN_DOUBT, Released(NOW, "by hand"), AS_NEW),
        (State.IN_DOUBT, WrittenOff(NOW, "by hand"), SETTLED | {"problem": WRITTEN_OFF, "finished_at": NOW}),
        (
            State.WAITING,
            Pending(NOW, NOW + 5, problem=PROBLEM),
            {"due_at": NOW + 5, "polled_at": NOW, "queued_at": NOW, "absent": 0, "problem": PROBLEM},
        ),
        (
            State.WAITING,
            Pending(NOW, NOW + 5, running=True),
            {"due_at": NOW + 5, "polled_at": NOW, "left_queue_at": 152.0, "absent": 0, "problem": None},
        ),
        (
            State.WAITING,
            Missed(NOW, NOW + 5, PROBLEM),
            {"due_at": NOW + 5, "polled_at": NOW, "problem": PROBLEM, "absent": 0},
        ),
        (
            State.WAITING,
            Missed(NOW, NOW + 5, PROBLEM, absent=True),
            {"due_at": NOW + 5, "polled_at": NOW, "problem": PROBLEM, "absent": 3},
        ),
        (
            State.WAITING,
            Completed(NOW, OUTPUTS, 50_000),
            TOLD | {"outputs": OUTPUTS, "due_at": 0.0, "problem": None, "absent": 0},
        ),
        (State.WAITING, Errored(NOW, PROBLEM), SETTLED | {"problem": PROBLEM, "finished_at": NOW}),
        (State.WAITING, Errored(NOW, PROBLEM, 50_000), TOLD | {"problem": PROBLEM, "finished_at": NOW}),
        (State.WAITING, Gone(NOW, PROBLEM), {"problem": PROBLEM}),
        (State.WAITING, GivenUp(NOW, PROBLEM), {"problem": PROBLEM}),
        (
            State.UNCOLLECTED,
            Resumed(NOW),
            {
                "watched_from": NOW,
                "polled_at": 0.0,
                "due_at": 0.0,
                "absent": 0,
                "spoils": 0,
                "outputs": (),
                "problem": None,
            },
        ),
        (State.WAITING, CancelAsked(NOW), {"due_at": 0.0}),
        (State.CANCELLING, CancelDenied(NOW), {"due_at": 0.0}),
        (State.FETCHED, CancelConfirmed(NOW), SETTLED),
        (State.FETCHED, CancelConfirmed(NOW, 50_000), TOLD),
        (State.FETCHED, Saved(NOW, (FILE,)), {"files": (FILE,), "problem": None}),
        (
            State.FETCHED,
            Spoiled(NOW, NOW + 5, PROBLEM),
            {"outputs": (), "due_at": NOW + 5, "problem": PROBLEM, "spoils": 2},
        ),
        (State.UNCOLLECTED, Priced(NOW, 50_000), TOLD),
        (State.FAILED, RetryAsked(NOW), AS_NEW),
        (State.FAILED, Reopened(NOW), {"finished_at": None}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EVENTS_OF_ALL_KINDS) else None,
)
def test_an_event_changes_this_and_nothing_else(state: State, event: Event, changed: dict[str, object]) -> None:
    record = FULL._replace(state=state)
    after = advance(record, event)
    differences = {
        name: now
        for name, was, now in zip(Record._fields, record, after, strict=True)
        if name != "state" and (was, type(was)) != (now, type(now))
    }
    assert differences == changed


def test_a_retry_of_what_was_once_seen_in_the_queue_is_looked_at_with_fresh_eyes() -> None:
    again = advance(FULL._replace(state=State.FAILED, left_queue_at=112.0), RetryAsked(NOW))
    assert (again.left_queue_at, again.running_since) == (None, None)


def test_a_retry_sinks_what_the_purchase_cost_and_not_what_was_held_for_it() -> None:
    """A record that is settled holds nothing; one whose cost is known sinks that, or the cap would admit too much."""
    paid = FULL._replace(state=State.FAILED, reserved=0, cost=50_000, cost_known=True)
    again = advance(paid, RetryAsked(NOW))
    assert (again.earlier_spent, again.cost, again.cost_known) == (50_007, None, False)


def test_a_picture_is_finished_when_it_is_first_told_of() -> None:
    assert advance(FULL._replace(state=State.WAITING, finished_at=None), Completed(NOW, OUTPUTS)).finished_at == NOW


def test_a_job_given_up_without_a_known_problem_says_so_in_one_sentence() -> None:
    problem = advance(FULL._replace(state=State.IN_DOUBT, problem=None), WrittenOff(NOW, "by hand")).problem
    assert problem == Problem(Kind.WRITTEN_OFF, "given up (by hand); it may have been charged")


@pytest.mark.parametrize(
    ("state", "charged", "message"),
    [
        (State.CANCELLING, None, "nothing was charged"),
        (State.WAITING, None, "does not say whether it was charged"),
        (State.CANCELLING, 50_000, "the service charged $0.05 all the same"),
    ],
)
def test_a_cancelled_job_says_what_it_came_to(state: State, charged: int | None, message: str) -> None:
    after = advance(FULL._replace(state=state), CancelConfirmed(NOW, charged))
    assert after.problem is not None
    assert (after.problem.kind, after.finished_at) == (Kind.CANCELLED, NOW)
    assert message in after.problem.message


@pytest.mark.parametrize(
    ("cost", "known", "charged", "spent", "message"),
    [
        (70_000, True, None, 70_007, "the service charged $0.07 all the same"),
        (70_000, True, 50_000, 50_007, "the service charged $0.05 all the same"),
        (40_000, False, None, 40_007, "does not say whether it was charged"),
        (40_000, False, 0, 7, "nothing was charged"),
    ],
)
def test_a_picture_that_came_out_before_its_cancel_says_what_it_cost(
    cost: int, known: bool, charged: int | None, spent: int, message: str
) -> None:
    after = advance(
        FULL._replace(state=State.CANCELLING, reserved=0, cost=cost, cost_known=known), CancelConfirmed(NOW, charged)
    )
    assert after.spent == spent
    assert after.problem is not None
    assert message in after.problem.message


def test_an_illegal_event_is_named_with_its_job_and_state() -> None:
    with pytest.raises(IllegalEventError, match="job 1 is done and can't be Reserved"):
        advance(make_record(State.DONE), Reserved(NOW, 40_000))


def test_a_job_is_given_up_after_a_look_that_came_too_late_and_not_before() -> None:
    asleep = make_record(State.WAITING, watched_from=100.0, polled_at=110.0)
    assert next_action(asleep, 100_000.0, PATIENCE) == Poll(), "a laptop that slept must look before it gives up"
    looked = advance(asleep, Pending(100_000.0, 100_005.0))
    assert isinstance(next_action(looked, 100_000.0, PATIENCE), GiveUp)


def test_resumed_looks_with_fresh_eyes() -> None:
    given_up = advance(make_record(State.WAITING), GivenUp(NOW, PROBLEM))
    again = advance(given_up, Resumed(NOW + 1000))
    assert (again.state, again.watched_from, again.problem) == (State.WAITING, NOW + 1000, None)
    assert next_action(again, NOW + 1000, PATIENCE) == Poll()


@pytest.mark.parametrize("state", State)
def test_recover(state: State) -> None:
    event = recover(make_record(state), NOW)
    expected = {State.SUBMITTING: Lost, State.WAITING: Resumed}.get(state)
    assert (None if event is None else type(event)) is expected


class TestMoney:
    def test_reserved_money_is_held_until_it_is_decided(self) -> None:
        record = advance(make_record(), Reserved(NOW, 40_000))
        assert (record.reserved, record.spent) == (40_000, 0)
        assert advance(record, Declined(NOW, PROBLEM)).reserved == 0
        assert advance(record, Refused(NOW, PROBLEM)).reserved == 0
        assert advance(record, Lost(NOW, PROBLEM)).reserved == 40_000

    def test_the_price_the_service_names_replaces_the_estimate(self) -> None:
        waiting = make_record(State.WAITING)
        completed = advance(waiting, Completed(NOW, OUTPUTS, 70_000))
        untold = advance(waiting, Completed(NOW, OUTPUTS))
        assert (completed.reserved, completed.cost, completed.cost_known) == (0, 70_000, True)
        assert (untold.reserved, untold.cost, untold.cost_known) == (0, 40_000, False)
        later = advance(advance(untold, Saved(NOW, (FILE,))), Priced(NOW, 70_000))
        assert (later.cost, later.cost_known) == (70_000, True)

    def test_fresh_links_do_not_settle_twice(self) -> None:
        once = advance(make_record(State.WAITING), Completed(NOW, OUTPUTS, 70_000))
        again = advance(advance(once, Spoiled(NOW, NOW, PROBLEM)), Completed(NOW + 9, OUTPUTS))
        assert (again.cost, again.cost_known, again.reserved, again.finished_at) == (70_000, True, 0, NOW)

    @pytest.mark.parametrize("state", [State.IN_DOUBT, State.UNCOLLECTED])
    @pytest.mark.parametrize("event", [Released(NOW, "p"), WrittenOff(NOW, "p")])
    def test_the_money_counts_as_spent_whatever_a_person_decides(self, event: Event, state: State) -> None:
        record = advance(make_record(state), event)
        assert (record.spent, record.reserved) == (40_000, 0)

    def test_what_was_finished_and_is_uncollected_is_not_paid_for_twice_in_the_books(self) -> None:
        fetched = advance(make_record(State.WAITING), Completed(NOW, OUTPUTS, 70_000))
        gone = advance(fetched, GivenUp(NOW, PROBLEM))
        assert advance(gone, WrittenOff(NOW, "p")).spent == 70_000
        assert advance(gone, Released(NOW, "p")).spent == 70_000

    def test_a_retry_sinks_what_the_failure_cost(self) -> None:
        failed = advance(make_record(State.WAITING), Errored(NOW, PROBLEM))
        again = advance(failed, RetryAsked(NOW))
        assert (failed.spent, again.spent, again.earlier_spent, again.cost, again.handle) == (
            40_000,
            40_000,
            40_000,
            None,
            None,
        )

    @pytest.mark.parametrize(
        ("state", "charged", "cost", "known"),
        [
            (State.CANCELLING, None, 0, True),  # we asked, and only a queued job can be cancelled
            (State.CANCELLING, 0, 0, True),
            (State.CANCELLING, 400_000, 400_000, True),
            (State.WAITING, None, 40_000, False),  # somebody else did, and nobody says what it came to
            (State.WAITING, 0, 0, True),
            (State.WAITING, 400_000, 400_000, True),
        ],
    )
    def test_a_cancelled_job_is_free_only_where_that_is_known(
        self, state: State, charged: int | None, cost: int, known: bool
    ) -> None:
        record = advance(make_record(state), CancelConfirmed(NOW, charged))
        assert (record.spent, record.cost_known, record.reserved) == (cost, known, 0)
        assert record.problem is not None
        assert ("nothing was charged" in record.problem.message) is (cost == 0)
        assert advance(record, Priced(NOW, 30_000)).spent == 30_000
        assert advance(record, RetryAsked(NOW)).spent == cost

    @pytest.mark.parametrize(("charged", "known"), [(70_000, True), (None, False)])
    def test_a_cancel_does_not_unpay_what_has_come_out(self, charged: int | None, known: bool) -> None:
        record = advance(make_record(State.WAITING), Completed(NOW, OUTPUTS, charged))
        for event in (GivenUp(NOW, PROBLEM), Resumed(NOW), CancelAsked(NOW), CancelConfirmed(NOW)):
            record = advance(record, event)
        assert (record.state, record.spent, record.cost_known) == (State.CANCELLED, charged or 40_000, known)
        assert record.problem is not None
        assert "nothing was charged" not in record.problem.message

    def test_an_absent_request_keeps_its_money_reserved(self) -> None:
        gone = advance(make_record(State.WAITING), Gone(NOW, PROBLEM))
        assert (gone.state, gone.reserved, gone.spent, gone.finished_at) == (State.UNCOLLECTED, 40_000, 0, None)

    def test_a_post_that_never_left_gives_its_money_back(self) -> None:
        record = advance(make_record(State.IN_DOUBT), Declined(NOW, PROBLEM))
        assert (record.state, record.reserved, record.spent) == (State.PLANNED, 0, 0)


@pytest.mark.parametrize("state", [State.IN_DOUBT, State.UNCOLLECTED])
def test_what_was_given_up_keeps_a_mark_and_its_id(state: State) -> None:
    before = make_record(state, problem=Problem(Kind.LOST, "no answer", 502))
    record = advance(before, WrittenOff(NOW, "by hand"))
    priced = advance(record, Priced(NOW, 50_000))
    assert priced.problem is not None
    assert (priced.problem.kind, priced.handle, priced.spent) == (Kind.WRITTEN_OFF, before.handle, 50_000)
    assert "no answer" in priced.problem.message


def test_the_clock_of_a_job_restarts_where_it_left_the_queue() -> None:
    record = make_record(State.WAITING)
    assert advance(record, Pending(110.0, 0, running=True)).running_since == 101.0, "never seen in the queue"
    queued = advance(record, Pending(110.0, 0, running=False))
    running = advance(queued, Pending(114.0, 0, running=True))
    assert (queued.running_since, running.running_since) == (101.0, 112.0)
    assert advance(running, Pending(150.0, 0, running=True)).running_since == 112.0


def test_absences_are_counted_in_a_row() -> None:
    gone = Missed(NOW, NOW, PROBLEM, absent=True)
    record = advance(advance(make_record(State.WAITING), gone), gone)
    assert record.absent == 2
    assert advance(record, Missed(NOW, NOW, PROBLEM)).absent == 0
    assert advance(record, Pending(NOW, NOW)).absent == 0


def test_the_diagram_shows_every_move() -> None:
    drawn = lifecycle.draw_mermaid()
    assert drawn.splitlines()[:2] == ["stateDiagram-v2", "    [*] --> planned"]
    assert all(" --> " in line for line in drawn.splitlines()[1:])
    assert "    done --> done: Priced" in drawn.splitlines()
    for state, moves in TRANSITIONS.items():
        for event, target in moves.items():
            assert any(f"{state} --> {target}:" in line and event.__name__ in line for line in drawn.splitlines())
