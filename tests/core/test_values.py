"""The small values that everything else reckons with: leave to buy, money, what is typed and what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchedit.core.approved_purchases import Approval, StoreApproval
from batchedit.core.errors import DiskError, InterruptedRunError, ProxyRefusesError
from batchedit.core.inline_pictures import InlinePictures, is_inline_address
from batchedit.core.model import Kind, Problem, State
from batchedit.core.money import (
    format_usd,
    label_play,
    parse_usd,
    read_json_usd,
    to_decimal_usd,
    to_json_usd,
    to_plain_usd,
)
from batchedit.core.review import ReviewProgress
from batchedit.core.shell_commands import format_command
from batchedit.core.slowdown import Slowdown
from batchedit.core.write_failures import WriteFailures
from tests.support.factories import make_record

# --- leave to buy ---------------------------------------------------------------------------------


def test_a_job_that_was_never_asked_about_is_not_bought() -> None:
    approval = Approval([5, 2], price=40_000)
    assert [job for job in range(8) if approval.may_buy_job(job)] == [2, 5]
    with pytest.raises(ValueError, match="job 3 was never asked about"):
        approval.take(3)
    with pytest.raises(ValueError, match="job 99 was never asked about"):
        approval.take(99)


def test_a_yes_is_good_for_one_purchase() -> None:
    approval = Approval([2])
    approval.take(2)
    assert not approval.may_buy_job(2)
    assert not approval.may_buy_job_again(2)
    with pytest.raises(ValueError, match="job 2"):
        approval.take(2)
    approval.give_back(2)
    assert approval.may_buy_job(2)
    assert not approval.may_buy_job_again(2), "nobody said that a lost one is bought twice"
    approval.take(2)
    assert not approval.may_buy_job(2), "what was surely not taken gives back one purchase and not two"


def test_a_yes_to_buy_a_lost_one_again_is_good_for_two_purchases_and_no_third() -> None:
    approval = Approval([2], times=2)
    approval.take(2)
    assert approval.may_buy_job_again(2)
    approval.take(2)
    assert not approval.may_buy_job_again(2)


def test_nothing_asked_about_is_no_leave_at_all() -> None:
    assert not Approval(()).asked
    assert Approval([0]).asked


def test_a_price_is_covered_up_to_the_one_that_was_shown() -> None:
    assert [Approval([1], price=40_000).may_cost(price) for price in (39_999, 40_000, 40_001)] == [True, True, False]
    assert Approval([1]).may_cost(10**9), "no price was known, so any will do"


def test_the_store_counts_what_it_gives_out_and_here_the_price_alone_is_held() -> None:
    approval = StoreApproval((), price=40_000)
    approval.take(7)
    approval.give_back(7)
    assert (approval.asked, approval.may_buy_job(7), approval.may_cost(40_001)) == (True, True, False)


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "micros"), [("0.04", 40_000), (" $1 ", 1_000_000), ("0", 0), ("0.0000005", 1), ("0.0000004", 0)]
)
def test_an_amount_as_a_person_types_it(text: str, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize("text", ["", "four", "-0.01", "nan", "inf", "1,000"])
def test_what_is_no_amount_is_no_cap(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount in US dollars"):
        parse_usd(text)


def test_an_amount_is_typed_shown_and_written_the_same() -> None:
    assert [to_plain_usd(micros) for micros in (40_000, -1_234_500_000, 1)] == ["0.04", "-1234.50", "0.000001"]
    assert (to_json_usd(40_000), str(to_decimal_usd(40_000))) == (0.04, "0.04")
    assert (label_play(play=True), label_play(play=False)) == (" (play money)", "")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "$0.00"),
        (40_000, "$0.04"),
        (-1_500_000, "-$1.50"),
        (1_234_567_890_000, "$1,234,567.89"),
        (1, "$0.000001"),
    ],
)
def test_an_amount_is_shown_to_the_cent_and_finer_only_where_it_is_finer(micros: int, text: str) -> None:
    assert format_usd(micros) == text


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (0, 0),
        ("$0.04", 40_000),
        (1_000_000, 10**12),
        (1_000_000.5, None),
        (-0.01, None),
        ("0." + "0" * 37 + "1", 0),
        ("0." + "0" * 38 + "1", None),
        (True, None),
        (None, None),
        (["0.04"], None),
        ("four", None),
        (float("nan"), None),
        (float("inf"), None),
    ],
    ids=repr,
)
def test_an_amount_that_a_service_tells_is_read_to_the_micro_dollar_or_not_at_all(
    value: Any, micros: int | None
) -> None:
    assert read_json_usd(value) == micros


def test_a_debt_is_read_where_a_balance_may_be_one_and_is_no_cost() -> None:
    assert (read_json_usd(-0.5, signed=True), read_json_usd(-0.5)) == (-500_000, None)
    assert read_json_usd(-1_000_000.5, signed=True) is None
    assert to_plain_usd(0) == "0.00"


# --- what is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slowdown", "sentence"),
    [
        (Slowdown(4.0), "slowed by the service: 4 POSTs a second (429)"),
        (Slowdown(4.4), "slowed by the service: 4.4 POSTs a second (429)"),
        (Slowdown(112.4, None, 89.0), "slowed by the service: 112 POSTs a second (429)"),
        (Slowdown(1.0, None, 90.0), "slowed by the service: 1 POST a second (429), 2 minutes longer"),
        (Slowdown(1.0, None, 5400.0), "slowed by the service: 1 POST a second (429), 1.5 hours longer"),
        (Slowdown(0.05, None, 720.0), "slowed by the service: 3 POSTs a minute (429), 12 minutes longer"),
        (Slowdown(None, 20, 7200.0), "slowed by the service: 20 jobs at once (429), 2.0 hours longer"),
    ],
)
def test_a_slowdown_is_told_in_one_sentence_and_read_back(slowdown: Slowdown, sentence: str) -> None:
    assert str(slowdown) == sentence
    assert Slowdown.read(slowdown.as_json()) == slowdown


def test_a_damaged_slowdown_is_an_error_of_its_reader() -> None:
    with pytest.raises(KeyError):
        Slowdown.read({})


def test_a_command_is_typed_so_that_nothing_in_it_is_an_option_or_obeyed_by_a_terminal() -> None:
    assert format_command("run", Path("-f.csv"), "a b", "it's") == "batchedit run ./-f.csv 'a b' 'it'\"'\"'s'"
    assert format_command("run", "a\x1b'\\\udcff") == "batchedit run $'a\\x1b\\x27\\x5c\\xff'"


def test_what_the_disk_refused_is_told_of_until_a_later_try_wrote_it() -> None:
    write_failures = WriteFailures()
    assert not write_failures
    for n in range(7):
        write_failures.add(f"f{n}", OSError(28, "No space left on device"))
    assert write_failures
    lines = list(write_failures.describe())
    assert (lines[0], len(lines)) == ("f0 can't be written or removed (No space left on device)", 6)
    assert lines[-1] == "nor can 2 more files beside these"
    for n in range(7):
        write_failures.remove(f"f{n}")
    write_failures.remove("f0")
    assert not write_failures


def test_a_picture_in_an_answer_is_handed_out_until_it_is_on_the_disk() -> None:
    pictures = InlinePictures()
    address = pictures.keep("r1", 0, b"png")
    assert is_inline_address(address)
    assert not is_inline_address("https://h/a.png")
    assert (pictures.get(address), pictures.keep("r1", 0, b"png")) == (b"png", address)
    pictures.drop(address)
    pictures.drop(address)
    assert pictures.get(address) is None


def test_errors_say_their_exit_code_and_what_to_do() -> None:
    full = DiskError(OSError(28, "No space left on device", "/runs/a"))
    assert (full.code, full.lines) == (74, ("/runs/a: No space left on device",))
    assert DiskError(OSError("odd")).lines == ("odd",)
    assert InterruptedRunError(2).code == 130
    refused = ProxyRefusesError("no")
    assert refused.code == 69
    assert "HTTPS_PROXY" in refused.hint


@pytest.mark.parametrize(
    ("state", "kind", "given_up"),
    [
        (State.FAILED, Kind.WRITTEN_OFF, True),
        (State.FAILED, Kind.LOST, True),
        (State.FAILED, Kind.REFUSED, False),
        (State.IN_DOUBT, Kind.LOST, False),
        (State.FAILED, None, False),
    ],
)
def test_a_job_that_a_person_gave_up_is_not_bought_anew_as_a_failure(
    state: State, kind: Kind | None, given_up: bool
) -> None:
    problem = None if kind is None else Problem(kind, "x")
    assert make_record(state, problem=problem).written_off is given_up


def test_a_picture_of_another_run_was_never_accepted_here() -> None:
    assert make_record(State.DONE, accepted_at=None).reused
    assert not make_record(State.DONE).reused
    assert not make_record(State.PLANNED).reused


def test_looked_at_is_every_picture_with_a_verdict() -> None:
    assert ReviewProgress(9, approved=1, rejected=2, held=3).reviewed == 6
