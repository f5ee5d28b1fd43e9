"""A sandbox that this person started is known as one without being asked: its money is labelled, no other service's is."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pandas as pd
import pytest

import batchedit
from batchedit.commands.play_money import is_play
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.own_sandbox import BY_NAME, HOST, hold_sandbox_lock, is_listening
from batchedit.ledger.register import Register
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.e2e.test_terminal import run_at_terminal
from tests.support.cli import manifest, rows, run_cli, start, until

LABEL = "play money"


@contextmanager
def own_sandbox(cwd: Path, *options: object) -> Iterator[str]:
    """`batchedit sandbox` as a process of this person's; its address."""
    process = start("sandbox", "--latency", "0.1", "--plain-files", 4_000, *options, cwd=cwd)
    try:
        assert process.stdout is not None
        first, second, _ = (process.stdout.readline() for _ in range(3))
        assert "labelled so by your commands" in second, second
        yield first.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def find_port(url: str) -> int:
    return int(url.rpartition(":")[2])


def list_sums(text: str) -> list[str]:
    """The lines of a screen that name a sum; what the terminal is told besides is left out."""
    plain_text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return [line for line in re.split(r"[\r\n]+", plain_text) if re.search(r"\$\d", line)]


def list_unlabelled(text: str) -> list[str]:
    return [line for line in list_sums(text) if LABEL not in line]


def read_all_outputs(run: str, cwd: Path) -> tuple[str, set[bool]]:
    """What the commands say that read a run, and what they tell programs."""
    texts = [run_cli(*arguments, cwd=cwd).stdout for arguments in (("status", run), ("runs",), ("audit", run))]
    run_cli("gallery", run, cwd=cwd)
    page = (cwd / "outputs" / run / "gallery.html").read_text(encoding="utf-8")
    texts += re.findall(r"[^<>]*[$][0-9.]+ spent[^<>]*", page)
    status = json.loads(run_cli("status", run, "--json", cwd=cwd).stdout)
    play_flags = [json.loads(run_cli(verb, run, "--json", cwd=cwd).stdout)["play_money"] for verb in ("audit", "doubt")]
    runs = json.loads(run_cli("runs", "--json", cwd=cwd).stdout)
    report = json.loads((cwd / "outputs" / run / "report.json").read_text(encoding="utf-8"))
    return "\n".join(texts), {
        status["report"]["play_money"],
        report["play_money"],
        *play_flags,
        *(r["play_money"] for r in runs["runs"]),
    }


def test_each_sum_at_a_sandbox_of_ones_own_is_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 4)
    with own_sandbox(tmp_path, "--balance", "0.10") as url:
        plan = run_cli("plan", "m.csv", "--base-url", url, cwd=tmp_path).stdout
        assert len(list_sums(plan)) >= 2, plan
        assert list_unlabelled(plan) == []
        assert json.loads(run_cli("plan", "m.csv", "--base-url", url, "--json", cwd=tmp_path).stdout)["play_money"]
    with own_sandbox(tmp_path, "--port", find_port(url)):
        dialogue = (("Buy 1 first for about $0.04 (play money)?", "y\n"), ("Buy the other 3", "y\n"))
        arguments = ["run", "m.csv", "--base-url", url, "--canary", "1", "--max-cost", "1"]
        screen, code = run_at_terminal(arguments, tmp_path, *dialogue)
        assert code == 0, screen
        assert list_unlabelled(screen) == []
        assert "· $0.16 play money" in screen, "the bar says it"
        assert screen.count("the service is") == 1, "a warning stood above it that the service is not the vendor's"
        assert "the service is the sandbox that you started" in screen
        text, play_flags = read_all_outputs("m", tmp_path)
        assert (list_unlabelled(text), play_flags) == ([], {True})
    assert len(list_sums(text)) >= 4
    text, play_flags = read_all_outputs("m", tmp_path)
    assert (list_unlabelled(text), play_flags) == ([], {True}), "a run knows it also when the sandbox has ended"


def test_another_server_at_the_port_of_a_sandbox_that_ended_is_not_labelled(tmp_path: Path) -> None:
    """A service that costs money listens where the sandbox did. From its first purchase on nothing of the run is labelled,
    and never again: what was spent is real in part.
    """
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path) as url:
        run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(port=find_port(url), latency="0.1", plain_files=4_000)):
        plan = run_cli("plan", "m.csv", "--base-url", url, cwd=tmp_path).stdout
        assert len(list_unlabelled(plan)) == len(list_sums(plan)) > 0
        refused, _ = run_at_terminal(
            ["run", "m.csv", "--base-url", url], tmp_path, ("Buy 2 pictures for about $0.08?", "n\n")
        )
        assert LABEL not in refused
        assert read_all_outputs("m", tmp_path)[1] == {True}, "nothing was bought there yet"
        completed = run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
        assert LABEL not in completed.stdout + completed.stderr
        text, play_flags = read_all_outputs("m", tmp_path)
        assert (LABEL in text, play_flags) == (False, {False})
    manifest(tmp_path / "m.csv", 5)
    with own_sandbox(tmp_path, "--port", find_port(url)):
        again = run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
        assert LABEL not in again.stdout + again.stderr
        assert read_all_outputs("m", tmp_path)[1] == {False}


def test_what_a_rehearsal_cost_is_no_price_known_of_the_model(tmp_path: Path) -> None:
    """Once the sandbox had ended, `plan` told its price as the one that was "charged before"."""
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path) as url:
        run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
    manifest(tmp_path / "n.csv", 4)
    plan = run_cli("plan", "n.csv", "--base-url", url, "--no-check-images", cwd=tmp_path).stdout
    assert "price           unknown" in plan
    assert list_sums(plan) == []


def test_a_yes_to_play_money_buys_nothing_of_the_service_that_listens_there_by_now(tmp_path: Path) -> None:
    """The sandbox ended while the question stood, and something else took its port: dollars were spent on that yes."""
    manifest(tmp_path / "m.csv", 3)
    with ExitStack() as first, ExitStack() as second:
        url = first.enter_context(own_sandbox(tmp_path))
        others: list[RunningSandbox] = []

        def swap() -> str:
            first.close()
            others.append(second.enter_context(serve(SandboxConfig(port=find_port(url)))))
            return "y\n"

        screen, code = run_at_terminal(
            ["run", "m.csv", "--base-url", url], tmp_path, ("for about $0.12 (play money)?", swap)
        )
        assert code == 69, screen
        assert "does not listen" in screen
        assert "nothing was sent" in screen
        assert others[0].ledger()["submits_seen"] == 0


def test_a_yes_to_dollars_buys_no_picture_of_ones_own_sandbox(tmp_path: Path) -> None:
    """The other way round: a drawing of the sandbox would stand among what was paid."""
    manifest(tmp_path / "m.csv", 3)
    with ExitStack() as first, ExitStack() as second:
        other = first.enter_context(serve(SandboxConfig()))

        def swap() -> str:
            first.close()
            second.enter_context(own_sandbox(tmp_path, "--port", other.port))
            return "y\n"

        screen, code = run_at_terminal(["run", "m.csv", "--base-url", other.url], tmp_path, ("for about $0.12?", swap))
        assert code == 69, screen
        ledger = httpx.get(f"{other.url}/_sandbox/ledger", trust_env=False).json()
        assert ledger["submits_seen"] == 0


def test_another_service_at_the_port_sells_nothing_in_the_middle_of_a_run_of_play_money(tmp_path: Path) -> None:
    """Nineteen POSTs went to who took the port of a sandbox that was killed, and the run said play money of them all."""
    manifest(tmp_path / "m.csv", 20)
    with ExitStack() as first:
        url = first.enter_context(own_sandbox(tmp_path))
        run = start("run", "m.csv", "--base-url", url, "--yes", "-j", 8, "--rate", "2/s", "--log-json", cwd=tmp_path)
        until(lambda: count_done(tmp_path) >= 2)
        first.close()
        with serve(SandboxConfig(port=find_port(url))) as other:
            assert run.stderr is not None
            breaker_line = next(line for line in run.stderr if "breaker_open" in line)
            assert "does not listen" in breaker_line
            time.sleep(6)  # a probe of the breaker and more
            assert other.ledger()["submits_seen"] == 0
        run.terminate()
        run.communicate(timeout=60)


def count_done(cwd: Path) -> int:
    stdout = run_cli("status", "m", "--json", cwd=cwd, code=None).stdout
    return int(json.loads(stdout).get("report", {}).get("jobs", {}).get("done", 0))


def test_a_start_that_could_buy_nothing_leaves_the_label_to_the_next(tmp_path: Path) -> None:
    """Somebody types the command before the sandbox is there."""
    manifest(tmp_path / "m.csv", 1)
    with own_sandbox(tmp_path) as url:
        pass
    run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path, code=None)
    assert not json.loads(run_cli("status", "m", "--json", cwd=tmp_path).stdout)["report"]["play_money"]
    with own_sandbox(tmp_path, "--port", find_port(url)):
        completed = run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
    assert list_unlabelled(completed.stdout + completed.stderr) == []
    assert read_all_outputs("m", tmp_path)[1] == {True}


def test_a_sandbox_of_ones_own_is_known_by_the_name_of_this_machine(tmp_path: Path) -> None:
    """A marketer typed `localhost` for the address that the sandbox told: its dollars were said as dollars."""
    manifest(tmp_path / "m.csv", 1)
    with own_sandbox(tmp_path) as url:
        completed = run_cli("run", "m.csv", "--base-url", f"http://localhost:{find_port(url)}/", "--yes", cwd=tmp_path)
    assert list_unlabelled(completed.stdout + completed.stderr) == []
    assert read_all_outputs("m", tmp_path)[1] == {True}


@pytest.mark.parametrize("is_taken", [True, False])
def test_who_listens_at_the_other_address_of_localhost_is_not_taken_for_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, state_folder: Path, is_taken: bool
) -> None:
    """`localhost` is `::1` too. A service that costs money listens there, and the sandbox at the same port of 127.0.0.1."""

    def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(None, None, 6, "", (address, port)) for address in (("::1", HOST) if host == BY_NAME else (host,))]

    with ExitStack() as stack:
        port = 0
        if is_taken:
            other = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
            port = other.getsockname()[1]
        sandbox = stack.enter_context(serve(SandboxConfig(port=port)))
        if not is_taken:
            assert httpx.get(f"http://[::1]:{sandbox.port}/_sandbox/ledger", trust_env=False).status_code == 200
        stack.enter_context(hold_sandbox_lock(sandbox.port, sandbox.addresses, os.environ))
        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert is_listening(sandbox.port, os.environ)
        assert is_listening(sandbox.port, os.environ, BY_NAME) is not is_taken
        assert not is_listening(sandbox.port, os.environ, "127.0.0.2")


def test_another_port_and_another_name_for_this_machine_are_not_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 1)
    with own_sandbox(tmp_path) as url, serve(SandboxConfig(latency="0")) as other:
        elsewhere = (other.url, f"http://localhost:{find_port(other.url)}", f"http://127.0.0.2:{find_port(url)}")
        for address in (*elsewhere, f"https://localhost:{find_port(url)}"):
            plan = run_cli("plan", "m.csv", "--base-url", address, "--price", "0.04", cwd=tmp_path).stdout
            assert list_sums(plan)
            assert LABEL not in plan, address
        assert LABEL in run_cli("plan", "m.csv", "--base-url", f"{url}/v1", cwd=tmp_path).stdout


def test_two_of_ones_own_and_one_that_was_killed(tmp_path: Path, state_folder: Path) -> None:
    """The system gives the lock back with the process, however it ended; the file that stays proves nothing."""
    process = start("sandbox", cwd=tmp_path)
    assert process.stdout is not None
    port = find_port(process.stdout.readline().strip())
    with own_sandbox(tmp_path) as url:
        assert is_listening(port, os.environ)
        assert is_listening(find_port(url), os.environ)
        process.kill()
        process.communicate(timeout=20)
        assert list(state_folder.glob(f"sandbox-{port}-*.lock")), "a stale file"
        assert not is_listening(port, os.environ)
        assert is_listening(find_port(url), os.environ)


def test_who_asks_at_the_same_moment_is_not_taken_for_a_sandbox(state_folder: Path) -> None:
    with hold_sandbox_lock(4711, [HOST], os.environ) as why:
        assert why == ""
    (path,) = state_folder.glob("sandbox-4711-*.lock")
    with path.open("rb+") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as a command that asks does
        assert not is_listening(4711, os.environ)


@pytest.mark.parametrize("spoilt", ["folder", "file", "link", "second name"])
def test_a_lock_that_somebody_else_may_hold_proves_nothing(state_folder: Path, spoilt: str) -> None:
    with hold_sandbox_lock(4711, [HOST], os.environ):
        (path,) = state_folder.glob("sandbox-4711-*.lock")
        assert is_listening(4711, os.environ)
        if spoilt == "folder":
            state_folder.chmod(0o777)
        elif spoilt == "file":
            path.chmod(0o644)
        else:
            real_lock = path.rename(state_folder / "kept")
            path.symlink_to(real_lock) if spoilt == "link" else path.hardlink_to(real_lock)
        assert not is_listening(4711, os.environ)


def test_a_sandbox_whose_lock_can_not_be_had_says_so(tmp_path: Path, state_folder: Path) -> None:
    state_folder.chmod(0o777)
    process = start("sandbox", cwd=tmp_path)
    assert process.stdout is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    assert httpx.get(f"{first.split()[-1]}/_sandbox/ledger", trust_env=False).status_code == 200
    process.terminate()
    process.communicate(timeout=20)
    assert "though commands say dollars alone" in second
    assert "open to other people" in second


def test_the_label_is_left_off_in_a_store_and_at_any_address_that_is_none_of_ours() -> None:
    """A run's own word is not enough: whoever made the folder may have written it."""
    facts = {"play_money": "yes", "service": "http://127.0.0.1:8765"}
    assert is_play(_Facts(facts))
    assert not is_play(_Facts(facts | {"play_money": "no"}))
    assert not is_play(_Facts(facts | {"store": "postgresql://db"}))
    for service in ("https://model-api.runcomfy.net", "https://127.0.0.1:8765", "http://127.0.0.2:8765", ""):
        assert not is_play(_Facts(facts | {"service": service}))


class _Facts:
    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts

    def get(self, name: str, /) -> str | None:
        return self._facts.get(name)


def test_a_sum_in_a_sheet_is_labelled_in_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`result_cost_usd` said 0.04 of the sandbox's money as it says it of dollars, and so did the log of a delivery."""
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path) as url:
        with monkeypatch.context() as here:
            here.chdir(tmp_path)
            here.setenv("RUNCOMFY_API_TOKEN", "test-token")
            frame = batchedit.run("m.csv", limit=1, base_url=url).results
        assert list(frame["result_flags"].fillna("")) == ["play_money", ""]
    folder = tmp_path / "outputs" / "m"
    for name, read in (("csv", pd.read_csv), ("xlsx", partial(pd.read_excel, engine="openpyxl"))):
        run_cli("results", "m", "--format", name, cwd=tmp_path)
        flags = read(folder / f"results.{name}").set_index("result_status")["result_flags"]
        assert (flags["done"], flags.isna()["planned"]) == ("play_money", True), "nothing was paid for the other one"
    checkpoint = open_checkpoint(folder / "checkpoint.sqlite")
    FolderDecisions(checkpoint).put(PictureDecision(1, Verdict.APPROVE, "", 0, "Dana", 1_790_000_000.0))
    checkpoint.close()
    for to, more, label in (("costs", ["--with-costs"], "yes"), ("plain", [], None)):
        run_cli("deliver", "m", "--to", to, *more, cwd=tmp_path)
        with (tmp_path / to / "approvals.csv").open(newline="") as file:
            (line,) = csv.DictReader(file)
        assert line.get("play_money") == label
        assert ("play_money" in (tmp_path / to / "manifest.csv").read_text()) == (label is not None)


def test_a_rehearsal_in_the_sandbox_took_the_label_off_the_plan_behind_it(tmp_path: Path) -> None:
    """The folder held a run of `--sandbox`, so nobody knew whose money the plan was of; and `run` would have refused."""
    manifest(tmp_path / "m.csv", 1)
    run_cli("run", "m.csv", "--sandbox", "--yes", cwd=tmp_path)
    with own_sandbox(tmp_path) as url:
        completed = run_cli("plan", "m.csv", "--base-url", url, cwd=tmp_path)
        refused = run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path, code=64).stderr
        assert list_unlabelled(completed.stdout) == []
        why = f"the run in outputs/m buys from the sandbox, not from {url}"
        assert why in " ".join(refused.split())
        assert f"warning: {why}, so it takes no purchase" in " ".join(completed.stderr.split())
        run_cli("plan", "m.csv", "--base-url", url, "--out", "outputs/m-2", cwd=tmp_path)


def test_a_run_that_nobody_said_yes_to_was_said_to_be_bought(tmp_path: Path) -> None:
    """``was bought from http://127.0.0.1:8912``, which stands behind a question that was answered with no."""
    manifest(tmp_path / "m.csv", 1)
    with own_sandbox(tmp_path) as url:
        run_cli("run", "m.csv", "--base-url", url, cwd=tmp_path, code=64)
    stderr = run_cli("plan", "m.csv", "--sandbox", cwd=tmp_path).stderr
    assert f"warning: the run in outputs/m buys from {url}, not from the sandbox" in " ".join(stderr.split())


def test_a_run_of_reused_pictures_alone_is_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path) as url:
        run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path)
        again = run_cli("run", "m.csv", "--base-url", url, "--yes", "--out", "outputs/other", cwd=tmp_path)
        assert "nothing is left to buy: 2 done" in again.stderr
        assert list_unlabelled(again.stdout + again.stderr) == []
    text, play_flags = read_all_outputs("other", tmp_path)
    assert (list_unlabelled(text), play_flags) == ([], {True})
    flags = {line["result_flags"] for line in rows(tmp_path / "outputs" / "other")}
    assert flags == {None}, "another run bought them, and may have paid"


@pytest.mark.parametrize("ended", ["done", "under way"])
def test_what_a_rehearsal_has_is_not_taken_for_bought(tmp_path: Path, ended: str) -> None:
    """Another service listened where the sandbox had. Its run was given the sandbox's pictures as bought, without a label,
    and what the rehearsal had under way was left to that.
    """
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path, *(("--fault", "job:stuck=1") if ended != "done" else ())) as url:
        code = 0 if ended == "done" else 75
        run_cli("run", "m.csv", "--base-url", url, "--yes", "--stuck-after", "1", cwd=tmp_path, code=code)
    other = ("m.csv", "--base-url", url, "--out", "outputs/paid")
    with serve(SandboxConfig(port=find_port(url), latency="0.1", plain_files=4_000)) as paid:
        assert run_cli("plan", *other, "--json", cwd=tmp_path).stdout.count('"play_money": false') == 1
        plan = run_cli("plan", *other, cwd=tmp_path).stdout
        completed = run_cli("run", *other, "--yes", cwd=tmp_path)
        for output in (plan, completed.stdout + completed.stderr):
            assert "outputs/m" not in output, output
        assert paid.ledger()["accepted"] == 2


def test_what_was_paid_for_is_not_taken_into_a_rehearsal(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0.1", plain_files=4_000)) as paid:
        run_cli("run", "m.csv", "--base-url", paid.url, "--yes", cwd=tmp_path)
    other = ("m.csv", "--base-url", paid.url, "--out", "outputs/rehearsal")
    with own_sandbox(tmp_path, "--port", paid.port):
        plan = run_cli("plan", *other, cwd=tmp_path).stdout
        completed = run_cli("run", *other, "--yes", cwd=tmp_path)
    for output in (plan, completed.stdout + completed.stderr):
        assert "outputs/m " not in output, output
        assert list_unlabelled(output) == []
    text, play_flags = read_all_outputs("rehearsal", tmp_path)
    assert (len(list_sums(text)) > 0, play_flags) == (True, {True, False}), "`runs` has both"


def test_a_rehearsal_that_begins_now_is_left_its_pictures_by_the_next(tmp_path: Path) -> None:
    """It has not noted yet what its money is."""
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path) as url:
        question = ("Buy 2 pictures for about $0.08 (play money)?", "n\n")
        run_at_terminal(["run", "m.csv", "--base-url", url], tmp_path, question)
        with Register.from_environ(os.environ).mark_buying(tmp_path / "outputs" / "m"):
            plan = run_cli("plan", "m.csv", "--base-url", url, "--out", "outputs/other", cwd=tmp_path).stdout
    assert "2 pictures are left to the run in outputs/m, which may be buying them now" in " ".join(plan.split())


def test_what_models_cost_at_a_sandbox_of_ones_own_is_labelled(tmp_path: Path) -> None:
    with own_sandbox(tmp_path) as url:
        for arguments in (["models"], ["models", "show", "openai/gpt-4o-image/edit"]):
            stdout = run_cli(*arguments, "--base-url", url, cwd=tmp_path).stdout
            assert list_sums(stdout)
            assert list_unlabelled(stdout) == []


def test_a_minute_line_and_a_message_and_a_doubt_are_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with own_sandbox(tmp_path, "--fault", "submit:drop_after=first:1") as url:
        completed = run_cli("run", "m.csv", "--base-url", url, "--yes", cwd=tmp_path, code=76)
        doubt = run_cli("doubt", "m", cwd=tmp_path, code=76).stdout
    assert list_unlabelled(completed.stdout + completed.stderr) == []
    assert list_sums(doubt)
    assert list_unlabelled(doubt) == []


def test_a_purchase_at_an_unknown_price_that_was_given_up_counted_as_none(tmp_path: Path) -> None:
    """It held no money, so the next run at a sandbox of the same address called all of it play money."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0", catalogue=False, faults=("job:stuck=1",))) as paid:
        command = ("run", "m.csv", "--base-url", paid.url, "--yes", "--stuck-after", "1")
        run_cli(*command, cwd=tmp_path, code=75)
        port = paid.port
    manifest(tmp_path / "m.csv", 2)  # a plan of nothing to do names no sum
    with own_sandbox(tmp_path, "--port", port) as url:
        plan = run_cli("plan", "m.csv", "--base-url", url, "--price", "0.04", cwd=tmp_path).stdout
    assert list_sums(plan)
    assert LABEL not in plan
