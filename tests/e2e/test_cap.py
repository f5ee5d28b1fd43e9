"""``--max-cost`` belongs to the run: it stays until another one is given, and a person is told what holds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time

import httpx
import pytest

from batchedit.commands.audit import audit
from batchedit.core.events import Accepted
from batchedit.core.model import Handle, Record
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.rescue_file import rescue
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, run_cli
from tests.support.fork_server import ForkServer

QUICK = {"latency": "0", "plain_files": 20_000}


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(**QUICK, faults=("job:failed=first:1",))) as running:
        yield running


def read_caps(folder: Path) -> tuple[int | None, list[tuple[int | None, int | None]]]:
    """The cap that holds, and every change of it, in micro-dollars."""
    with closing(open_checkpoint(folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)) as checkpoint:
        changes = [
            (details["before"], details["after"])
            for _, name, details in checkpoint.list_run_events()
            if name == "CapSet"
        ]
        return checkpoint.cap, changes


def read_kept_setting(folder: Path) -> object:
    return tomllib.loads((folder / "outputs" / "m" / "settings.toml").read_text()).get("max-cost")


def test_a_run_without_max_cost_keeps_the_cap_it_has(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    """Typed again without it, the run bought everything: the cap was gone for good."""
    manifest(tmp_path / "m.csv", 6)
    fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.09"), cwd=tmp_path, code=75)
    again = fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=75)
    assert "at most         $0.09 (this run's --max-cost 0.09; --max-cost none lifts it)" in again.stdout + again.stderr
    assert sandbox.ledger()["charged_usd"] <= 0.09
    assert read_caps(tmp_path) == (90_000, [(None, 90_000)])
    assert read_kept_setting(tmp_path) == "0.09"


def test_a_cap_is_lifted_by_none_alone_and_each_change_is_told_and_kept(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "m.csv", 6)
    fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.05"), cwd=tmp_path, code=75)
    higher = fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.10"), cwd=tmp_path, code=75)
    assert "$0.10 (--max-cost; it was $0.05)" in higher.stdout + higher.stderr
    lifted = fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "none"), cwd=tmp_path, code=1)
    assert "no limit (--max-cost none; it was $0.10)" in lifted.stdout + lifted.stderr
    assert read_caps(tmp_path) == (None, [(None, 50_000), (50_000, 100_000), (100_000, None)])
    assert read_kept_setting(tmp_path) is None
    assert audit(str(tmp_path / "outputs" / "m"), {})[1].findings == []


def test_a_cap_that_the_person_said_no_to_does_not_hold(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "m.csv", 6)
    fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.05"), cwd=tmp_path, code=75)
    for more in (("--max-cost", "9"), ("--max-cost", "none")):
        fork_server.run("run", "m.csv", "--base-url", sandbox.url, *more, cwd=tmp_path, code=64)
        assert read_caps(tmp_path) == (50_000, [(None, 50_000)])
        assert read_kept_setting(tmp_path) == "0.05"


def test_no_command_beside_the_run_touches_the_cap(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    """An id that a failing disk had sent aside was enough: the next command took it in and erased the cap."""
    manifest(tmp_path / "m.csv", 6)
    fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.09"), cwd=tmp_path, code=75)
    folder = tmp_path / "outputs" / "m"
    with closing(open_checkpoint(folder / "checkpoint.sqlite", read_only=True)) as checkpoint:
        aside = checkpoint.records("state = 'planned' ORDER BY id")
    for command in (
        ("doubt", "outputs/m", "--write-off", "all"),
        ("cancel", "outputs/m", "--yes"),
        ("run", "m.csv", "--base-url", sandbox.url),
        ("fetch", "outputs/m"),
        ("retry", "outputs/m", "--failed", "--yes"),
        ("redo", "outputs/m", "--yes"),
        ("audit", "outputs/m"),
        ("results", "outputs/m"),
    ):
        if aside:
            record = aside.pop()
            rescue(folder, record.id, record.job.key, Accepted(time(), Handle(buy_directly(sandbox, record))))
        fork_server.run(*command, cwd=tmp_path, code=None)
        assert read_caps(tmp_path) == (90_000, [(None, 90_000)]), command
    assert audit(str(folder), {})[1].findings == []
    assert not (folder / "accepted.jsonl").exists()


def buy_directly(sandbox: RunningSandbox, record: Record) -> str:
    """The id of a request that the sandbox took."""
    answer = httpx.post(
        f"{sandbox.url}/v1/models/{record.job.model}",
        content=record.job.inputs,
        headers={"Authorization": "Bearer test-token", "Content-Type": "application/json"},
    )
    return str(answer.json()["request_id"])


def test_plan_tells_the_cap_of_the_run_that_is_there(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "m.csv", 6)
    fork_server.run("run", "m.csv", *on(sandbox, "--max-cost", "0.05"), cwd=tmp_path, code=75)
    planned = run_cli("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
    assert "$0.05 (this run's --max-cost" in planned
    assert "max-cost" in (stdout := run_cli("config", "outputs/m", cwd=tmp_path).stdout)
    assert '"0.05"' in stdout


@pytest.mark.parametrize("how", ["a no", "a refusal"])
def test_the_first_cap_of_a_run_was_lost_with_the_no_or_the_refusal_behind_it(tmp_path: Path, how: str) -> None:
    """`status` named `batchedit run outputs/m` to go on, which knew of no cap, and bought at a price that nobody knew."""
    manifest(tmp_path / "m.csv", 2)
    cap_options = ("--max-cost", "0.05") if how == "a no" else ("--max-cost", "0.05", "--yes")
    with serve(SandboxConfig(latency="0", plain_files=2_000, catalogue=how == "a no")) as service:
        run_cli("run", "m.csv", "--base-url", service.url, *cap_options, cwd=tmp_path, code=64)
        assert read_caps(tmp_path) == (50_000, [(None, 50_000)])
        status = run_cli("status", "m", cwd=tmp_path, code=None).stdout
        assert "killed" not in status, "its process ended in order"
        assert "batchedit run outputs/m" in status
        again = run_cli("run", "outputs/m", "--base-url", service.url, "--yes", cwd=tmp_path, code=None)
        assert service.ledger()["accepted"] == (1 if how == "a no" else 0), again.stderr
