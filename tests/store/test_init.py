"""``batchedit store init``, and stores that no worker may rely on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from batchedit.core.errors import CheckpointVersionError, UsageError
from batchedit.ledger.postgres import store
from batchedit.ledger.postgres.errors import map_postgres_error
from batchedit.ledger.postgres.schema import find_newest_version
from batchedit.ledger.postgres.url import hide_password
from tests.support.cli import make_env, run_cli
from tests.support.postgres import new_database, shared, shared_store, with_database


def changed(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_second_init_is_harmless(tmp_path: Path) -> None:
    url = new_database(store=False)
    done = run_cli("store", "init", url, cwd=tmp_path)
    assert "is made; its version is" in done.stdout
    assert "fsync on, synchronous_commit on" in done.stdout
    changed(url, "INSERT INTO batchedit.run (name, model, service) VALUES ('spring', 'm', 's')")
    again = run_cli("store", "init", cwd=tmp_path, env=make_env(BATCHEDIT_STORE=url))
    assert "is there already" in again.stdout
    with store.open_store(url) as connection:
        assert connection.execute("SELECT name FROM batchedit.run").fetchall() == [("spring",)]


def test_another_version_is_refused_with_the_command_to_type() -> None:
    url = new_database()
    changed(url, "DELETE FROM batchedit.migration WHERE number > 1")
    with pytest.raises(CheckpointVersionError) as older, store.open_store(url):
        pass
    assert f"batchedit store init '{url}'" in older.value.hint
    changed(url, f"INSERT INTO batchedit.migration (number) VALUES ({find_newest_version() + 1})")
    for refuses in (lambda: store.open_store(url).__enter__(), lambda: store.init(url, accept_loss=False)):
        with pytest.raises(CheckpointVersionError, match="newer batchedit"):
            refuses()


def test_a_database_without_a_store_and_one_with_a_schema_of_somebody_else() -> None:
    url = new_database(store=False)
    with pytest.raises(UsageError, match="no store in") as none, store.open_store(url):
        pass
    assert "batchedit store init" in none.value.hint
    changed(url, "CREATE SCHEMA batchedit")
    with pytest.raises(UsageError, match="not a store of batchedit"):
        store.init(url, accept_loss=False)


@pytest.mark.parametrize(
    "setting", ["synchronous_commit = off", "synchronous_commit = local", "synchronous_commit = remote_write"]
)
def test_a_store_that_forgets_is_refused_unless_that_is_accepted(tmp_path: Path, setting: str) -> None:
    """Nineteen of sixty jobs were bought twice after a failover to a standby that had not got the last commits."""
    url = new_database(store=False)
    changed(url, f"ALTER DATABASE {url.partition('@/')[2].partition('?')[0]} SET {setting}")
    refused = run_cli("store", "init", url, cwd=tmp_path, code=74)
    assert "synchronous_commit is" in refused.stderr
    assert "--i-accept-loss" in refused.stderr
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regnamespace('batchedit')").fetchone() == (None,), "nothing was made"
    borne = run_cli("store", "init", url, "--i-accept-loss", cwd=tmp_path)
    assert "warning: synchronous_commit is" in borne.stdout
    with store.open_store(url):
        pass


@pytest.mark.parametrize(
    ("url", "code", "word"),
    [
        ("mysql://anna:hush@db/ads", 64, "address of a PostgreSQL database"),
        ("postgresql://anna:hush@127.0.0.1:9/ads", 69, "can't be reached"),
        ("postgresql://anna:hush@127.0.0.1:none/ads", 64, "no address"),
        ("postgresql://anna:hush@localhost:none/ads", 64, "no address"),
        ("postgresql://anna@127.0.0.1:9/ads?password=hush", 69, "can't be reached"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_the_password(tmp_path: Path, url: str, code: int, word: str) -> None:
    done = run_cli("store", "init", url, cwd=tmp_path, code=code)
    assert word in done.stderr
    assert "hush" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_store_that_is_read_only_or_not_there_or_not_ours(tmp_path: Path) -> None:
    url = new_database(store=False)
    gone = with_database(url, "nobody_made_this")
    assert "has no such database" in run_cli("store", "init", gone, cwd=tmp_path, code=64).stderr
    changed(url, f"ALTER DATABASE {url.partition('@/')[2].partition('?')[0]} SET default_transaction_read_only = on")
    assert "is read-only" in run_cli("store", "init", url, cwd=tmp_path, code=73).stderr
    changed(shared(), "CREATE ROLE stranger LOGIN")
    empty = new_database(store=False).replace("postgres@", "stranger@")
    assert "GRANT CREATE ON DATABASE" in run_cli("store", "init", empty, cwd=tmp_path, code=77).stderr
    strange = shared_store().replace("postgres@", "stranger@")
    refused = run_cli("store", "init", strange, cwd=tmp_path, code=77).stderr
    assert "may not work in the store" in refused
    assert "GRANT batchedit_worker TO" in refused


def test_who_may_not_make_roles_is_told_which_one_it_takes() -> None:
    refused = map_postgres_error(
        psycopg.errors.InsufficientPrivilege("permission denied to create role"), "postgresql://db/ads"
    )
    assert (refused.code, "CREATE ROLE batchedit_worker NOLOGIN" in refused.hint) == (77, True)


def test_a_worker_calls_functions_and_touches_no_table() -> None:
    url = new_database()
    changed(url, "CREATE ROLE anna LOGIN", "GRANT batchedit_worker TO anna")
    with psycopg.connect(url.replace("postgres@", "anna@"), autocommit=True) as connection:
        assert connection.execute("SELECT worker FROM batchedit.enter('anna')").fetchone() == (1,)
        for forbidden in (
            "UPDATE batchedit.run SET max_cost = NULL",
            "DELETE FROM batchedit.event",
            "UPDATE batchedit.job SET state = 'planned'",
            "INSERT INTO batchedit.event DEFAULT VALUES",
            "SELECT batchedit.let_go(1, 1, '')",
            "SELECT batchedit.write_change(1, 1, 1, '{}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


@pytest.mark.parametrize(
    "statement", ["UPDATE batchedit.event SET at = 0", "TRUNCATE batchedit.event", "DELETE FROM batchedit.orphan"]
)
def test_the_log_only_grows_for_its_owner_too(statement: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        changed(shared_store(), statement)


def test_a_password_is_blotted_out_wherever_it_stands() -> None:
    assert hide_password("postgresql://anna:a@b:c@db:5432/ads") == "postgresql://anna:***@db:5432/ads"
    assert hide_password("postgresql://db/ads?user=anna&password=hu%20sh&sslmode=require") == (
        "postgresql://db/ads?user=anna&password=***&sslmode=require"
    )


def test_the_owner_says_what_all_runs_of_a_token_may_do(tmp_path: Path) -> None:
    url = new_database()
    assert "none for all runs" in run_cli("store", "limits", url, cwd=tmp_path).stdout
    output = run_cli("store", "limits", url, "--max-cost", "500", "--in-flight", "200", cwd=tmp_path).stdout
    assert "$500.00 for all runs of this token" in output
    assert "200 jobs at once" in run_cli("store", "limits", url, "--max-cost", "none", cwd=tmp_path).stdout
    with store.open_store(url) as connection:
        events = connection.execute("SELECT max_cost, in_flight FROM batchedit.account_event ORDER BY seq").fetchall()
    assert events == [(500_000_000, 200), (None, 200)]
    assert "number of jobs" in run_cli("store", "limits", url, "--in-flight", "0", cwd=tmp_path, code=64).stderr
    changed(url, "CREATE ROLE berta LOGIN", "GRANT batchedit_worker TO berta")
    worker = url.replace("postgres@", "berta@")
    refused = run_cli("store", "limits", worker, "--max-cost", "900", cwd=tmp_path, code=77).stderr
    assert "takes the role of the store's owner" in refused
    assert "GRANT batchedit_worker" not in refused, "she has that already"


def test_the_store_of_limits_is_named_as_that_of_every_other_command(tmp_path: Path) -> None:
    """``store limits --store URL`` was no such option: who had typed that for every other command had to export it."""
    url, other = new_database(), "postgresql://elsewhere.example/ads"
    output = run_cli("store", "limits", "--store", url, "--max-cost", "500", cwd=tmp_path).stdout
    assert "$500.00 for all runs of this token" in output
    env = make_env(BATCHEDIT_STORE=other)
    for words in ([url], ["--store", url], [url, "--store", url]):
        assert "$500.00" in run_cli("store", "limits", *words, cwd=tmp_path, env=env).stdout
    assert "$500.00" in run_cli("store", "limits", cwd=tmp_path, env=make_env(BATCHEDIT_STORE=url)).stdout
    two = run_cli("store", "limits", url, "--store", other, "--max-cost", "none", cwd=tmp_path, code=64).stderr
    assert "Two addresses are given" in two
    assert "--store postgresql://" in run_cli("store", "limits", cwd=tmp_path, code=64).stderr


def test_a_halt_is_lifted_by_a_person_and_told(tmp_path: Path) -> None:
    url = new_database()
    changed(url, "INSERT INTO batchedit.run (name, model, service, halted) VALUES ('spring', 'm', 's', 'it went back')")
    output = run_cli("store", "lift", "spring", "--store", url, cwd=tmp_path).stdout
    assert "spring may buy again; it was halted: it went back" in output
    assert "is not halted" in run_cli("store", "lift", "spring", "--store", url, cwd=tmp_path).stdout
    with store.open_store(url) as connection:
        events = connection.execute("SELECT name, data FROM batchedit.run_event").fetchall()
    assert events == [("HaltLifted", '{"why" : "it went back"}')]
    assert "it has: spring" in run_cli("store", "lift", "autumn", "--store", url, cwd=tmp_path, code=66).stderr
