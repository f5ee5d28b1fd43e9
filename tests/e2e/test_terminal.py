"""At a real terminal: the question, its answers, Ctrl-C at it, and the bar."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import time

import httpx
import pytest

from batchedit.core.events import Released
from batchedit.core.lifecycle import advance
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import batchedit, make_env, manifest, rows


def run_at_terminal(
    arguments: list[str], cwd: Path, *dialogue: tuple[str, str | Callable[[], str]], columns: int = 120, **more: str
) -> tuple[str, int]:
    """Run the command with a terminal of its own; ``dialogue`` is what is waited for and then typed, one after the other. A
    function is called while the question stands, and returns what to type.
    """
    pid, terminal = pty.fork()
    if pid == 0:  # the child: nothing but exec may happen here
        os.chdir(cwd)
        os.execve(
            sys.executable, [sys.executable, "-m", "batchedit", *arguments], make_env(COLUMNS=str(columns), **more)
        )
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    screen, to_type = "", list(dialogue)
    try:
        while True:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            if not chunk:
                break
            screen += chunk.decode(errors="replace")
            if to_type and to_type[0][0] in screen:
                reply = to_type.pop(0)[1]
                os.write(terminal, (reply() if callable(reply) else reply).encode())
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    return screen, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(("answer", "code", "bought"), [("y\n", 0, 3), ("n\n", 64, 0), ("\n", 64, 0), ("\x03", 130, 0)])
def test_the_question(tmp_path: Path, answer: str, code: int, bought: int) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url]
        screen, exit_code = run_at_terminal(arguments, tmp_path, ("Buy 3 pictures for about $0.12?", answer))
        assert exit_code == code, screen
        assert sandbox.ledger()["accepted"] == bought
        if bought:
            assert "3/3 done" in screen
            assert "Traceback" not in screen


def test_the_canary_asks_again(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "3", "--yes"]
        screen, code = run_at_terminal(arguments, tmp_path)
        assert (code, sandbox.ledger()["accepted"]) == (0, 9), screen
        assert "canary: 3 of 3 done" in screen


@pytest.mark.parametrize(("answer", "code", "bought"), [("y\n", 0, 12), ("n\n", 64, 9)])
def test_the_canary_of_a_run_that_takes_pictures_over_is_bought_and_counts_none_of_them(
    tmp_path: Path, answer: str, code: int, bought: int
) -> None:
    """Four of twelve were bought under another name: the questions are about the other eight, and five are bought first."""
    manifest(tmp_path / "a.csv", 4)
    manifest(tmp_path / "m.csv", 12)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        batchedit("run", "a.csv", "--base-url", sandbox.url, "--yes", cwd=tmp_path)
        before = {job["prompt"] for job in sandbox.ledger(full=True)["requests"]}
        first: list[str] = []

        def look() -> str:
            first.extend(job["prompt"] for job in sandbox.ledger(full=True)["requests"][4:])
            return answer

        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "5"]
        dialogue = (("Buy 5 first for about $0.20?", "y\n"), ("Buy the other 3 for about $0.12?", look))
        screen, exit_code = run_at_terminal(arguments, tmp_path, *dialogue)
        assert (exit_code, sandbox.ledger()["accepted"]) == (code, bought), screen
        assert "to buy          8 pictures" in screen
        assert "4 pictures were bought by the run in outputs/a and cost nothing here" in screen
        assert "canary: 5 of 5 done, $0.20 spent" in screen
        assert "look      outputs/m/files, or as a page, from another terminal: batchedit gallery outputs/m" in screen
        assert screen.count("[y/N]") == 2
        assert len(set(first)) == 5
        assert not before & set(first)
        table = rows(tmp_path / "outputs" / "m")
        reused_rows = [row for row in table if row["result_reused_from"]]
        assert [(row["sku"], row["result_status"], row["result_cost_usd"]) for row in reused_rows] == [
            (f"sku-{n}", "done", 0.0) for n in range(1, 5)
        ]
        paid = sum(float(str(row["result_cost_usd"] or 0)) for row in table)
        assert round(paid, 2) == round(0.04 * (bought - 4), 2)
        if code:  # the same command shows the same canary, and asks about the rest alone
            screen, exit_code = run_at_terminal(arguments, tmp_path, ("Buy 3 pictures for about $0.12?", "y\n"))
            assert (exit_code, sandbox.ledger()["accepted"]) == (0, 12), screen
            assert "canary: 5 of 5 done, $0.20 spent" in screen
            assert (
                "look      outputs/m/files, or as a page, from another terminal: batchedit gallery outputs/m" in screen
            )


def test_a_run_that_waited_for_its_person_was_told_dead_five_minutes_after_its_canary(tmp_path: Path) -> None:
    """The canary's numbers stayed while the question stood, and grew old."""
    manifest(tmp_path / "m.csv", 6)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    metrics: list[str] = []

    def look() -> str:
        metrics.append(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).text)
        return "y\n"

    with serve(SandboxConfig(latency="0.1", plain_files=2_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "3", "--metrics", f"127.0.0.1:{port}"]
        screen, code = run_at_terminal(arguments, tmp_path, ("Buy 3 first", "y\n"), ("Buy the other 3", look))
    assert code == 0, screen
    assert "batchedit_files_saved_total 3.0" in metrics[0]
    assert "batchedit_jobs{" not in metrics[0]


def test_ctrl_c_at_the_question_behind_the_canary_left_no_results_and_a_spare_file(tmp_path: Path) -> None:
    """Three pictures were paid for, and the command said "interrupted; nothing was bought"."""
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "3"]
        dialogue = (("Buy 3 first for about $0.12?", "y\n"), ("Buy the other 6 for about $0.24?", "\x03"))
        screen, code = run_at_terminal(arguments, tmp_path, *dialogue)
        assert code == 130, screen
        assert sandbox.ledger()["accepted"] == 3
    after = screen[screen.rindex("[y/N]: ") :]
    assert "3 done, 6 not bought yet" in after
    assert "$0.12 spent" in after
    folder = tmp_path / "outputs" / "m"
    assert sorted(str(row["result_status"]) for row in rows(folder)) == ["done"] * 3 + ["planned"] * 6
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["exit_code"], report["jobs"], report["usd"]["spent"]) == (130, {"done": 3, "planned": 6}, 0.12)
    assert not (folder / ".spare").exists()


def test_ctrl_c_right_behind_the_answer_left_a_question_that_nothing_ended(tmp_path: Path) -> None:
    """The terminal throws a line away that was typed before the Ctrl-C, and the process waited for it, deaf to all signals.

    The time between its seeing the line and its reading it is made longer.
    """
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(
        "import anyio, time\nquick = anyio.wait_readable\n"
        "async def wait_readable(terminal):\n    await quick(terminal)\n    print('seen')\n    time.sleep(0.5)\n"
        "anyio.wait_readable = wait_readable\n"
    )
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000)) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url]
        dialogue = (("Buy 1 picture for about $0.04?", "y\n"), ("seen", "\x03"))
        screen, code = run_at_terminal(arguments, tmp_path, *dialogue, PYTHONPATH=str(tmp_path / "slow"))
        assert code == 130, screen
        assert sandbox.ledger()["submits_seen"] == 0


def test_a_plan_that_the_account_can_not_pay_was_asked_about_without_a_word(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(latency="0.2", plain_files=4_000, balance="0.05")) as sandbox:
        warning = "warning: the account's balance is $0.05; what is to be bought comes to $0.12"
        assert warning in batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
        question = "Buy 3 pictures for about $0.12?"
        screen, code = run_at_terminal(["run", "m.csv", "--base-url", sandbox.url], tmp_path, (question, "n\n"))
        assert code == 64, screen
        assert warning in screen[: screen.index(question)]
        assert sandbox.ledger()["submits_seen"] == 0
        manifest(tmp_path / "m.csv", 1)
        assert "warning:" not in batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout


@pytest.mark.parametrize(("answer", "code", "bought"), [("y\n", 0, 5), ("n\n", 64, 1)])
def test_a_price_that_turns_out_higher_than_quoted_is_asked_about_again(
    tmp_path: Path, answer: str, code: int, bought: int
) -> None:
    """A yes is for the sum that was shown."""
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(latency="0", plain_files=4_000, actual_price="0.09")) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--max-cost", "5"]
        dialogue = (("Buy 5 pictures for about $0.20?", "y\n"), ("Buy the other 4 for about $0.36?", answer))
        screen, exit_code = run_at_terminal(arguments, tmp_path, *dialogue)
        assert (exit_code, sandbox.ledger()["accepted"]) == (code, bought), screen
        assert f"{bought} done" in screen[screen.rindex("[y/N]: ") :]
        assert (tmp_path / "outputs" / "m" / "results.csv").exists()


def test_a_price_that_turns_out_higher_than_quoted_ends_a_yes_that_was_said_before(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(latency="0", plain_files=4_000, actual_price="0.09")) as sandbox:
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--max-cost", "5", "--yes"]
        screen, code = run_at_terminal(arguments, tmp_path)
        assert (code, sandbox.ledger()["accepted"]) == (75, 1), screen
        assert "a picture costs $0.09, and the yes was for $0.04; the other 4 were not bought" in screen


def test_a_doubt_that_is_released_while_the_question_stands_is_not_bought_by_it(tmp_path: Path) -> None:
    """It was counted after the question: asked about one picture, the command bought two."""
    manifest(tmp_path / "m.csv", 1)
    run = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0", plain_files=4_000, faults=("submit:drop_after=at:1",))) as sandbox:
        batchedit("run", "m.csv", "--base-url", sandbox.url, "--yes", cwd=tmp_path, code=76)
        manifest(tmp_path / "m.csv", 2)

        def release() -> str:
            assert (
                "another process works on"
                in batchedit("doubt", "outputs/m", "--buy-again", "all", "--yes", cwd=tmp_path, code=75).stderr
            )
            with closing(open_checkpoint(run / "checkpoint.sqlite")) as checkpoint:
                (record,) = checkpoint.records("state = 'in_doubt'")
                event = Released(time(), "somebody")
                checkpoint.save_now(advance(record, event), event)
            return "y\n"

        dialogue = ("Buy 1 picture for about $0.04?", release)
        screen, _ = run_at_terminal(["run", "m.csv", "--base-url", sandbox.url], tmp_path, dialogue)
        assert sandbox.ledger()["accepted"] == 2, screen
        assert sorted(str(row["result_status"]) for row in rows(run)) == ["done", "planned"]


def test_a_sheet_that_is_saved_while_the_question_stands_changes_nothing_of_what_was_asked(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as sandbox:

        def save() -> str:
            manifest(tmp_path / "m.csv", 7, prefix="new")
            return "y\n"

        dialogue = ("Buy 2 pictures for about $0.08?", save)
        screen, code = run_at_terminal(["run", "m.csv", "--base-url", sandbox.url], tmp_path, dialogue)
        assert code == 0, screen
        prompts = sorted(job["prompt"] for job in sandbox.ledger(full=True)["requests"])
        assert prompts == ["make an ad, number sku1x", "make an ad, number sku2x"]
        assert [row["sku"] for row in rows(tmp_path / "outputs" / "m")] == ["sku-1", "sku-2"]


def test_a_run_that_took_another_manifest_in_while_the_question_stands_is_not_bought(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    path = tmp_path / "outputs" / "m" / "checkpoint.sqlite"
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as sandbox:

        def take_in() -> str:
            with closing(open_checkpoint(path)) as checkpoint:
                checkpoint.put("fingerprint", "2:other:other")
            return "y\n"

        dialogue = ("Buy 2 pictures for about $0.08?", take_in)
        screen, code = run_at_terminal(["run", "m.csv", "--base-url", sandbox.url], tmp_path, dialogue)
        assert (code, sandbox.ledger()["submits_seen"]) == (75, 0), screen
        assert "the manifest was changed while the question stood" in screen
