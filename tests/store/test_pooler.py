"""A store behind PgBouncer in transaction mode: each statement may be another server process's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import run_cli, until
from tests.support.pooler import Pooler
from tests.support.postgres import new_database
from tests.support.store_team import Team


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    one = Pooler(new_database(store=False))
    yield one
    one.close()


def test_workers_behind_a_pooler_keep_nothing_in_their_sessions(
    team: Callable[..., Team], pooler: Pooler, tmp_path: Path
) -> None:
    """A worker that was a setting of its session, or a statement that was prepared there, was another's a moment later."""
    run_cli("store", "init", pooler.url, cwd=tmp_path)
    it = team(16, url=pooler.url, latency="0.2")
    first = it.start("run", "m.csv", "--yes", "-j", 3, doom=("Accepted", 5))
    until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
    helper = it.start("work", "--until-idle", "-j", 3)
    first.wait()
    it.expire_lease(1)
    assert helper.wait() in {0, 76}, helper.stderr
    assert pooler.handed > 100
    it.check_settled(it.count_states()["in_doubt"])
