"""What a hostile second reading of the money path found; each was once true."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.rescue_file import rescue
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, rows
from tests.support.cli import run_cli as batchedit

QUICK = {"latency": "0.1", "plain_files": 8_000}


def test_doubts_are_not_bought_again_without_a_yes_a_price_and_the_cap(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK, faults=("submit:500_html_after=first:2",))) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76)
        again = ("--base-url", sandbox.url, "--on-doubt", "buy-again")
        completed = batchedit("run", "m.csv", *again, cwd=tmp_path, code=64)
        assert "2 pictures" in completed.stderr
        assert sandbox.ledger()["accepted"] == 3
        capped = batchedit("run", "m.csv", *again, "--yes", "--max-cost", "0.16", cwd=tmp_path, code=75)
        assert "budget" in capped.stdout
        assert sandbox.ledger()["accepted"] == 4
        batchedit("run", "m.csv", *again, "--yes", "--max-cost", "0.20", cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 5


@pytest.mark.parametrize("twice", ["a name that is another's second version", "several outputs"])
def test_a_paid_picture_is_never_overwritten(tmp_path: Path, twice: str) -> None:
    path = tmp_path / "m.csv"
    head = "sku,image,prompt\n"
    line = "{},https://images.example.com/mug.png,an ad for {}\n"
    several = {"outputs": "images", "images_per_job": 2} if twice == "several outputs" else {}
    names = ("cup", "cup-2") if several else ("foo", "foo-v2")
    path.write_text(head + line.format(names[0], "one") + line.format(names[1], "two"))
    with serve(SandboxConfig(**QUICK, **several)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "--name", "{id}"), cwd=tmp_path)
        path.write_text(head + line.format(names[0], "three") + line.format(names[1], "two"))
        batchedit("run", "m.csv", *on(sandbox, "--name", "{id}"), cwd=tmp_path)
    assert "everything adds up" in batchedit("audit", "m.csv", cwd=tmp_path).stdout
    files = list((tmp_path / "outputs" / "m" / "files").iterdir())
    assert len(files) == 3 * (2 if several else 1)


def test_a_404_of_the_cancel_call_is_no_cancellation(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="2.5", plain_files=8_000, faults=("cancel:404=1",))) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "--stuck-after", 1), cwd=tmp_path, code=75)
        completed = batchedit("cancel", "m.csv", cwd=tmp_path)
        assert completed.stdout.startswith("2 too late")
        batchedit("fetch", "m.csv", "--stuck-after", 30, cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 2


def test_a_first_picture_that_fails_does_not_block_the_rest(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 6)
    with serve(SandboxConfig(**QUICK, show_cost=False, faults=("job:moderated=at:1",))) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "--max-cost", "0.40"), cwd=tmp_path, code=1)
        assert sandbox.ledger()["accepted"] == 6


def test_a_rescued_id_of_a_planned_job_is_taken_in(tmp_path: Path) -> None:
    """The intention was lost with the disk, the side file has the id: it was bought."""
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "--limit", 1), cwd=tmp_path)
        folder = tmp_path / "outputs" / "m"
        batchedit("run", "m.csv", *on(sandbox, "--max-cost", "0.04"), cwd=tmp_path, code=75)
        checkpoint = open_checkpoint(folder / "checkpoint.sqlite", read_only=True)
        (done,) = checkpoint.records("state = 'done'")
        (planned,) = checkpoint.records("state = 'planned'")
        checkpoint.close()
        assert done.handle is not None
        rescue(folder, planned.id, planned.job.key, Accepted(12.0, Handle("somebody-elses")))
        batchedit("run", "m.csv", *on(sandbox, "--stuck-after", 1), cwd=tmp_path, code=None)
        assert sandbox.ledger()["accepted"] == 1, "it was bought already"
        assert rows(folder)[1]["result_request_id"] == "somebody-elses"


def test_results_typed_while_a_run_finishes(tmp_path: Path) -> None:
    from tests.support.cli import start

    manifest(tmp_path / "m.csv", 300)
    with serve(SandboxConfig(latency="0.05", plain_files=4_000)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "-j", 50), cwd=tmp_path)
        several = [start("results", "m.csv", cwd=tmp_path) for _ in range(4)]
        for process in several:
            _, err = process.communicate(timeout=90)
            assert process.returncode == 0, err
    lines = (tmp_path / "outputs" / "m" / "results.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 301


def test_a_checkpoint_with_two_names_bought_10_of_12_twice(tmp_path: Path) -> None:
    """``cp -al`` copies a run's folder by giving each file a second name: one checkpoint, two locks, two runs."""
    manifest(tmp_path / "m.csv", 12)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "--max-cost", "0.08"), cwd=tmp_path, code=75)
        subprocess.run(["cp", "-al", "outputs/m", "copy"], cwd=tmp_path, check=True)
        for out in ("copy", "outputs/m"):
            completed = batchedit(
                "run", "m.csv", "--out", out, *on(sandbox, "--max-cost", "none"), cwd=tmp_path, code=74
            )
            assert "second name" in completed.stderr
            assert sandbox.ledger()["accepted"] == 2
        assert "2 done" in batchedit("status", "copy", cwd=tmp_path, code=None).stdout, "reading it harms nobody"
        shutil.rmtree(tmp_path / "copy")
        batchedit("run", "m.csv", *on(sandbox, "--max-cost", "none"), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 12


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o600, 0o700), (0o002, 0o600, 0o700), (0o027, 0o640, 0o750)]
)
def test_prompts_and_prices_could_be_read_by_everybody_on_the_machine(
    tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("job:moderated=at:2",))) as sandbox:
        command = [sys.executable, "-m", "batchedit", "run", "m.csv", *map(str, on(sandbox))]
        completed = subprocess.run(command, cwd=tmp_path, env=make_env(), umask=umask, capture_output=True, check=False)
        assert completed.returncode == 1, completed.stderr
    run = tmp_path / "outputs" / "m"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.iterdir() if path.suffix != ".lock"}
    private = {
        "checkpoint.sqlite",
        "run.jsonl",
        "results.csv",
        "results.jsonl",
        "failed.csv",
        "report.json",
        "settings.toml",
    }
    assert {name: modes[name] for name in private} == dict.fromkeys(private, file)
    assert stat.S_IMODE(run.stat().st_mode) == folder
    template_run = subprocess.run(
        [sys.executable, "-m", "batchedit", "template", "--to", "t.csv"], cwd=tmp_path, umask=umask, check=False
    )
    assert template_run.returncode == 0
    assert stat.S_IMODE((tmp_path / "t.csv").stat().st_mode) == 0o666 & ~umask
