"""Whose money a shared run is of: who begins it at a sandbox of their own binds every worker to one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from batchedit.cli.terminal import Terminal
from batchedit.commands.quote_to_confirm import Quote
from batchedit.ledger.own_sandbox import HOST, hold_sandbox_lock
from batchedit.ledger.postgres.bought_from import BoughtFrom
from tests.support.cli import rows, run_cli, until
from tests.support.store_team import Team, state_of

LABEL = "(play money)"


def test_a_run_of_a_store_that_is_begun_at_ones_own_sandbox_said_dollars(team: Callable[..., Team]) -> None:
    it = team(6, latency="0.5")
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        assert LABEL in it.run("plan", "m.csv").stdout
        first = it.start("run", "m.csv", "--yes", "-j", 1)
        until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
        assert read_play_flags(it) == {True}
        helper = it.start("work", "--until-idle", "-j", 1)
        assert (first.wait(), helper.wait()) == (0, 0), (first.stderr, helper.stderr)
        assert it.sql("SELECT count(*) FROM batchedit.worker") == [(2,)], "both worked at it"
        assert LABEL in first.stdout
    assert read_play_flags(it) == {True}, "also when the sandbox has ended"
    for command in ("audit", "status"):
        assert LABEL in it.run_without_service(command, "m").stdout
    assert {row["result_flags"] for row in rows(it.folder / "outputs" / "m")} == {"play_money"}


def test_a_worker_elsewhere_buys_nothing_in_a_run_of_play_money(team: Callable[..., Team], tmp_path: Path) -> None:
    """127.0.0.1 of another machine is another service, which may cost money: its purchase would stand there as play money."""
    it = team(4, latency="1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        first = it.start("run", "m.csv", "--yes", "-j", 1)
        until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
        for command in (("work", "--until-idle"), ("run", it.folder / "m.csv", "--yes"), ("retry", "m")):
            refused = it.run(*command, code=64, cwd=elsewhere)
            assert "none that you started listens there" in refused.stderr
        assert first.wait() == 0
    assert it.sql("SELECT DISTINCT worker FROM batchedit.event WHERE name = 'Reserved'") == [(1,)]
    port = it.sandbox.port
    gone = it.run("run", "m.csv", "--yes", code=64)
    assert f"batchedit sandbox --port {port}" in gone.stderr, "nor does who began it, once that has ended"
    assert it.sandbox.ledger()["accepted"] == 4


@pytest.mark.parametrize("words", [("run", "m.csv"), ("retry", "m")])
def test_a_sandbox_that_ends_while_the_question_stands_is_bought_from_no_more(
    team: Callable[..., Team], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """What listens at that address by then may cost money, and every sum of the run says that it is play money."""
    it = team(2)
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        it.sandbox.set_faults(["job:failed=first:1"])
        it.run("run", "m.csv", "--yes", "--limit", "1", code=None)
        accepted = it.sandbox.ledger()["accepted"]
    ends = ExitStack()
    ends.enter_context(hold_sandbox_lock(it.sandbox.port, [HOST], os.environ))
    asked = Terminal.confirm

    async def ends_and_says_yes(host: Terminal, quote: Quote) -> None:
        await asked(host, quote)
        ends.close()

    monkeypatch.setattr(Terminal, "confirm", ends_and_says_yes)
    options = ("--yes", "--store", it.url, "--base-url", it.sandbox.url)
    refused = run_cli(*words, *options, cwd=it.folder, code=69)
    assert "does not listen at" in refused.stdout
    assert "start it, then type the same command again" in refused.stdout
    assert it.sandbox.ledger()["accepted"] == accepted == 1
    assert it.sql("SELECT sum(leave) FROM batchedit.job") == [(0,)], "no other worker may buy it either"


def test_a_run_that_may_cost_money_takes_no_picture_of_ones_own_sandbox(team: Callable[..., Team]) -> None:
    it = team(4, latency="1")
    first = it.start("run", "m.csv", "--yes", "-j", 1)
    until(lambda: it.count_states()["done"] >= 1)
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        refused = it.run("work", "--until-idle", code=64)
        assert "is a sandbox that you started" in refused.stderr
        until(lambda: it.count_states()["waiting"] + it.count_states()["submitting"] == 0)
        bought = it.sandbox.ledger()["accepted"]
        time.sleep(3)
        assert it.sandbox.ledger()["accepted"] == bought < 4, "nor does who works at it already"
    assert first.wait() == 0, "that sandbox has ended"
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        refused = it.run("run", "m.csv", "--yes", code=64)
        assert "--out outputs/m-2" in refused.stderr
        planned = it.run("plan", "m.csv")
        assert LABEL not in planned.stdout
        assert "is a sandbox that you started, so it takes no purchase" in planned.stderr
    assert it.sql("SELECT DISTINCT worker FROM batchedit.event WHERE name = 'Reserved'") == [(1,)]
    assert read_play_flags(it) == {False}
    assert LABEL not in it.run_without_service("status", "m").stdout


def test_a_folder_that_is_taken_over_keeps_its_label_and_no_other_gets_one(team: Callable[..., Team]) -> None:
    it = team(1)
    base = ("--base-url", it.sandbox.url)
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        it.fork_server.run("run", "m.csv", "--yes", "--out", "outputs/play", *base, cwd=it.folder)
    it.fork_server.run("run", "m.csv", "--yes", "--fresh", "--out", "outputs/paid", *base, cwd=it.folder)
    for name in ("play", "paid"):
        it.run_without_service("runs", "--import", f"outputs/{name}")
    listed = json.loads(it.run_without_service("runs", "--json").stdout)["runs"]
    assert {run["name"]: run["play_money"] for run in listed} == {"play": True, "paid": False}
    assert LABEL in it.run_without_service("audit", "play").stdout
    assert LABEL not in it.run_without_service("audit", "paid").stdout


def read_play_flags(it: Team) -> set[bool]:
    listed = json.loads(it.run_without_service("runs", "--json").stdout)["runs"]
    status = json.loads(it.run_without_service("status", "m", "--json").stdout)
    return {*(run["play_money"] for run in listed), status["report"]["play_money"]}


def test_a_worker_leaves_a_colleagues_rehearsal_alone_and_works_at_the_other_runs(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    """One run of play money ended every worker that was given no run, before it came to the next."""
    it = team(2, latency="0.1")
    colleague = tmp_path / "colleague"
    colleague.mkdir()
    shutil.copy(it.folder / "m.csv", colleague / "rehearsal.csv")
    own = {"BATCHEDIT_STATE": str(state_of(colleague))}
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ | own):
        it.start("run", "rehearsal.csv", "--yes", "--max-cost", "0.04", cwd=colleague).wait()
    it.sql("UPDATE batchedit.job SET leave = 1 WHERE state = 'planned'")
    it.start("run", "m.csv", "--yes", "--max-cost", "0.04").wait()
    it.sql("UPDATE batchedit.run SET max_cost = NULL")
    it.sql("UPDATE batchedit.job SET leave = 1 WHERE state = 'planned'")
    worked = it.run("work", "--until-idle")
    assert "leaves it to others" in worked.stderr
    states = it.sql(
        "SELECT run.name, state, count(*) FROM batchedit.job JOIN batchedit.run ON run.id = run GROUP BY 1, 2"
    )
    assert sorted(states) == [("m", "done", 2), ("rehearsal", "done", 1), ("rehearsal", "planned", 1)]
    assert "none that you started listens" in it.run("work", "--run", "rehearsal", "--until-idle", code=64).stderr


def test_a_run_that_has_bought_nothing_yet_is_taken_over_as_what_it_is(team: Callable[..., Team]) -> None:
    """It was begun at one's own sandbox, and in the store it was one that may cost money: nobody could buy in it."""
    it = team(2)
    base = ("--base-url", it.sandbox.url)
    with hold_sandbox_lock(it.sandbox.port, [HOST], os.environ):
        it.fork_server.run("run", "m.csv", "--out", "outputs/play", *base, cwd=it.folder, code=64)
        it.run_without_service("runs", "--import", "outputs/play")
        assert LABEL in it.run("run", "play", "--yes").stdout
    assert it.count_states() == {"done": 2}


def test_an_address_of_another_machine_is_no_sandbox_whatever_a_file_says() -> None:
    """A fact of a folder that was edited by hand labelled a run at the vendor's, and locked it out for ever."""
    vendor = BoughtFrom("https://model-api.runcomfy.net", own_sandbox=True)
    assert BoughtFrom.load(vendor.dump()) == (vendor.address, False)
    assert BoughtFrom.load(f"own sandbox at {vendor.address}") == (vendor.address, False)
    here = BoughtFrom("http://localhost:8765", own_sandbox=True)
    assert BoughtFrom.load(here.dump()) == here


def test_a_rehearsal_in_a_store_is_planned_as_one(team: Callable[..., Team]) -> None:
    """`plan` said that the run takes no purchase, and to start a sandbox at the port "sandbox"."""
    it = team(2)
    it.run_without_service("run", "m.csv", "--sandbox", "--max-cost", "0.04", "--yes", code=None)
    planned = it.run_without_service("plan", "m.csv", "--sandbox")
    assert "takes no purchase" not in planned.stderr
    assert LABEL in planned.stdout
