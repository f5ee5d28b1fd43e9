"""What a process tells Prometheus and Kubernetes, asked over a socket while it works."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from os import kill
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cli import batchedit, manifest, until
from tests.support.fork_server import Child, ForkServer
from tests.support.store_team import Team

Sums = dict[tuple[str, ...], float]


def address_of(child: Child) -> str:
    """Where it said that it tells them."""
    until(lambda: "/metrics" in child.stderr)
    match = re.search(r"http://127\.0\.0\.1:\d+", child.stderr)
    assert match is not None, child.stderr
    return match[0]


def ask(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False)


def sums(url: str) -> Sums:
    answer = ask(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (one.name, *(one.labels[name] for name in sorted(one.labels))): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def test_a_worker_tells_how_its_run_stands_while_it_works(team: Callable[..., Team]) -> None:
    it = team(4, latency="600")
    run = it.start("run", "m.csv", "--yes", "-j", 2, "--metrics", "127.0.0.1:0")
    url = address_of(run)
    until(lambda: sums(url).get(("batchedit_jobs", "m", "waiting")) == 2)
    metrics = sums(url)
    assert metrics["batchedit_posts_total", "accepted"] == 2
    assert metrics["batchedit_jobs", "m", "planned"] == 2
    assert ("batchedit_usd", "m", "cap") not in metrics, "there is none"
    assert metrics["batchedit_usd", "m", "reserved"] > 0
    assert 0 <= metrics["batchedit_lease_age_seconds",] < 60
    assert metrics["batchedit_commit_seconds_count",] >= 4, "two intentions, two ids"
    assert metrics["batchedit_commit_seconds_bucket", "+Inf"] == metrics["batchedit_commit_seconds_count",]
    assert (ask(f"{url}/healthz").status_code, ask(f"{url}/readyz").status_code) == (200, 200)
    assert ask(f"{url}/etc/passwd").status_code == 404
    kill(run.pid, signal.SIGTERM)
    assert run.wait() == 143


def test_a_worker_without_work_lives_and_is_ready(team: Callable[..., Team]) -> None:
    it = team(1)
    helper = it.start("work", "--metrics", "127.0.0.1:0")
    url = address_of(helper)
    until(lambda: ask(f"{url}/readyz").status_code == 200)
    assert ask(f"{url}/healthz").status_code == 200
    assert not [key for key in sums(url) if key[0] == "batchedit_jobs"]
    kill(helper.pid, signal.SIGTERM)
    assert helper.wait() == 143


def test_a_worker_that_waits_for_work_was_told_dead_five_minutes_after_its_run(team: Callable[..., Team]) -> None:
    """The numbers of a run that was over stayed, and grew old: an orchestrator ended a worker that was well."""
    it = team(2, latency="2")
    run = it.start("run", "m.csv", "--yes")
    until(lambda: it.sandbox.ledger()["accepted"] == 2)
    kill(run.pid, signal.SIGTERM)
    assert run.wait() == 143
    helper = it.start("work", "--metrics", "127.0.0.1:0")
    url = address_of(helper)
    until(lambda: ("batchedit_jobs", "m", "waiting") in sums(url))
    until(lambda: ("batchedit_jobs", "m", "waiting") not in sums(url))
    assert sums(url)["batchedit_files_saved_total",] == 2
    kill(helper.pid, signal.SIGTERM)
    assert helper.wait() == 143


@pytest.mark.parametrize("text", ["127.0.0.1", "nonsense:", "127.0.0.1:99999", "127.0.0.1:0/metrics", "192.0.2.1:80"])
def test_an_address_that_nobody_can_listen_on_is_told_before_anything_is_sent(tmp_path: Path, text: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    done = batchedit("run", "m.csv", "--sandbox", "--metrics", text, cwd=tmp_path, code=64)
    assert "--metrics" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_run_without_others_has_no_lease(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 1)
    run = fork_server.start("run", "m.csv", "--sandbox", "--metrics", "0", cwd=tmp_path)
    assert run.wait() == 0, run.stderr
    assert "metrics: http://127.0.0.1:" in run.stderr
