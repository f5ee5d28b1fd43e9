"""Real processes at one run: killed, stopped past their lease, ended in order, without their database.

The sandbox's ledger is the witness: nothing is bought twice, everything that was bought is known or in doubt, the cap holds.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from batchedit.cli.notices import describe_worker_end
from batchedit.core.events import Released
from batchedit.core.lifecycle import advance
from batchedit.ledger.lock import hold_run_lock
from batchedit.ledger.postgres.ledger import PostgresLedger
from tests.e2e.test_notify import hook
from tests.kill.test_clocks import WITH_A_CLOCK, set_clock
from tests.support.cli import make_env, manifest, start, until
from tests.support.postgres import MODEL, Server, new_database
from tests.support.store_team import LEASE, Team


def test_three_workers_share_a_run_and_its_cap(team: Callable[..., Team]) -> None:
    """A helper without ``--max-cost`` erased everybody's cap, and a worker at the cap waited for ever."""
    it = team(40)
    first = it.start("run", "m.csv", "--yes", "-j", 3, "--max-cost", "0.80")
    until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
    helpers = [it.start("work", "--until-idle", "-j", 3) for _ in range(2)]
    codes = [child.wait() for child in (first, *helpers)]
    assert codes == [75, 75, 75], [child.stderr for child in (first, *helpers)]
    assert it.sandbox.ledger()["accepted"] == 20
    assert it.count_states() == {"done": 20, "planned": 20}
    it.run("run", "m.csv", "--yes", "--max-cost", "none")
    it.check_settled()


@pytest.mark.parametrize(
    ("point", "doubts"), [("Reserved", 1), ("answered", 1), ("Accepted", 0), ("Completed", None), ("Saved", None)]
)
def test_a_worker_is_killed_and_another_takes_over(team: Callable[..., Team], point: str, doubts: int | None) -> None:
    """The next job may be on its way when one is completed: its place came free with that."""
    it = team(6)
    first = it.start("run", "m.csv", "--yes", "-j", 1, doom=(point, 2))
    assert first.wait() == -signal.SIGKILL
    helper = it.start("work", "--until-idle", "-j", 4)
    it.expire_lease(1)
    assert helper.wait() == 0, helper.stderr
    open_ = it.count_states()["in_doubt"]
    assert open_ == doubts or (doubts is None and open_ <= 1)
    assert it.count_states()["done"] == 6 - open_
    it.check_settled(open_)


def test_a_worker_claims_what_it_will_soon_send_and_no_more(team: Callable[..., Team]) -> None:
    """It claimed 500 at once, and the others had nothing to buy."""
    it = team(60, latency="0.5")
    first = it.start("run", "m.csv", "--yes", "-j", 2)
    until(lambda: it.count_states()["done"] >= 1)
    mine = [it.sql("SELECT count(*) FROM batchedit.job WHERE worker IS NOT NULL")[0][0] for _ in range(20)]
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    assert 1 <= max(mine) <= 3 * 2, "two that it is at, and about two for each place"


@pytest.mark.parametrize("whose", ["run", "account"])
def test_a_cap_that_is_lowered_while_workers_buy_holds_for_all_of_them(
    team: Callable[..., Team], tmp_path: Path, whose: str
) -> None:
    it = team(24, latency="0.5")
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    (elsewhere / "m.csv").write_bytes((it.folder / "m.csv").read_bytes())
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--max-cost", "0.80")
    until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
    helper = it.start("work", "--until-idle", "-j", 1)
    until(lambda: it.count_states()["done"] >= 1)
    if whose == "run":
        it.run("run", "m.csv", "--yes", "--mine", "-j", 1, "--max-cost", "0.48", cwd=elsewhere, code=75)
    else:
        it.fork_server.run("store", "limits", it.url, "--max-cost", "0.48", cwd=it.folder)
    assert [first.wait(), helper.wait()] == [75, 75], first.stderr + helper.stderr
    assert it.count_states() == {"done": 12, "planned": 12}
    assert it.sandbox.ledger()["accepted"] == 12


def test_a_helper_tells_what_became_of_a_run_whose_beginner_is_dead(team: Callable[..., Team], tmp_path: Path) -> None:
    """The message was the beginner's alone: its machine died at night, others finished the run, and nobody heard of it."""
    it = team(6)
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    with hook() as (url, came):
        first = it.start("run", "m.csv", "--yes", "-j", 1, "--notify", url, doom=("Accepted", 2))
        assert first.wait() == -signal.SIGKILL
        helper = it.start("work", "--until-idle", "--notify", url, "--out", it.folder / "outputs" / "m", cwd=elsewhere)
        it.expire_lease(1)
        assert helper.wait() == 0, helper.stderr
        assert [notice["event"] for notice in came] == ["started", "finished"]
        text = came[-1]["text"]
        assert text.startswith("m is finished: 6 of 6 pictures, $0.24 spent\n"), text
        (look,) = re.findall(r"→ to look at them: batchedit (review .*)$", text, re.MULTILINE)
        assert it.url in look, "the marks are in the store"
        it.start("work", "--until-idle", "--notify", url, cwd=elsewhere).wait()
        assert len(came) == 2, "nothing was there to do, and nothing is new"


def test_each_of_three_workers_said_that_the_run_was_finished(team: Callable[..., Team]) -> None:
    """A channel got "m is finished" from the beginner and from every helper."""
    it = team(12, latency="0.4")
    with hook() as (url, came):
        first = it.start("run", "m.csv", "--yes", "-j", 2, "--notify", url)
        until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0"))
        helpers = [it.start("work", "--until-idle", "-j", 2, "--notify", url) for _ in range(2)]
        for child in (first, *helpers):
            assert child.wait() == 0, child.stderr
        assert len(it.sql("SELECT 1 FROM batchedit.worker")) == 3, "all of them were at it"
        assert [notice["event"] for notice in came] == ["started", "finished"], [notice["text"] for notice in came]
        with hook() as (other, also):
            it.start("run", "m.csv", "--yes", "--notify", other).wait()
        assert [notice["event"] for notice in also] == ["finished"], "another channel has not heard of it"
    it.check_settled()


def test_a_helper_beside_the_beginner_told_what_the_beginners_copy_said(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    """The beginner holds the run's lock to its end, and its copy was behind: "m is finished: 3 of 4 pictures"."""
    it = team(4)
    run = it.folder / "outputs" / "m"
    it.run("run", "m.csv", "--yes", "--max-cost", "0.04", code=75)
    it.sql("UPDATE batchedit.run SET max_cost = NULL")
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    it.run("work", "--until-idle", "--out", run, cwd=elsewhere)
    with hold_run_lock(run, "run"):
        message, _ = describe_worker_end("m", None, {"store": it.url, "out": str(run)})
    assert message["text"].startswith("m is finished: 4 of 4 pictures, $0.16 spent\n"), message["text"]
    assert f"batchedit review {run}" in message["text"], "the run, and no copy of it"


def test_a_worker_that_broke_down_said_that_the_run_had_stopped(team: Callable[..., Team], tmp_path: Path) -> None:
    """The others went on and finished it."""
    it = team(12, latency="0.4")
    lost = tmp_path / "lost"
    lost.mkdir()
    with hook() as (url, came):
        first = it.start("run", "m.csv", "--yes", "-j", 1, "--notify", url)
        until(lambda: it.count_states()["done"] >= 1)
        helper = it.start("work", "--until-idle", "-j", 1, "--notify", url, "--out", lost / "m", cwd=lost)
        until((lost / "m" / "files").exists)
        (lost / "m").rename(lost / "away")  # whole: what is deleted file by file gets new ones meanwhile
        (lost / "m").write_text("no folder")
        assert helper.wait() != 0
        assert first.wait() in {0, 75, 76}, first.stderr
        headlines = [message["text"].splitlines()[0] for message in came]
    assert headlines[1].startswith("a worker of m has stopped, others go on"), headlines


def test_a_beginner_that_was_ended_said_that_the_run_had_stopped(team: Callable[..., Team]) -> None:
    it = team(12, latency="0.4")
    with hook() as (url, came):
        first = it.start("run", "m.csv", "--yes", "-j", 1, "--notify", url)
        until(lambda: it.count_states()["done"] >= 1)
        helper = it.start("work", "--until-idle", "-j", 1, "--notify", url)
        until(lambda: len(it.sql("SELECT 1 FROM batchedit.worker")) == 2)
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait() == 143
        assert helper.wait() == 0, helper.stderr
        headlines = [message["text"].splitlines()[0] for message in came]
    assert headlines[1].startswith("a worker of m has stopped, others go on: "), headlines
    assert headlines[2:] == ["m is finished: 12 of 12 pictures, $0.48 spent"]


def test_a_helper_tells_why_a_run_stands_still(team: Callable[..., Team]) -> None:
    it = team(4)
    it.run("run", "m.csv", "--yes", "--max-cost", "0.04", code=75)
    it.sql("UPDATE batchedit.run SET max_cost = 80000")
    with hook() as (url, came):
        helper = it.start("work", "--until-idle", "--notify", url)
        assert helper.wait() == 75, helper.stderr
        (notice,) = came
    assert notice["event"] == "stopped"
    assert notice["text"].startswith("m has stopped: 2 of 4 pictures, $0.08 spent\nwhy: "), notice["text"]


@pytest.mark.parametrize("fenced", [True, False])
def test_a_worker_that_was_stopped_sends_nothing_for_a_job_that_was_bought_again(
    team: Callable[..., Team], fenced: bool
) -> None:
    """It wrote its intention, stood still past its lease, and woke when a person had had the job bought again."""
    it = team(1)
    point = "stop:Reserved" if fenced else "unfenced:stop:Reserved"
    first = it.start("run", "m.csv", "--yes", doom=(point, 1))
    until(lambda: it.count_states()["submitting"] == 1)
    stopped = time.monotonic()
    helper = it.start("work")
    it.expire_lease(1)
    until(lambda: it.count_states()["in_doubt"] == 1)
    it.sql("UPDATE batchedit.job SET quarantine = NULL")
    person = PostgresLedger(it.url, it.sql("SELECT id FROM batchedit.run")[0][0], MODEL, it.folder)
    doubt = person.record(1)
    assert doubt is not None
    event = Released(1.0, "a person")
    person.save_now(advance(doubt, event), event)
    it.sql("UPDATE batchedit.job SET leave = 1")
    person.close()
    until(lambda: it.count_states()["done"] == 1 and time.monotonic() > stopped + LEASE)
    os.kill(first.pid, signal.SIGCONT)
    first.wait()
    os.kill(helper.pid, signal.SIGTERM)
    assert helper.wait() == 143
    assert it.sandbox.ledger()["accepted"] == (1 if fenced else 2), "without the fence it is bought twice"
    if fenced:
        it.check_settled()
    else:
        assert it.sql("SELECT count(*) FROM batchedit.orphan") == [(1,)], "its id is kept all the same"


def test_two_workers_handed_two_stuck_jobs_to_and_fro_without_end(team: Callable[..., Team]) -> None:
    """Each took up in its next pass what the other had given up, and so neither ended."""
    it = team(2, faults=("job:stuck=1",))
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--stuck-after", 4)
    until(lambda: it.count_states()["waiting"] == 1)
    helper = it.start("work", "--until-idle", "-j", 1)
    until(
        lambda: (
            it.count_events()["Resumed"]
            or it.sql("SELECT 1 FROM batchedit.worker HAVING count(*) = 2 AND bool_and(gone)")
        )
    )
    assert not it.count_events()["Resumed"]
    assert [first.wait(), helper.wait()] == [75, 0], [first.stderr, helper.stderr]
    assert it.count_states() == {"uncollected": 2}
    it.run("run", "m.csv", "--yes", "--stuck-after", 1, code=75)
    counts = it.count_events()
    assert (counts["Accepted"], counts["GivenUp"]) == (2, 4), "a person's command asks again, and buys nothing"
    it.run("work", "--until-idle")
    assert it.count_events() == counts, "a worker that a platform starts again does not"


def test_a_worker_that_is_told_to_end_leaves_the_rest_to_others(team: Callable[..., Team]) -> None:
    it = team(8, latency="1")
    first = it.start("run", "m.csv", "--yes", "-j", 4)
    until(lambda: it.count_states()["waiting"] >= 2)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    assert not it.count_states()["submitting"]
    assert not it.count_states()["in_doubt"]
    assert it.sql("SELECT count(*) FROM batchedit.job WHERE worker IS NOT NULL") == [(0,)]
    assert "gone" in it.fork_server.run("workers", "--store", it.url, cwd=it.folder).stdout
    helper = it.start("work", "--until-idle")
    assert helper.wait() == 0, helper.stderr
    it.check_settled()


def test_a_worker_that_is_told_to_end_while_a_post_is_on_its_way_writes_its_answer_down(
    team: Callable[..., Team],
) -> None:
    it = team(4)
    gate = it.folder / "gate"
    first = it.start("run", "m.csv", "--yes", "-j", 1, gate=(1, str(gate)))
    until(lambda: it.sandbox.ledger()["accepted"] == 1)
    os.kill(first.pid, signal.SIGTERM)
    until(lambda: "stopping: nothing more is sent" in first.stderr)
    assert it.count_states() == {"submitting": 1, "planned": 3}, "it waits for the answer"
    gate.touch()
    assert first.wait() == 143
    assert it.count_states() == {"waiting": 1, "planned": 3}
    assert it.sql("SELECT count(*) FROM batchedit.job WHERE worker IS NOT NULL") == [(0,)]
    assert it.sandbox.ledger()["accepted"] == 1, "nothing more was bought"
    assert it.start("work", "--until-idle").wait() == 0
    it.check_settled()


def test_a_worker_whose_grace_is_over_ends_and_its_post_is_in_doubt(team: Callable[..., Team]) -> None:
    """Who told it to end kills it soon: an answer that takes longer is waited for no more, and not sent again either."""
    it = team(2)
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--grace", "0.5", gate=(1, str(it.folder / "never")))
    until(lambda: it.sandbox.ledger()["accepted"] == 1)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    assert "left after 0.5 s of grace" in first.stderr
    helper = it.start("work", "--until-idle")
    it.expire_lease(1)
    assert helper.wait() == 0, helper.stderr
    assert it.count_states() == {"in_doubt": 1, "done": 1}
    assert it.sql("SELECT count(*) FROM batchedit.job WHERE quarantine > now()") == [(1,)], "it may still be on its way"
    it.check_settled(1)


def test_a_worker_that_is_killed_inside_reserve_leaves_a_doubt_and_no_purchase(team: Callable[..., Team]) -> None:
    """The database goes on with what it was asked, though nobody hears the answer any more: an intention without a sender."""
    it = team(30, latency="0.3")
    first = it.start("run", "m.csv", "--yes", "-j", 1)
    until(lambda: it.count_states()["done"] >= 1)
    with psycopg.connect(it.url) as held:
        held.execute("SELECT 1 FROM batchedit.run FOR UPDATE")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%batchedit.reserve(%%' AND wait_event_type = 'Lock'"
        until(lambda: it.sql(waits) == [(1,)])
        first.kill()
    until(lambda: it.count_states()["submitting"] == 1)
    helper = it.start("work", "--until-idle")
    it.expire_lease(1)
    assert helper.wait() == 0, helper.stderr
    assert it.count_states() == {"in_doubt": 1, "done": 29}
    assert it.sandbox.ledger()["accepted"] == 29
    it.check_settled(1)


@pytest.mark.parametrize("point", ["answered", "Accepted", "Completed"])
def test_what_a_stopped_worker_still_learns_is_written_down_and_bought_once(
    team: Callable[..., Team], point: str
) -> None:
    """It stood still past its lease and another one took over; an id that it had heard by then ends the doubt."""
    it = team(1)
    first = it.start("run", "m.csv", "--yes", doom=(f"stop:{point}", 1))
    until(lambda: stands_still(first.pid))
    stopped = time.monotonic()
    helper = it.start("work")
    it.expire_lease(1)
    until(lambda: it.count_states()["in_doubt" if point == "answered" else "done"] == 1)
    until(lambda: time.monotonic() > stopped + LEASE)
    os.kill(first.pid, signal.SIGCONT)
    first.wait()
    until(lambda: it.count_states()["done"] == 1)
    os.kill(helper.pid, signal.SIGTERM)
    assert helper.wait() == 143
    assert it.sandbox.ledger()["accepted"] == 1
    assert it.sql("SELECT count(*) FROM batchedit.orphan") == [(0,)]
    it.check_settled()


@pytest.mark.parametrize("off", [3600.0, -3600.0], ids=["ahead", "behind"])
def test_a_worker_whose_clock_is_an_hour_off_goes_on_with_what_another_has_bought(
    team: Callable[..., Team], off: float
) -> None:
    it = team(4, latency="0.5")
    first = it.start("run", "m.csv", "--yes", "-j", 1, doom=("Accepted", 2))
    assert first.wait() == -signal.SIGKILL
    set_clock(it.folder, off)
    command = ("work", "--until-idle", "--store", it.url, "--base-url", it.sandbox.url)
    with start(it.folder / "off", *command, cwd=it.folder, script=["-c", WITH_A_CLOCK]) as helper:
        it.expire_lease(1)
        assert helper.wait(90) == 0, helper.stderr
    assert it.count_states() == {"done": 4}
    assert it.sandbox.ledger()["accepted"] == 4
    it.check_settled()


def stands_still(pid: int) -> bool:
    """Is the process stopped (SIGSTOP)?"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_the_database_crashes_again_and_again(team: Callable[..., Team]) -> None:
    server = Server()
    try:
        it = team(30, new_database(url=server.url))
        first = it.start("run", "m.csv", "--yes", "-j", 4)
        for share in (3, 12, 20):
            until(lambda share=share: it.count_states()["done"] >= share, 60)
            server.restart("immediate")
        assert first.wait() == 0, first.stderr
        it.check_settled()
    finally:
        server.stop("fast")


def test_a_copy_that_is_gone_is_made_anew_and_buys_nothing(team: Callable[..., Team]) -> None:
    it = team(3)
    it.run("run", "m.csv", "--yes")
    for file in (it.folder / "outputs" / "m").glob("checkpoint.sqlite*"):
        file.unlink()
    it.check_settled()
    assert it.sandbox.ledger()["accepted"] == 3


def test_how_a_run_stands_is_told_from_anywhere(team: Callable[..., Team], tmp_path: Path) -> None:
    """The copy in the folder showed what its own process had seen last, and another machine had none."""
    it = team(4, latency="0.2")
    first = it.start("run", "m.csv", "--yes", "-j", 1, doom=("Accepted", 1))
    assert first.wait() == -signal.SIGKILL
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    helper = it.fork_server.start(
        *("work", "--until-idle", "--store", it.url, "--base-url", it.sandbox.url), cwd=elsewhere
    )
    it.expire_lease(1)
    assert helper.wait() == 0, helper.stderr
    completed = it.fork_server.run("status", "outputs/m", "--store", it.url, cwd=it.folder)
    assert "4 done" in completed.stdout
    assert "4 done" in it.fork_server.run("status", "m", "--store", it.url, cwd=elsewhere).stdout
    assert (
        "has no run spring" in it.fork_server.run("status", "spring", "--store", it.url, cwd=elsewhere, code=66).stderr
    )


def test_nobody_worked_on_a_run_that_two_workers_worked_on(team: Callable[..., Team], tmp_path: Path) -> None:
    """``status`` asked for the lock of a folder alone, and proposed to type ``run``."""
    it = team(6, latency="3")
    first = it.start("run", "m.csv", "--yes", "-j", 1)
    until(lambda: it.count_states()["waiting"] == 1)
    machines = [tmp_path / "one", tmp_path / "two"]
    for machine in machines:
        machine.mkdir()
    helpers = [it.start("work", "--until-idle", "-j", 1, cwd=machine) for machine in machines]
    until(lambda: it.count_states()["waiting"] == 3)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    completed = it.run_without_service("status", "outputs/m")
    assert "process   going on, 2 workers of the store" in completed.stdout
    assert "to go on" not in completed.stdout
    now = json.loads(it.run_without_service("status", "outputs/m", "--json").stdout)
    assert (now["state"], now["process"], now["workers"]) == ("going", None, 2)
    assert [helper.wait() for helper in helpers] == [0, 0]
    assert "going on" not in it.run_without_service("status", "outputs/m").stdout


def test_a_run_of_a_folder_was_told_as_going_on_while_a_store_s_of_that_name_did(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    """A person with BATCHEDIT_STORE set saw the money and the numbers of somebody else's run."""
    it = team(3)
    it.run("run", "m.csv", "--yes")
    it.sql("INSERT INTO batchedit.worker (name, lease_until) VALUES ('somebody', now() + interval '1 hour')")
    it.sql("UPDATE batchedit.job SET worker = (SELECT max(id) FROM batchedit.worker)")
    assert "going on, 1 worker of the store" in it.run_without_service("status", "m").stdout
    place = tmp_path / "a person's"
    place.mkdir()
    manifest(place / "m.csv", 2, prefix="other")
    it.fork_server.run("run", "m.csv", "--yes", "--base-url", it.sandbox.url, cwd=place, state=place / "state")
    output = it.run_without_service("status", "m", cwd=place).stdout
    assert "2 done" in output
    assert "going on" not in output
    assert it.run_without_service("status", "m", "--watch", cwd=place).stdout == output


def test_a_run_that_only_workers_of_the_store_work_on_is_watched_to_its_end(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    """``status --watch`` ended at once, for no process here had the run's lock; and what it would have shown was how the last
    one had left it.
    """
    it = team(6, latency="1")
    first = it.start("run", "m.csv", "--yes", "-j", 1)
    until(lambda: it.count_states()["waiting"] == 1)
    machine = tmp_path / "one"
    machine.mkdir()
    helper = it.start("work", "--until-idle", "-j", 1, cwd=machine)
    until(lambda: it.count_states()["waiting"] == 2)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() == 143
    left = it.count_states()["planned"]
    screens = on_a_terminal("status", "outputs/m", "--watch", "--store", it.url, cwd=it.folder)
    assert it.count_states() == {"done": 6}, "it ended before"
    assert helper.wait() == 0, helper.stderr
    seen = [int(count) for count in re.findall(r"(\d) not bought yet", screens)]
    assert left - 1 <= seen[0] <= left, screens
    assert len(set(seen)) >= 3, f"it was not drawn anew as the run went on: {seen}"
    assert "1 worker of the store" in screens
    assert "outputs/m: 6 done" in screens


def on_a_terminal(*words: object, cwd: Path) -> str:
    """All that a command shows on one, until it ends."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "batchedit", *map(str, words)]
    with subprocess.Popen(command, cwd=cwd, env=make_env(), stdin=subprocess.DEVNULL, stdout=its, stderr=its) as child:
        os.close(its)
        output = b""
        with suppress(OSError):  # the other end is closed
            while block := os.read(ours, 4096):
                output += block
        os.close(ours)
    assert child.returncode == 0, output.decode()
    return output.decode()


def test_what_a_worker_may_not_do_is_refused_before_anything_is_sent(team: Callable[..., Team]) -> None:
    it = team(2)
    it.run("run", "m.csv", "--yes", "--max-cost", "0.04", code=75)
    assert "one of the store" in it.fork_server.run("run", "m.csv", "--yes", cwd=it.folder, code=64).stderr
    assert "no run spring" in it.run("work", "--run", "spring", code=66).stderr
    command = ("work", "--store", it.url, "--base-url", "http://127.0.0.1:9")
    assert "is bought from" in it.fork_server.run(*command, cwd=it.folder, code=64).stderr
    it.sql("UPDATE batchedit.fact SET value = %s WHERE name = 'accounts'", "0" * 32)
    assert "another token" in it.run("work", code=77).stderr
    assert it.sandbox.ledger()["accepted"] == 1
