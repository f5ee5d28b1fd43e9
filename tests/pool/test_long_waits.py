"""An hour of Retry-After passed without a line where no bar was shown: a long wait is told once, whatever the mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio

from batchedit.cli.terminal import Terminal
from batchedit.core.events import Accepted, Declined, Event
from batchedit.core.model import Handle, Kind, Problem, Record
from batchedit.pool.long_waits import AGAIN_SECONDS, LONG_SECONDS, LongWaits, Wait, format_wait
from batchedit.pool.slots import Slot
from batchedit.ports import SubmitEvent
from tests.pool.test_pool import Service, make_governor, virtually


def pick_waits(waits: dict[float, list[Wait]], seconds: int) -> list[tuple[float, str]]:
    """``(when, kind)`` of what is told, where from each of these times on so much is waited for."""
    long_waits, now_waiting, found_waits = LongWaits(), [], []
    for now in map(float, range(seconds)):
        now_waiting = waits.get(now, now_waiting)
        found_waits += [(now, wait.kind) for wait in long_waits.pick_due(now_waiting, now)]
    return found_waits


def test_a_wait_whose_end_is_known_is_told_at_once_and_once() -> None:
    assert pick_waits({5.0: [Wait("submit", "x", 3605.0)]}, 3600) == [(5.0, "submit")]


def test_a_short_wait_is_not_told() -> None:
    assert pick_waits({0.0: [Wait("submit", "x", 29.0)], 29.0: []}, 60) == []


def test_a_wait_whose_end_nobody_knows_is_told_once_it_is_long() -> None:
    assert pick_waits({0.0: [Wait("budget", "x")]}, 500) == [(LONG_SECONDS + 1, "budget")]


def test_many_short_waits_are_not_one_long_one() -> None:
    assert pick_waits({float(n): [Wait("budget", "x")] if n % 20 else [] for n in range(400)}, 400) == []


def test_each_refusal_of_one_outage_is_not_told_anew_and_another_hour_is() -> None:
    """Every POST on the wire is refused, each with its own minute; later the service asks for an hour more."""
    minute = {float(n): [Wait("submit", "x", n + 60.0)] for n in range(0, 500, 10)}
    hour = {600.0: [Wait("submit", "x", 600.0 + 3600.0)]}
    assert pick_waits(minute | hour, 900) == [(0.0, "submit"), (600.0, "submit")]
    assert AGAIN_SECONDS == 600.0


def test_the_sentence_says_how_long_and_until_when() -> None:
    hour, seconds = Wait("submit", "wait {wait} please", 4600.0), Wait("submit", "wait {wait} please", 1040.0)
    assert re.fullmatch(r"wait 60 minutes, until \d\d:\d\d, please", format_wait(hour, 1000.0, 0.0))
    assert format_wait(seconds, 1000.0, 0.0).startswith("wait 40 seconds, until ")
    assert format_wait(Wait("budget", "no money"), 0.0, 0.0) == "no money"


@dataclass
class Messages:
    said: list[str] = field(default_factory=list)

    def saw(self, record: Record, event: Event) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None:
        assert name == "waiting"
        self.said.append(f"{message} {details}")


def said_after(answers: Callable[[float], list[SubmitEvent]]) -> list[str]:
    """What is told in an hour, where the POSTs of another job each were answered like that at the beginning."""
    messages = Messages()

    async def main() -> None:
        governor = make_governor(Service(), messages)
        for answer in answers(trio.current_time()):
            turn = await governor.await_post_turn()
            governor.posts.note_answer(answer, turn, Slot(governor.slots))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(governor.watch, lambda: 0)
            await trio.sleep(3000)
            nursery.cancel_scope.cancel()

    virtually(main)
    return messages.said


def refused_for_an_hour(now: float) -> SubmitEvent:
    return Declined(now, Problem(Kind.THROTTLED, "slow down", 429), now + 3600.0)


def test_a_retry_after_of_an_hour_is_told_at_once_with_its_end() -> None:
    [message] = said_after(lambda now: [refused_for_an_hour(now)])
    sentence = r"the service asks to wait 60 minutes, until \d\d:\d\d, before more is bought \(HTTP 429 or 503\)"
    assert re.fullmatch(sentence + r" \{'kind': 'submit', 'seconds': 3599\}", message)


def test_a_wait_that_only_the_refused_job_keeps_to_is_not_told() -> None:
    """Another job's POST goes through behind it: the run buys, though the refused one waits its hour."""
    assert said_after(lambda now: [refused_for_an_hour(now), Accepted(now, Handle("req-1"))]) == []


@pytest.mark.parametrize(
    ("mode", "lines"),
    [({}, ["it waits", "trouble", "all well"]), ({"quiet": True}, ["it waits", "trouble"]), ({"log_json": True}, None)],
)
def test_who_wants_to_hear_only_what_is_wrong_hears_that_the_run_waits(
    capsys: pytest.CaptureFixture[str], mode: dict[str, bool], lines: list[str] | None
) -> None:
    host = Terminal(yes=True, never_asks=False, **{"quiet": False, "log_json": False, **mode})
    for observer in host.observers():
        for name, message in (("waiting", "it waits"), ("breaker_open", "trouble"), ("resumed", "all well")):
            observer.note(name, message, seconds=3600)
    printed = capsys.readouterr().err.splitlines()
    assert printed == lines if lines else ['"seconds":3600' in line for line in printed] == [True] * 3
