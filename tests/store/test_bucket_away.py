"""The store of files of a run can't be asked: an id may lie there, and nothing is bought before somebody has looked."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger.rescue_file import as_object
from batchedit.sandbox import SandboxConfig, serve
from tests.store.test_rescued_objects import in_doubt
from tests.support import seaweed
from tests.support.cli import manifest
from tests.support.fork_server import ForkServer
from tests.support.postgres import new_database
from tests.support.store_team import QUICK, Team

pytestmark = pytest.mark.timeout(300)  # the server takes its time to start on a busy machine

JOBS = 3
MAY_BUY = {
    "run": ("run", "m.csv", "--yes"),
    "run, which buys doubts again": ("run", "m.csv", "--yes", "--on-doubt", "buy-again"),
    "doubt": ("doubt", "m", "--buy-again", "all", "--yes"),
    "doubt, which gives it up": ("doubt", "m", "--write-off", "all"),
    "retry": ("retry", "m", "--yes"),
    "fetch": ("fetch", "m"),
}


@pytest.fixture(scope="module")
def here() -> Iterator[ForkServer]:
    """Commands that find the bucket."""
    server = ForkServer(**seaweed.shared().environment())
    yield server
    server.close()


@pytest.fixture(scope="module")
def cut_off() -> Iterator[ForkServer]:
    """Commands for which nobody listens where the bucket is."""
    server = ForkServer(**seaweed.shared().environment() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    yield server
    server.close()


@pytest.fixture
def it(tmp_path: Path, here: ForkServer) -> Iterator[Team]:
    """One job is in doubt, and its id lies in the bucket: its worker died while PostgreSQL was away."""
    manifest(tmp_path / "m.csv", JOBS)
    place = seaweed.new_place()
    with serve(SandboxConfig(**QUICK)) as sandbox:
        it = Team(tmp_path, here, sandbox, new_database())
        first = it.start(
            "run", "m.csv", "--yes", "-j", 1, "--files", f"s3://{seaweed.BUCKET}/{place}", doom=("answered", 2)
        )
        assert first.wait() == -signal.SIGKILL
        it.sql("SELECT batchedit.quit(1)")  # as who takes over after its lease
        it.sql("UPDATE batchedit.job SET quarantine = NULL")  # and after the time that a POST may be on its way
        it.run("work", "--until-idle")
        assert it.count_states() == {"done": JOBS - 1, "in_doubt": 1}
        doubt, lost = in_doubt(it)
        name, content = as_object(doubt, Accepted((doubt.submitted_at or 0.0) + 1, Handle(lost)))
        obstore.put(seaweed.shared().client(), f"{place}/m/rescued/{name}", content)
        yield it


@pytest.mark.parametrize("what", MAY_BUY)
def test_a_command_that_may_buy_ends_where_nobody_can_look_for_ids_and_goes_on_later(
    it: Team, cut_off: ForkServer, what: str
) -> None:
    it.fork_server, here = cut_off, it.fork_server
    errors = it.run(*MAY_BUY[what], code=69).stderr
    assert "can't be reached" in errors
    assert "the same command goes on once it is back" in errors
    assert it.sandbox.ledger()["accepted"] == JOBS
    assert it.count_states() == {"done": JOBS - 1, "in_doubt": 1}
    it.fork_server = here
    it.run(*MAY_BUY[what], code=None)
    it.run("run", "m.csv", "--yes")
    assert it.count_states() == {"done": JOBS}
    assert it.sandbox.ledger()["accepted"] == JOBS, "the id was there"


def test_who_only_looks_need_not_ask_the_bucket(it: Team, cut_off: ForkServer) -> None:
    """But for the proof, which looks at each picture there."""
    it.fork_server = cut_off
    for words, code in (("status", 0), ("doubt", 76), ("results", 0), ("audit", 69)):
        it.run_without_service(words, "m", code=code)
    assert "in doubt" in it.run_without_service("runs").stdout
    assert it.count_states() == {"done": JOBS - 1, "in_doubt": 1}
