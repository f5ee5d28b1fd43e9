"""The register of a person's runs: an index that heals itself, and whose turn it is to look up."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.core.errors import LockedError
from batchedit.ledger.register import NAME, Entry, Register


def run_in(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "checkpoint.sqlite").touch()
    return place


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "state")


def test_it_lies_where_the_variable_says(tmp_path: Path) -> None:
    assert Register.from_environ({"BATCHEDIT_STATE": str(tmp_path)}).folder == tmp_path
    assert "batchedit" in Register.from_environ({}).folder.parts


def test_a_run_that_is_gone_is_left_out_and_is_back_when_its_disk_is(register: Register, tmp_path: Path) -> None:
    here, gone = run_in(tmp_path / "a" / "s"), run_in(tmp_path / "usb" / "s")
    for folder in (here, gone):
        register.enter(Entry(folder, source="/sheets/s.csv", service="sandbox", model="m", account="x"))
    (tmp_path / "usb").rename(tmp_path / "unplugged")
    assert [entry.folder for entry in register.list_entries()] == [here]
    (tmp_path / "unplugged").rename(tmp_path / "usb")
    assert {entry.folder for entry in register.list_entries()} == {here, gone}


def test_what_an_entry_does_not_tell_stays_as_it_was(register: Register, tmp_path: Path) -> None:
    folder = run_in(tmp_path / "s")
    register.enter(Entry(folder, source="/sheets/s.csv", service="sandbox", model="m", account="x"))
    register.enter(Entry(folder, service="sandbox", model="m"))
    [entry] = register.list_entries()
    assert (entry.source, entry.account) == ("/sheets/s.csv", "x")
    assert entry.used_at >= entry.made_at > 0


def test_a_damaged_register_is_put_aside_and_runs_beside_known_ones_are_found(
    register: Register, tmp_path: Path
) -> None:
    folder = run_in(tmp_path / "outputs" / "s")
    register.enter(Entry(folder, service="sandbox"))
    (register.folder / NAME).write_bytes(b"no database at all" * 500)
    assert register.list_entries() == []
    assert (register.folder / f"{NAME}.damaged").exists()
    assert register.list_folders(tmp_path / "outputs") == [folder]
    register.enter(Entry(folder, service="sandbox"))
    other = run_in(tmp_path / "outputs" / "by the first edition")
    assert set(register.list_folders()) == {folder, other}


def test_a_state_folder_that_can_not_be_written_ends_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    register = Register(tmp_path / "file" / "state")
    register.enter(Entry(tmp_path, service="sandbox"))
    assert register.list_entries() == []
    with register.hold_turn(), register.mark_buying(tmp_path):
        assert not register.is_buying(tmp_path)
    assert "other runs are not looked up" in register.problem


def test_a_register_of_another_shape_ends_nothing(register: Register, tmp_path: Path) -> None:
    register.folder.mkdir()
    with closing(sqlite3.connect(register.folder / NAME)) as db, db:
        db.execute("CREATE TABLE runs (other TEXT)")
    register.enter(Entry(run_in(tmp_path / "s"), service="sandbox"))
    assert register.list_entries() == []
    assert register.problem


def _buy(state: str, run: str, begun: object, over: object) -> None:
    with Register(Path(state)).mark_buying(Path(run)):
        begun.set()
        over.wait(30)


def test_who_buys_is_seen_by_others_until_its_process_ends(register: Register, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun, over = context.Event(), context.Event()
    buyer = context.Process(target=_buy, args=(str(register.folder), str(tmp_path), begun, over))
    buyer.start()
    assert begun.wait(30)
    with register.hold_turn():
        assert register.is_buying(tmp_path)
        assert not register.is_buying(tmp_path / "other")
    buyer.kill()
    buyer.join()
    with register.hold_turn():
        assert not register.is_buying(tmp_path)


def test_looking_up_takes_turns(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchedit.ledger.register.TURN_SECONDS", 0.1)
    with (
        register.hold_turn(),
        pytest.raises(LockedError, match="another batchedit has been busy"),
        Register(register.folder).hold_turn(),
    ):
        pass


def test_what_a_picture_came_to_is_known_to_the_next_run_of_this_model_and_service(tmp_path: Path) -> None:
    register = Register(tmp_path)
    assert register.find_cost("https://a", "m") == 0
    register.keep_cost("https://a", "m", 40_000)
    register.keep_cost("https://a", "m", 50_000)
    assert [register.find_cost(*asked) for asked in (("https://a", "m"), ("https://a", "n"), ("https://b", "m"))] == [
        50_000,
        0,
        0,
    ]


def test_a_register_without_costs_gets_them(tmp_path: Path) -> None:
    """It was made before costs were kept in it."""
    Register(tmp_path).enter(Entry(tmp_path))
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        db.execute("DROP TABLE costs")
    register = Register(tmp_path)
    register.keep_cost("https://a", "m", 40_000)
    assert (register.find_cost("https://a", "m"), register.problem) == (40_000, "")
