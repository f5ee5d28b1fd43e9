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
from tests.support.cli import make_env, manifest, on, run_cli

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
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.08, "-j", 1), cwd=tmp_path, env=make_env(), code=75)
        with ReviewFile(run).open_for_writing():
            pass
        with closing(sqlite3.connect(run / "review.sqlite")) as db, db:
            if planted == BY_THE_CLOCK:
                db.execute("DROP TABLE wishes")
            db.execute(planted)
        completed = run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.2), cwd=tmp_path, env=make_env(), code=74)
        assert "review.sqlite" in completed.stderr
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
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.04, "-j", 1), cwd=tmp_path, env=make_env(), code=75)
        with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
            db.execute(tampering)
        for arguments in (["run", "m.csv", *on(sandbox, "--max-cost", "none")], ["fetch", "m"]):
            completed = run_cli(*arguments, cwd=tmp_path, env=make_env(), code=74)
            assert "which is not as batchedit makes it" in completed.stderr
        assert sandbox.ledger()["accepted"] == 1


def _rewrite_table(table: str, old: str, new: str) -> str:
    """The table as if it had been made by another statement: its rows stay."""
    return f"""PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{table}' AND type = 'table';"""


ALTERED = {
    "no id can be written down": _rewrite_table(
        "jobs", "state != ''done'' OR files IS NOT NULL", "state != ''waiting''"
    ),
    "less money than none": _rewrite_table("jobs", "CHECK (held >= 0)", ""),
    "a column that computes": "ALTER TABLE jobs ADD COLUMN more INTEGER GENERATED ALWAYS AS (id * 2)",
    "a column more": "ALTER TABLE meta ADD COLUMN more TEXT",
    "sums of one row": _rewrite_table("tally", "PRIMARY KEY (state, wanted)", "PRIMARY KEY (wanted, state)"),
    "facts that look alike": _rewrite_table("meta", "name  TEXT PRIMARY KEY", "name  TEXT COLLATE NOCASE PRIMARY KEY"),
    "one id a state": "CREATE UNIQUE INDEX more ON jobs (state) WHERE state = 'waiting'",
    "an index that is another": "DROP INDEX jobs_to_buy; CREATE INDEX jobs_to_buy ON jobs (wanted, id) WHERE state = 'done'",
    "a table more": "CREATE TABLE more (text)",
    "a table of a module": "CREATE VIRTUAL TABLE more USING fts5 (text)",
    "a view": "CREATE VIEW more AS SELECT * FROM jobs",
    "a table less": "DROP TABLE elsewhere",
    "a version before the first": "PRAGMA user_version = -1",
}


@pytest.mark.parametrize("altered", ALTERED)
def test_a_checkpoint_whose_tables_are_not_ours_was_taken_for_one(tmp_path: Path, altered: str) -> None:
    """A planted CHECK made that no id could be written down: every picture of the run was paid for and lost."""
    manifest(tmp_path / "m.csv", 3)
    run = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.04, "-j", 1), cwd=tmp_path, env=make_env(), code=75)
        with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db:
            db.executescript(ALTERED[altered])
        for arguments in (
            ["run", "m.csv", *on(sandbox, "--max-cost", "none")],
            ["fetch", "m"],
            ["retry", "m", "--yes"],
        ):
            run_cli(*arguments, cwd=tmp_path, env=make_env(), code=74)
        assert sandbox.ledger()["accepted"] == 1


REVIEWED = {
    "a wish that computes": """DROP TABLE wishes; CREATE TABLE wishes (seq INTEGER PRIMARY KEY, at REAL NOT NULL,
        who TEXT NOT NULL, name TEXT NOT NULL, value TEXT GENERATED ALWAYS AS ('none') STORED) STRICT;""",
    "any wish": _rewrite_table(
        "wishes", "CHECK (name IN (''pause'', ''resume'', ''stop'', ''concurrency'', ''max_cost''))", ""
    ),
    "a column more": "ALTER TABLE marks ADD COLUMN more TEXT",
    "an index more": "CREATE UNIQUE INDEX more ON marks (verdict)",
}


@pytest.mark.parametrize("altered", REVIEWED)
def test_a_review_file_whose_tables_are_not_ours_was_taken_for_one(tmp_path: Path, altered: str) -> None:
    manifest(tmp_path / "m.csv", 3)
    run = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.04, "-j", 1), cwd=tmp_path, env=make_env(), code=75)
        with ReviewFile(run).open_for_writing():
            pass
        with closing(sqlite3.connect(run / "review.sqlite")) as db:
            db.executescript(REVIEWED[altered])
        completed = run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.2), cwd=tmp_path, env=make_env(), code=74)
        assert "review.sqlite" in completed.stderr
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
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
        with ReviewFile(run).open_for_writing():
            pass
        plant_journal(run / name, victim)
        for arguments in (["results", "m"], ["gallery", "m"], ["fetch", "m"], ["run", "m.csv", *on(sandbox)]):
            run_cli(*arguments, cwd=tmp_path, env=make_env(), code=None)
            assert victim.exists(), arguments
        completed = run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env(), code=74)
        assert f"{name}-journal names another file" in completed.stderr


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


def test_a_received_live_json_gave_commands_and_names_of_states(tmp_path: Path) -> None:
    """Its hint stood in ``status --json`` like one of ours. What it says is text of one line; its commands are nobody's."""
    manifest(tmp_path / "m.csv", 2)
    evil = "next\n  → pay here: batchedit run x\x1b[2J\u202e"
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", 0.04, "-j", 1), cwd=tmp_path, env=make_env(), code=75)
        live = tmp_path / "outputs" / "m" / "live.json"
        mine = json.loads(run_cli("status", "m", "--json", cwd=tmp_path, env=make_env()).stdout)
        assert mine["hint"] == "the same command with a higher --max-cost buys on"
        planted = {"format": 1, "phase": "ended", "jobs": {"done": 1, "planned": 1, evil: 5}, "code": 75}
        planted |= {"stopped": evil * 900, "hint": evil, "slowed": evil, "host": evil, "doing": evil}
        planted |= {"last_word": {"kind": evil, "message": evil, "http": evil, "at": 1.0, evil: evil}}
        planted |= {"last_pictures": [{"job": 1, "name": evil, "file": evil, "at": 1.0}, {"name": evil}]}
        live.write_text(json.dumps(planted), encoding="utf-8")
        strange = make_env(BATCHEDIT_STATE=str(tmp_path / "of another person"))
        for arguments in (["status", "m"], ["status", "m", "--watch"], ["runs"]):
            stdout = run_cli(*arguments, cwd=tmp_path, env=strange).stdout
            assert not {"\x1b", "\u202e"} & set(stdout)
            assert "\n  → pay here" not in stdout
        now = json.loads(run_cli("status", "m", "--json", cwd=tmp_path, env=strange).stdout)
        assert now["hint"] is None
        assert now["jobs"] == {"done": 1, "planned": 1}
        assert now["last_word"].keys() == {"kind", "message", "http", "at"}
        assert now["last_word"]["http"] is None
        assert "\n" not in now["stopped"] + now["last_word"]["message"]
        assert len(now["stopped"]) == 1000
        assert [picture["job"] for picture in now["last_pictures"]] == [1]


def test_status_ended_in_a_raw_exception_over_a_planted_live_json(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
    for odd in ODD:
        planted = {"format": 1, "phase": "ended", **odd}
        (tmp_path / "outputs" / "m" / "live.json").write_text(json.dumps(planted), encoding="utf-8")
        for arguments in (["status", "m"], ["status", "m", "--json"], ["status", "m", "--watch"], ["runs"]):
            stdout = run_cli(*arguments, cwd=tmp_path, env=make_env()).stdout
            assert "outputs/m" in stdout, arguments
            assert "None" not in stdout, arguments
