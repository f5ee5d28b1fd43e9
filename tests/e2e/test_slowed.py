"""A night that is slowed says so in every place where a person looks, and a stopped process goes on as if nothing was."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import manifest, on, run_cli, start, until

QUICK = {"latency": "0.3", "plain_files": 20_000}
AT_ONCE_NOTICED = """
import batchedit.scheduling.suspension as suspension
from batchedit.cli import main
suspension.LEAST_SECONDS = 1.0
main()
"""
"""The command, but a stop of a second is one already."""


def test_a_run_that_the_service_slows_says_so_in_all_four_places(tmp_path: Path) -> None:
    """POSTs fell to a few a second, and nothing on the screen, in the log or in the report said why."""
    manifest(tmp_path / "m.csv", 3000)
    folder = tmp_path / "outputs" / "m"
    log = folder / "run.jsonl"
    with serve(SandboxConfig(**QUICK, rate_limit="4/s,burst=5")) as sandbox:
        run = start("run", "m.csv", *on(sandbox, "--log-json", "-j", 40, "--no-check-images"), cwd=tmp_path)
        until(lambda: log.exists() and '"event":"slowed"' in log.read_text())
        going = run_cli("status", "outputs/m", cwd=tmp_path).stdout
        payload = json.loads(run_cli("status", "outputs/m", "--json", cwd=tmp_path).stdout)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=90)
    events = find_slowed_events(log.read_text())
    assert find_slowed_events(err) == events
    message = events[0]["message"]
    assert message.startswith("slowed by the service: ")
    assert message.endswith(" minutes longer")
    assert events[0]["posts_per_second"] or events[0]["jobs_at_once"]
    assert 90 <= events[0]["seconds_longer"] <= 1500
    assert any(f"  {event['message']}\n" in going for event in events)
    assert going.count("slowed by the service") == 1, "it stood there twice"
    assert (payload["report"]["next"], payload["report"]["commands"]) == ([], []), (
        "the run that goes on was to be typed"
    )
    report = json.loads((folder / "report.json").read_text())["slowed"]
    assert f"  {report['message']}\n" in out
    assert report["seconds_longer"] <= 60, "what it was until it was stopped"
    assert f"  {report['message']}\n" in run_cli("status", "outputs/m", cwd=tmp_path).stdout


def find_slowed_events(text: str) -> list[dict[str, Any]]:
    """What the lines say, but for the millisecond in which each of the two was written."""
    lines = [json.loads(line) for line in text.splitlines() if '"event":"slowed"' in line]
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]


def test_a_process_that_was_stopped_and_then_met_one_429(tmp_path: Path) -> None:
    """It stood nearly still from then on: the stop passed for a time in which the service had hardly taken anything. So it is
    late each time; a machine that is busy with something else makes it late once.
    """
    assert any(seconds_late(tmp_path / str(n)) <= 1.0 + 5.0 for n in range(3))


def seconds_late(tmp_path: Path) -> float:
    """By how much a run that is stopped and then meets a 429 takes longer than a calm one, its stop left out."""
    tmp_path.mkdir()
    manifest(tmp_path / "m.csv", 32)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        started_at = time.monotonic()
        run_cli("run", "m.csv", *on(sandbox, "-j", 4, "--out", "calm"), cwd=tmp_path)
        calm = time.monotonic() - started_at
    with serve(SandboxConfig(**QUICK, faults=("submit:429@1=at:20",))) as sandbox:
        run = start("run", "m.csv", *on(sandbox, "-j", 4, "--fresh"), cwd=tmp_path, script=["-c", AT_ONCE_NOTICED])
        until(lambda: sandbox.ledger()["accepted"])
        started_at = time.monotonic()
        until(lambda: sandbox.ledger()["accepted"] >= 10)
        run.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(3.0)
        stopped = time.monotonic() - stopped
        run.send_signal(signal.SIGCONT)
        out, err = run.communicate(timeout=90)
        took = time.monotonic() - started_at
        assert run.returncode == 0, out + err
        assert sandbox.ledger()["accepted"] == 32
    assert '"event":"resumed"' in (tmp_path / "outputs" / "m" / "run.jsonl").read_text()
    return took - stopped - calm
