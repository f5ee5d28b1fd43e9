"""Whose money a shared run is of: every worker says it for itself, and one that may pay takes the label off for all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchedit.ledger.own_sandbox import HOST, listening
from tests.support.cli import until
from tests.support.store_team import Team

LABEL = "play money"


@pytest.mark.parametrize("same", [True, False], ids=["of the same person", "elsewhere"])
def test_the_label_holds_only_while_every_worker_buys_at_its_own_sandbox(
    team: Callable[..., Team], tmp_path: Path, same: bool
) -> None:
    """127.0.0.1 of another machine is another service, which may cost money: from its first worker on nothing is labelled."""
    it = team(6, latency="0.5")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with listening(it.sandbox.port, [HOST], os.environ):
        assert LABEL in it.run("plan", "m.csv").stdout
        first = it.start("run", "m.csv", "--yes", "-j", 1)
        until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
        assert told(it) == {True}
        helper = it.start("work", "--until-idle", "-j", 1, cwd=None if same else elsewhere)
        assert (first.wait(), helper.wait()) == (0, 0), (first.stderr, helper.stderr)
        assert it.sql("SELECT count(*) FROM batchedit.worker") == [(2,)], "both worked at it"
        assert (LABEL in first.stdout) is same, "what the first one tells at its end"
        assert told(it) == {same}
        audit = it.look("audit", "m", code=None).stdout
        assert (LABEL in audit) is same
        it.run("run", "m.csv", "--yes")
        assert told(it) == {same}, "and never again"


def told(it: Team) -> set[bool]:
    listed = json.loads(it.look("runs", "--json").stdout)["runs"]
    status = json.loads(it.look("status", "m", "--json").stdout)
    return {*(run["play_money"] for run in listed), status["report"]["play_money"]}
