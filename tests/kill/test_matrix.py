"""Every submit fault of the sandbox × {go on, killed with the answer unwritten, killed with it written, run again}.

What each fault means is told from the server's side alone: was a job made, and may the client know? Doubts must be those
POSTs after which nobody can know; whatever was made must be done or in doubt; and nothing may be made twice.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from batchedit.sandbox.faults import list_allowed_faults
from tests.support.cli import manifest, on, rows, until
from tests.support.fork_server import ForkServer

QUICK = {"latency": "0", "plain_files": 20_000}
"""Jobs that end at once."""


@dataclass(frozen=True)
class Fault:
    """``made``: the server made a job. ``leads_to``: what is written down when its answer is heard."""

    made: bool
    leads_to: str
    rule: str = ""
    stops: int | None = None  # the exit code, where it is the account's and not the row's


LOST_BEFORE, LOST_AFTER = Fault(made=False, leads_to="Lost"), Fault(made=True, leads_to="Lost")
FAULTS = {
    "drop_before": LOST_BEFORE,
    "drop_after": LOST_AFTER,
    "reset_before": LOST_BEFORE,
    "reset_after": LOST_AFTER,
    "hang_before": LOST_BEFORE,
    "hang_after": LOST_AFTER,
    "garbage": LOST_AFTER,
    "no_id": LOST_AFTER,
    "truncated": Fault(made=True, leads_to="Accepted"),
    "500_html": LOST_BEFORE,
    "500_html_after": LOST_AFTER,
    "502": LOST_BEFORE,
    "502_after": LOST_AFTER,
    "504": LOST_BEFORE,
    "504_after": LOST_AFTER,
    "500_after": LOST_AFTER,
    "200_error_after": LOST_AFTER,
    "429": Fault(made=False, leads_to="Declined"),
    "429_date": Fault(made=False, leads_to="Declined", rule="429_date@0"),
    "429_bare": Fault(made=False, leads_to="Declined"),
    "503": Fault(made=False, leads_to="Declined", rule="503@0"),
    "500": Fault(made=False, leads_to="Lost"),
    "200_error": Fault(made=False, leads_to="Lost"),
    "401": Fault(made=False, leads_to="Declined", stops=77),
    "403": Fault(made=False, leads_to="Declined", stops=77),
    "no_money": Fault(made=False, leads_to="Declined", stops=75),
    "no_money_400": Fault(made=False, leads_to="Declined", stops=75),
    "422": Fault(made=False, leads_to="Refused"),
    "404": Fault(made=False, leads_to="Refused"),
    "slow": Fault(made=True, leads_to="Accepted", rule="slow@0.3"),
}
PASSING = {name: fault for name, fault in FAULTS.items() if fault.stops is None and not name.startswith("hang")}


def test_every_submit_fault_is_in_the_matrix() -> None:
    assert set(FAULTS) == list_allowed_faults("submit")


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def rules(faults: dict[str, Fault], *, every: int = 1) -> tuple[str, ...]:
    """One of them at each ``every``-th submit."""
    return tuple(f"submit:{fault.rule or name}=at:{n * every}" for n, (name, fault) in enumerate(faults.items(), 1))


def command(sandbox: RunningSandbox, *more: object) -> list[object]:
    return ["run", "m.csv", *on(sandbox, "--poll-seconds", 0.2, *more)]


def in_state(folder: Path, *states: str) -> int:
    """How many jobs are in one of ``states``, read from the checkpoint whatever became of its process."""
    checkpoint = open_checkpoint(folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)
    try:
        return sum(count for state, count in checkpoint.counts().by_state.items() if state in states)
    finally:
        checkpoint.close()


def check(folder: Path, sandbox: RunningSandbox, expected: dict[str, int]) -> None:
    """The states are these, the run adds up, and the ledger has every purchase once."""
    counts = Counter(row["result_status"] for row in rows(folder / "outputs" / "m"))
    assert counts == Counter(expected), counts
    ledger = sandbox.ledger(full=True)
    assert (ledger["duplicates"], ledger["bugs"], ledger["token_leaks"]) == (0, [], [])
    proof = audit(str(folder / "outputs" / "m"), {})[1]
    assert proof.findings == []
    known = {str(row["result_request_id"]) for row in rows(folder / "outputs" / "m") if row["result_request_id"]}
    unknown = [job for job in ledger["requests"] if job["request_id"] not in known]
    doubtful = {row["prompt"] for row in rows(folder / "outputs" / "m") if row["result_status"] == "in_doubt"}
    assert {job["prompt"] for job in unknown} <= doubtful, "bought, and neither known nor in doubt"


@pytest.mark.parametrize(
    ("chosen", "every", "spare"),
    [
        # Each at a third submit, so that failures seldom come in a row and the breaker seldom pauses.
        ([name for name in PASSING if PASSING[name].leads_to != "Declined"], 3, 0),
        # A 429 slows the run down for good reasons, so there are few rows.
        ([name for name in PASSING if PASSING[name].leads_to == "Declined"], 1, 4),
    ],
    ids=["lost, refused, slow", "surely not taken"],
)
def test_all_that_pass_in_one_run(
    tmp_path: Path, fork_server: ForkServer, chosen: list[str], every: int, spare: int
) -> None:
    faults = {name: PASSING[name] for name in chosen}
    count = spare or every * len(faults)
    manifest(tmp_path / "m.csv", count)
    outcome = Counter(fault.leads_to for fault in faults.values())
    expected = {
        "done": count - outcome["Lost"] - outcome["Refused"],
        "in_doubt": outcome["Lost"],
        "failed": outcome["Refused"],
    }
    expected = {state: jobs for state, jobs in expected.items() if jobs}
    made_and_lost = sum(fault.made for fault in faults.values() if fault.leads_to == "Lost")
    code = 76 if outcome["Lost"] else 0
    with serve(SandboxConfig(**QUICK, faults=rules(faults, every=every))) as sandbox:
        fork_server.run(*command(sandbox, "-j", 16), cwd=tmp_path, code=code)
        check(tmp_path, sandbox, expected)
        ledger = sandbox.ledger()
        assert ledger["answers_lost"] == made_and_lost
        assert ledger["accepted"] == expected["done"] + made_and_lost
        assert ledger["submits_seen"] == count + outcome["Declined"]
        for _ in range(2):
            fork_server.run(*command(sandbox, "-j", 16), cwd=tmp_path, code=code)
        check(tmp_path, sandbox, expected)
        assert sandbox.ledger()["submits_seen"] == ledger["submits_seen"], "run again, it sent a POST"


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.stops])
def test_an_account_stop_in_the_middle(tmp_path: Path, fork_server: ForkServer, name: str) -> None:
    """No row is failed or uses up an attempt, what was bought is collected before the exit, the same command goes on."""
    manifest(tmp_path / "m.csv", 8)
    code = FAULTS[name].stops
    with serve(SandboxConfig(latency="0.4", plain_files=20_000, faults=(f"submit:{name}=after:4",))) as sandbox:
        for _ in range(2):
            first = fork_server.run(*command(sandbox, "-j", 8), cwd=tmp_path, code=code)
            check(tmp_path, sandbox, {"done": 3, "planned": 5})
            assert "to go on: batchedit run outputs/m" in first.stdout
        checkpoint = open_checkpoint(tmp_path / "outputs" / "m" / "checkpoint.sqlite", read_only=True)
        assert {(r.attempts, r.reserved, r.due_at) for r in checkpoint.records("state = 'planned'")} == {(0, 0, 0.0)}
        checkpoint.close()
        sandbox.set_faults([])
        fork_server.run(*command(sandbox, "-j", 8), cwd=tmp_path)
        check(tmp_path, sandbox, {"done": 8})
        assert sandbox.ledger()["accepted"] == 8


def test_killed_with_each_answer_heard_and_not_written(tmp_path: Path, fork_server: ForkServer) -> None:
    """Twenty-eight processes, one fault each, die between the answer and its commit: whatever it said, nobody knows."""
    spare = 4
    manifest(tmp_path / "m.csv", len(FAULTS) + spare)
    with serve(SandboxConfig(**QUICK, faults=rules(FAULTS))) as sandbox:
        for n, name in enumerate(FAULTS, 1):
            child = fork_server.start(*command(sandbox, "-j", 1), cwd=tmp_path, doom=("answered", 1))
            if name.startswith("hang"):
                until(lambda name=name: name in sandbox.ledger()["answers"].get("submit", {}))
                child.kill()
            assert child.wait() == -signal.SIGKILL, child.stderr
            assert in_state(tmp_path, "submitting") == 1
            assert in_state(tmp_path, "submitting", "in_doubt") == n
        made = sum(fault.made for fault in FAULTS.values())
        assert (sandbox.ledger()["accepted"], sandbox.ledger()["submits_seen"]) == (made, len(FAULTS))
        for _ in range(2):
            fork_server.run(*command(sandbox), cwd=tmp_path, code=76)
            check(tmp_path, sandbox, {"in_doubt": len(FAULTS), "done": spare})
        assert sandbox.ledger()["accepted"] == made + spare
        assert sandbox.ledger()["submits_seen"] == len(FAULTS) + spare


def test_killed_with_each_answer_written_and_nothing_after_it(tmp_path: Path, fork_server: ForkServer) -> None:
    """The same with the answer on disk: what it said is known, and the next process acts on it."""
    faults = {name: fault for name, fault in FAULTS.items() if not name.startswith("hang")}
    outcome = Counter(fault.leads_to for fault in faults.values())
    spare = 4
    manifest(tmp_path / "m.csv", len(faults) - outcome["Declined"] + spare)
    with serve(SandboxConfig(**QUICK, faults=rules(faults))) as sandbox:
        seen: Counter[str] = Counter()
        for fault in faults.values():
            child = fork_server.start(*command(sandbox, "-j", 1), cwd=tmp_path, doom=(fault.leads_to, 1))
            assert child.wait() == -signal.SIGKILL, child.stderr
            seen[fault.leads_to] += 1
            assert in_state(tmp_path, "submitting") == 0
            assert in_state(tmp_path, "in_doubt") == seen["Lost"]
            assert in_state(tmp_path, "failed") == seen["Refused"]
        made = sum(fault.made for fault in faults.values())
        assert (sandbox.ledger()["accepted"], sandbox.ledger()["submits_seen"]) == (made, len(faults))
        expected = {
            "in_doubt": outcome["Lost"],
            "failed": outcome["Refused"],
            "done": spare + outcome["Accepted"],
        }
        for _ in range(2):
            fork_server.run(*command(sandbox), cwd=tmp_path, code=76)
            check(tmp_path, sandbox, expected)
        assert sandbox.ledger()["answers_lost"] == sum(f.made and f.leads_to == "Lost" for f in faults.values())
        assert sandbox.ledger()["submits_seen"] == len(faults) + spare
