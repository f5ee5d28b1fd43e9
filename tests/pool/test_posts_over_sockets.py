"""How many POSTs are under way at once over real sockets: the pool and the client against the sandbox."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from batchedit.core.approved_purchases import Approval
from batchedit.core.model import Output, Record, SavedFile, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.worker import run_all
from batchedit.ports import Permit, SubmitEvent
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from batchedit.sandbox import SandboxConfig, serve
from batchedit.scheduling.wire_window import START, TOP
from tests.support.factories import make_line
from tests.support.troubled import Watcher

pytestmark = pytest.mark.anyio

MODEL = load_model("openai/gpt-4o-image/edit")
JOBS = 80


class Counted(Client):
    """Counts the POSTs that it has under way."""

    under_way = 0
    most = 0

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().submit(record, permit)
        finally:
            self.under_way -= 1


class Disk:
    async def save(self, record: Record, output: Output, index: int) -> SavedFile:
        return SavedFile(f"files/{record.job.name}.png", "ab" * 32, 10, 1, 1, output.url)


def make_client(url: str) -> Counted:
    return Counted(
        url, "sandbox-token", MODEL.id, MODEL.schema, observer=Watcher(), clock=anyio.current_time, posts=TOP
    )


def make_pool(api: Client, checkpoint: MemoryCheckpoint) -> Pool:
    governor = Governor(
        PurchaseLimits(concurrency=JOBS), api=api, observer=Watcher(), clock=anyio.current_time, rng=Random(1)
    )
    approval = Approval(range(1, JOBS + 1))
    return Pool(api, checkpoint, Disk(), Watcher(), governor, anyio.current_time, Random(2), approval, price=40_000)


async def test_a_service_that_is_well_gets_more_at_once_and_each_job_once() -> None:
    checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, JOBS + 1)])
    with serve(SandboxConfig(latency="1", answer_after=0.2)) as box:
        async with make_client(box.url) as api:
            with anyio.fail_after(60):
                await run_all(make_pool(api, checkpoint))
        bought = box.ledger()["accepted"]
    assert START < api.most <= TOP
    assert (bought, checkpoint.counts().by_state) == (JOBS, {State.DONE: JOBS})


async def test_a_service_that_does_not_answer_gets_no_more_than_at_the_start() -> None:
    checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, JOBS + 1)])
    with serve(SandboxConfig(faults=("submit:hang_before@3=1",))) as box:
        async with make_client(box.url) as api, anyio.create_task_group() as tasks:
            tasks.start_soon(run_all, make_pool(api, checkpoint))
            await anyio.sleep(1.5)  # a trickle of ten a second goes on without answers
            assert (api.under_way, api.most) == (START, START)
            tasks.cancel_scope.cancel()
