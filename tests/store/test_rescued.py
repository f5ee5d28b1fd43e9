"""Ids that a folder kept while the store was away: a worker takes them in, and buys nothing of it again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger.rescue_file import read_kept_ids, rescue
from tests.support.cli import until
from tests.support.store_team import Team


@pytest.fixture
def it(team: Callable[..., Team]) -> Team:
    """Three of three jobs said yes to; nothing was bought, for whoever asked was ended."""
    it = team(3, latency="0.1")
    it.run("run", "m.csv", "--yes", "--canary", "1", code=None)
    it.run("run", "m.csv", "--yes")
    it.sql("UPDATE batchedit.job SET leave = 1")
    return it


def put_aside(it: Team, job: int, request_id: str, key: bytes | None = None) -> None:
    """The line of a purchase whose answer came while the store was away."""
    ((stored_key,),) = it.sql("SELECT key FROM batchedit.request WHERE id = %s", job)
    rescue(it.folder / "outputs" / "m", job, key or bytes(stored_key), Accepted(9.0, Handle(request_id)))


def bought_beside(it: Team) -> str:
    """A job that the service has and the store knows nothing of."""
    answer = httpx.post(
        f"{it.sandbox.url}/v1/models/openai/gpt-4o-image/edit",
        headers={"Authorization": "Bearer a-token"},
        json={"prompt": "an ad", "image": ["https://images.example.com/lost.png"]},
        trust_env=False,
    )
    return str(answer.json()["request_id"])


def went_back(it: Team, job: int) -> None:
    """The store was restored from before its purchase, and lifted."""
    for table in ("event", "accepted"):
        it.sql(f"ALTER TABLE batchedit.{table} DISABLE TRIGGER USER")
        it.sql(f"DELETE FROM batchedit.{table} WHERE job = %s", job)
        it.sql(f"ALTER TABLE batchedit.{table} ENABLE TRIGGER USER")
    it.sql(
        "UPDATE batchedit.job SET state = 'planned', serial = 0, worker = NULL, held = 0, cost = NULL, request_id = NULL, "
        "status_url = NULL, result_url = NULL, cancel_url = NULL, outputs = NULL, files = NULL, submitted_at = NULL, "
        "accepted_at = NULL, finished_at = NULL, cost_known = false, leave = 1 WHERE id = %s",
        job,
    )


def row(it: Team, job: int) -> tuple[Any, ...]:
    (values,) = it.sql("SELECT state, request_id FROM batchedit.job WHERE id = %s", job)
    return tuple(values)


def test_a_worker_dropped_the_id_of_a_job_that_the_store_had_as_planned_and_bought_it_again(it: Team) -> None:
    went_back(it, 2)
    lost = bought_beside(it)
    put_aside(it, 2, lost)
    posts = it.sandbox.ledger()["accepted"]
    it.run("work", "--until-idle", code=None)
    assert row(it, 2) == ("done", lost)
    assert it.sandbox.ledger()["accepted"] == posts, "bought a second time"
    assert not list(read_kept_ids(it.folder / "outputs" / "m"))


def test_an_id_that_contradicts_the_store_is_an_orphan_and_told(it: Team) -> None:
    """The worker moved its line away and said nothing: the id was in no ledger."""
    put_aside(it, 1, "another-id")
    went_back(it, 3)  # so that there is something to do
    completed = it.run("work", "--until-idle")
    assert "another-id" in completed.stderr
    assert it.sql("SELECT job, request_id, stood FROM batchedit.orphan") == [(1, "another-id", "done")]
    assert "another-id" in it.run_without_service("audit", "m", code=None).stdout
    went_back(it, 3)
    assert "another-id" not in it.run("work", "--until-idle").stderr, "told once"


def test_an_id_of_no_job_of_the_run_stays_where_it_is(it: Team) -> None:
    put_aside(it, 1, "of-another-run", key=b"k" * 16)
    went_back(it, 3)  # so that there is something to do
    completed = it.run("work", "--until-idle")
    assert "of-another-run" in completed.stderr
    assert [event.handle.request_id for _, _, event, *_ in read_kept_ids(it.folder / "outputs" / "m")] == [
        "of-another-run"
    ]


def test_what_was_taken_in_before_is_no_news(it: Team) -> None:
    put_aside(it, 1, row(it, 1)[1])
    went_back(it, 3)  # so that there is something to do
    completed = it.run("work", "--until-idle")
    assert row(it, 1)[1] not in completed.stderr
    assert not list(read_kept_ids(it.folder / "outputs" / "m"))


def test_an_id_that_stays_is_told_once_however_often_the_worker_looks(it: Team) -> None:
    """It is read again in every pass."""
    put_aside(it, 1, "of-another-run", key=b"k" * 16)
    worker = it.start("work")
    for _ in range(2):
        went_back(it, 3)
        until(
            lambda: row(it, 3)[0] == "done" and it.sql("SELECT bool_and(gone) FROM batchedit.worker") == [(True,)], 60
        )
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 143
    assert worker.stderr.count("of-another-run") == 1, worker.stderr
