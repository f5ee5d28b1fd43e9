"""What a person can say about money, from end to end: the cap, the canary, when to stop. The sandbox's till is witness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit, make_env, manifest, on, rows, start, until
from tests.support.fork_server import Child, ForkServer

QUICK = {"latency": "0", "plain_files": 20_000}


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


def run(fork_server: ForkServer, sandbox: RunningSandbox, folder: Path, *more: object, code: int = 0) -> Child:
    return fork_server.run("run", "m.csv", *on(sandbox, "--poll-seconds", 0.2, *more), cwd=folder, code=code)


def count_states(folder: Path) -> Counter[str]:
    return Counter(str(row["result_status"]) for row in rows(folder / "outputs" / "m"))


def check_books(folder: Path, sandbox: RunningSandbox) -> None:
    assert audit(str(folder / "outputs" / "m"), {})[1].findings == []
    ledger = sandbox.ledger()
    assert (ledger["duplicates"], ledger["bugs"]) == (0, [])


# --- the cap --------------------------------------------------------------------------------------


def test_the_cap_holds_over_re_runs_and_a_higher_one_goes_on(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 10)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        for _ in range(3):
            stopped = run(fork_server, sandbox, tmp_path, "--max-cost", "0.17", code=75)
            assert "the budget is used up: $0.16 spent" in stopped.stdout
            assert "→ its --max-cost is reached; to go on: batchedit run outputs/m --max-cost 0.40" in stopped.stdout
            assert "with a higher --max-cost" not in stopped.stdout, "the same was said twice, once without the sum"
            assert count_states(tmp_path) == {"done": 4, "planned": 6}
        assert sandbox.ledger()["charged_usd"] == 0.16
        run(fork_server, sandbox, tmp_path, "--max-cost", "0.40")
        assert sandbox.ledger()["charged_usd"] == 0.40
        check_books(tmp_path, sandbox)


@pytest.mark.parametrize(("actual", "late"), [("0.09", 0.0), ("0.09", 1.0), ("0.01", 0.0)])
def test_the_wire_is_dearer_than_the_price_list_or_cheaper(
    tmp_path: Path, fork_server: ForkServer, actual: str, late: float
) -> None:
    """The first job is a measure; from there on the true price counts, also where it is told a while after the result."""
    manifest(tmp_path / "m.csv", 40)
    cap = 1.00
    options = {**QUICK, "actual_price": actual, "cost_after": late, "faults": ("submit:drop_after=at:4",)}
    with serve(SandboxConfig(**options)) as sandbox:
        completed = run(fork_server, sandbox, tmp_path, "--max-cost", cap, code=75 if actual == "0.09" else 76)
        for _ in range(2):
            ledger = sandbox.ledger()
            assert ledger["charged_usd"] + ledger["reserved_usd"] <= cap
            until(lambda ledger=ledger: not sandbox.ledger()["in_flight"])
            completed = run(fork_server, sandbox, tmp_path, "--max-cost", cap, code=completed.returncode)
        charged = sandbox.ledger()["charged_usd"]
        assert charged <= cap
        table = rows(tmp_path / "outputs" / "m")
        assert {row["result_cost_usd"] for row in table if row["result_status"] == "done"} == {float(actual)}
        if actual == "0.09":
            assert charged >= 0.80, "it stopped long before the cap"
        else:
            assert count_states(tmp_path) == {"done": 39, "in_doubt": 1}
        check_books(tmp_path, sandbox)


def test_a_cap_without_a_price_refuses_to_start(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK, catalogue=False)) as sandbox:
        refused = run(fork_server, sandbox, tmp_path, "--max-cost", "1", code=64)
        assert "--price 0.04" in refused.stderr
        assert sandbox.ledger()["submits_seen"] == 0
        run(fork_server, sandbox, tmp_path, "--max-cost", "1", "--price", "0.04")


def test_retry_keeps_the_cap_that_was_given_last(tmp_path: Path, fork_server: ForkServer) -> None:
    """It took the cap of the first run, or none: what a person had said since then did not hold."""
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=first:2",))) as sandbox:
        run(fork_server, sandbox, tmp_path, code=1)
        run(fork_server, sandbox, tmp_path, "--max-cost", "0.09", code=1)
        fork_server.run("retry", "outputs/m", "--failed", "--yes", cwd=tmp_path, code=75)
        assert sandbox.ledger()["accepted"] == 4
        again = fork_server.run("retry", "outputs/m", "--failed", "--yes", cwd=tmp_path, code=75)
        assert "2 asked for before" in again.stderr
        assert sandbox.ledger()["accepted"] == 4


def test_one_is_in_flight_while_nothing_has_proved_the_price(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 6)
    with serve(SandboxConfig(latency="0.5", plain_files=20_000)) as sandbox:
        run(fork_server, sandbox, tmp_path, "--max-cost", "0.30", "-j", 6)
        jobs = sandbox.ledger(full=True)["requests"]
        assert jobs[1]["accepted_at"] >= jobs[0]["ended_at"]
        assert sandbox.ledger()["max_in_flight"] > 1
        check_books(tmp_path, sandbox)


def test_a_picture_fifty_times_as_dear_as_listed_passes_the_cap_once(tmp_path: Path, fork_server: ForkServer) -> None:
    """25 were under way before the first one told its cost: $50 were spent under a cap of $10."""
    manifest(tmp_path / "m.csv", 60)
    with serve(SandboxConfig(latency="0.5", plain_files=20_000, actual_price="2.00")) as sandbox:
        rose = run(fork_server, sandbox, tmp_path, "--max-cost", "10", "-j", 30, code=75)
        assert "a picture costs $2.00, and the yes was for $0.04; the other 59 were not bought" in rose.stdout
        assert sandbox.ledger()["accepted"] == 1
        stopped = run(fork_server, sandbox, tmp_path, "--max-cost", "10", "-j", 30, code=75)
        assert "$2.00 a picture (charged before)" in stopped.stderr
        assert "the budget is used up: $10.00 spent" in stopped.stdout
        assert sandbox.ledger()["charged_usd"] <= 10.00
        check_books(tmp_path, sandbox)
        other = tmp_path / "other"
        other.mkdir()
        manifest(other / "m.csv", 1, prefix="other")
        planned = fork_server.run("plan", "m.csv", "--base-url", sandbox.url, cwd=other).stdout
        assert "$2.00 a picture (charged before)" in planned


def test_a_run_of_a_model_that_told_its_cost_in_an_earlier_run_waits_for_nothing(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    with serve(SandboxConfig(latency="0.5", plain_files=20_000)) as sandbox:
        for name, most in (("one", 1), ("two", 6)):
            folder = tmp_path / name
            folder.mkdir()
            manifest(folder / "m.csv", 7, prefix=name)
            run(fork_server, sandbox, folder, "--max-cost", "5", "-j", 6)
            jobs = sandbox.ledger(full=True)["requests"][-7:]
            first_end = min(job["ended_at"] for job in jobs)
            assert sum(job["accepted_at"] < first_end for job in jobs) == most
            check_books(folder, sandbox)


NO_WAIT_FOR_THE_FIRST_COST = """
from batchedit.cli import main
from batchedit.pool import prices
prices.FIRST_COST_SECONDS = 0.1
main()
"""


def test_a_service_that_never_tells_a_cost_is_believed_at_its_catalogues_price_after_a_wait(tmp_path: Path) -> None:
    """The first picture is waited for until nobody will tell what it cost; then as many are under way as fit the cap."""
    manifest(tmp_path / "m.csv", 8)
    with serve(SandboxConfig(latency="0.5", plain_files=20_000, show_cost=False)) as sandbox:
        command = ["run", "m.csv", *on(sandbox, "--max-cost", "0.25", "-j", 6, "--poll-seconds", 0.2)]
        process = start(*command, cwd=tmp_path, script=["-c", NO_WAIT_FOR_THE_FIRST_COST])
        out, err = process.communicate(timeout=90)
        assert process.returncode == 75, out + err
        assert "the budget is used up: $0.24 spent" in out
        jobs = sandbox.ledger(full=True)["requests"]
        assert jobs[1]["accepted_at"] >= jobs[0]["ended_at"], "one is under way until it is believed"
        assert sum(job["accepted_at"] < jobs[1]["ended_at"] for job in jobs) == 6, "the other five at once"
        assert sandbox.ledger()["charged_usd"] <= 0.25
        check_books(tmp_path, sandbox)


def test_a_doubt_written_off_before_any_cost_was_told_does_not_hold_the_run_up(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """The run waited for its cost for ever, and nobody can tell it."""
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as sandbox:
        run(fork_server, sandbox, tmp_path, "--max-cost", "0.05", code=75)
        assert sandbox.ledger()["accepted"] == 1
        fork_server.run("doubt", "outputs/m", "--write-off", "all", cwd=tmp_path, code=None)
        stopped = run(fork_server, sandbox, tmp_path, "--max-cost", "0.17", code=75)
        assert "has not told yet what a picture costs" in stopped.stdout
        run(fork_server, sandbox, tmp_path, "--max-cost", "2")
        assert count_states(tmp_path) == {"failed": 1, "done": 3}


# --- when to stop ---------------------------------------------------------------------------------


def test_twenty_finished_and_all_failed(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 60)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=first:30",))) as sandbox:
        stopped = run(fork_server, sandbox, tmp_path, "-j", 4, code=75)
        assert "20 of 20 finished jobs failed, so buying stops" in stopped.stdout
        assert 20 <= count_states(tmp_path)["failed"] <= 24
        assert sandbox.ledger()["accepted"] <= 24
        hint = stopped.stdout.split("to go on all the same: ")[1].splitlines()[0].split()
        run(fork_server, sandbox, tmp_path, *hint, code=1)
        assert count_states(tmp_path) == {"failed": 30, "done": 30}
        check_books(tmp_path, sandbox)


def test_a_number_and_a_share_of_failures(tmp_path: Path, fork_server: ForkServer) -> None:
    for rule, refused, least in (("3", "first:9", 3), ("50%", "every:2", 10)):
        folder = tmp_path / rule.strip("%")
        folder.mkdir()
        manifest(folder / "m.csv", 40)
        with serve(SandboxConfig(**QUICK, faults=(f"submit:422={refused}",))) as sandbox:
            run(fork_server, sandbox, folder, "-j", 2, "--stop-after-failures", rule, code=75)
            counts = count_states(folder)
            assert least <= counts["failed"] <= least + 3
            assert counts["planned"] > 10
            check_books(folder, sandbox)


def test_moderation_is_a_kind_of_its_own(tmp_path: Path, fork_server: ForkServer) -> None:
    """Not retried by itself, and many in a row do not open the breaker."""
    manifest(tmp_path / "m.csv", 12)
    with serve(SandboxConfig(**QUICK, faults=("job:moderated=first:8",))) as sandbox:
        completed = run(fork_server, sandbox, tmp_path, "-j", 2, code=1)
        assert "the service is in trouble" not in completed.stderr
        run(fork_server, sandbox, tmp_path, code=1)
        assert count_states(tmp_path) == {"failed": 8, "done": 4}
        assert {r["result_error_kind"] for r in rows(tmp_path / "outputs" / "m") if r["result_status"] == "failed"} == {
            "moderated"
        }
        assert sandbox.ledger()["submits_seen"] == 12
        check_books(tmp_path, sandbox)


# --- the canary -----------------------------------------------------------------------------------


def test_a_canary_that_comes_out_goes_on_with_yes(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(latency="0.3", plain_files=20_000)) as sandbox:
        completed = run(fork_server, sandbox, tmp_path, "--canary", 3)
        assert "canary: 3 of 3 done, $0.12 spent" in completed.stderr
        assert "6 pictures: about $0.24" in completed.stderr
        jobs = sandbox.ledger(full=True)["requests"]
        first = sorted(job["prompt"] for job in jobs[:3])
        assert first == [f"make an ad, number sku{n}x" for n in (1, 5, 9)], "spread over the manifest"
        assert jobs[3]["accepted_at"] > max(job["ended_at"] for job in jobs[:3]), "collected before the rest"
        check_books(tmp_path, sandbox)


def test_a_canary_that_fails_stops_and_stops_again(tmp_path: Path, fork_server: ForkServer) -> None:
    """The same command shows the same canary and buys nothing more; without --canary it goes on."""
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:2",))) as sandbox:
        for _ in range(2):
            stopped = run(fork_server, sandbox, tmp_path, "--canary", 3, code=75)
            assert "1 of 3 canary pictures did not come out" in stopped.stdout
            assert count_states(tmp_path) == {"done": 2, "failed": 1, "planned": 6}
        assert sandbox.ledger()["submits_seen"] == 3
        run(fork_server, sandbox, tmp_path, code=1)
        assert count_states(tmp_path) == {"done": 8, "failed": 1}
        check_books(tmp_path, sandbox)


def test_a_canary_in_doubt_is_none_that_came_out(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as sandbox:
        run(fork_server, sandbox, tmp_path, "--canary", 2, code=75)
        assert count_states(tmp_path) == {"done": 1, "in_doubt": 1, "planned": 3}
        check_books(tmp_path, sandbox)


def test_a_canary_that_no_row_asks_for_any_more_is_not_bought(tmp_path: Path, fork_server: ForkServer) -> None:
    """Killed in the middle of its canary, then the manifest was edited: the old rows' jobs were bought all the same."""
    manifest(tmp_path / "m.csv", 6)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        child = fork_server.start(
            "run", "m.csv", *on(sandbox, "--canary", 3, "-j", 1), cwd=tmp_path, doom=("Accepted", 1)
        )
        assert child.wait() == -9
        before = sandbox.ledger()["accepted"]
        assert before < 3
        manifest(tmp_path / "m.csv", 6, prefix="other")
        run(fork_server, sandbox, tmp_path, "--canary", 3)
        prompts = [job["prompt"] for job in sandbox.ledger(full=True)["requests"]]
        assert sorted(prompts[before:]) == [f"make an ad, number other{n}x" for n in range(1, 7)]


def write_rows(path: Path, *numbers: int) -> None:
    """Rows of ``manifest``: the same pictures."""
    whole = manifest(path, max(numbers)).read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(whole[0] + "".join(whole[number] for number in numbers), encoding="utf-8")


def test_what_another_run_bought_of_a_canary_was_shown_as_its_own_and_took_half_a_century(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """Its cap stopped it in the middle of its canary, whose other pictures were bought under another sheet meanwhile."""
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        run(fork_server, sandbox, tmp_path, "--canary", 3, "--max-cost", "0.04", code=75)
        assert sandbox.ledger()["accepted"] == 1
        write_rows(tmp_path / "n.csv", 1, 5, 9)
        fork_server.run("run", "n.csv", *on(sandbox), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 3
        again = run(fork_server, sandbox, tmp_path, "--canary", 3, "--max-cost", "none").stderr
        assert "2 pictures were bought by the run in outputs/n and cost nothing here" in again
        assert "canary: 1 of 1 done, $0.04 spent" in again
        assert "6 pictures: about $0.24 and 1 s" in again
        assert sandbox.ledger()["accepted"] == 9
        assert count_states(tmp_path) == {"done": 9}
        check_books(tmp_path, sandbox)


def test_a_canary_that_other_runs_bought_whole_is_another_one(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 9)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        run(fork_server, sandbox, tmp_path, "--canary", 3, "--max-cost", "0.01", code=75)
        assert sandbox.ledger()["accepted"] == 0
        write_rows(tmp_path / "n.csv", 1, 5, 9)
        fork_server.run("run", "n.csv", *on(sandbox), cwd=tmp_path)
        again = run(fork_server, sandbox, tmp_path, "--canary", 3, "--max-cost", "none").stderr
        assert "canary: 3 of 3 done, $0.12 spent" in again
        assert "3 pictures: about $0.12 and 1 s" in again
        assert sandbox.ledger()["accepted"] == 9
        check_books(tmp_path, sandbox)


def test_without_a_terminal_a_canary_needs_a_yes(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        batchedit("run", "m.csv", "--base-url", sandbox.url, "--canary", 2, cwd=tmp_path, env=make_env(), code=64)
        assert sandbox.ledger()["submits_seen"] == 0
