"""A checkpoint that was put back from a backup, or copied without its ``-wal`` file: what was bought since stands in the
run's log, and is not bought again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, rows
from tests.support.cli import run_cli as batchedit


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=1500)) as running:
        yield running


def back_up(run: Path) -> Path:
    backup = run.parent.parent / "backup.sqlite"
    assert not (run / "checkpoint.sqlite-wal").exists()
    return Path(shutil.copy(run / "checkpoint.sqlite", backup))


def put_back(run: Path, backup: Path) -> None:
    for name in ("checkpoint.sqlite-wal", "checkpoint.sqlite-shm"):
        (run / name).unlink(missing_ok=True)
    shutil.copy(backup, run / "checkpoint.sqlite")


def count_statuses(run: Path) -> Counter[object]:
    assert audit(str(run), {})[1].findings == []
    return Counter(row["result_status"] for row in rows(run))


def test_what_was_bought_after_a_backup_is_not_bought_again(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """“Restore it from a backup” is what the program advises for a damaged checkpoint: whoever did paid twice."""
    sheet, run = manifest(tmp_path / "m.csv", 4), tmp_path / "outputs" / "m"
    command = ("run", sheet, *on(sandbox, "-j", 1))
    batchedit(*command, "--max-cost", "0.05", cwd=tmp_path, code=75)
    backup, before = back_up(run), sandbox.ledger()["accepted"]
    assert before == 1
    batchedit(*command, "--max-cost", "none", cwd=tmp_path)
    put_back(run, backup)
    stderr = batchedit(*command, "--max-cost", "none", cwd=tmp_path).stderr
    assert "older copy" in stderr
    assert (sandbox.ledger()["accepted"], count_statuses(run)) == (4, {"done": 4})
    assert "older copy" not in batchedit(*command, cwd=tmp_path).stderr


def test_a_purchase_without_an_end_in_the_log_is_in_doubt(tmp_path: Path) -> None:
    with serve(SandboxConfig(latency="0", plain_files=1500, faults=("submit:drop_after=at:3",))) as sandbox:
        sheet, run = manifest(tmp_path / "m.csv", 3), tmp_path / "outputs" / "m"
        command = ("run", sheet, *on(sandbox, "-j", 1))
        batchedit(*command, "--max-cost", "0.05", cwd=tmp_path, code=75)
        backup = back_up(run)
        batchedit(*command, "--max-cost", "none", cwd=tmp_path, code=76)
        put_back(run, backup)
        batchedit(*command, "--max-cost", "none", cwd=tmp_path, code=76)
        assert (sandbox.ledger()["accepted"], count_statuses(run)) == (3, {"done": 2, "in_doubt": 1})


def test_jobs_that_the_older_copy_does_not_have_need_a_yes_of_their_own(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    sheet, run = manifest(tmp_path / "m.csv", 1), tmp_path / "outputs" / "m"
    command = ("run", sheet, *on(sandbox))
    batchedit(*command, cwd=tmp_path)
    backup = back_up(run)
    manifest(sheet, 3)
    batchedit(*command, cwd=tmp_path)
    put_back(run, backup)
    for _ in range(2):
        stderr = batchedit(*command, cwd=tmp_path, code=64).stderr
        assert "2 jobs were bought after it was made" in stderr
    batchedit("fetch", run, cwd=tmp_path, code=None)
    assert sandbox.ledger()["accepted"] == 3


def test_a_job_that_was_bought_anew_after_the_backup(tmp_path: Path) -> None:
    with serve(SandboxConfig(latency="0", plain_files=1500, faults=("job:failed=at:2",))) as sandbox:
        sheet, run = manifest(tmp_path / "m.csv", 2), tmp_path / "outputs" / "m"
        batchedit("run", sheet, *on(sandbox, "-j", 1), cwd=tmp_path, code=1)
        backup = back_up(run)
        batchedit("retry", run, *on(sandbox), cwd=tmp_path)
        put_back(run, backup)
        batchedit("run", sheet, *on(sandbox), cwd=tmp_path)
        assert (sandbox.ledger()["accepted"], count_statuses(run)) == (3, {"done": 2})


def test_another_runs_log_says_nothing(tmp_path: Path, sandbox: RunningSandbox) -> None:
    for name in ("one", "two"):
        batchedit("run", manifest(tmp_path / f"{name}.csv", 2, prefix=name), *on(sandbox), cwd=tmp_path)
    first, second = tmp_path / "outputs" / "one", tmp_path / "outputs" / "two"
    shutil.copy(second / "run.jsonl", first / "run.jsonl")
    manifest(tmp_path / "one.csv", 3, prefix="one")
    assert "older copy" not in batchedit("run", "one.csv", *on(sandbox), cwd=tmp_path).stderr
    assert sandbox.ledger()["accepted"] == 5
