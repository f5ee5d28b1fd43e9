"""A run of a folder that becomes one of a store: everything comes along, once, and the folder buys nothing any more."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from tests.store.test_reviewers import with_pictures
from tests.support.cli import rows
from tests.support.fork_server import Child
from tests.support.store_team import Team

ALONE = ("--yes", "--poll-seconds", "0.5")


def in_its_folder(it: Team, *words: object, code: int | None = 0, **more: object) -> Child:
    """A command on the folder's run, without the store."""
    return it.fork_server.run(*words, "--base-url", it.sandbox.url, cwd=it.folder, code=code, **more)


@pytest.fixture
def begun(team: Callable[..., Team]) -> Team:
    """A run of five: two are bought, one of them approved, one is in doubt, and the cap leaves two."""
    it = team(5, faults=("submit:drop_after=at:2",))
    in_its_folder(it, "run", "m.csv", *ALONE, "--max-cost", "0.12", "-j", 1, code=75)
    marks = FolderDecisions(it.folder / "outputs" / "m")
    marks.put(PictureDecision(1, Verdict.APPROVE, "fine", 0, "Dana", 5.0))
    marks.put(PictureDecision(3, Verdict.REJECT, "too dark", 0, "Dana", 6.0))
    assert it.sandbox.ledger()["accepted"] == 3
    return it


def test_everything_of_a_run_comes_along_and_is_bought_once(begun: Team, tmp_path: Path) -> None:
    it = begun
    shutil.copytree(it.folder / "outputs" / "m", it.folder / "outputs" / "m-2")
    output = it.run_without_service("runs", "--import", "outputs/m").stdout
    assert output.count("everything adds up") == 2
    assert output.count("accepted 2") == 2
    assert it.count_states() == {"in_doubt": 1, "done": 2, "planned": 2}
    assert it.sql("SELECT max_cost FROM batchedit.run") == [(120_000,)]

    refused = in_its_folder(it, "run", "m.csv", *ALONE, "--max-cost", "none", code=64)
    assert "is one of the store" in refused.stderr
    assert "is one of the store" in it.run_without_service("runs", "--import", "outputs/m", code=64).stderr
    copied = it.run_without_service("runs", "--import", "outputs/m-2", code=64).stderr
    assert "is in the store already, as the run m" in copied
    assert it.sandbox.ledger()["accepted"] == 3

    elsewhere = with_pictures(it, tmp_path / "elsewhere")
    it.run("run", "m", "--yes", "--mine", "--max-cost", "none", cwd=elsewhere, code=76)
    assert it.sandbox.ledger()["accepted"] == 5
    it.run_without_service("results", "m", "--format", "jsonl", cwd=elsewhere)
    results = rows(elsewhere / "outputs" / "m")
    assert Counter(row["result_status"] for row in results) == {"done": 4, "in_doubt": 1}
    assert [row["result_note"] for row in results if row["result_note"]] == ["fine", "too dark"]
    it.run("redo", "m", "--use-notes", "--yes", code=76)
    ledger = it.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (6, 0)


@pytest.mark.parametrize(
    "point", ["given_up", "taken_over", "renamed:before-import.sqlite", "renamed:checkpoint.sqlite"]
)
def test_an_import_that_is_cut_off_leaves_no_folder_that_buys(begun: Team, point: str) -> None:
    """Bought by the folder and by the store: both had the same jobs to buy."""
    it = begun
    killed = it.fork_server.start(*("runs", "--import", "outputs/m", "--store", it.url), cwd=it.folder, doom=(point, 1))
    assert killed.wait() == -signal.SIGKILL, killed.stderr
    for words in (("--yes", "--max-cost", "none"), ("--yes", "--max-cost", "none", "--on-doubt", "buy-again")):
        assert in_its_folder(it, "run", "m.csv", *words, code=None).returncode in {64, 74}
    if point != "renamed:checkpoint.sqlite":
        with_store = it.run("run", "m.csv", "--yes", "--max-cost", "none", code=64)
        assert "runs --import" in with_store.stderr
    assert it.sandbox.ledger()["accepted"] == 3
    assert it.run_without_service("runs", "--import", "outputs/m").stdout.count("everything adds up") == 2
    it.run("run", "m.csv", "--yes", "--max-cost", "none", code=76)
    ledger = it.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (5, 0)
    it.check_settled(1)


def test_a_run_that_does_not_add_up_is_not_taken_over(begun: Team) -> None:
    it = begun
    next((it.folder / "outputs" / "m" / "files").iterdir()).write_bytes(b"another picture")
    refused = it.run_without_service("runs", "--import", "outputs/m", code=74)
    assert "does not add up" in refused.stderr
    assert it.sql("SELECT count(*) FROM batchedit.run") == [(0,)]
    in_its_folder(it, "run", "m.csv", *ALONE, "--max-cost", "none", code=76)
    assert it.sandbox.ledger()["accepted"] == 5, "it is the folder's still"


def test_the_name_of_a_run_that_the_store_has_is_not_taken_twice(begun: Team, tmp_path: Path) -> None:
    it = begun
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(it.folder / "m.csv", elsewhere / "m.csv")
    it.run("run", "m.csv", "--yes", "--max-cost", "0.04", cwd=elsewhere, code=75)
    refused = it.run_without_service("runs", "--import", "outputs/m", code=64)
    assert "the store has a run m already" in refused.stderr
    (it.folder / "outputs" / "m").rename(it.folder / "outputs" / "spring")
    assert "the run spring" in it.run_without_service("runs", "--import", "outputs/spring").stdout


def test_a_refused_import_left_a_folder_that_bought_nothing_any_more(begun: Team) -> None:
    """It was told to type what had just been refused."""
    it = begun
    it.sql("INSERT INTO batchedit.run (name, model, service) VALUES ('m', 'another', 'elsewhere')")
    it.run_without_service("runs", "--import", "outputs/m", code=64)
    in_its_folder(it, "run", "m.csv", *ALONE, "--max-cost", "none", code=76)
    assert it.sandbox.ledger()["accepted"] == 5, "it is the folder's still"


@pytest.mark.parametrize("why", ["it is read-only", "the user is a worker"])
def test_an_import_to_an_address_that_takes_none_left_a_folder_that_no_other_took(begun: Team, why: str) -> None:
    """It had been given up for that address: neither could it be bought in, nor taken over into the primary."""
    it, code = begun, 73
    name = it.url.partition("?")[0].rpartition("/")[2]
    at = f"{it.url}&options=-c%20default_transaction_read_only%3Don"
    if why == "the user is a worker":
        it.sql(f"CREATE ROLE worker_of_{name} LOGIN")
        it.sql(f"GRANT batchedit_worker TO worker_of_{name}")
        at, code = it.url.replace("postgres@", f"worker_of_{name}@"), 77
    it.fork_server.run("runs", "--import", "outputs/m", "--store", at, cwd=it.folder, code=code)
    assert it.sql("SELECT name FROM batchedit.run") == []
    it.run_without_service("runs", "--import", "outputs/m")
    assert it.count_states() == {"in_doubt": 1, "done": 2, "planned": 2}


def test_a_run_that_has_pictures_of_a_run_of_the_store_is_no_copy_of_it(team: Callable[..., Team]) -> None:
    it = team(3)
    it.run("run", "m.csv", "--yes")
    shutil.copy(it.folder / "m.csv", it.folder / "n.csv")
    in_its_folder(it, "run", "n.csv", *ALONE)
    assert it.sandbox.ledger()["accepted"] == 3, "its pictures are those of the other run"
    assert "the run n" in it.run_without_service("runs", "--import", "outputs/n").stdout
    assert "everything adds up" in it.run_without_service("audit", "n").stdout


def test_the_runs_of_a_store_are_listed_with_what_to_type(begun: Team, tmp_path: Path) -> None:
    it = begun
    assert "there is no run yet" in it.run_without_service("runs").stdout
    it.run_without_service("runs", "--import", "outputs/m")
    output = it.run_without_service("runs", cwd=with_pictures(it, tmp_path / "elsewhere")).stdout
    assert "m (outputs/m): in doubt" in output
    assert "2 done, 1 in doubt, 2 to buy" in output
    assert "$0.08 spent, $0.04 in doubt" in output
    assert "batchedit run m --max-cost 0.2" in output
    it.sql("UPDATE batchedit.run SET halted = 'it went back in time'")
    assert "batchedit store lift m" in it.run_without_service("runs").stdout


def test_a_plan_says_what_the_store_has_and_writes_nothing(begun: Team, tmp_path: Path) -> None:
    """On a machine without a copy it counted everything as new."""
    it = begun
    it.run_without_service("runs", "--import", "outputs/m")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(it.folder / "m.csv", elsewhere / "m.csv")
    for folder in (elsewhere, it.folder):
        output = it.run("plan", "m.csv", "--price", "0.04", cwd=None if folder == it.folder else folder).stdout
        assert "$0.08" in output, output
    assert not (elsewhere / "outputs").exists()
    assert it.sandbox.ledger()["accepted"] == 3
