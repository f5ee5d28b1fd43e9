"""A register of runs, or a store of link checks, that is not as batchedit makes it: told or begun anew, and nothing is bought
twice. The sandbox is the witness.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.core.errors import OutputError
from batchedit.disk import ForeignFileError
from batchedit.images.link_cache import LinkCache, digest_link
from batchedit.images.link_probe import FINE, Answer
from batchedit.ledger.register import Entry, Register
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import manifest, on, run_cli


def make_database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def another_programs(path: Path) -> None:
    make_database(path, "CREATE TABLE bookmarks (url TEXT)", "INSERT INTO bookmarks VALUES ('kept')")


def with_a_trigger(path: Path) -> None:
    Register(path.parent).enter(Entry(path.parent, "s.csv", "service", "model"))
    make_database(path, "CREATE TRIGGER forgets AFTER INSERT ON runs BEGIN DELETE FROM runs; END")


def with_costs_in_words(path: Path) -> None:
    make_database(
        path,
        "CREATE TABLE costs (service TEXT, model TEXT, cost TEXT, PRIMARY KEY (service, model))",
        "INSERT INTO costs VALUES ('service', 'model', 'dear')",
    )


def a_link(path: Path) -> None:
    another_programs(path.with_name("elsewhere.sqlite"))
    path.symlink_to(path.with_name("elsewhere.sqlite"))


STRANGE = [another_programs, with_a_trigger, with_costs_in_words, a_link]


@pytest.mark.parametrize("plant", STRANGE)
def test_a_strange_register_is_told_and_left_as_it_is(plant: Callable[[Path], None], tmp_path: Path) -> None:
    """Another program's file got our tables, a trigger was at work, and a cost in words ended in a traceback."""
    plant(tmp_path / "register.sqlite")
    before = (tmp_path / "register.sqlite").read_bytes()
    register = Register(tmp_path)
    register.enter(Entry(tmp_path / "run", "s.csv", "service", "model"))
    assert (register.list_entries(), register.find_cost("service", "model")) == ([], 0)
    assert "can't be used" in register.problem
    assert register.take_failure() is None
    assert (tmp_path / "register.sqlite").read_bytes() == before


def test_nothing_is_bought_twice_beside_a_strange_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "tmp").mkdir()
    another_programs(tmp_path / "state" / "register.sqlite")
    monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        for place in ("a", "b"):
            (tmp_path / place).mkdir()
            sheet = manifest(tmp_path / place / "s.csv", 2)
            ended = run_cli("run", sheet, *on(sandbox), cwd=tmp_path / place)
            assert "warning: the register of runs" in ended.stderr
        assert sandbox.ledger()["accepted"] == 2


def damaged(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


@pytest.mark.parametrize("plant", [another_programs, damaged])
def test_a_strange_store_of_link_checks_is_begun_anew(plant: Callable[[Path], None], tmp_path: Path) -> None:
    plant(tmp_path / "links.sqlite")
    cache, digest = LinkCache(tmp_path / "links.sqlite"), digest_link("https://images.example.com/a.png")
    with closing(cache):
        cache.put([(digest, Answer(FINE, at=1.0))])
        assert cache.get(digest) == Answer(FINE, at=1.0)


def test_a_kept_answer_of_other_types_is_none(tmp_path: Path) -> None:
    """A time in words ended in a traceback."""
    path, digest = tmp_path / "links.sqlite", digest_link("https://images.example.com/a.png")
    LinkCache(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO links VALUES (?, ?, '', 0, '', '', 'yesterday')", (digest, FINE))
    with closing(LinkCache(path)) as cache:
        assert cache.get(digest) is None


def test_a_store_of_link_checks_never_writes_through_a_link(tmp_path: Path) -> None:
    another_programs(tmp_path / "elsewhere.sqlite")
    (tmp_path / "links.sqlite").symlink_to(tmp_path / "elsewhere.sqlite")
    with pytest.raises(ForeignFileError):
        LinkCache(tmp_path / "links.sqlite")


def test_a_store_of_link_checks_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A disk that refused an answer ended in sqlite3's traceback."""
    path = tmp_path / "links.sqlite"
    LinkCache(path).close()
    with closing(LinkCache(path)) as cache:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DROP TABLE links")
        with pytest.raises(OutputError, match=r"links\.sqlite can't be used"):
            cache.get(b"")
