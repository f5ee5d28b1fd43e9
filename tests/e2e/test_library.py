"""``import batchedit``: typed options, progress, plan and status, and what a program is told."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import batchedit
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, run_cli

QUICK = SandboxConfig(latency="0.1", plain_files=8_000)


def test_a_run_tells_how_far_it_is_in_pictures_and_dollars(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 4)
    snapshots: list[batchedit.Progress] = []
    with serve(QUICK) as sandbox:
        result = batchedit.run(
            tmp_path / "m.csv", out=tmp_path / "run", base_url=sandbox.url, max_cost=Decimal("0.50"),
            environ=make_env(), on_progress=snapshots.append,
        )  # fmt: skip
    assert (result.code, result.done) == (0, 4)
    assert result.money == batchedit.RunMoney(Decimal("0.16"), Decimal(0), Decimal(0), Decimal("0.50"))
    assert (result.play_money, result.warnings) == (False, ())  # this sandbox holds no lock of the person's
    assert [now.total for now in snapshots] == [4] * len(snapshots)
    assert snapshots[-1].done <= 4
    assert isinstance(snapshots[-1].money.spent, Decimal)


def test_an_error_of_the_callers_own_progress_ends_no_purchase(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest(tmp_path / "m.csv", 2)

    def fail(_: batchedit.Progress) -> None:
        raise ZeroDivisionError

    with serve(QUICK) as sandbox:
        result = batchedit.run(
            tmp_path / "m.csv", out=tmp_path / "run", base_url=sandbox.url, environ=make_env(), on_progress=fail
        )
    assert result.done == 2
    assert caplog.text.count("on_progress failed") == 1


def test_plan_and_status(tmp_path: Path) -> None:
    sheet = tmp_path / "m.csv"
    sheet.write_text("sku,image,prompt\nA,https://x.example/1.png,an ad\nB,http://x.example/1.png,an ad\n")
    options: batchedit.Options = {"price": "0.04", "sandbox": True, "skip_invalid": True}
    plan_result = batchedit.plan(sheet, out=tmp_path / "run", environ=make_env(), **options)
    assert (plan_result.rows, plan_result.to_buy, plan_result.invalid_rows) == (2, 1, 1)
    assert plan_result.estimate == plan_result.price == Decimal("0.04")
    ((row, name, column, reason),) = plan_result.problems
    assert (row, name, column) == (3, "B", "image")
    assert "http://" in reason
    assert not (tmp_path / "run").exists()
    with serve(QUICK) as sandbox:
        done = batchedit.run(sheet, out=tmp_path / "run", base_url=sandbox.url, environ=make_env(), skip_invalid=True)
    now = batchedit.status(tmp_path / "run")
    assert (now.folder, now.counts, now.money) == (done.folder, done.counts, done.money)
    assert now.results["result_status"].tolist() == ["done", "invalid"]


def test_a_frame_is_planned_as_it_is_bought(tmp_path: Path) -> None:
    """``run`` took it, and ``plan`` ended with a TypeError from within."""
    prompts = ["an ad, one", "an ad, two", "an ad, three"]
    frame = pd.DataFrame({"image": ["https://images.example.com/mug.png"] * 3, "prompt": prompts})
    options: batchedit.Options = {"sandbox": True, "price": "0.04"}
    with pytest.raises(batchedit.BatcheditError, match="out="):
        batchedit.plan(frame, environ=make_env(), **options)
    out = tmp_path / "run"
    plan_result = batchedit.plan(frame, out=out, environ=make_env(), **options)
    assert (plan_result.folder, plan_result.rows, plan_result.to_buy, plan_result.estimate) == (
        out,
        3,
        3,
        Decimal("0.12"),
    )
    assert not out.exists()
    batchedit.run(frame.head(2), out=out, environ=make_env(), sandbox=True)
    again = batchedit.plan(frame, out=out, environ=make_env(), **options)
    assert (again.rows, again.to_buy) == (3, 1)


def test_a_bad_option_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(batchedit.UsageError, match="there is no option 'promt'") as raised:
        batchedit.run(tmp_path / "m.csv", promt="an ad")  # type: ignore[call-arg]
    assert raised.value.hint == "did you mean prompt?"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"on_doubt": "hodl"}, "did you mean 'hold'?"),
        ({"format": "word"}, "it is 'csv' or 'jsonl' or 'parquet' or 'xlsx'"),
        ({"concurrency": "x"}, ""),
        ({"max_cost": "abc"}, ""),
        ({"price": object()}, ""),
        ({"variants": "q"}, ""),
        ({"variants": 0}, ""),
        ({"sizes": 5}, ""),
        ({"prompt": 7}, ""),
        ({"map": "image=Photo"}, ""),
        ({"over": {"season": 3}}, ""),
        ({"stuck_after": float("nan")}, ""),
        ({"stop_after_failures": "some"}, None),
    ],
)
def test_a_value_that_no_option_can_have_was_kept_and_broke_the_run_for_good(
    tmp_path: Path, options: dict[str, Any], hint: str | None
) -> None:
    """`concurrency="x"` came back as damaged settings, whatever was given the next time."""
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,https://images.example.com/a.png,an ad\n")
    common_options: dict[str, Any] = {"sandbox": True, "out": tmp_path / "run", "environ": make_env()}
    with pytest.raises(batchedit.UsageError) as raised:
        batchedit.run(tmp_path / "m.csv", **common_options, **options)
    assert hint is None or raised.value.hint == hint
    assert not (tmp_path / "run").exists()
    assert batchedit.run(tmp_path / "m.csv", **common_options).done == 1


def test_a_number_or_a_single_text_is_taken_where_the_command_line_takes_a_text(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku,image\nA,https://images.example.com/a.png\n")
    plan_result = batchedit.plan(
        tmp_path / "m.csv",
        sizes="3:2",  # type: ignore[arg-type]  # a text is a sequence of letters to a type checker too
        over={"season": ["winter", 2026]},  # type: ignore[list-item]
        prompt="an ad for {season}",
        price="0.04",
        variants=None,  # type: ignore[arg-type]
        environ=make_env(),
        sandbox=True,
    )
    assert (plan_result.rows, plan_result.to_buy) == (1, 2)


@pytest.mark.parametrize("name", ["run", "plan"])
def test_where_a_loop_is_running_already_it_says_what_to_do(tmp_path: Path, name: str) -> None:
    async def notebook() -> None:
        getattr(batchedit, name)(tmp_path / "m.csv")

    with pytest.raises(batchedit.UsageError) as raised:
        asyncio.run(notebook())
    assert raised.value.hint == f"await batchedit.a{name}(…) instead"


def test_an_observer_sees_events_of_the_public_kinds(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 1)
    kinds: list[object] = []

    class Watcher:
        def saw(self, _: object, event: object) -> None:
            kinds.append(type(event))

        def note(self, _name: str, _message: str, **_: object) -> None: ...

    with serve(QUICK) as sandbox:
        batchedit.run(
            tmp_path / "m.csv", out=tmp_path / "run", base_url=sandbox.url, environ=make_env(), observer=Watcher()
        )
    bought = [kind for kind in kinds if kind is not batchedit.events.Pending]
    assert bought[:2] == [batchedit.events.Reserved, batchedit.events.Accepted]
    assert bought[-1] is batchedit.events.Saved


def test_the_version_is_the_packages() -> None:
    assert batchedit.__version__ == version("batchedit")
    with pytest.raises(AttributeError):
        batchedit.nothing  # noqa: B018


def test_a_program_was_not_warned_of_a_balance_that_does_not_suffice(tmp_path: Path) -> None:
    """The screen warned; ``--json`` and the library gave the balance alone, and no warning."""
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(balance="0.10")) as sandbox:
        arguments = ["plan", "m.csv", "--base-url", sandbox.url, "--no-check-images", "--json"]
        payload = json.loads(run_cli(*arguments, cwd=tmp_path).stdout)
        planned = batchedit.plan(tmp_path / "m.csv", base_url=sandbox.url, no_check_images=True, environ=make_env())
    (warning,) = payload["warnings"]
    assert warning == "the account's balance is $0.10; what is to be bought comes to $0.12"
    assert planned.warnings == (warning,)
