"""Data never decides where the token goes, nor whether to buy: settings files that came with a sheet, received runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit as process
from tests.support.cli import make_env, manifest, on
from tests.support.cli import run_cli as batchedit


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as running:
        yield running


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("place", ["received", "."])
def test_a_settings_file_that_came_with_the_sheet_neither_gets_the_token_nor_buys(
    tmp_path: Path, sandbox: RunningSandbox, command: str, place: str
) -> None:
    """``run`` bought with nobody's yes, at the service that the file named."""
    (tmp_path / "received").mkdir()
    manifest(tmp_path / "received" / "m.csv", 2)
    planted = (
        f'base-url = "{sandbox.url}"\nallow-host = ["evil.example"]\nyes = true\non-doubt = "buy-again"\nvariants = 3\n'
    )
    (tmp_path / place / "batchedit.toml").write_text(planted)
    env = make_env(HTTPS_PROXY="http://127.0.0.1:9")  # the vendor's service is never asked by a test
    completed = batchedit(command, "received/m.csv", cwd=tmp_path, env=env, code=0 if command == "plan" else None)
    assert sandbox.ledger()["submits_seen"] == 0
    assert "settings are read from" in completed.stderr
    assert "sets base-url, allow-host, yes, on-doubt, which is not taken" in completed.stderr
    if command == "plan":
        assert "6 pictures" in completed.stdout


def test_a_limit_that_is_not_taken_from_an_unnamed_file_is_never_dropped_in_silence(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "m.csv", 2)
    (tmp_path / "batchedit.toml").write_text("max-cost = 0.05\n")
    refused = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=64)
    assert "--max-cost 0.05" in refused.stderr
    batchedit("run", "m.csv", *on(sandbox, "--config", "batchedit.toml"), cwd=tmp_path, code=75)
    assert sandbox.ledger()["accepted"] == 1


def test_what_was_typed_holds_for_one_command_where_it_can_not_be_kept(
    tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only home refused every run with --base-url (exit 73). The next process knows nothing of it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "file" / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    manifest(tmp_path / "m.csv", 1)
    completed = process("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert "so services and hosts that you typed hold for this command alone" in completed.stderr
    assert sandbox.ledger()["accepted"] == 1
    assert f"--base-url {sandbox.url}" in process("fetch", "outputs/m", cwd=tmp_path, code=64).stderr
    process("fetch", "outputs/m", "--base-url", sandbox.url, cwd=tmp_path)


@pytest.mark.parametrize("command", ["fetch", "retry"])
def test_a_received_run_does_not_choose_the_service(
    tmp_path: Path, sandbox: RunningSandbox, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder names a service, and the token went there."""
    manifest(tmp_path / "m.csv", 2)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    run = tmp_path / "outputs" / "m"
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
        db.execute("UPDATE jobs SET state = 'failed'")
    monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "another person"))
    ledger_before = sandbox.ledger()
    refused = batchedit(command, "outputs/m", cwd=tmp_path, code=64)
    assert f"--base-url {sandbox.url}" in refused.stderr
    assert sandbox.ledger() == ledger_before


def test_a_service_that_was_typed_once_is_known_and_shown(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 1)
    completed = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert f"the service is {sandbox.url}, not the vendor's" in completed.stderr
    batchedit("fetch", "outputs/m", cwd=tmp_path)
