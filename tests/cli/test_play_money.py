"""A rehearsal's sums are labelled wherever they are said, and a price says where it is known from."""

from __future__ import annotations

import json
import re
from pathlib import Path

from batchedit.cli.live_text import format_watch_screen
from batchedit.commands.live import LiveState
from batchedit.commands.pricing import LAST_KNOWN, choose_dearer
from tests.support.cli import manifest, run_cli


def test_each_sum_of_a_rehearsal_is_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    completed = run_cli("run", "m.csv", "--sandbox", "--canary", "1", "--max-cost", "1", cwd=tmp_path)
    lines = [*completed.stderr.splitlines(), *completed.stdout.splitlines()]
    lines += run_cli("status", "m.csv", cwd=tmp_path).stdout.splitlines()
    lines += run_cli("runs", cwd=tmp_path).stdout.splitlines()
    lines += run_cli("audit", "m.csv", cwd=tmp_path).stdout.splitlines()
    lines += run_cli("plan", "m.csv", "--sandbox", "--price", "0.04", cwd=tmp_path).stdout.splitlines()
    run_cli("gallery", "m.csv", cwd=tmp_path)
    lines += re.findall(
        r"[^<>]*[$]0[.]12 spent[^<>]*", (tmp_path / "outputs/m/gallery.html").read_text(encoding="utf-8")
    )
    sums = [line for line in lines if "$" in line]
    assert len(sums) >= 9
    assert [line for line in sums if "(play money)" not in line] == []


def test_a_cap_that_is_reached_is_labelled_too(tmp_path: Path) -> None:
    """What was spent stood in the reason as if it were real money."""
    manifest(tmp_path / "m.csv", 3)
    completed = run_cli("run", "m.csv", "--sandbox", "--max-cost", "0.05", cwd=tmp_path, code=75)
    lines = [*completed.stderr.splitlines(), *completed.stdout.splitlines()]
    assert any("the budget is used up" in line for line in lines)
    assert [line for line in lines if "$" in line and "(play money)" not in line] == []


def test_a_price_that_no_catalogue_tells_is_the_last_one_known() -> None:
    assert choose_dearer(0, "", 40_000) == (40_000, LAST_KNOWN)
    assert choose_dearer(30_000, "the catalogue", 40_000) == (40_000, "charged before")
    assert choose_dearer(30_000, "the catalogue", 0) == (30_000, "the catalogue")
    assert choose_dearer(0, "", 0) == (0, "")


def test_a_plan_for_the_sandbox_did_not_know_its_price(tmp_path: Path) -> None:
    """``plan --sandbox`` said "price unknown", and ``run --sandbox`` of the same sheet said $0.12."""
    manifest(tmp_path / "m.csv", 3)
    stdout = run_cli("plan", "m.csv", "--sandbox", cwd=tmp_path).stdout
    assert "$0.04 a picture (the catalogue), $0.12 for what is new (play money)" in stdout
    assert not (tmp_path / "outputs").exists(), "a plan leaves nothing"
    payload = json.loads(run_cli("plan", "m.csv", "--sandbox", "--json", cwd=tmp_path).stdout)
    assert (payload["usd"]["price"], payload["usd"]["estimate"]) == (0.04, 0.12)


def test_a_model_that_the_sandbox_does_not_know_is_refused_by_a_plan_as_by_a_run(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    refused = run_cli("plan", "m.csv", "--sandbox", "--model", "nobody/knows", cwd=tmp_path, code=64).stderr
    stderr = run_cli("run", "m.csv", "--sandbox", "--model", "nobody/knows", cwd=tmp_path, code=64).stderr
    assert refused == stderr


def test_a_program_and_who_watches_read_that_it_is_play_money(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    payload = json.loads(run_cli("run", "m.csv", "--sandbox", "--json", cwd=tmp_path).stdout)
    status = json.loads(run_cli("status", "m.csv", "--json", cwd=tmp_path).stdout)
    runs = json.loads(run_cli("runs", "--json", cwd=tmp_path).stdout)
    planned = json.loads(run_cli("plan", "m.csv", "--sandbox", "--json", cwd=tmp_path).stdout)
    here = next(run for run in runs["runs"] if run["folder"] == payload["folder"])
    assert {json_object["play_money"] for json_object in (payload, status["report"], here, planned)} == {True}
    now = LiveState(folder=tmp_path, state="going", spent=80_000)
    assert [line for line in format_watch_screen(now, play=True) if "$" in line and "(play money)" not in line] == []
    assert "play" not in "".join(format_watch_screen(now))
