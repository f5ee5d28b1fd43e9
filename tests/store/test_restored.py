"""A store that was restored from a backup: to its last transaction elsewhere, or to an earlier moment."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import manifest
from tests.support.fork_server import ForkServer
from tests.support.postgres import Server, new_database
from tests.support.store_team import QUICK, Team

pytestmark = pytest.mark.timeout(300)
JOBS = 3


@pytest.fixture
def it(tmp_path: Path, fork_server: ForkServer, server: Server) -> Iterator[Team]:
    """One of three is bought."""
    manifest(tmp_path / "m.csv", JOBS)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        it = Team(tmp_path, fork_server, sandbox, new_database(url=server.url))
        it.run("run", "m.csv", "--yes", "--max-cost", "0.05", code=None)
        yield it


def busy(url: str, transactions: int) -> None:
    """The server has had so many more."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for _ in range(transactions):
            connection.execute("SELECT pg_current_xact_id()")


def yes_to_the_rest(it: Team) -> None:
    it.sql("UPDATE batchedit.run SET max_cost = NULL")
    it.sql("UPDATE batchedit.job SET leave = 1 WHERE state = 'planned'")


def test_a_folder_heard_no_news_of_a_store_that_was_dumped_and_restored(it: Team, server: Server) -> None:
    """The new server counts its transactions anew, and the copy waited for numbers that were to come some day."""
    busy(it.url, 3000)
    it.run_without_service("status", "m")
    dump = server.folder / "dump"
    name = it.url.partition("?")[0].rpartition("/")[2]
    about = ("-h", server.socket, "-U", "postgres")
    server.tool("pg_dump", "-Fc", "-f", server.folder / "data" / "dump", *about, name)
    (server.folder / "data" / "dump").replace(dump)
    server.stop("fast")
    other = Server()
    other.stop("fast")
    other.ctl("-l", str(other.folder / "data" / "log"), "-o", f'-h "" -k {server.socket}', "start")
    try:
        server.tool("createdb", *about, name)
        server.tool("psql", *about, "-c", "CREATE ROLE batchedit_worker NOLOGIN")  # a dump of a database has no roles
        server.tool("pg_restore", "-d", name, *about, dump)
        yes_to_the_rest(it)
        it.run("work", "--until-idle")
        assert it.count_states() == {"done": JOBS}
        assert f"{JOBS} done" in it.run_without_service("status", "m").stdout
        it.run("run", "m.csv", "--yes")
        assert it.sandbox.ledger()["accepted"] == JOBS
    finally:
        other.stop("fast")


def test_a_store_of_an_earlier_moment_was_believed_by_a_folder_that_knew_more(it: Team, server: Server) -> None:
    """Nobody said a word, and the next worker bought again what the folder had the ids of."""
    data, backup = server.folder / "data", server.folder / "backup"
    yes_to_the_rest(it)
    server.stop("fast")
    subprocess.run(["cp", "-a", data, backup], check=True)
    server.start()
    it.run("run", "m.csv", "--yes")
    assert it.count_states() == {"done": JOBS}
    server.stop("fast")
    shutil.rmtree(data)
    backup.replace(data)
    server.start()
    assert it.count_states() == {"done": 1, "planned": JOBS - 1}
    for words in (("run", "m.csv", "--yes"), ("status", "m")):
        errors = it.run(*words, code=74).stderr if words[0] == "run" else it.run_without_service(*words, code=74).stderr
        assert "it went back in time" in errors
        assert "checkpoint.sqlite: move that file away and keep it" in errors
        assert "batchedit store lift m" in errors
    assert "nothing is bought in the run m any more" in it.run("work", "--until-idle", code=74).stderr
    assert it.sandbox.ledger()["accepted"] == JOBS
    # As the page on backups says: the ids are kept, and a person lets the run buy again.
    copy = it.folder / "outputs" / "m" / "checkpoint.sqlite"
    copy.rename(it.folder / "kept.sqlite")
    it.run_without_service("store", "lift", "m")
    it.run_without_service("status", "m")
