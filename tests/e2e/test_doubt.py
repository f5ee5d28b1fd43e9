"""``batchedit doubt`` from end to end: what is listed, and a person's three ways to decide, against the sandbox's ledger."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit, manifest, on, rows
from tests.support.fork_server import Child, ForkServer


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


@dataclass
class Run:
    """A run of six rows; the POSTs of ``made`` were taken and not answered, that of ``unmade`` never arrived."""

    fork_server: ForkServer
    sandbox: RunningSandbox
    folder: Path

    def batchedit(self, *arguments: object, code: int = 0) -> Child:
        return self.fork_server.run(*arguments, cwd=self.folder, code=code)

    def run_again(self, *more: object, code: int = 0) -> Child:
        return self.batchedit("run", "m.csv", *on(self.sandbox, "--poll-seconds", 0.2, *more), code=code)

    def doubt(self, *arguments: object, code: int = 0) -> Child:
        return self.batchedit("doubt", "outputs/m", *arguments, code=code)

    def count_states(self) -> Counter[str]:
        return Counter(str(row["result_status"]) for row in rows(self.folder / "outputs" / "m"))

    def list_in_doubt(self) -> list[str]:
        """The skus in ``in_doubt.csv``; none where it is gone."""
        path = self.folder / "outputs" / "m" / "in_doubt.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [row["sku"] for row in csv.DictReader(file)]

    def read_events(self, sku: str) -> list[tuple[str, float, str]]:
        """``(name, at, by)`` of everything that happened to a row."""
        with closing(
            open_checkpoint(self.folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)
        ) as checkpoint:
            job = next(record.id for record in checkpoint.records("1") if record.job.name.startswith(f"{sku}-"))
            return [
                (logged.name, logged.at, getattr(logged.read(), "by", ""))
                for logged in checkpoint.read_log()
                if logged.job == job
            ]

    def find_unknown_ids(self) -> dict[str, str]:
        """What the vendor's site would show and the run does not know: sku → request id."""
        known_ids = {row["result_request_id"] for row in rows(self.folder / "outputs" / "m")}
        jobs = self.sandbox.ledger(full=True)["requests"]
        return {
            f"sku-{job['prompt'].removeprefix('make an ad, number sku')[:-1]}": job["request_id"]
            for job in jobs
            if job["request_id"] not in known_ids
        }

    def check_books(self) -> None:
        assert audit(str(self.folder / "outputs" / "m"), {})[1].findings == []


@pytest.fixture
def run(tmp_path: Path, fork_server: ForkServer) -> Iterator[Run]:
    manifest(tmp_path / "m.csv", 6)
    faults = ("submit:drop_after=at:1", "submit:no_id=at:2", "submit:502=at:4")
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=faults)) as sandbox:
        started_run = Run(fork_server, sandbox, tmp_path)
        started_run.run_again("-j", 1, "--price", "0.05", code=76)
        assert started_run.count_states() == {"done": 3, "in_doubt": 3}
        assert started_run.list_in_doubt() == ["sku-1", "sku-2", "sku-4"]
        yield started_run
        started_run.check_books()
        assert sandbox.ledger()["bugs"] == []


def test_each_is_listed_with_row_time_what_was_seen_and_what_it_may_have_cost(run: Run) -> None:
    stdout = run.doubt(code=76).stdout
    assert "3 jobs may have been bought" in stdout
    of_row_5 = next(line for line in stdout.splitlines() if "row 5 (sku-4)" in line)
    assert "$0.05" in of_row_5
    assert "HTTP 502 and no request id" in of_row_5
    submitted = rows(run.folder / "outputs" / "m")[3]["result_submitted_at"]
    assert str(submitted)[:10] in of_row_5
    for decision in ("--buy-again 2", "--write-off 2"):
        assert f": batchedit doubt outputs/m {decision}\n" in stdout
    assert "found its id: batchedit doubt outputs/m --request-id 2=ID" in stdout
    assert run.sandbox.ledger()["submits_seen"] == 6


def test_what_the_service_answered_is_kept_and_shown(run: Run) -> None:
    """An answer held the id of a bought job, was called lost and thrown away."""
    stdout = run.doubt(code=76).stdout
    assert '{"status":"accepted"}' in stdout
    assert "502 Bad Gateway" in stdout
    with (run.folder / "outputs" / "m" / "in_doubt.csv").open(newline="", encoding="utf-8-sig") as file:
        errors = {row["sku"]: row["result_error"] for row in csv.DictReader(file)}
    assert "HTTP 200" in errors["sku-2"]
    assert '{"status":"accepted"}' in errors["sku-2"]
    assert "sandbox-token" not in stdout


def test_an_id_that_is_another_rows_is_refused_however_it_is_written(run: Run) -> None:
    """Blanks around it made it another id when it was compared, and the same when it was stored."""
    taken_id = rows(run.folder / "outputs" / "m")[2]["result_request_id"]
    stderr = run.doubt("--request-id", f"2= {taken_id} ", code=64).stderr
    assert f"{taken_id} is already the request of sku-3" in stderr


def test_ids_found_by_hand_are_adopted_and_collected(run: Run) -> None:
    ids = run.find_unknown_ids()
    assert set(ids) == {"sku-1", "sku-2"}
    stdout = run.doubt("--request-id", f"2={ids['sku-1']}", "--request-id", f"3={ids['sku-2']}", code=76).stdout
    assert "2 jobs adopted" in stdout
    assert run.list_in_doubt() == ["sku-4"]
    run.run_again(code=76)
    assert run.count_states() == {"done": 5, "in_doubt": 1}
    assert run.sandbox.ledger()["accepted"] == 5
    assert run.sandbox.ledger()["submits_seen"] == 6, "nothing was bought for it"
    reserved, lost, accepted = run.read_events("sku-1")[:3]
    assert [name for name, _, _ in (reserved, lost, accepted)] == ["Reserved", "Lost", "Accepted"]
    assert accepted[2].startswith("by hand")
    assert reserved[1] < lost[1] < accepted[1]


def test_ids_that_can_not_be(run: Run) -> None:
    """Unknown, somebody else's, another row's, given twice: all are told at once, and nothing is changed."""
    ids = run.find_unknown_ids()
    taken_id = str(rows(run.folder / "outputs" / "m")[2]["result_request_id"])
    pasted = ("2=no-such-request", "3=foreign-1", f"5={taken_id}")
    stderr = run.doubt(*(word for pair in pasted for word in ("--request-id", pair)), code=64).stderr
    assert "no-such-request for row 2: the service does not know this request" in stderr
    assert "foreign-1 for row 3: this request belongs to another account" in stderr
    assert f"{taken_id} is already the request of sku-3" in stderr
    assert "nothing was changed" in stderr
    same = ids["sku-1"]
    stderr = run.doubt("--request-id", f"2={same}", "--request-id", f"3={same}", code=64).stderr
    assert f"{same} is already the request of another row" in stderr
    with closing(open_checkpoint(run.folder / "outputs" / "m" / "checkpoint.sqlite", read_only=True)) as checkpoint:
        name = checkpoint.records("id = 1")[0].job.name
    stderr = run.doubt("--request-id", f"2={same}", "--request-id", f"{name}={ids['sku-2']}", code=64).stderr
    assert "is given two ids" in stderr, "the same row by number and by name"
    assert "of all rows" in run.doubt("--request-id", f"all={same}", code=64).stderr
    assert "8: no job in doubt" in run.doubt("--buy-again", 8, code=64).stderr
    assert "not both" in run.doubt("--buy-again", 2, "--write-off", 2, code=64).stderr
    assert run.doubt(code=76).stdout.startswith("3 jobs may have been bought")


def test_bought_again(run: Run) -> None:
    """The first purchase counts as spent, for it may have been one; the second is a purchase like any other."""
    run.sandbox.set_faults([])
    stderr = run.doubt("--buy-again", 3, 5, code=64).stderr
    assert "to buy          2 pictures: 2 in doubt" in stderr
    assert "buying 2 pictures needs a yes" in stderr
    assert run.sandbox.ledger()["submits_seen"] == 6, "nothing is bought without a yes"
    assert run.list_in_doubt() == ["sku-1", "sku-2", "sku-4"], "nothing is released without a yes"
    stdout = run.doubt("--buy-again", 3, 5, "--yes", code=76).stdout
    assert "5 done, 1 in doubt" in stdout
    assert run.count_states() == {"done": 5, "in_doubt": 1}
    ledger = run.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (7, 1), "row 3 was made twice, as the person wanted"
    table = rows(run.folder / "outputs" / "m")
    # Four jobs that cost $0.04 as the service told, and two guesses of $0.05 for what is not known.
    assert [row["result_cost_usd"] for row in table] == [0.05, 0.09, 0.04, 0.09, 0.04, 0.04]
    assert [name for name, _, by in run.read_events("sku-4") if by] == ["Released", "Accepted"]


def test_written_off(run: Run) -> None:
    assert "3 jobs written off\nnothing is in doubt or uncollected" in run.doubt("--write-off", "all").stdout
    assert run.list_in_doubt() == []
    run.run_again()
    assert run.count_states() == {"done": 3, "failed": 3}
    assert run.sandbox.ledger()["submits_seen"] == 6
    assert "$0.27 spent" in run.run_again().stdout, "what may have been bought counts as spent"
    assert [name for name, _, _ in run.read_events("sku-1")] == ["Reserved", "Lost", "WrittenOff"]


def test_on_doubt_buy_again_is_the_only_way_by_itself(run: Run) -> None:
    run.sandbox.set_faults([])
    for _ in range(2):
        run.run_again(code=76)
    assert run.sandbox.ledger()["submits_seen"] == 6
    run.run_again("--on-doubt", "buy-again")
    assert run.count_states() == {"done": 6}
    assert run.sandbox.ledger()["submits_seen"] == 9
    assert [by for name, _, by in run.read_events("sku-1") if name == "Released"] == ["--on-doubt buy-again"]


def test_the_leave_to_buy_again_is_not_kept(tmp_path: Path, fork_server: ForkServer) -> None:
    """It was said for one run: a later ``retry`` of other rows bought doubtful jobs again, unasked."""
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=("submit:drop_after=after:1",))) as sandbox:
        run = Run(fork_server, sandbox, tmp_path)
        run.run_again("-j", 1, "--on-doubt", "buy-again", code=76)
        assert run.sandbox.ledger()["submits_seen"] == 4, "each once, and once again"
        run.doubt("--write-off", 2, code=76)
        sandbox.set_faults([])
        run.batchedit("retry", "outputs/m", "--row", 2, "--yes", code=76)
        assert run.count_states() == {"done": 1, "in_doubt": 1}
        run.check_books()


def test_the_real_command_says_76_until_all_are_decided(run: Run) -> None:
    batchedit("doubt", "m.csv", cwd=run.folder, code=76)
    batchedit("doubt", "outputs/m", "--write-off", "2,3", cwd=run.folder, code=76)
    batchedit("doubt", "outputs/m", "--write-off", "5", cwd=run.folder, code=0)
    assert "everything adds up" in batchedit("audit", "outputs/m", cwd=run.folder).stdout


# --- bought, and not to be collected --------------------------------------------------------------


@pytest.fixture
def stuck(tmp_path: Path, fork_server: ForkServer) -> Iterator[Run]:
    """A run of four rows whose rows 2 and 3 never end: bought, and uncollected."""
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(latency="0.5", plain_files=20_000, faults=("job:slow@600=first:2",))) as sandbox:
        started_run = Run(fork_server, sandbox, tmp_path)
        stdout = started_run.run_again("-j", 1, "--stuck-after", 1, code=75).stdout
        assert "to give up what can't be collected, or buy it again: batchedit doubt outputs/m" in stdout
        assert started_run.count_states() == {"done": 2, "uncollected": 2}
        sandbox.set_faults([])
        yield started_run
        started_run.check_books()
        assert sandbox.ledger()["bugs"] == []


def test_doubt_said_nothing_is_in_doubt_where_the_report_sent_one_to_it(stuck: Run) -> None:
    """The only command that could help listed nothing, exit 0, and took no decision."""
    stdout = stuck.doubt(code=75).stdout
    assert "2 jobs were bought and are not collected" in stdout
    assert "row 2 (sku-1)" in stdout
    assert "$0.04" in stdout
    assert "batchedit fetch outputs/m" in stdout
    assert "--request-id" not in stdout, "its id is known"
    assert "2: no job in doubt" in stuck.doubt("--request-id", "2=another", code=64).stderr


def test_a_run_that_can_not_collect_was_never_green_again(stuck: Run) -> None:
    """Cron ended with 75 every night, and given up with 1. What was paid stays in the books."""
    cron = ("run", "m.csv", *on(stuck.sandbox, "--quiet", "--stuck-after", 1, "--poll-seconds", 0.2))
    batchedit(*cron, cwd=stuck.folder, code=75)
    assert "1 job written off\n1 job was bought and is not collected" in stuck.doubt("--write-off", 2, code=75).stdout
    assert "nothing is in doubt or uncollected" in stuck.doubt("--write-off", "all").stdout
    ended = stuck.run_again("--stuck-after", 1).stdout
    assert "2 done, 2 written off" in ended
    assert "$0.16 spent" in ended
    for arguments in (cron, ("status", "outputs/m"), ("fetch", "outputs/m"), ("doubt", "outputs/m")):
        batchedit(*arguments, cwd=stuck.folder, code=0)
    assert stuck.sandbox.ledger()["submits_seen"] == 4, "nothing was bought"


def test_what_a_person_gave_up_hides_no_failure(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 3)
    faults = ("submit:drop_after=at:1", "job:failed=at:2")
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=faults)) as sandbox:
        run = Run(fork_server, sandbox, tmp_path)
        run.run_again("-j", 1, code=76)
        run.doubt("--write-off", "all")
        assert "1 done, 1 failed, 1 written off" in run.run_again(code=1).stdout
        sandbox.set_faults([])
        run.batchedit("retry", "outputs/m", "--failed", "--yes")
        run.run_again()
        run.check_books()


def test_what_can_not_be_collected_is_bought_again_and_cron_is_green(stuck: Run) -> None:
    """Without a yes nothing is bought; after it the run is whole, whatever the first two jobs come to."""
    stderr = batchedit("doubt", "outputs/m", "--buy-again", "all", cwd=stuck.folder, code=64).stderr
    assert "to buy          2 pictures: 2 uncollected" in stderr
    assert "$0.04 a picture" in stderr
    assert "$0.08 for what is new" in stderr
    assert stuck.sandbox.ledger()["submits_seen"] == 4
    stdout = batchedit("doubt", "outputs/m", "--buy-again", "all", "--yes", cwd=stuck.folder).stdout
    assert "4 done" in stdout
    assert "$0.24 spent" in stdout, "six jobs were paid for"
    batchedit("run", "m.csv", *on(stuck.sandbox, "--quiet"), cwd=stuck.folder)
    assert stuck.sandbox.ledger()["accepted"] == 6
    assert stuck.count_states() == {"done": 4}


def test_what_can_not_be_collected_is_bought_again_after_one_yes(stuck: Run) -> None:
    stderr = stuck.doubt("--buy-again", "all", code=64).stderr
    assert "to buy          2 pictures: 2 uncollected" in stderr
    assert "buying 2 pictures needs a yes" in stderr
    assert stuck.count_states() == {"done": 2, "uncollected": 2}
    stdout = stuck.doubt("--buy-again", 2, "--write-off", 3, "--yes").stdout
    assert "3 done, 1 written off" in stdout
    assert stuck.sandbox.ledger()["accepted"] == 5
    assert [by for name, _, by in stuck.read_events("sku-1") if name == "Released"] == ["by hand (doubt)"]
    stuck.run_again()
    assert stuck.sandbox.ledger()["accepted"] == 5


def test_a_purchase_that_the_cap_stopped_goes_on_with_run(stuck: Run) -> None:
    """What a yes released is planned afterwards: ``doubt`` has no word on it any more, and says who has."""
    stopped = stuck.doubt("--buy-again", "all", "--max-cost", "0.20", "--yes", code=75).stdout
    assert "to go on: batchedit run outputs/m" in stopped
    assert stuck.sandbox.ledger()["accepted"] == 5
    stderr = stuck.doubt("--buy-again", 3, "--yes", code=64).stderr
    assert (
        "what is not bought yet, a job that was to be bought again too: batchedit run outputs/m --max-cost 0.24\n"
        in stderr
    )
    stuck.batchedit("run", "outputs/m", "--max-cost", "none", "--yes")
    assert stuck.sandbox.ledger()["accepted"] == 6


def test_what_no_row_asks_for_any_more_is_not_bought_again(stuck: Run) -> None:
    manifest(stuck.folder / "m.csv", 1)
    stuck.run_again("--stuck-after", 1, code=75)
    assert "no row asks for" in stuck.doubt("--buy-again", "all", "--yes", code=64).stderr
    assert stuck.sandbox.ledger()["accepted"] == 4
    stuck.doubt("--write-off", "all")
