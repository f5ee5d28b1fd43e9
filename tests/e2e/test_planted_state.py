"""Files of a run's folder that came from somebody else: they decide nothing, and what they say is text."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.ledger.review_file import ReviewFile
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import environment, inside, manifest, on

BY_THE_CLOCK = """CREATE VIEW wishes (seq, at, who, name, value) AS
    SELECT CAST((julianday('now') - 2440587.5) * 86400 * 10 AS INTEGER), 1.0, 'x', 'max_cost', 'none'"""
WITH_ANOTHER = """CREATE TRIGGER more AFTER INSERT ON wishes WHEN new.name = 'concurrency'
    BEGIN INSERT INTO wishes (at, who, name, value) VALUES (1.0, 'x', 'max_cost', 'none'); END"""


@pytest.mark.parametrize("planted", [BY_THE_CLOCK, WITH_ANOTHER])
def test_a_planted_review_file_lifted_the_cap_and_40_were_bought_where_5_were_allowed(
    tmp_path: Path, planted: str
) -> None:
    manifest(tmp_path / "m.csv", 8)
    run = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        inside("run", "m.csv", *on(sandbox, "--max-cost", 0.08, "-j", 1), cwd=tmp_path, env=environment(), code=75)
        with ReviewFile(run).writing():
            pass
        with closing(sqlite3.connect(run / "review.sqlite")) as db, db:
            if planted == BY_THE_CLOCK:
                db.execute("DROP TABLE wishes")
            db.execute(planted)
        told = inside("run", "m.csv", *on(sandbox, "--max-cost", 0.2), cwd=tmp_path, env=environment(), code=74)
        assert "review.sqlite" in told.stderr
        assert sandbox.ledger()["accepted"] == 2


AGAIN = """CREATE TRIGGER again AFTER UPDATE ON jobs WHEN new.state = 'done'
    BEGIN UPDATE jobs SET state = 'planned' WHERE id = new.id; END"""


@pytest.mark.parametrize("tampering", [AGAIN, "DROP TRIGGER jobs_tally"])
def test_a_checkpoint_with_a_planted_trigger_or_without_the_one_that_sums_is_refused(
    tmp_path: Path, tampering: str
) -> None:
    """It would change what was bought behind the program's back, or the sums that the cap is weighed by."""
    manifest(tmp_path / "m.csv", 3)
    run = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        inside("run", "m.csv", *on(sandbox, "--max-cost", 0.04, "-j", 1), cwd=tmp_path, env=environment(), code=75)
        with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
            db.execute(tampering)
        for words in (["run", "m.csv", *on(sandbox, "--max-cost", "none")], ["fetch", "m"]):
            told = inside(*words, cwd=tmp_path, env=environment(), code=74)
            assert "which is not as batchedit makes it" in told.stderr
        assert sandbox.ledger()["accepted"] == 1


_MANY = (
    "INSERT INTO more WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
    "SELECT hex(randomblob(2000)) FROM n"
)


def plant_journal(database: Path, victim: Path) -> None:
    """A transaction of ``database`` that was under way when the machine went down, and that names ``victim`` as the file
    that holds it together with other databases.
    """
    journal, copy = database.with_name(f"{database.name}-journal"), database.with_name("copy")
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA cache_size = 1")
        db.execute("CREATE TABLE more (text)")
        db.execute(_MANY)
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE more SET text = text || 'x'")
        torn = journal.read_bytes()
        shutil.copy(database, copy)
        db.execute("ROLLBACK")
    copy.replace(database)
    name = str(victim).encode()
    page = 2**30 // 4096 + 1
    end = struct.pack(">I", page) + name + struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    journal.write_bytes(torn + bytes(-len(torn) % 512) + end)


@pytest.mark.parametrize("name", ["review.sqlite", "checkpoint.sqlite"])
def test_a_planted_journal_had_any_file_of_this_machine_deleted_by_a_look_at_the_run(tmp_path: Path, name: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    run, victim = tmp_path / "outputs" / "m", tmp_path / "victim.txt"
    victim.write_text("precious", encoding="utf-8")
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        inside("run", "m.csv", *on(sandbox), cwd=tmp_path, env=environment())
        with ReviewFile(run).writing():
            pass
        plant_journal(run / name, victim)
        for words in (["results", "m"], ["gallery", "m"], ["fetch", "m"], ["run", "m.csv", *on(sandbox)]):
            inside(*words, cwd=tmp_path, env=environment(), code=None)
            assert victim.exists(), words
        told = inside("run", "m.csv", *on(sandbox), cwd=tmp_path, env=environment(), code=74)
        assert f"{name}-journal names another file" in told.stderr


ODD = (
    {"jobs": [1]},
    {"jobs": {"done": "x"}},
    {"jobs": {}, "money": [1]},
    {"jobs": {}, "seconds_left": {"a": 1}},
    {"jobs": {}, "started_at": "y"},
    {"jobs": {}, "at": 1e300},
    {"jobs": {"done": None}},
    {"jobs": {"planned": 1}, "last_word": {"at": 1e15}},
    {"jobs": {}, "seconds_left": {"half": None, "nine_in_ten": 1}},
    {"jobs": {"planned": 3}, "stopped": 3, "hint": ["x"]},
    {"jobs": {"planned": 3}, "last_word": [1], "last_pictures": 7},
    {"jobs": {"planned": 3}, "last_word": {"at": "x"}, "code": "x"},
)


def test_status_ended_in_a_raw_exception_over_a_planted_live_json(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        inside("run", "m.csv", *on(sandbox), cwd=tmp_path, env=environment())
    for odd in ODD:
        told = {"format": 1, "phase": "ended", **odd}
        (tmp_path / "outputs" / "m" / "live.json").write_text(json.dumps(told), encoding="utf-8")
        for words in (["status", "m"], ["status", "m", "--json"], ["status", "m", "--watch"], ["runs"]):
            inside(*words, cwd=tmp_path, env=environment())
