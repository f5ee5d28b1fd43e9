"""One place asks, and what it asks is what is bought: the real command against a sandbox on a socket."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import manifest, on, rows
from tests.support.cli import run_cli as batchedit

QUICK = {"latency": "0", "plain_files": 4_000}


def find_hints(text: str) -> list[list[str]]:
    """The commands that ``text`` tells to type."""
    return [shlex.split(command)[1:] for command in re.findall(r"→ [^\n]*?: (batchedit [^\n]*)$", text, re.MULTILINE)]


def test_retry_that_buys_doubts_again_asks_about_all_of_them(tmp_path: Path) -> None:
    """``retry --failed --on-doubt buy-again`` said "to buy 1" and bought 7."""
    manifest(tmp_path / "m.csv", 4)
    with serve(
        SandboxConfig(**QUICK, faults=("job:failed=at:1", "submit:drop_after=at:2", "submit:drop_after=at:3"))
    ) as it:
        batchedit("run", "m.csv", *on(it, "-j", 1), cwd=tmp_path, code=76)
        it.set_faults([])
        before = it.ledger()["accepted"]
        arguments = ("retry", "outputs/m", "--failed", "--on-doubt", "buy-again")
        completed = batchedit(*arguments, cwd=tmp_path, code=64)
        assert "buying 3 pictures needs a yes" in completed.stderr
        assert it.ledger()["accepted"] == before, "something was bought without a yes"
        batchedit(*arguments, "--yes", cwd=tmp_path)
        assert it.ledger()["accepted"] == before + 3


@pytest.mark.parametrize("command", ["run", "retry", "fetch"])
def test_a_run_is_gone_on_with_by_its_folder_and_by_out(tmp_path: Path, command: str) -> None:
    """``retry`` and ``fetch`` with ``--out`` bought, then ended with 66 and a hint that buys everything anew."""
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1",))) as it:
        batchedit("run", "m.csv", *on(it, "--out", "night"), cwd=tmp_path, code=1)
        it.set_faults([])
        yes = [] if command == "fetch" else ["--yes"]
        completed = batchedit(
            command, "night", "--out", "night", *yes, cwd=tmp_path, code=0 if command == "retry" else 1
        )
        assert "night: " in completed.stdout
        assert it.ledger()["accepted"] == (4 if command == "retry" else 3)
        assert not (tmp_path / "outputs").exists()


def test_redo_with_out_ends_in_the_run_that_it_began_in(tmp_path: Path) -> None:
    """It bought, then exit 66 and a hint that buys everything anew."""
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        batchedit("run", "m.csv", *on(it, "--out", "night"), cwd=tmp_path)
        night = tmp_path / "night"
        key = rows(night)[0]["result_key"]
        (night / "decisions.csv").write_text(f"decision,note,when,job\nrejected,,2026-11-22T08:00:00Z,k{key}\n")
        batchedit("review", "m.csv", "--out", "night", "--import", "night/decisions.csv", cwd=tmp_path)
        completed = batchedit("redo", "m.csv", "--out", "night", "--yes", cwd=tmp_path)
        assert completed.stdout.startswith("night: 2 done\n")
        assert it.ledger()["accepted"] == 3
        assert not (tmp_path / "outputs").exists()


def test_each_command_that_is_printed_goes_on_in_this_run(tmp_path: Path) -> None:
    """``batchedit run`` without the run's settings was the hint: typed from there it bought other pictures anew."""
    manifest(tmp_path / "m.csv", 5)
    faults = ("job:failed=at:1", "job:moderated=at:2", "submit:drop_after=at:3")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        first_run = batchedit("run", "m.csv", *on(it, "--set", "prompt=a mug", "-j", 1), cwd=tmp_path, code=None)
        it.set_faults([])
        printed_commands = find_hints(first_run.stdout)
        assert printed_commands, first_run.stdout
        for arguments in printed_commands:
            before = it.ledger()["accepted"]
            yes = ["--yes"] if arguments[0] in {"run", "retry"} else []
            completed = batchedit(*arguments, *yes, cwd=tmp_path, code=None)
            assert completed.returncode in {0, 1, 75, 76}, (arguments, completed.stdout, completed.stderr)
            assert it.ledger()["accepted"] - before <= (1 if arguments[0] == "retry" else 5), arguments
        assert [folder.name for folder in (tmp_path / "outputs").iterdir()] == ["m"], "another run was begun"


def test_what_was_written_off_is_bought_only_where_its_row_is_named(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as it:
        batchedit("run", "m.csv", *on(it, "-j", 1), cwd=tmp_path, code=76)
        batchedit("doubt", "outputs/m", "--write-off", "all", cwd=tmp_path)
        refused = batchedit("retry", "outputs/m", "--failed", "--yes", cwd=tmp_path, code=64)
        assert "1 written off" in refused.stderr
        assert it.ledger()["accepted"] == 2
        batchedit("retry", "outputs/m", "--row", 2, "--yes", cwd=tmp_path)
        assert it.ledger()["accepted"] == 3


def test_a_retry_did_not_say_which_kinds_it_would_buy_and_which_not(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    faults = ("job:failed=at:1+2", "job:moderated=at:3", "submit:drop_after=at:4")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        batchedit("run", "m.csv", *on(it, "-j", 1), cwd=tmp_path, code=76)
        batchedit("doubt", "outputs/m", "--write-off", "all", cwd=tmp_path)
        both = batchedit("retry", "outputs/m", "--failed", "--moderated", cwd=tmp_path, code=64).stderr
        assert "to buy          3 pictures: 2 failed, 1 moderated; 1 written off not included\n" in both
        failed = batchedit("retry", "outputs/m", "--failed", cwd=tmp_path, code=64).stderr
        assert "to buy          2 pictures: 2 failed; 1 moderated, 1 written off not included\n" in failed
        batchedit("retry", "outputs/m", "--failed", "--yes", cwd=tmp_path, code=None)
        assert it.ledger()["accepted"] == 7


def test_the_address_of_notify_is_not_printed(tmp_path: Path) -> None:
    """It stood in the "to go on" line that is printed and posted."""
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(**QUICK)) as it:
        secret = "https://127.0.0.1:1/services/T00/B00/s3cr3t"
        completed = batchedit("run", "m.csv", *on(it, "--max-cost", "0.09", "--notify", secret), cwd=tmp_path, code=75)
        assert "to go on: batchedit run outputs/m" in completed.stdout
        assert "s3cr3t" not in completed.stdout + completed.stderr
        assert "s3cr3t" not in (tmp_path / "outputs" / "m" / "report.json").read_text(encoding="utf-8")
