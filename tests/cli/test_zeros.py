"""What is zero is not said: a person reads past it to find what is there."""

from __future__ import annotations

from pathlib import Path

from batchedit.cli.live_text import format_watch_screen
from batchedit.cli.printed_text import format_canary, format_plan
from batchedit.commands.canary import CanaryReport
from batchedit.commands.live import LiveState
from batchedit.core.model import State
from batchedit.planning.plan import Plan


def format_planned(**facts: object) -> str:
    about: dict[str, object] = {"source": "m.csv", "folder": Path("outputs/m"), "model": "a/b", "rows": 3, "to_buy": 0}
    return format_plan(Plan(**{**about, "reused": 0, **facts}))  # type: ignore[arg-type]


def test_a_plan_of_nothing_to_do_listed_its_zeros_and_their_price() -> None:
    plan_text = format_planned(reused=3, lines=3, price=40_000, price_source="the catalogue")
    assert plan_text.splitlines() == [
        "m.csv: 3 rows, a/b",
        "  pictures        3 done",
        "  to buy          nothing",
        "  results in      outputs/m/",
    ]


def test_a_plan_of_invalid_rows_alone_said_that_the_price_is_unknown() -> None:
    plan_text = format_planned(invalid_rows=3, matrix=[("sizes", 2)])
    assert plan_text.splitlines() == [
        "m.csv: 3 rows, a/b",
        "  to buy          nothing",
        "  invalid         3 rows",
        "  results in      outputs/m/",
    ]


def test_a_price_that_nobody_tells_is_said_with_what_to_type() -> None:
    assert "  price           unknown: no catalogue names it; --price USD shows the sum" in format_planned(to_buy=3)
    plan_text = format_planned(to_buy=3, other_price="$0.08 per second")
    assert "$0.08 per second (the catalogue); what a picture costs is unknown: --price USD shows the sum" in plan_text


def test_a_canary_without_a_failure_has_none_in_its_words() -> None:
    canary = CanaryReport(5, 4, 1, 0, 160_000, seconds=(), files=(), remaining=9, price=40_000, at_once=4)
    assert format_canary(canary, Path("outputs/m")) == "canary: 4 of 5 done, $0.16 spent, 1 failed"


def test_status_watch_said_zero_under_way_and_left_where_status_says_not_bought_yet() -> None:
    jobs = {State.DONE: 24, State.WAITING: 0, State.PLANNED: 566}
    first = format_watch_screen(LiveState(folder=Path("outputs/m"), state="going", jobs=jobs))[0]
    assert first == "outputs/m: 24 done, 566 not bought yet"
