"""Servers that may lose what they confirmed, or that answer as no store does: nothing is bought on their word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
import trio

from batchedit.core.errors import CheckpointError
from batchedit.core.events import Accepted, Event, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Record
from batchedit.ledger.postgres import store
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.rescue_file import claim_rescued
from batchedit.pool.pool import Pool, apply_event
from batchedit.sandbox import SandboxConfig, serve
from tests.pool.test_pool import Disk, Notes, Service, make_governor
from tests.store.test_failover import Pair, pair
from tests.support.cli import make_env, manifest, on, run_cli, until
from tests.support.factories import make_line
from tests.support.postgres import MODEL, Server, new_database, new_run

__all__ = ["pair"]


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(*settings: str) -> Server:
        made.append(Server(*settings))
        return made[-1]

    yield make
    for one in made:
        one.stop("fast")
        one.remove()


def refused_before_anything_is_bought(tmp_path: Path, url: str, risk: str) -> None:
    """A run at ``url`` buys nothing and says why."""
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        words = ("run", "m.csv", *on(sandbox), "--store", url)
        refused = run_cli(*words, cwd=tmp_path, env=make_env(), code=74)
        assert "may forget what was bought, and it would be bought again" in refused.stderr
        assert risk in refused.stderr
        assert sandbox.ledger()["accepted"] == 0


@pytest.mark.parametrize(
    ("setting", "risk"),
    [
        ("fsync = off", "fsync is off: a power cut loses what was confirmed"),
        ("full_page_writes = off", "full_page_writes is off: a power cut may damage what was confirmed"),
    ],
)
def test_nothing_is_bought_on_the_word_of_a_server_that_a_power_cut_makes_forget(
    tmp_path: Path, server: Callable[..., Server], setting: str, risk: str
) -> None:
    """The setting is one of the server, and somebody may change it when the store is made long since."""
    running = server()
    url = new_database(url=running.url)
    with psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        name = setting.split(maxsplit=1)[0]
        until(lambda: connection.execute(f"SHOW {name}".encode()).fetchone() == ("off",))
    refused_before_anything_is_bought(tmp_path, url, risk)
    anew = run_cli("store", "init", new_database(store=False, url=running.url), cwd=tmp_path, code=74)
    assert risk in anew.stderr
    borne = run_cli("store", "init", url, "--i-accept-loss", cwd=tmp_path)
    assert f"warning: {risk}" in borne.stdout
    with store.open_store(url):
        pass


def test_nothing_is_bought_on_the_word_of_a_standby(tmp_path: Path, pair: Callable[[bool], Pair]) -> None:
    """What it shows may be behind the primary, so that a job which is bought there is one to buy here."""
    both = pair(True)
    url = new_database(url=both.primary.url)
    name = url.partition("@/")[2].partition("?")[0]
    at_standby = f"postgresql://postgres@/{name}?host={both.standby.folder}"
    until(lambda: _has_store(at_standby))
    refused_before_anything_is_bought(tmp_path, at_standby, "it is a standby")
    with store.open_store(url) as connection:
        assert connection.execute("SELECT count(*) FROM batchedit.run").fetchone() == (0,)


def _has_store(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT to_regclass('batchedit.run')").fetchone() != (None,)
    except psycopg.OperationalError:
        return False


ODD_SAVE = """
    ALTER FUNCTION batchedit.save(bigint, bigint, jsonb) RENAME TO saved;
    CREATE FUNCTION batchedit.save(bigint, bigint, jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
"""


def test_an_answer_to_a_commit_that_nobody_foresaw_is_told_as_the_stores_and_the_id_is_kept(tmp_path: Path) -> None:
    """A store that somebody changed by hand: the id of what was bought may be in it, or not."""
    url, number = new_run([make_line(1)], url=new_database())
    with closing(PostgresLedger(url, number, MODEL, tmp_path)) as ledger:

        async def save(record: Record, event: Event) -> Record:
            service = Service()
            governor = make_governor(service)
            pool = Pool(service, ledger, Disk(), Notes(), governor, trio.current_time, Random(7))
            try:
                return await apply_event(pool, record, event)
            finally:
                halted.append(pool.governor.switch.halted)

        halted: list[BaseException | None] = []
        record = ledger.record(1)
        assert record is not None
        intended = trio.run(save, record, Reserved(1.0, 40_000))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ODD_SAVE)
        bought = Accepted(2.0, Handle("req-7f"))
        with pytest.raises(CheckpointError, match="could not be written: KeyError") as refused:
            trio.run(save, intended, bought)
        assert isinstance(refused.value.__cause__, KeyError)
        assert halted == [None, refused.value], "nobody buys on"
    ((job, key, event, *_),) = claim_rescued(tmp_path)
    assert (job, key, event.handle) == (1, advance(intended, bought).job.key, bought.handle)
