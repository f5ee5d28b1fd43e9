"""What people say about the pictures of a store's run: two of them at once, each on a machine of their own."""

from __future__ import annotations

import csv
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from batchedit.commands.redo import list_redo_lines
from batchedit.core.errors import StoppedError, UsageError
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.shared import SharedCheckpoint
from batchedit.ledger.postgres.shared_opening import open_shared
from batchedit.ledger.postgres.store_copy import open_copy
from tests.ledger.book_suite import finish, take_in
from tests.support.cli import rows
from tests.support.factories import make_line
from tests.support.postgres import MODEL, shared_store
from tests.support.proxy import Proxy
from tests.support.review_process import Review
from tests.support.store_team import Team, state_of


@contextmanager
def start_review(it: Team, folder: Path, who: str) -> Iterator[Review]:
    """``batchedit review m`` of a person on the machine whose folder this is."""
    review = Review(
        "m", "--store", it.url, who=who, cwd=folder, state=state_of(folder) if folder != it.folder else None
    )
    try:
        yield review
    finally:
        review.http.close()
        if review.process.poll() is None:
            review.process.kill()
        review.process.communicate()


def with_pictures(it: Team, elsewhere: Path) -> Path:
    """Another machine, which sees the pictures and nothing else of the first one's folder."""
    shutil.copytree(it.folder / "outputs" / "m" / "files", elsewhere / "outputs" / "m" / "files")
    return elsewhere


def test_two_reviewers_at_once_on_two_machines(team: Callable[..., Team], tmp_path: Path) -> None:
    """Marks lay in the folder of the machine that they were made on: what one rejected the other delivered."""
    it = team(4)
    it.run("run", "m.csv", "--yes")
    elsewhere = with_pictures(it, tmp_path / "elsewhere")
    with start_review(it, it.folder, "Dana") as dana, start_review(it, elsewhere, "Robin") as robin:
        assert dana.mark(1, "approve").status_code == 200
        late = robin.mark(1, "reject")
        assert (late.status_code, late.json()["who"], late.json()["verdict"]) == (409, "Dana", "approve")
        assert robin.mark(1, "reject", 1, "too dark").status_code == 200, "who has seen Dana's mark may change it"
        assert robin.mark(2, "approve").status_code == 200
        assert dana.mark(3, "approve").status_code == 200
        news = dana.http.get("api/marks?since=0").json()
        assert {(mark["job"], mark["verdict"], mark["who"]) for mark in news["marks"]} == {
            (1, "reject", "Robin"), (2, "approve", "Robin"), (3, "approve", "Dana")
        }  # fmt: skip
        assert dana.end(signal.SIGINT)[0] in {0, 130}
        code, output = robin.end(signal.SIGINT)
        assert code in {0, 130}
        assert "3 of 4 looked at: 2 approved, 1 rejected" in output
    for folder in (it.folder, elsewhere):
        it.run_without_service("results", "m", "--format", "jsonl", cwd=folder)
        decisions = {row["sku"]: row["result_decision"] for row in rows(folder / "outputs" / "m")}
        assert decisions == {"sku-1": "reject", "sku-2": "approve", "sku-3": "approve", "sku-4": None}

    it.run("redo", "m", "--use-notes", "--yes", "--mine", cwd=elsewhere)
    assert it.sandbox.ledger()["accepted"] == 5
    again = it.run("redo", "m", "--yes", code=64)
    assert "nothing is rejected that was not redone already" in again.stderr
    assert it.sandbox.ledger()["accepted"] == 5

    it.run_without_service("deliver", "m", "--to", "approved")
    with (it.folder / "approved" / "approvals.csv").open(newline="", encoding="utf-8") as file:
        log = [(row["who"], row["decision"], row["id"]) for row in csv.DictReader(file)]
    assert log == [("Robin", "approve", "sku-2"), ("Dana", "approve", "sku-3")]


def test_decisions_that_came_by_mail_are_everybody_s(team: Callable[..., Team], tmp_path: Path) -> None:
    it = team(2)
    it.run("run", "m.csv", "--yes")
    elsewhere = with_pictures(it, tmp_path / "elsewhere")
    keys = dict(it.sql("SELECT id, encode(key, 'hex') FROM batchedit.request"))
    (elsewhere / "d.csv").write_text(f"job,decision,note,when\nk{keys[1]},approve,,\nk{keys[2]},reject,too dark,\n")
    completed = it.run_without_service("review", "m", "--import", "d.csv", cwd=elsewhere)
    assert "2 decisions taken in" in completed.stdout
    again = it.run_without_service("review", "m", "--import", elsewhere / "d.csv")
    assert "0 decisions taken in, 2 known" in again.stdout
    assert {row["result_decision"] for row in rows(it.folder / "outputs" / "m")} == {"approve", "reject"}


def test_a_run_of_a_store_takes_no_decision_without_it(team: Callable[..., Team]) -> None:
    """A mark in the folder would be heard by nobody else, and a delivery from there leaves out what others said."""
    it = team(1)
    it.run("run", "m.csv", "--yes")
    for words in (("review", "m", "--no-open"), ("deliver", "m", "--to", "out")):
        refused = it.fork_server.run(*words, cwd=it.folder, code=64)
        assert "is one of the store" in refused.stderr
        assert "--store postgresql://" in refused.stderr.replace("'", "")
    with pytest.raises(UsageError, match="one of the store"):
        FolderDecisions(it.folder / "outputs" / "m").put(PictureDecision(1, Verdict.APPROVE))
    assert not (it.folder / "outputs" / "m" / "review.sqlite").exists()


def person(folder: Path) -> SharedCheckpoint:
    folder.mkdir(parents=True, exist_ok=True)
    return open_shared(
        folder / "checkpoint.sqlite", shared_store(), model=MODEL, service=BoughtFrom("sandbox", own_sandbox=False)
    )


def a_name(tmp_path: Path) -> str:
    return f"reviewed-{tmp_path.name}"


def test_two_people_redo_at_once_and_the_second_one_sees_what_the_first_has_bought(tmp_path: Path) -> None:
    """The second one's copy kept its own new job under the number that the first one's had: the same last id, and so taken
    for the store's. Its rejected picture was never asked for, and the first one's came out under its row.
    """
    name = a_name(tmp_path)
    with closing(person(tmp_path / "one" / name)) as one:
        take_in(one, [make_line(1), make_line(2)])
        finish(one, 1)
        finish(one, 2)
        with closing(person(tmp_path / "two" / name)) as two:
            one.decisions.put(PictureDecision(1, Verdict.REJECT))
            two.decisions.put(PictureDecision(2, Verdict.REJECT))
            mine, its = list_redo_lines(one)[:1], list_redo_lines(two)
            assert [record.id for record, _ in mine] == [1]
            its = [pair for pair in its if pair[0].id == 2]
            one.add_repurchases(mine)
            with pytest.raises(StoppedError, match="somebody else"):
                two.add_repurchases(its)
    with closing(person(tmp_path / "two" / name)) as two:
        assert [record.id for record in two.find_rejected()] == [2]
        assert two.list_planned_repurchases() == [3]
        (third,) = two.read_records([3])
        with closing(person(tmp_path / "one" / name)) as one:
            assert one.read_records([3]) == [third]


def test_a_mark_whose_answer_was_lost_is_no_conflict(tmp_path: Path) -> None:
    folder = tmp_path / a_name(tmp_path)
    with closing(person(folder)) as run:
        take_in(run, [make_line(1)])
    proxy = Proxy(shared_store())
    with closing(open_copy(folder / "checkpoint.sqlite", proxy.url, read_only=False)) as copy:
        proxy.lose("batchedit.put_mark")
        wanted = PictureDecision(1, Verdict.APPROVE, "fine", 0, "Dana", 5.0)
        assert copy.decisions.put(wanted) == PictureDecision(1, Verdict.APPROVE, "fine", 1, "Dana", 5.0)
        assert proxy.lost == 1
        assert [event.who for event in copy.decisions.events()] == ["Dana"], "written once"
    proxy.close()


def test_marks_in_a_folder_that_the_store_does_not_have_are_set_aside(tmp_path: Path) -> None:
    """A copy that was made anew, of a store that was restored: its marks are not the run's."""
    folder = tmp_path / a_name(tmp_path)
    with closing(person(folder)) as run:
        take_in(run, [make_line(1)])
        run.decisions.put(PictureDecision(1, Verdict.REJECT, "", 0, "Dana", 1.0))
    with psycopg.connect(shared_store(), autocommit=True) as connection:
        connection.execute("ALTER TABLE batchedit.mark_event DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE batchedit.mark_event SET who = 'Robin' WHERE run = (SELECT id FROM batchedit.run WHERE name = %s)",
            (folder.name,),
        )
        connection.execute("ALTER TABLE batchedit.mark_event ENABLE TRIGGER USER")
    with closing(person(folder)) as run:
        assert [event.who for event in FolderDecisions(folder).events()] == ["Robin"]
    assert (folder / "review.sqlite.before").exists()


def test_flags_are_everybody_s_and_stay_where_the_pictures_are_not(team: Callable[..., Team], tmp_path: Path) -> None:
    """A machine without the pictures found nothing odd, and wrote that down."""
    it = team(2)
    it.run("run", "m.csv", "--yes")
    next((it.folder / "outputs" / "m" / "files").iterdir()).write_bytes(b"no picture any more")
    shutil.rmtree(it.folder / "outputs" / "m" / "thumbs")
    it.run_without_service("gallery", "m")
    flags = it.sql("SELECT job, flags FROM batchedit.flag ORDER BY job")
    assert [text for _, text in flags] == ["unreadable"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    it.run_without_service("gallery", "m", cwd=elsewhere)
    assert it.sql("SELECT job, flags FROM batchedit.flag ORDER BY job") == flags
    it.run_without_service("results", "m", "--format", "jsonl", cwd=elsewhere)
    assert {row["result_flags"] for row in rows(elsewhere / "outputs" / "m")} == {"unreadable", None}
