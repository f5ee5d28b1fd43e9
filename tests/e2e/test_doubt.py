"""``batchedit doubt`` from end to end: what is listed, and a person's three ways to decide, against the sandbox's ledger."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchedit.commands import run as runs
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit, manifest, on, rows
from tests.support.fork_server import Child, Nursery


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@dataclass
class Run:
    """A run of six rows; the POSTs of ``made`` were taken and not answered, that of ``unmade`` never arrived."""

    nursery: Nursery
    sandbox: RunningSandbox
    folder: Path

    def batchedit(self, *arguments: object, code: int = 0) -> Child:
        return self.nursery.run(*arguments, cwd=self.folder, code=code)

    def again(self, *more: object, code: int = 0) -> Child:
        return self.batchedit("run", "m.csv", *on(self.sandbox, "--poll-seconds", 0.2, *more), code=code)

    def doubt(self, *arguments: object, code: int = 0) -> Child:
        return self.batchedit("doubt", "outputs/m", *arguments, code=code)

    def states(self) -> Counter[str]:
        return Counter(str(row["result_status"]) for row in rows(self.folder / "outputs" / "m"))

    def in_doubt(self) -> list[str]:
        """The skus in ``in_doubt.csv``; none where it is gone."""
        path = self.folder / "outputs" / "m" / "in_doubt.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [row["sku"] for row in csv.DictReader(file)]

    def events(self, sku: str) -> list[tuple[str, float, str]]:
        """``(name, at, by)`` of everything that happened to a row."""
        with closing(
            open_checkpoint(self.folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)
        ) as checkpoint:
            job = next(record.id for record in checkpoint.records("1") if record.job.name.startswith(f"{sku}-"))
            return [(name, at, told.get("by", "")) for _, of, at, name, _, told in checkpoint.events() if of == job]

    def unknown_ids(self) -> dict[str, str]:
        """What the vendor's site would show and the run does not know: sku → request id."""
        known = {row["result_request_id"] for row in rows(self.folder / "outputs" / "m")}
        jobs = self.sandbox.ledger(full=True)["requests"]
        return {
            f"sku-{job['prompt'].removeprefix('make an ad, number sku')[:-1]}": job["request_id"]
            for job in jobs
            if job["request_id"] not in known
        }

    def adds_up(self) -> None:
        assert runs.audit(str(self.folder / "outputs" / "m"), {})[1].findings == []


@pytest.fixture
def run(tmp_path: Path, nursery: Nursery) -> Iterator[Run]:
    manifest(tmp_path / "m.csv", 6)
    faults = ("submit:drop_after=at:1", "submit:no_id=at:2", "submit:502=at:4")
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=faults)) as sandbox:
        found = Run(nursery, sandbox, tmp_path)
        found.again("-j", 1, "--price", "0.05", code=76)
        assert found.states() == {"done": 3, "in_doubt": 3}
        assert found.in_doubt() == ["sku-1", "sku-2", "sku-4"]
        yield found
        found.adds_up()
        assert sandbox.ledger()["bugs"] == []


def test_each_is_listed_with_row_time_what_was_seen_and_what_it_may_have_cost(run: Run) -> None:
    told = run.doubt(code=76).stdout
    assert "3 jobs may have been bought" in told
    of_row_4 = next(line for line in told.splitlines() if "row 4 (sku-4)" in line)
    assert "$0.05" in of_row_4
    assert "HTTP 502 and no request id" in of_row_4
    submitted = rows(run.folder / "outputs" / "m")[3]["result_submitted_at"]
    assert str(submitted)[:10] in of_row_4
    for way in ("--request-id ROW=ID", "--buy-again ROW", "--write-off ROW"):
        assert f"batchedit doubt outputs/m {way}" in told
    assert run.sandbox.ledger()["submits_seen"] == 6


def test_ids_found_by_hand_are_adopted_and_collected(run: Run) -> None:
    ids = run.unknown_ids()
    assert set(ids) == {"sku-1", "sku-2"}
    told = run.doubt("--request-id", f"1={ids['sku-1']}", "--request-id", f"2={ids['sku-2']}", code=76).stdout
    assert "2 jobs adopted" in told
    assert run.in_doubt() == ["sku-4"]
    run.again(code=76)
    assert run.states() == {"done": 5, "in_doubt": 1}
    assert run.sandbox.ledger()["accepted"] == 5
    assert run.sandbox.ledger()["submits_seen"] == 6, "nothing was bought for it"
    reserved, lost, accepted = run.events("sku-1")[:3]
    assert [name for name, _, _ in (reserved, lost, accepted)] == ["Reserved", "Lost", "Accepted"]
    assert accepted[2].startswith("by hand")
    assert reserved[1] < lost[1] < accepted[1]


def test_ids_that_can_not_be(run: Run) -> None:
    """Unknown, somebody else's, another row's, given twice: all are told at once, and nothing is changed."""
    ids = run.unknown_ids()
    taken = str(rows(run.folder / "outputs" / "m")[2]["result_request_id"])
    pasted = ("1=no-such-request", "2=foreign-1", f"4={taken}")
    told = run.doubt(*(word for pair in pasted for word in ("--request-id", pair)), code=64).stderr
    assert "no-such-request for row 1: the service does not know this request" in told
    assert "foreign-1 for row 2: this request belongs to another account" in told
    assert f"{taken} is already the request of sku-3" in told
    assert "nothing was changed" in told
    same = ids["sku-1"]
    told = run.doubt("--request-id", f"1={same}", "--request-id", f"2={same}", code=64).stderr
    assert f"{same} is already the request of another row" in told
    with closing(open_checkpoint(run.folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)) as checkpoint:
        name = checkpoint.records("id = 1")[0].job.name
    told = run.doubt("--request-id", f"1={same}", "--request-id", f"{name}={ids['sku-2']}", code=64).stderr
    assert "is given two ids" in told, "the same row by number and by name"
    assert "of all rows" in run.doubt("--request-id", f"all={same}", code=64).stderr
    assert "7: no job in doubt" in run.doubt("--buy-again", 7, code=64).stderr
    assert "not both" in run.doubt("--buy-again", 1, "--write-off", 1, code=64).stderr
    assert run.doubt(code=76).stdout.startswith("3 jobs may have been bought")


def test_bought_again(run: Run) -> None:
    """The first purchase counts as spent, for it may have been one; the second is a purchase like any other."""
    told = run.doubt("--buy-again", 2, 4, code=76).stdout
    assert "2 jobs to be bought again by the next run" in told
    assert run.sandbox.ledger()["submits_seen"] == 6, "doubt itself buys nothing"
    run.sandbox.set_faults([])
    run.again(code=76)
    assert run.states() == {"done": 5, "in_doubt": 1}
    ledger = run.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (7, 1), "row 2 was made twice, as the person wanted"
    table = rows(run.folder / "outputs" / "m")
    # Four jobs that cost $0.04 as the service told, and two guesses of $0.05 for what is not known.
    assert [row["result_cost_usd"] for row in table] == [0.05, 0.09, 0.04, 0.09, 0.04, 0.04]
    assert [name for name, _, by in run.events("sku-4") if by] == ["Released", "Accepted"]


def test_written_off(run: Run) -> None:
    assert "3 jobs written off\nnothing is in doubt" in run.doubt("--write-off", "all").stdout
    assert run.in_doubt() == []
    run.again(code=1)
    assert run.states() == {"done": 3, "failed": 3}
    assert run.sandbox.ledger()["submits_seen"] == 6
    assert "$0.27 spent" in run.again(code=1).stdout, "what may have been bought counts as spent"
    assert [name for name, _, _ in run.events("sku-1")] == ["Reserved", "Lost", "WrittenOff"]


def test_on_doubt_buy_again_is_the_only_way_by_itself(run: Run) -> None:
    run.sandbox.set_faults([])
    for _ in range(2):
        run.again(code=76)
    assert run.sandbox.ledger()["submits_seen"] == 6
    run.again("--on-doubt", "buy-again")
    assert run.states() == {"done": 6}
    assert run.sandbox.ledger()["submits_seen"] == 9
    assert [by for name, _, by in run.events("sku-1") if name == "Released"] == ["--on-doubt buy-again"]


def test_the_leave_to_buy_again_is_not_kept(tmp_path: Path, nursery: Nursery) -> None:
    """It was said for one run: a later ``retry`` of other rows bought doubtful jobs again, unasked."""
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=("submit:drop_after=after:1",))) as sandbox:
        run = Run(nursery, sandbox, tmp_path)
        run.again("-j", 1, "--on-doubt", "buy-again", code=76)
        assert run.sandbox.ledger()["submits_seen"] == 4, "each once, and once again"
        run.doubt("--write-off", 1, code=76)
        sandbox.set_faults([])
        run.batchedit("retry", "outputs/m", "--failed", "--yes", code=76)
        assert run.states() == {"done": 1, "in_doubt": 1}
        run.adds_up()


def test_the_real_command_says_76_until_all_are_decided(run: Run) -> None:
    batchedit("doubt", "m.csv", cwd=run.folder, code=76)
    batchedit("doubt", "outputs/m", "--write-off", "1,2", cwd=run.folder, code=76)
    batchedit("doubt", "outputs/m", "--write-off", "4", cwd=run.folder, code=0)
    assert "everything adds up" in batchedit("audit", "outputs/m", cwd=run.folder).stdout
