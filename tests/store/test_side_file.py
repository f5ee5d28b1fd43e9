"""The side file of a worker's folder: of which purchase an id is, of which run, and who may have put it there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.take_in_rescued_ids import take_in_for_worker
from batchedit.core.events import Accepted, Event, Lost, Released, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, Record, State
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.rescue_file import NAME, read_kept_ids, rescue
from tests.store.test_rescued import bought_beside, row, went_back
from tests.support.factories import make_line
from tests.support.postgres import MODEL, new_run
from tests.support.store_team import Team

PROBLEM = Problem(Kind.LOST, "no answer")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[PostgresLedger]:
    url, run = new_run([make_line(1)])
    with closing(PostgresLedger(url, run, MODEL, tmp_path)) as opened:
        yield opened


def now(ledger: PostgresLedger) -> Record:
    record = ledger.record(1)
    assert record is not None
    return record


def play(ledger: PostgresLedger, *events: Event) -> Record:
    record = now(ledger)
    for event in events:
        record = ledger.save_now(advance(record, event), event)
    return record


def take_in(ledger: PostgresLedger, folder: Path) -> list[str]:
    messages: list[str] = []
    take_in_for_worker(ledger, folder, messages.append)
    return messages


def ids(folder: Path) -> list[str]:
    return [rescued.event.handle.request_id for rescued in read_kept_ids(folder)]


def test_the_line_of_a_machine_that_came_back_ended_the_doubt_about_a_later_purchase(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    """A person had released the job meanwhile, and another worker bought it: that second POST was asked about no more."""
    ledger.rescue(play(ledger, Reserved(1.0, 10)), Accepted(2.0, Handle("req-first")))
    play(ledger, Lost(2.0, PROBLEM), Released(3.0, "a person"), Reserved(4.0, 10), Lost(5.0, PROBLEM))
    (message,) = take_in(ledger, tmp_path)
    assert "req-first" in message
    assert now(ledger).state is State.IN_DOUBT
    assert ledger.ask("SELECT request_id, stood FROM batchedit.orphan WHERE run = %s", ledger.run) == [
        ("req-first", "in_doubt")
    ]
    assert ids(tmp_path) == []


def test_the_line_of_a_machine_that_came_back_took_the_place_of_the_answer_to_a_later_purchase(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    """Its sender was alive: the id that it got was an orphan, and it bought nothing more."""
    ledger.rescue(play(ledger, Reserved(1.0, 10)), Accepted(2.0, Handle("req-first")))
    sent = play(ledger, Lost(2.0, PROBLEM), Released(3.0, "a person"), Reserved(4.0, 10))
    assert len(take_in(ledger, tmp_path)) == 1
    answer = Accepted(5.0, Handle("req-second"))
    assert ledger.save_now(advance(sent, answer), answer).handle == Handle("req-second")


def test_two_workers_of_one_folder_took_the_same_line_in_and_one_of_them_ended(
    ledger: PostgresLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other had changed the job since it was read."""
    rescue(tmp_path, 1, now(ledger).job.key, Accepted(9.0, Handle("req-1")))
    save_now, first = PostgresLedger.save_now, [True]

    def overtaken(self: PostgresLedger, record: Record, event: Event, **more: Any) -> Record:
        if first:
            first.clear()
            save_now(self, record, event, **more)
        return save_now(self, record, event, **more)

    monkeypatch.setattr(PostgresLedger, "save_now", overtaken)
    assert take_in(ledger, tmp_path) == []
    assert (now(ledger).state, now(ledger).handle) == (State.WAITING, Handle("req-1"))
    assert ids(tmp_path) == []


def test_a_line_whose_job_changes_all_the_time_waits_for_the_next_look(
    ledger: PostgresLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rescue(tmp_path, 1, now(ledger).job.key, Accepted(9.0, Handle("req-1")))
    save_now = PostgresLedger.save_now

    def overtaken(self: PostgresLedger, record: Record, event: Event, **more: Any) -> Record:
        return save_now(self, record._replace(serial=record.serial - 1), event, **more)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresLedger, "save_now", overtaken)
        take_in(ledger, tmp_path)
        assert ids(tmp_path) == ["req-1"]
    assert take_in(ledger, tmp_path) == []
    assert now(ledger).handle == Handle("req-1")


# --- real commands ---


@pytest.fixture
def it(team: Callable[..., Team]) -> Team:
    """Three of three jobs are bought, and the second stands as it did before: a worker has something to do. The copy in the
    folder is gone: it would remember.
    """
    it = team(3, latency="0.1")
    it.run("run", "m.csv", "--yes")
    went_back(it, 2)
    for path in (it.folder / "outputs" / "m").glob("checkpoint.sqlite*"):
        path.unlink()
    return it


def put_aside(it: Team, folder: Path, request_id: str) -> None:
    ((key,),) = it.sql("SELECT key FROM batchedit.request WHERE id = 2")
    folder.mkdir(parents=True, exist_ok=True)
    rescue(folder, 2, bytes(key), Accepted(9.0, Handle(request_id)))


def test_a_worker_wrote_into_the_folder_of_another_run_of_that_name(it: Team, tmp_path: Path) -> None:
    """A person has a run of a folder there, made from the same sheet. Each would have taken in the other's ids."""
    place = tmp_path / "a person's"
    place.mkdir()
    (place / "m.csv").write_bytes((tmp_path / "m.csv").read_bytes())
    it.fork_server.run("run", "m.csv", "--yes", "--base-url", it.sandbox.url, cwd=place, state=place / "state")
    posts = it.sandbox.ledger()["accepted"]
    lost = bought_beside(it)
    put_aside(it, place / "outputs" / "m", lost)
    errors = it.run("work", "--until-idle", cwd=place, code=64).stderr
    assert "the folder outputs/m has another run than m of the store" in errors
    assert ids(place / "outputs" / "m") == [lost]
    assert row(it, 2)[0] == "planned"
    assert it.sandbox.ledger()["accepted"] == posts + 1, "that is the one put aside"


def test_a_run_of_the_store_s_own_name_leads_no_worker_out_of_its_folder(it: Team, tmp_path: Path) -> None:
    it.sql("UPDATE batchedit.run SET name = %s", str(tmp_path / "elsewhere"))
    errors = it.run("work", "--until-idle", code=64).stderr
    assert "which is no name of a folder" in errors
    assert not (tmp_path / "elsewhere").exists()


def a_link(path: Path) -> None:
    path.with_name("letter").write_text("Dear Sir")
    path.symlink_to("letter")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("name", [NAME, f"{NAME}.taken-in"])
@pytest.mark.parametrize("put_there", [a_link, a_folder, a_pipe])
@pytest.mark.parametrize("words", [("work", "--until-idle"), ("run", "m.csv", "--yes")], ids=["work", "run"])
def test_where_ids_cannot_be_kept_nothing_is_bought(
    it: Team, tmp_path: Path, name: str, put_there: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    """A worker bought on, waited for a pipe without end, or ended with a Python error."""
    folder = tmp_path / "outputs" / "m"
    posts = it.sandbox.ledger()["accepted"]
    put_there(folder / name)
    if name != NAME:
        lost = bought_beside(it)
        put_aside(it, folder, lost)
    errors = it.run(*words, code=73).stderr
    assert f"{name} is a link, or a file with a second name elsewhere" in errors
    with suppress(FileNotFoundError):
        assert (folder / "letter").read_text() == "Dear Sir"
    if name == NAME:
        assert it.sandbox.ledger()["accepted"] == posts
        return
    assert ids(folder) == [lost]
    (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
    it.run(*words)
    assert row(it, 2) == ("done", lost)
    assert it.sandbox.ledger()["accepted"] == posts + 1, "bought a second time"
    assert lost in (folder / name).read_text()
