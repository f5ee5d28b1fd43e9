"""Workers that are silent, come back, or lose an answer: what each of them may do, and what the others take over.

Time is not waited for: a lease that is over is one that the database's row says so of.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.types.json import Jsonb

from batchedit.commands.decide_doubts import note_crashes
from batchedit.core.errors import (
    BatcheditError,
    BudgetReachedError,
    CheckpointError,
    KnownRequestError,
    PlacesTakenError,
    StaleRecordError,
    UsageError,
)
from batchedit.core.events import (
    Accepted,
    Completed,
    Declined,
    Errored,
    Event,
    Lost,
    Released,
    Reserved,
    RetryAsked,
    Saved,
)
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, Record, State
from batchedit.ledger.group_commit import Change
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.changes import encode_change
from batchedit.ledger.postgres.connection import StoreConnection
from batchedit.ledger.postgres.errors import HaltedError, LeaseOverError
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.postgres.shared_opening import open_shared
from batchedit.ledger.postgres.store import IDLE_SECONDS, check_halted, open_transaction
from batchedit.ledger.rescue_file import read_kept_ids
from tests.ledger.ledger_suite import FILES, HANDLE, OUTPUTS, PROBLEM
from tests.support.factories import make_line
from tests.support.postgres import MODEL, new_database, new_run
from tests.support.proxy import Proxy

pytestmark = pytest.mark.anyio


class Shop:
    """A run in a store of its own, its workers, and a hand in the database."""

    def __init__(self, folder: Path, url: str, jobs: int, cap: int | None = None) -> None:
        self.folder = folder
        self.url, self.run = new_run([make_line(n) for n in range(1, jobs + 1)], cap=cap, url=url)
        self._open: list[PostgresLedger] = []

    def worker(self, url: str = "") -> PostgresLedger:
        self._open.append(PostgresLedger(url or self.url, self.run, MODEL, self.folder))
        return self._open[-1]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def silent(self, worker: PostgresLedger) -> None:
        """Nothing was heard of it for longer than its lease."""
        self.sql("UPDATE batchedit.worker SET lease_until = now() - interval '1 s' WHERE id = %s", worker.worker)

    def settled(self, worker: PostgresLedger) -> None:
        """It has been connected for longer than a lease."""
        self.sql("UPDATE batchedit.worker SET connected = now() - interval '1 day' WHERE id = %s", worker.worker)
        self.sql("UPDATE batchedit.store SET lease_seconds = 0.2")
        while not self.sql("SELECT pg_postmaster_start_time() + interval '0.2 s' < now()")[0][0]:
            pass
        self.sql("UPDATE batchedit.worker SET lease_until = now() + interval '1 min' WHERE id = %s", worker.worker)

    async def taken_over(self, gone: PostgresLedger, by: PostgresLedger) -> None:
        self.silent(gone)
        self.settled(by)
        self.sql("SELECT batchedit.adopt(%s)", by.worker)
        self.sql("UPDATE batchedit.worker SET lease_until = now() + interval '1 min' WHERE NOT gone")

    def states(self) -> list[str]:
        return [state for (state,) in self.sql("SELECT state FROM batchedit.job WHERE run = %s ORDER BY id", self.run)]

    def close(self) -> None:
        for worker in self._open:
            worker.close()


@pytest.fixture(scope="module")
def store() -> str:
    return new_database()


@pytest.fixture
def shop(tmp_path: Path, store: str) -> Iterator[Callable[..., Shop]]:
    opened: list[Shop] = []

    def make(jobs: int = 1, cap: int | None = None) -> Shop:
        opened.append(Shop(tmp_path, store, jobs, cap))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
        one.sql("UPDATE batchedit.worker SET gone = true")
        one.sql("UPDATE batchedit.store SET lease_seconds = 30")


async def play(ledger: PostgresLedger, record: Record, *events: Event) -> Record:
    for event in events:
        after = advance(record, event)
        record = await (ledger.reserve(after, event) if isinstance(event, Reserved) else ledger.save(after, event))
    return record


async def first(ledger: PostgresLedger) -> Record:
    return (await ledger.list_planned(0, 1))[0]


async def test_what_a_silent_worker_was_sending_is_in_doubt_and_the_rest_is_looked_after(shop: Any) -> None:
    it = shop(4)
    one, other = it.worker(), it.worker()
    sending, waiting, planned = await one.list_planned(0, 3)
    sending = await play(one, sending, Reserved(1.0, 10))
    waiting = await play(one, waiting, Reserved(1.0, 10), Accepted(2.0, HANDLE))
    await it.taken_over(one, other)
    assert it.states() == ["in_doubt", "waiting", "planned", "planned"]
    (record,) = await other.list_unsettled(0, 10, frozenset({State.WAITING}))
    assert (record.id, record.handle) == (waiting.id, HANDLE)
    assert [r.id for r in await other.list_planned(0, 10)] == [planned.id, 4]
    with pytest.raises(StaleRecordError):  # the fence: who had it before writes nothing over what the other learns
        await play(one, waiting, Completed(3.0, OUTPUTS, 10))
    await play(other, record, Completed(4.0, OUTPUTS, 10), Saved(5.0, FILES))


async def test_a_silent_worker_buys_nothing_more(shop: Any) -> None:
    it = shop(2)
    one, other = it.worker(), it.worker()
    record, later = await one.list_planned(0, 2)
    await it.taken_over(one, other)
    for mine in (record, later):
        with pytest.raises(LeaseOverError):
            await play(one, mine, Reserved(1.0, 10))
    with pytest.raises(LeaseOverError):
        await one.beat()
    assert it.states() == ["planned", "planned"]
    assert not one.may_send()
    assert await other.list_planned(0, 5)


async def test_an_outage_that_is_longer_than_the_lease_ends_nothing(shop: Any) -> None:
    it = shop()
    one = it.worker()
    record = await first(one)
    it.silent(one)
    await play(one, record, Reserved(1.0, 10))
    assert one.may_send()


async def test_an_id_that_comes_late_ends_the_doubt(shop: Any) -> None:
    it = shop()
    one, other = it.worker(), it.worker()
    record = await play(one, await first(one), Reserved(1.0, 10))
    await it.taken_over(one, other)
    late = await play(one, record, Accepted(3.0, HANDLE))
    assert (it.states(), late.state, late.serial) == (["waiting"], State.WAITING, 3)
    (reread,) = await other.list_unsettled(0, 10, frozenset({State.WAITING}))
    assert reread.handle == HANDLE
    with pytest.raises(StaleRecordError):
        await play(one, late, Completed(4.0, OUTPUTS, 10))
    assert it.sql("SELECT count(*) FROM batchedit.orphan WHERE run = %s", it.run) == [(0,)]


async def test_an_id_that_another_has_taken_in_meanwhile_is_no_id_that_was_given_twice(shop: Any) -> None:
    """It lay in the store of files. Its sender, back from an outage, took it for another purchase's and made it a doubt."""
    it = shop(2)
    one, other = it.worker(), it.worker()
    first_, second = await one.list_planned(0, 2)
    record = await play(one, first_, Reserved(1.0, 10))
    await it.taken_over(one, other)
    (doubt,) = await other.list_unsettled(0, 10, frozenset({State.IN_DOUBT}))
    taken_in = await play(other, doubt, Accepted(3.0, HANDLE, by="rescue"))
    late = await play(one, record, Accepted(3.0, HANDLE))
    assert (late.state, late.serial, it.states()[0]) == (State.WAITING, taken_in.serial, "waiting")
    assert it.sql("SELECT count(*) FROM batchedit.orphan WHERE run = %s", it.run) == [(0,)]
    again = await play(other, second, Reserved(4.0, 10))
    with pytest.raises(KnownRequestError):
        await play(other, again, Accepted(5.0, HANDLE))


async def test_the_same_id_for_the_second_purchase_of_a_job_is_a_doubt(shop: Any) -> None:
    it = shop()
    one = it.worker()
    bought = await play(one, await first(one), Reserved(1.0, 10), Accepted(2.0, HANDLE), Errored(3.0, PROBLEM))
    again = await play(one, bought, RetryAsked(4.0), Reserved(5.0, 10))
    with pytest.raises(KnownRequestError):
        await play(one, again, Accepted(6.0, HANDLE))


async def test_a_post_that_never_left_ends_the_doubt_and_gives_its_leave_back(shop: Any) -> None:
    it = shop()
    one, other = it.worker(), it.worker()
    record = await play(one, await first(one), Reserved(1.0, 10))
    await it.taken_over(one, other)
    await play(one, record, Declined(3.0, PROBLEM))
    assert it.states() == ["planned"]
    (again,) = await other.list_planned(0, 5)
    await play(other, again, Reserved(4.0, 10))
    assert it.sql("SELECT leave FROM batchedit.job WHERE run = %s", it.run) == [(8,)]


async def test_an_id_that_comes_when_its_job_was_bought_again_is_kept_and_told(shop: Any) -> None:
    it = shop()
    one, other = it.worker(), it.worker()
    record = await play(one, await first(one), Reserved(1.0, 10))
    await it.taken_over(one, other)
    it.sql("UPDATE batchedit.job SET quarantine = now() - interval '1 s'")
    (doubt,) = await other.list_unsettled(0, 10, frozenset({State.IN_DOUBT}))
    await play(other, doubt, Released(5.0, "a person"))
    second = await play(other, await first(other), Reserved(6.0, 10), Lost(7.0, PROBLEM))
    with pytest.raises(CheckpointError, match=r"bought as req-1.*orphan"):
        await play(one, record, Accepted(8.0, HANDLE))
    assert it.states() == ["in_doubt"], "the doubt about the second purchase is not ended by the first one's id"
    kept = it.sql("SELECT job, request_id, stood FROM batchedit.orphan WHERE run = %s", it.run)
    assert kept == [(second.id, "req-1", "in_doubt")]


async def test_a_doubt_of_a_silent_worker_is_not_bought_again_while_its_post_may_be_on_its_way(shop: Any) -> None:
    it = shop()
    one, other = it.worker(), it.worker()
    await play(one, await first(one), Reserved(1.0, 10))
    await it.taken_over(one, other)
    (doubt,) = await other.list_unsettled(0, 10, frozenset({State.IN_DOUBT}))
    with pytest.raises(UsageError, match="may still be on its way") as early:
        await play(other, doubt, Released(9.0, "a person"))
    assert 200 < int(early.value.hint.split()[-2]) <= 270
    it.sql("UPDATE batchedit.job SET quarantine = now() - interval '1 s'")
    await play(other, doubt, Released(9.0, "a person"))
    assert it.states() == ["planned"]


async def test_nobody_takes_over_within_a_lease_of_its_own_reconnect(shop: Any) -> None:
    """After an outage that is longer than the lease all leases are over, and all workers alive."""
    it = shop()
    one, other = it.worker(), it.worker()
    await play(one, await first(one), Reserved(1.0, 10))
    it.settled(other)
    it.sql("UPDATE batchedit.worker SET connected = now() + interval '1 min' WHERE id = %s", other.worker)  # just now
    it.silent(one)
    assert it.sql("SELECT batchedit.adopt(%s)", other.worker) == [(0,)]
    await one.beat()
    it.settled(other)
    it.sql("UPDATE batchedit.worker SET lease_until = now() + interval '1 min'")
    assert it.sql("SELECT batchedit.adopt(%s)", other.worker) == [(0,)]
    assert it.states() == ["submitting"]


async def test_a_worker_that_ends_leaves_the_rest_to_others_at_once(shop: Any) -> None:
    it = shop(3)
    one, other = it.worker(), it.worker()
    bought, *_ = await one.list_planned(0, 3)
    await play(one, bought, Reserved(1.0, 10), Accepted(2.0, HANDLE))
    assert await other.list_planned(0, 9) == []
    one.close()
    assert len(await other.list_planned(0, 9)) == 2
    assert len(await other.list_unsettled(0, 9, frozenset({State.WAITING}))) == 1


async def test_a_claim_never_takes_more_than_it_asks_for(shop: Any) -> None:
    """``id IN (SELECT … LIMIT 8 FOR UPDATE SKIP LOCKED)`` claimed all sixty rows."""
    it = shop(60)
    it.sql("ANALYZE batchedit.job")
    name = it.sql("SELECT current_database()")[0][0]
    for plan in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):  # as it may look among a million rows
        it.sql(f"ALTER DATABASE {name} SET enable_{plan} = off")
    workers = [it.worker() for _ in range(3)]
    claimed: list[int] = []

    async def claim(worker: PostgresLedger) -> None:
        claimed.extend(record.id for record in await worker.list_planned(0, 8))

    async with anyio.create_task_group() as tasks:
        for worker in workers:
            tasks.start_soon(claim, worker)
    it.sql(f"ALTER DATABASE {name} RESET ALL")
    assert (len(claimed), len(set(claimed))) == (24, 24)


async def test_a_job_that_nobody_said_yes_to_is_neither_claimed_nor_bought(shop: Any) -> None:
    it = shop(2)
    worker = it.worker()
    record = await first(worker)
    it.sql("UPDATE batchedit.job SET leave = 0 WHERE run = %s", it.run)
    assert await it.worker().list_planned(0, 9) == []
    with pytest.raises(CheckpointError, match="never said yes to"):
        await play(worker, record, Reserved(1.0, 10))


async def test_each_intention_of_a_commit_counts_against_the_cap(shop: Any) -> None:
    it = shop(30, cap=104)
    worker = it.worker()
    settled = await play(worker, await first(worker), Reserved(1.0, 4), Accepted(1.0, HANDLE))
    await play(worker, settled, Completed(2.0, OUTPUTS, 4), Saved(3.0, FILES))
    bought: list[int] = []

    async def buy(record: Record) -> None:
        with suppress(BudgetReachedError):
            bought.append((await play(worker, record, Reserved(4.0, 10))).id)

    async with anyio.create_task_group() as tasks:
        for record in await worker.list_planned(0, 29):
            tasks.start_soon(buy, record)
    assert len(bought) == 10


@pytest.mark.parametrize("runs", [1, 2])
async def test_who_reserves_waits_until_the_intention_before_is_counted(shop: Any, runs: int) -> None:
    """The cap has room for one, the run's or that of two runs of an account. The first intention is written and not yet
    committed when the second is asked for.
    """
    it = shop(2, cap=10)
    another = it
    if runs > 1:
        another, account = shop(2), f"account-{it.run}"
        it.sql("INSERT INTO batchedit.account VALUES (%s, 10, NULL)", account)
        for run in (it.run, another.run):
            it.sql("INSERT INTO batchedit.fact VALUES (%s, 'accounts', %s)", run, account)
    one, other = it.worker(), another.worker()
    mine, its = await first(one), await first(other)
    refused: list[BaseException] = []
    change = Change(advance(mine, Reserved(1.0, 10)), Reserved(1.0, 10))

    async def ask() -> None:
        try:
            await play(other, its, Reserved(2.0, 10))
        except BudgetReachedError as error:
            refused.append(error)

    with psycopg.connect(it.url) as held:
        held.execute(
            "SELECT batchedit.reserve(%s, %s, %s, true, 0)", (it.run, one.worker, Jsonb([encode_change(change)]))
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not it.sql(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%reserve%%'"
            ):
                assert it.states() == ["planned", "planned"]
                await anyio.sleep(0.01)
            held.commit()
    assert (len(refused), it.states()) == (1, ["submitting", "planned"])
    assert "submitting" not in another.states() or another is it


@pytest.mark.parametrize(("limit", "error"), [((60, None), BudgetReachedError), ((None, 6), PlacesTakenError)])
async def test_two_runs_of_one_token_never_pass_what_the_account_may(
    shop: Any, limit: Any, error: type[Exception]
) -> None:
    """Each run's cap has room for all; together they may have six jobs, bought by both at once."""
    runs = [shop(9, cap=90), shop(9, cap=90)]
    account = f"account-{runs[0].run}"
    runs[0].sql("INSERT INTO batchedit.account VALUES (%s, %s, %s)", account, *limit)
    bought: list[Record] = []
    refused: list[BudgetReachedError] = []

    async def buy(worker: PostgresLedger, record: Record) -> None:
        try:
            bought.append(await play(worker, record, Reserved(4.0, 10)))
        except BudgetReachedError as no:
            refused.append(no)

    async with anyio.create_task_group() as tasks:
        for it in runs:
            it.sql("INSERT INTO batchedit.fact VALUES (%s, 'accounts', %s)", it.run, f"earlier {account}")
            worker = it.worker()
            worker.believes_estimate = True
            for record in await worker.list_planned(0, 9):
                tasks.start_soon(buy, worker, record)
    assert (len(bought), len(refused)) == (6, 12)
    assert {type(no) for no in refused} == {error}
    assert "the account" in str(refused[0])


async def test_an_account_s_cap_counts_what_another_run_may_still_come_to(shop: Any) -> None:
    """The other run's job was reserved at 10 and cost 30, and its next one is in doubt: 60, though 40 are written down."""
    one, other = shop(3), shop(1)
    account = f"account-{one.run}"
    one.sql("INSERT INTO batchedit.account VALUES (%s, 70, NULL)", account)
    for it in (one, other):
        it.sql("INSERT INTO batchedit.fact VALUES (%s, 'accounts', %s)", it.run, account)
    buyer, late = one.worker(), other.worker()
    late.believes_estimate = True
    bought, doubtful, _ = await buyer.list_planned(0, 3)
    buyer.believes_estimate = True
    await play(buyer, bought, Reserved(1.0, 10), Accepted(2.0, HANDLE), Completed(3.0, OUTPUTS, 30))
    await play(buyer, doubtful, Reserved(4.0, 10), Lost(5.0, PROBLEM))
    with pytest.raises(BudgetReachedError, match="the account"):
        await play(late, await first(late), Reserved(6.0, 11))
    one.sql("UPDATE batchedit.account SET max_cost = 71 WHERE account = %s", account)
    await play(late, await first(late), Reserved(7.0, 11))


async def test_what_another_worker_is_sending_is_not_taken_for_a_crash(shop: Any, tmp_path: Path) -> None:
    """``--on-doubt buy-again`` took every intention that it found for a crash, another worker's too, and bought it again."""
    it = shop()
    one = it.worker()
    await play(one, await first(one), Reserved(1.0, 10))
    it.sql("INSERT INTO batchedit.fact VALUES (%s, 'fingerprint', 'taken in')", it.run)
    folder = tmp_path / it.sql("SELECT name FROM batchedit.run WHERE id = %s", it.run)[0][0]
    folder.mkdir()
    with closing(
        open_shared(folder / "checkpoint.sqlite", it.url, model=MODEL, service=BoughtFrom("sandbox", own_sandbox=False))
    ) as other:
        assert other.read_records_in({State.SUBMITTING})
        note_crashes(other)
        assert it.states() == ["submitting"]


def test_a_process_that_stands_still_in_a_transaction_holds_nobody_for_long(shop: Any) -> None:
    """It was stopped while it set the cap, and its lock on the run kept all workers from buying."""
    it = shop()
    worker = it.worker()
    (record,) = anyio.run(worker.list_planned, 0, 1)
    event, waited = Reserved(1.0, 10), []

    def stand_still() -> None:
        with open_transaction(it.url) as stopped:
            stopped.execute("UPDATE batchedit.run SET max_cost = 0 WHERE id = %s", (it.run,))
            began = time.monotonic()
            worker.save_now(advance(record, event), event)
            waited.append(time.monotonic() - began)

    with pytest.raises(BatcheditError):
        stand_still()
    assert len(waited) == 1
    assert waited[0] > IDLE_SECONDS / 2, "it did wait for the lock"
    assert it.states() == ["submitting"]
    assert it.sql("SELECT max_cost FROM batchedit.run WHERE id = %s", it.run) == [(None,)]


EVENTS = (
    Reserved(1.0, 10), Accepted(2.0, Handle("req-9")), Completed(3.0, OUTPUTS, 12), Saved(4.0, FILES),
)  # fmt: skip


@pytest.mark.parametrize("lost", range(4))
async def test_an_answer_to_a_commit_that_is_lost_is_asked_for_again(shop: Any, lost: int) -> None:
    it = shop()
    proxy = Proxy(it.url)
    worker = it.worker(proxy.url)
    record = await first(worker)
    for number, event in enumerate(EVENTS):
        if number == lost:
            proxy.lose("batchedit.reserve" if isinstance(event, Reserved) else "batchedit.save")
        record = await play(worker, record, event)
    assert (proxy.lost, record.state, record.serial) == (1, State.DONE, 4)
    assert it.sql("SELECT array_agg(name ORDER BY serial) FROM batchedit.event WHERE run = %s", it.run) == [
        (["Reserved", "Accepted", "Completed", "Saved"],)
    ]
    worker.close()
    proxy.close()


async def test_an_intention_that_was_found_written_is_followed_by_one_more_durable_write(shop: Any) -> None:
    """After a crash a commit may be visible and not yet with the standby: the POST waits for a commit of its own."""
    it = shop()
    proxy = Proxy(it.url)
    worker = it.worker(proxy.url)
    record = await first(worker)
    heard = it.sql("SELECT heard FROM batchedit.worker WHERE id = %s", worker.worker)
    proxy.lose("batchedit.reserve")
    await play(worker, record, Reserved(1.0, 10))
    assert it.sql("SELECT heard FROM batchedit.worker WHERE id = %s", worker.worker) > heard
    worker.close()
    proxy.close()


async def test_a_ledger_that_went_back_in_time_halts_all_workers(shop: Any) -> None:
    it = shop(2)
    one, other = it.worker(), it.worker()
    record = await play(one, await first(one), Reserved(1.0, 10), Accepted(2.0, HANDLE))
    it.sql(
        "UPDATE batchedit.job SET serial = 1, state = 'submitting', request_id = NULL WHERE run = %s AND id = 1", it.run
    )
    with pytest.raises(HaltedError, match="went back in time") as noticed:
        await play(one, record, Completed(3.0, OUTPUTS, 10))
    with pytest.raises(HaltedError, match="nothing is bought in this run any more") as heard:
        await play(other, await first(other), Reserved(4.0, 10))
    ((name,),) = it.sql("SELECT name FROM batchedit.run WHERE id = %s", it.run)
    with pytest.raises(HaltedError, match=f"nothing is bought in the run {name} any more") as later:
        check_halted(it.url, name)
    for one_of_them in (noticed, heard, later):
        assert one_of_them.value.code == 74
        assert f"batchedit store lift {name}" in one_of_them.value.hint


# --- ids of what was bought, while the store is away: this process may be killed before it is back ---


async def becomes_so(condition: Callable[[], object]) -> None:
    """Before ten seconds are over."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - the condition is another thread's
            await anyio.sleep(0.02)


async def are_kept(it: Shop, *requests: str) -> None:
    """The ids, and no others, come to lie in the folder."""
    await becomes_so(lambda: {event.handle.request_id for _, _, event, *_ in read_kept_ids(it.folder)} == set(requests))


@pytest.mark.parametrize("statement", ["beat", "adopt", "halt"])
async def test_an_id_behind_a_statement_that_the_store_does_not_answer_is_kept(shop: Any, statement: str) -> None:
    """Only a beat and a save kept the ids that waited behind them. The store went down over ``adopt``, and a paid id was
    nowhere for a minute.
    """
    it = shop(2)
    proxy = Proxy(it.url)
    worker = it.worker(proxy.url)
    one, other = await worker.list_planned(0, 2)
    one = await play(worker, one, Reserved(1.0, 10), Accepted(2.0, HANDLE))
    other = await play(worker, other, Reserved(1.0, 10))

    async def stand_behind() -> None:
        if statement != "halt":
            await worker.beat()
            return
        it.sql("UPDATE batchedit.job SET serial = 1, state = 'submitting' WHERE run = %s AND id = 1", it.run)
        with pytest.raises(HaltedError):
            await play(worker, one, Completed(3.0, OUTPUTS, 10))

    proxy.lose(f"batchedit.{statement}", 10_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stand_behind)
        await becomes_so(lambda: proxy.lost)
        tasks.start_soon(play, worker, other, Accepted(4.0, Handle("req-9")))
        try:
            await are_kept(it, "req-9")
        finally:
            proxy.lose("", 0)
    assert it.sql("SELECT request_id FROM batchedit.job WHERE run = %s AND id = %s", it.run, other.id) == [("req-9",)]
    worker.close()
    proxy.close()


async def test_an_id_is_kept_though_the_other_connection_has_an_answer(shop: Any) -> None:
    """The lease was renewed over it, so the store was taken for being back while the ids still waited."""
    it = shop(3)
    proxy = Proxy(it.url)
    worker = it.worker(proxy.url)
    one, other, third = await worker.list_planned(0, 3)
    one, other = await play(worker, one, Reserved(1.0, 10)), await play(worker, other, Reserved(1.0, 10))
    proxy.admits = False
    proxy.lose("batchedit.save")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play, worker, one, Accepted(2.0, HANDLE))
        try:
            await are_kept(it, "req-1")
            it.silent(worker)
            await play(worker, third, Reserved(3.0, 10))
            tasks.start_soon(play, worker, other, Accepted(4.0, Handle("req-9")))
            await are_kept(it, "req-1", "req-9")
        finally:
            proxy.admits = True
    worker.close()
    proxy.close()


async def test_an_answer_that_is_heeded_late_does_not_hide_that_the_store_is_away(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread had its answer, another one none; then the first noted that the store is there."""
    it = shop(2)
    proxy = Proxy(it.url)
    worker = it.worker(proxy.url)
    one, other = await worker.list_planned(0, 2)
    one, other = await play(worker, one, Reserved(1.0, 10)), await play(worker, other, Reserved(1.0, 10))
    answered, heeds, call = threading.Event(), threading.Event(), StoreConnection.call

    def dawdle(line: StoreConnection, query: str, *values: Any, **options: Any) -> Any:
        rows = call(line, query, *values, **options)
        if ".save(" in query and not answered.is_set():
            answered.set()
            heeds.wait(10)
        return rows

    monkeypatch.setattr(StoreConnection, "call", dawdle)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(play, worker, one, Accepted(2.0, HANDLE))
        await becomes_so(answered.is_set)
        proxy.lose("batchedit.beat", 10_000)
        tasks.start_soon(worker.beat)
        try:
            await are_kept(it, "req-1")  # it is in the store, and its caller not told yet
            heeds.set()
            await anyio.sleep(0.2)
            tasks.start_soon(play, worker, other, Accepted(4.0, Handle("req-9")))
            await are_kept(it, "req-1", "req-9")
        finally:
            proxy.lose("", 0)
    worker.close()
    proxy.close()


async def test_text_that_no_database_holds_is_kept_all_the_same(shop: Any) -> None:
    it = shop()
    worker = it.worker()
    odd = Problem(Kind.LOST, "no\0answer \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), 502)
    await play(worker, await first(worker), Reserved(1.0, 10), Lost(2.0, odd, "\0\x01"))
    (record,) = await worker.list_unsettled(0, 9, frozenset({State.IN_DOUBT}))
    assert record.problem == Problem(Kind.LOST, "no\\0answer 😀", 502)
