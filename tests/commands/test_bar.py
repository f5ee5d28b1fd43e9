"""The bar at 80 columns, and the line a minute where there is no terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from batchedit.commands.bar import Bar, ProgressLines, describe_progress
from batchedit.core.model import Counts, Money, State
from batchedit.core.slowdown import Slowdown
from batchedit.ports import Snapshot

COUNTS = Counts({State.DONE: 420_000, State.WAITING: 20, State.PLANNED: 579_960, State.FAILED: 20})
BUSY = Snapshot(
    COUNTS,
    Money(spent=16_800_000_000, reserved=800_000),
    eta=(34_000.0, 41_000.0),
    paused="the service asks to wait 60 minutes (Retry-After), until 04:12",
    slowed=Slowdown(4.0, None, 720.0),
)


def test_state_and_time_left_are_what_stays_when_there_is_little_room() -> None:
    assert describe_progress(BUSY, 20) == "waiting · 9.4 h left"
    assert describe_progress(BUSY, 45) == "waiting · 9.4 h left · $16,800.00 · 20 failed"
    assert describe_progress(BUSY, 45, play=True) == "waiting · 9.4 h left · $16,800.00 play money"
    assert describe_progress(Snapshot(Counts({}), Money())) == ""


def test_the_first_sum_is_labelled_also_where_nothing_is_spent_yet() -> None:
    """A rehearsal's first seconds read as real money: the label stood behind what was spent alone."""
    snapshot = Snapshot(Counts({State.WAITING: 1}), Money(reserved=40_000, cancellable=40_000))
    assert describe_progress(snapshot, play=True) == "1 under way · $0.04 play money reserved · $0.04 cancellable"
    assert describe_progress(snapshot) == "1 under way · $0.04 reserved · $0.04 cancellable"


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_bar_breaks_no_word_and_no_line(columns: int) -> None:
    screen = io.StringIO()
    bar = Bar(1_000_000, screen)
    bar._bar.dynamic_ncols = lambda _: (columns, 40)
    bar.refresh(BUSY)
    bar.close()
    lines = screen.getvalue().replace("\r", "\n").split("\n")
    drawn = next(line for line in reversed(lines) if "420000" in line)
    assert len(drawn) <= columns
    description = drawn.split("1000000 done ")[1].rstrip()
    assert description in {describe_progress(BUSY, room) for room in range(1, 300)}
    assert columns < 60 or description.startswith("waiting · 9.4 h left")


def test_without_a_terminal_a_line_a_minute_says_how_long_it_needs() -> None:
    now, printed = [0.0], list[str]()
    line = ProgressLines(1_000_000, printed.append, clock=lambda: now[0])
    for now[0] in (1.0, 59.0, 60.0, 61.0, 119.0, 121.0):
        line.refresh(BUSY)
    assert len(printed) == 2
    assert printed[0].startswith(
        "420,000 of 1,000,000 done · waiting · 9.4 h left · $16,800.00 · 20 failed · 20 under way"
    )


@pytest.mark.parametrize("paused", ["", BUSY.paused])
def test_slowed_by_the_service_stood_twice_in_one_line(paused: str) -> None:
    line = describe_progress(replace(BUSY, paused=paused))
    assert line.count("slowed by the service") == 1
    assert line.endswith("4 POSTs a second (429), 12 minutes longer")
