"""Two people, two folders, one store: what each of them types about a run that the other began."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import manifest, rows
from tests.support.fork_server import Child
from tests.support.store_team import Team


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of another machine."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def there(it: Team, folder: Path, *words: object, code: int | None = 0) -> Child:
    """A command of the other person, run to its end."""
    before, it.folder = it.folder, folder
    try:
        return it.run(*words, code=code)
    finally:
        it.folder = before


def test_another_sheet_of_the_same_name_is_no_edit_of_the_run(team: Callable[..., Team], elsewhere: Path) -> None:
    """A run is found in the store by its name: a second spring.csv, of other products, took the first one's place."""
    it = team(3)
    it.run("run", "m.csv", "--yes")
    manifest(elsewhere / "m.csv", 3, prefix="lamp")
    refused = there(it, elsewhere, "run", "m.csv", "--yes", code=64)
    assert "no picture in common" in refused.stderr
    assert "--out outputs/m-2" in refused.stderr
    assert it.sandbox.ledger()["accepted"] == 3
    assert [n for (n,) in it.sql("SELECT count(*) FROM batchedit.job")] == [3]
    there(it, elsewhere, "run", "m.csv", "--yes", "--out", "outputs/m-2")
    assert it.sql("SELECT name FROM batchedit.run ORDER BY id") == [("m",), ("m-2",)]
    assert it.sandbox.ledger()["accepted"] == 6


def test_the_same_path_on_another_machine_is_another_sheet(team: Callable[..., Team]) -> None:
    """Two containers have both /data/m.csv: the path says nothing of what is in it."""
    it = team(3)
    it.run("run", "m.csv", "--yes")
    it.sql("UPDATE batchedit.fact SET value = 'another machine' WHERE name = 'source_host'")
    shutil.rmtree(it.folder / "outputs")
    manifest(it.folder / "m.csv", 3, prefix="lamp")
    refused = it.run("run", "m.csv", "--yes", code=64)
    assert "no picture in common" in refused.stderr
    assert it.sandbox.ledger()["accepted"] == 3


def gone(it: Team) -> None:
    """The machine that began the run is not there any more."""
    (it.folder / "outputs").rename(it.folder / "on another machine")


def test_results_of_a_run_that_somebody_else_began(team: Callable[..., Team], elsewhere: Path) -> None:
    """The manifest's copy lay on the first machine alone: no other could write the results."""
    it = team(4)
    it.run("run", "m.csv", "--yes")
    gone(it)
    it.fork_server.run("results", "m", "--store", it.url, "--format", "jsonl", cwd=elsewhere)
    assert Counter(row["result_status"] for row in rows(elsewhere / "outputs" / "m")) == {"done": 4}
    assert (elsewhere / "outputs" / "m" / "manifest.csv").read_bytes() == (it.folder / "m.csv").read_bytes()
    wrong = it.fork_server.run("results", "spring", "--store", it.url, cwd=elsewhere, code=66)
    assert "it has: m" in wrong.stderr
    assert not (elsewhere / "outputs" / "spring").exists()


def test_what_is_in_doubt_is_bought_again_from_another_machine(team: Callable[..., Team], elsewhere: Path) -> None:
    it = team(3, faults=("submit:drop_after=at:1",))
    it.run("run", "m.csv", "--yes", code=76)
    assert it.count_states() == {"in_doubt": 1, "done": 2}
    gone(it)
    it.fork_server.run("doubt", "m", "--store", it.url, cwd=elsewhere, code=76)
    it.sql("UPDATE batchedit.job SET quarantine = now() + interval '100 s' WHERE state = 'in_doubt'")
    early = there(it, elsewhere, "doubt", "m", "--buy-again", "all", "--yes", "--mine", code=64)
    assert "may still be on its way" in early.stderr
    waits = there(it, elsewhere, "run", "m", "--on-doubt", "buy-again", "--yes", "--mine", code=76)
    assert "may still be on its way" in waits.stderr
    assert it.count_states() == {"in_doubt": 1, "done": 2}
    it.sql("UPDATE batchedit.job SET quarantine = NULL")
    there(it, elsewhere, "doubt", "m", "--buy-again", "all", "--yes", "--mine")
    assert Counter(row["result_status"] for row in rows(elsewhere / "outputs" / "m")) == {"done": 3}
    assert it.sandbox.ledger()["accepted"] == 4


def test_what_failed_is_bought_anew_once_from_another_machine(team: Callable[..., Team], elsewhere: Path) -> None:
    """A second person who types the same a moment later finds nothing left."""
    it = team(3, faults=("job:failed=at:2",))
    it.run("run", "m.csv", "--yes", code=1)
    assert it.count_states() == {"failed": 1, "done": 2}
    there(it, elsewhere, "retry", "m", "--yes", "--mine")
    assert it.count_states() == {"done": 3}
    assert it.sandbox.ledger()["accepted"] == 4
    it.run("retry", "m.csv", "--yes", code=None)
    assert it.sandbox.ledger()["accepted"] == 4
    assert "everything adds up" in it.fork_server.run("audit", "m", "--store", it.url, cwd=elsewhere).stdout


def test_two_runs_at_the_places_of_one_account_both_end(team: Callable[..., Team], elsewhere: Path) -> None:
    """A run whose places another one has waits for them, and is not out of money."""
    it = team(4)
    it.fork_server.run("store", "limits", it.url, "--in-flight", "1", "--max-cost", "0.28", cwd=it.folder)
    manifest(it.folder / "n.csv", 4, prefix="lamp")
    both = [it.start("run", sheet, "--yes") for sheet in ("m.csv", "n.csv")]
    codes = sorted(child.wait() for child in both)
    assert codes == [0, 75], [child.stderr for child in both]
    assert any("budget of the account is used up" in child.stdout + child.stderr for child in both)
    assert it.sandbox.ledger()["accepted"] == 7


def test_who_may_work_looks_and_decides_about_pictures_and_lets_no_money_out(
    team: Callable[..., Team], elsewhere: Path
) -> None:
    """Who had the right to work was told to get the right to work."""
    it = team(3, faults=("job:failed=at:2",))
    it.run("run", "m.csv", "--yes", code=1)
    it.sql("CREATE ROLE dora LOGIN")
    it.sql("GRANT batchedit_worker TO dora")
    ((key,),) = it.sql("SELECT encode(key, 'hex') FROM batchedit.request WHERE id = 1")
    (elsewhere / "d.csv").write_text(f"job,decision,note,when\nk{key},approve,,\n")
    shutil.copytree(it.folder / "outputs" / "m" / "files", elsewhere / "outputs" / "m" / "files")
    it.url = it.url.replace("postgres@", "dora@")
    it.run("work", "--until-idle", cwd=elsewhere)
    for words in ("workers", "runs", "status m", "results m", "audit m", "doubt m", "review m --import d.csv"):
        it.run_without_service(*words.split(), cwd=elsewhere)
    it.run_without_service("deliver", "m", "--to", "out", cwd=elsewhere)
    for words in ("run m", "retry m"):
        refused = it.run(*words.split(), "--yes", "--mine", cwd=elsewhere, code=77).stderr
        assert "takes the role of the store's owner" in refused
    assert it.sandbox.ledger()["accepted"] == 3
