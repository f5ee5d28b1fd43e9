"""A run as a process of its own: what was confirmed and nothing else, whatever becomes of who started it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchedit.commands.confirmation_file import Command, Confirmation, ConfirmationFolder
from batchedit.commands.launch import Launch, start_process
from batchedit.commands.live import LiveState, find_live_state
from batchedit.commands.offer_and_carry_out import Offer, Unattended, offer
from batchedit.commands.pause_stop_set import wish
from batchedit.commands.trust import keep_typed
from batchedit.core.errors import BatcheditError, UsageError
from batchedit.ledger.opening import open_checkpoint
from batchedit.results.report import Report
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli, until

QUICK = {"latency": "0", "plain_files": 4_000}
SLOW = {"latency": "600", "plain_files": 4_000}
"""No job ends by itself: whatever is to be seen meanwhile is there to be seen."""


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(**QUICK)) as it:
        yield it


@pytest.fixture
def slow() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(**SLOW)) as it:
        yield it


@pytest.fixture(autouse=True)
def _nobody_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """A test that fails half way leaves a process that would wait for its service through the night."""
    yield
    if (find_run(tmp_path) / "checkpoint.sqlite").exists() and (pid := read_live_state(tmp_path).pid):
        os.kill(pid, signal.SIGKILL)


def count_bought(sandbox: RunningSandbox) -> int:
    count: int = sandbox.ledger()["submits_seen"]
    return count


def make_command(
    folder: Path, sandbox: RunningSandbox, verb: Any = "run", target: str = "m.csv", **settings: Any
) -> Command:
    keep_typed(make_env(), sandbox.url)
    out = {"out": str(folder / "outputs" / "m")} if verb == "run" else {}
    return Command(verb=verb, target=str(folder / target), given={**out, "base_url": sandbox.url, **settings})


def get_offer(command_to_offer: Command) -> Offer:
    """What a page does before it shows the price."""
    offered = anyio.run(offer, command_to_offer, Unattended(make_env()))
    assert isinstance(offered, Offer), offered
    return offered


def begin_run(confirmation: Confirmation) -> Launch:
    return start_process(confirmation, make_env(), patience=90)


def find_run(folder: Path) -> Path:
    return folder / "outputs" / "m"


def read_live_state(folder: Path) -> LiveState:
    return find_live_state(str(find_run(folder)))


def has_ended(folder: Path) -> bool:
    return not read_live_state(folder).alive


def read_until_shown(terminal: int, expected: bytes) -> bytes:
    """What comes from a terminal's other side until ``words`` are there; a process that says no more fails the test."""
    output = b""

    def came() -> bool:
        nonlocal output
        if select.select([terminal], [], [], 0)[0]:
            try:
                output += os.read(terminal, 4096)
            except OSError:  # nobody holds the other side any more
                pytest.fail(f"it ended and had said {output!r}")
        return expected in output

    until(came)
    return output


# --- it outlives -----------------------------------------------------------------------------------


def test_the_terminal_is_closed_and_the_run_goes_on(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """The question is asked at the terminal and answered there, and the terminal is closed."""
    manifest(tmp_path / "m.csv", 3)
    arguments = ["run", "m.csv", "--detach", "--base-url", sandbox.url]
    ours, theirs = pty.openpty()
    parent = subprocess.Popen(
        [sys.executable, "-m", "batchedit", *arguments], cwd=tmp_path, env=make_env(), stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    assert b"Buy 3 pictures for about $0.12?" in read_until_shown(ours, b"[y/N]")
    os.write(ours, b"y\n")
    read_until_shown(ours, b"to see how it goes")
    until(lambda: parent.poll() is not None)
    assert parent.returncode == 0
    os.close(ours)
    until(lambda: has_ended(tmp_path))
    assert (read_live_state(tmp_path).state, read_live_state(tmp_path).jobs, count_bought(sandbox)) == (
        "finished",
        {"done": 3},
        3,
    )
    until(lambda: "3 done" in (find_run(tmp_path) / "process.log").read_text(encoding="utf-8"))  # said at the very end


@pytest.mark.parametrize("how", ["an option", "the environment"])
def test_what_a_detached_run_said_was_half_json(tmp_path: Path, sandbox: RunningSandbox, how: str) -> None:
    """Its notes and its report stood as plain text between the events, and the option was not handed on."""
    manifest(tmp_path / "m.csv", 2)
    more = ["--log-json"] if how == "an option" else []
    arguments = ["run", "m.csv", "--detach", "--yes", "--base-url", sandbox.url, "--no-check-images", *more]
    environ = {**make_env(), **({} if more else {"BATCHEDIT_LOG_JSON": "1"})}
    completed = subprocess.run(
        [sys.executable, "-m", "batchedit", *arguments], cwd=tmp_path, env=environ, check=True, capture_output=True
    )
    assert [json.loads(line)["event"] for line in completed.stderr.splitlines()][-1] == "ended"
    log = find_run(tmp_path) / "process.log"
    until(lambda: has_ended(tmp_path) and '"event":"ended"' in log.read_text(encoding="utf-8"))
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = [event["event"] for event in events]
    assert names[-1] == "ended"
    assert (names.count("started"), names.count("ended"), events[-1]["exit_code"]) == (1, 1, 0)


def test_who_started_it_is_killed_and_the_run_goes_on(tmp_path: Path, slow: RunningSandbox) -> None:
    """And a hang-up means nothing to it, for it has no terminal."""
    manifest(tmp_path / "m.csv", 2)
    confirmation = get_offer(make_command(tmp_path, slow)).confirmation
    script = (
        "import json, os, signal, sys; from batchedit.commands.confirmation_file import Confirmation; "
        "from batchedit.commands.launch import start_process; "
        "start_process(Confirmation.from_json(json.loads(sys.argv[1]))); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    confirmation_json = json.dumps(confirmation.as_json())
    killed = subprocess.run(
        [sys.executable, "-c", script, confirmation_json], env=make_env(), check=False, timeout=90, cwd=tmp_path
    )
    assert killed.returncode == -signal.SIGKILL
    until(lambda: count_bought(slow) == 2)
    pid = read_live_state(tmp_path).pid
    assert os.getsid(pid) == pid  # Ctrl-C at the terminal means others
    os.kill(pid, signal.SIGHUP)
    wish(str(find_run(tmp_path)), stop=True, who="Dana")
    until(lambda: has_ended(tmp_path))
    ended = read_live_state(tmp_path)
    assert (ended.state, ended.stopped, ended.code) == ("stopped", "stopped, as Dana wished", 75)


# --- what was confirmed and nothing else -------------------------------------------------------------


def carry_out_here(confirmation: Confirmation, folder: Path, code: int) -> str:
    """What the process says that the confirmation is given to; here in this one, which saves the start of a Python."""
    path = ConfirmationFolder(make_env()).hand_in(confirmation)
    completed = run_cli("confirmed", path, cwd=folder, code=code)
    return completed.stdout + completed.stderr


def test_a_sheet_that_was_saved_between_the_question_and_the_yes(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 3)
    offered = get_offer(make_command(tmp_path, sandbox))
    manifest(tmp_path / "m.csv", 3, prefix="other")
    with pytest.raises(BatcheditError, match="changed since the yes was said; nothing was bought") as refused:
        begin_run(offered.confirmation)
    assert (refused.value.code, count_bought(sandbox)) == (64, 0)
    assert refused.value.hint.endswith(f"batchedit run {find_run(tmp_path)}")


def test_another_run_bought_half_of_it_meanwhile(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 4)
    offered = get_offer(make_command(tmp_path, sandbox))
    manifest(tmp_path / "n.csv", 2)
    run_cli("run", "n.csv", *on(sandbox), cwd=tmp_path)
    assert "2 pictures would be bought now, and the yes was for 4" in carry_out_here(offered.confirmation, tmp_path, 64)
    assert count_bought(sandbox) == 2


def test_a_price_that_rose_and_a_cap_that_was_changed(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    confirmation = get_offer(make_command(tmp_path, sandbox, max_cost=5_000_000)).confirmation
    with closing(open_checkpoint(find_run(tmp_path) / "checkpoint.sqlite")) as checkpoint:
        checkpoint.top_price = 50_000
        checkpoint.put("top_price", "50000")
    assert "costs $0.05 now, and the yes was for $0.04" in carry_out_here(confirmation, tmp_path, 64)
    with closing(open_checkpoint(find_run(tmp_path) / "checkpoint.sqlite")) as checkpoint:
        checkpoint.put("top_price", "")
    other = replace(confirmation, cap=3_000_000, nonce="another")
    assert "the cap is $5.00 now, and the yes was for $3.00" in carry_out_here(other, tmp_path, 64)
    assert count_bought(sandbox) == 0


def test_two_tabs_say_yes_at_once_and_one_buys(tmp_path: Path, slow: RunningSandbox) -> None:
    """Both to one question, and a third to a question of its own that stood at the same time."""
    manifest(tmp_path / "m.csv", 2)
    run_command = make_command(tmp_path, slow)
    first, other = get_offer(run_command).confirmation, get_offer(run_command).confirmation

    def outcome(confirmation: Confirmation) -> int:
        try:
            begin_run(confirmation)
        except BatcheditError as error:
            return error.code
        return 0

    with ThreadPoolExecutor(3) as tabs:
        codes = list(tabs.map(outcome, (first, first, other)))
    assert sorted(codes)[:1] + [code for code in codes if code not in {64, 75}] == [0, 0], codes
    until(lambda: count_bought(slow) == 2)
    with pytest.raises(BatcheditError):
        begin_run(first)
    wish(str(find_run(tmp_path)), stop=True)
    until(lambda: has_ended(tmp_path))
    assert count_bought(slow) == 2


def test_a_yes_is_used_once_also_where_what_it_bought_failed(tmp_path: Path) -> None:
    """A retry whose jobs failed again is the same purchase by its keys: the second tab bought them once more."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=1",))) as sandbox:
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
        again = make_command(tmp_path, sandbox, "retry", "outputs/m")
        first, other = get_offer(again).confirmation, get_offer(again).confirmation
        carry_out_here(first, tmp_path, 1)
        with pytest.raises(UsageError, match="used already; nothing was bought a second time"):
            ConfirmationFolder(make_env()).hand_in(first)
        assert "changed since the yes was said" in carry_out_here(other, tmp_path, 64)
        assert count_bought(sandbox) == 2


@pytest.mark.parametrize(("mode", "code"), [(0o644, 64), (0o620, 64), (None, 66)])
def test_a_confirmation_that_somebody_else_may_have_written(tmp_path: Path, mode: int | None, code: int) -> None:
    path, expected = tmp_path / "yes.json", "is not a file that only you can read and write; nothing was bought"
    if mode is None:
        expected = "there is no confirmation"
    else:
        fields = Confirmation(command=Command(verb="run", target="m.csv"), folder=str(tmp_path)).as_json()
        path.write_text(json.dumps(fields))
        path.chmod(mode)
    assert expected in run_cli("confirmed", path, cwd=tmp_path, code=code).stderr


def test_a_link_is_no_confirmation(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "real.json").chmod(0o600)
    (tmp_path / "yes.json").symlink_to(tmp_path / "real.json")
    run_cli("confirmed", tmp_path / "yes.json", cwd=tmp_path, code=66)
    assert "is no confirmation" in run_cli("confirmed", tmp_path / "real.json", cwd=tmp_path, code=64).stderr


# --- the canary --------------------------------------------------------------------------------------


def test_the_first_few_wait_for_a_yes_of_their_own_for_the_rest(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 5)
    first = get_offer(make_command(tmp_path, sandbox, canary=2))
    assert first.quote is not None
    assert (first.quote.count, first.quote.rest) == (2, 3)
    assert "look at them, then buy the rest: batchedit run outputs/m" in carry_out_here(
        first.confirmation, tmp_path, 75
    )
    assert (count_bought(sandbox), read_live_state(tmp_path).jobs) == (2, {"done": 2, "planned": 3})
    live_state = read_live_state(tmp_path)
    assert (live_state.state, live_state.stopped) == (
        "canary",
        "the first were bought, and the other 3 wait for your yes",
    )
    rest = get_offer(make_command(tmp_path, sandbox, "resume", "outputs/m", canary=2))
    assert rest.quote is not None
    assert rest.quote.canary is not None
    assert (rest.quote.count, rest.quote.rest, rest.quote.canary.done) == (3, 0, 2)
    carry_out_here(rest.confirmation, tmp_path, 0)
    assert (count_bought(sandbox), read_live_state(tmp_path).state) == (5, "finished")


def test_what_may_have_been_bought_is_bought_again_with_a_yes_of_its_own(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76)
        offered = get_offer(replace(make_command(tmp_path, sandbox, "doubt", "outputs/m"), rows=("all",)))
        assert offered.quote is not None
        assert offered.quote.count == 1
        carry_out_here(offered.confirmation, tmp_path, 0)
        assert count_bought(sandbox) == 3


def test_what_was_bought_is_collected_without_a_yes(tmp_path: Path, slow: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 1)
    begin_run(get_offer(make_command(tmp_path, slow)).confirmation)
    until(lambda: read_live_state(tmp_path).jobs == {"waiting": 1})
    os.kill(read_live_state(tmp_path).pid, signal.SIGKILL)
    until(lambda: has_ended(tmp_path))
    fetching = get_offer(make_command(tmp_path, slow, "fetch", "outputs/m"))
    assert (fetching.quote, fetching.confirmation.digest) == (None, "")
    going = begin_run(fetching.confirmation)
    assert (read_live_state(tmp_path).pid, read_live_state(tmp_path).doing) == (going.pid, "fetch")
    wish(str(find_run(tmp_path)), stop=True)
    until(lambda: has_ended(tmp_path))
    assert count_bought(slow) == 1


def test_nothing_is_left_to_do(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 1)
    run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path)
    report = anyio.run(offer, make_command(tmp_path, sandbox), Unattended(make_env()))
    assert isinstance(report, Report)
    assert "1 done" in run_cli("run", "m.csv", *on(sandbox, "--detach"), cwd=tmp_path).stdout


# --- wishes, and what is seen ------------------------------------------------------------------------


def test_what_is_wished_of_a_run_that_goes_on(tmp_path: Path, slow: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 6)
    going = begin_run(get_offer(make_command(tmp_path, slow, concurrency=2)).confirmation)
    until(lambda: read_live_state(tmp_path).jobs == {"planned": 4, "waiting": 2})
    live_state = read_live_state(tmp_path)
    assert (live_state.state, live_state.pid, live_state.doing, live_state.cap) == ("going", going.pid, "run", None)
    run = str(find_run(tmp_path))
    run_cli("pause", run, cwd=tmp_path)
    until(lambda: read_live_state(tmp_path).state == "paused")
    assert "paused, as a person wished" in run_cli("status", run, cwd=tmp_path).stdout
    run_cli("set", run, "-j", "5", "--max-cost", "3", cwd=tmp_path)
    until(lambda: caps(tmp_path) == [(None, 3_000_000)])
    run_cli("set", run, "--max-cost", "none", cwd=tmp_path)
    until(lambda: caps(tmp_path) == [(None, 3_000_000), (3_000_000, None)])
    assert count_bought(slow) == 2  # paused: a higher speed buys nothing
    run_cli("resume", run, cwd=tmp_path)
    until(lambda: count_bought(slow) == 5)
    os.kill(going.pid, signal.SIGKILL)
    until(lambda: has_ended(tmp_path))
    dead = read_live_state(tmp_path)
    assert (dead.state, dead.stopped) == (
        "stopped",
        "its process ended without a word: it was killed, or the machine went down",
    )
    assert "nobody works on it" in run_cli("status", run, "--watch", cwd=tmp_path).stdout
    for arguments in (("pause", run), ("stop", run), ("set", run, "-j", "2"), ("resume", run)):
        assert "nobody works on" in run_cli(*arguments, cwd=tmp_path, code=64).stderr


def caps(folder: Path) -> list[tuple[int | None, int | None]]:
    with closing(open_checkpoint(find_run(folder) / "checkpoint.sqlite", read_only=True)) as checkpoint:
        return [
            (details["before"], details["after"])
            for _, name, details in checkpoint.list_run_events()
            if name == "CapSet"
        ]


def test_a_damaged_account_of_itself_is_no_account(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 1)
    run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path)
    for content in (b"{", b"[]", b'{"format": 99}'):
        (find_run(tmp_path) / "live.json").write_bytes(content)
        assert (read_live_state(tmp_path).state, read_live_state(tmp_path).jobs) == ("finished", {"done": 1})


def test_the_machine_is_kept_awake_and_says_so_once(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    can = make_env(WAKEPY_FAKE_SUCCESS="1")
    stderr = run_cli("run", "m.csv", *on(sandbox, "--canary", 1), cwd=tmp_path, env=can).stderr
    assert stderr.count("kept awake while this run goes on") == 1
    sleepy = run_cli("run", "m.csv", *on(sandbox, "--allow-sleep", "--fresh", "--out", "o"), cwd=tmp_path, env=can)
    assert "awake" not in sleepy.stderr
    nobody = run_cli(
        "run", "m.csv", *on(sandbox, "--fresh", "--out", "p"), cwd=tmp_path
    )  # no inhibitor on this machine
    assert "awake" not in nobody.stderr
