"""``batchedit runs``: every run of this person, how it stands, and the command to type next. What it prints is typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from batchedit.ledger.lock import find_holder
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, start, until
from tests.support.cli import run_cli as batchedit

QUICK: dict[str, Any] = {"latency": "0", "plain_files": 2_000}


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(**QUICK)) as running:
        yield running


def list_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """The runs by name, as ``--json`` has them: one object, and nothing else on stdout."""
    payload = json.loads(batchedit("runs", "--json", cwd=folder).stdout)
    assert set(payload) == {"schema", "runs"}
    return {run["name"]: run for run in payload["runs"]}


def type_command(command: str, folder: Path, *more: object, code: int = 0) -> CompletedProcess[str]:
    """The printed command, typed as it stands."""
    name, *arguments = shlex.split(command)
    assert name == "batchedit"
    return batchedit(*arguments, *more, cwd=folder, code=code)


def find_printed(text: str, run: str) -> tuple[str, str]:
    """The block of ``run`` in what was printed, and the command at its end."""
    (block,) = [block for block in text.split("\n\n") if block.startswith(f"{run} (")]
    (command,) = re.findall(r"→ .*: (batchedit .*)$", block)
    return block, command


def test_a_person_without_runs_is_told_how_to_start_one(tmp_path: Path) -> None:
    completed = batchedit("runs", cwd=tmp_path)
    assert "there is no run yet" in completed.stdout
    ways = ["batchedit template --examples", "batchedit template", "batchedit run --help"]
    assert re.findall(r": (batchedit .*)$", completed.stdout, re.MULTILINE) == ways
    assert list_runs(tmp_path) == {}


def test_a_run_stopped_by_its_cap_is_gone_on_in_with_the_command_that_is_printed(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    """Typed with the cap that it has, it would stop at once again. And it is found from another folder."""
    shop, elsewhere = tmp_path / "the shop", tmp_path / "elsewhere"
    shop.mkdir()
    elsewhere.mkdir()
    manifest(shop / "s.csv", 5)
    batchedit("run", "s.csv", *on(sandbox, "--max-cost", "0.09"), cwd=shop, code=75)
    before = int(sandbox.ledger()["accepted"])
    assert 0 < before < 5

    block, command = find_printed(batchedit("runs", cwd=elsewhere).stdout, "s")
    assert block.startswith(f"s ({shop.resolve()}/outputs/s): not finished\n")
    assert f"{before} done, {5 - before} to buy" in block
    assert "stopped   the budget is used up" in block
    assert "in doubt" not in block, "nothing that is zero"
    entry = list_runs(elsewhere)["s"]
    assert (entry["state"], entry["to_buy"], entry["next"]["command"]) == ("not_finished", 5 - before, command)
    assert entry["usd"]["spent"] == pytest.approx(sandbox.ledger()["charged_usd"])
    assert entry["source"] == str((shop / "s.csv").resolve())
    assert entry["used_at"]

    type_command(command, elsewhere, "--yes")
    assert sandbox.ledger()["accepted"] == 5
    block, command = find_printed(batchedit("runs", cwd=shop).stdout, "s")
    assert block.startswith("s (outputs/s): done\n")
    assert "stopped" not in block
    type_command(command, shop)
    assert (shop / "outputs" / "s" / "gallery.html").exists()


def test_what_is_in_doubt_is_decided_with_the_command_that_is_printed(tmp_path: Path) -> None:
    manifest(tmp_path / "s.csv", 3)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as sandbox:
        batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=76)
        block, command = find_printed(batchedit("runs", cwd=tmp_path).stdout, "s")
        assert block.startswith("s (outputs/s): in doubt\n")
        assert "2 done, 1 in doubt" in block
        assert re.search(r"\$0\.0[1-9]\d* in doubt", block)
        assert "1 job may have been bought" in type_command(command, tmp_path, code=76).stdout
        type_command(command, tmp_path, "--write-off", "all")
        assert list_runs(tmp_path)["s"]["state"] == "done", "what a person gave up is settled"


def test_a_run_that_was_removed_from_disk_is_left_out_and_the_others_stand(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        manifest(tmp_path / name / f"{name}.csv", 1, prefix=name)
        batchedit("run", f"{name}.csv", *on(sandbox), cwd=tmp_path / name)
    assert list(list_runs(tmp_path)) == ["b", "a"]  # the one used last first
    shutil.rmtree(tmp_path / "a" / "outputs")
    assert set(list_runs(tmp_path)) == {"b"}


def test_a_run_that_goes_on_is_told_as_running_and_one_that_was_killed_as_stopped(tmp_path: Path) -> None:
    manifest(tmp_path / "s.csv", 4)
    with serve(SandboxConfig(**{**QUICK, "latency": "600"})) as sandbox:
        process = start("run", "s.csv", *on(sandbox), cwd=tmp_path)
        try:
            until(lambda: sandbox.ledger()["accepted"])
            entry = list_runs(tmp_path)["s"]
            assert entry["state"] == "running"
            assert entry["why"].startswith(f"pid {process.pid} on ")
            assert "outputs/s: " in type_command(entry["next"]["command"], tmp_path).stdout
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        entry = list_runs(tmp_path)["s"]
        assert entry["state"] in {"not_finished", "in_doubt"}
        assert "it was killed, or the machine went down" in entry["why"]


def test_asking_who_works_on_a_run_keeps_nobody_from_starting_and_changes_nothing(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "s.csv", 1)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    run = tmp_path / "outputs" / "s"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    list_runs(tmp_path)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path in before} == before
    assert find_holder(run) == ""
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    (run / ".lock").unlink()
    list_runs(tmp_path)
    assert not (run / ".lock").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _overwrite(path: Path) -> None:
    path.write_bytes(b"no database " * 900)


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (x)")
        db.commit()


def _odd_settings(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE meta SET value = '[1' WHERE name = 'settings'")
        db.commit()


def _odd_mark(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE meta SET value = 'x' WHERE name = 'results_written'")
        db.execute("UPDATE jobs SET state = 'planned'")
        db.execute("UPDATE tally SET state = 'planned' WHERE jobs > 0")
        db.commit()


@pytest.mark.parametrize("damage", [_cut, _overwrite, _foreign, _odd_settings, _odd_mark])
def test_a_damaged_run_is_listed_as_such_and_the_others_stand(
    tmp_path: Path, sandbox: RunningSandbox, damage: Any
) -> None:
    for name in ("bad", "good"):
        manifest(tmp_path / f"{name}.csv", 1, prefix=name)
        batchedit("run", f"{name}.csv", *on(sandbox), cwd=tmp_path)
    path = tmp_path / "outputs" / "bad" / "checkpoint.sqlite"
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    damage(path)
    entries = list_runs(tmp_path)
    assert (entries["bad"]["state"], entries["bad"]["jobs"], entries["good"]["state"]) == ("damaged", None, "done")
    text = batchedit("runs", cwd=tmp_path).stdout
    assert "bad (outputs/bad): damaged\n" in text
    assert "  problem   " in text


def test_a_run_that_asked_and_was_told_no_has_all_to_buy(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64)
    entry = list_runs(tmp_path)["s"]
    assert (entry["state"], entry["to_buy"], entry["why"]) == ("not_finished", 2, None)
    type_command(entry["next"]["command"], tmp_path, "--yes")
    assert sandbox.ledger()["accepted"] == 2
