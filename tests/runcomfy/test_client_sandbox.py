"""Client and downloader against the sandbox, which shares no code with them: two readings of the contract agree."""

from __future__ import annotations

import anyio
import pytest

from batchedit.core.events import Accepted, CancelConfirmed, CancelDenied, Completed, Declined, Errored, Lost, Refused
from batchedit.core.model import Handle, Job, JobKey, Kind, Problem, Record, SavedFile, State
from batchedit.files.download import Downloader
from batchedit.ports import Broken, NoAnswer, Permit, StillRunning
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from batchedit.sandbox import SandboxConfig, serve

pytestmark = pytest.mark.anyio

MODEL = load_model("openai/gpt-4o-image/edit")
PICTURE = "https://images.example.com/a.png"


class Silent:
    def saw(self, record: Record, event: object) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None: ...


def record(handle: Handle | None = None, number: int = 1, image: str = f'["{PICTURE}"]') -> Record:
    inputs = f'{{"image":{image},"prompt":"an ad, {number}"}}'
    job = Job(JobKey(number.to_bytes(16, "big")), MODEL.id, inputs, f"job-{number}")
    return Record(number, job, State.SUBMITTING if handle is None else State.WAITING, handle=handle)


def client(url: str) -> Client:
    return Client(url, "sandbox-token", MODEL.id, MODEL.schema, observer=Silent())


async def collect(api: Client, handle: Handle) -> object:
    with anyio.fail_after(60):
        while True:
            reply = await api.poll(record(handle))
            if not isinstance(reply, StillRunning | NoAnswer):
                return reply
            await anyio.sleep(0.05)


@pytest.mark.parametrize("habit", ["state", "4xx", "404"])
@pytest.mark.parametrize("shape", ["any", "string", "array"])
async def test_bought_watched_and_saved(tmp_path, shape, habit):
    config = SandboxConfig(latency="0.2", image_shape=shape, result_while_running=habit, coarse_status=True)
    with serve(config) as box:
        async with client(box.url) as api:
            event = await api.submit(record(), Permit())
            if shape == "array":
                assert isinstance(event, Declined)
                assert event.problem.kind is Kind.SHAPE
                event = await api.submit(record(), Permit())
            assert isinstance(event, Accepted)
            done = await collect(api, event.handle)
            assert isinstance(done, Completed)
            assert done.cost == 40_000
            assert await api.probe()
            entry = await api.ask_model_entry()
            assert entry is not None
            assert entry.price == 40_000
            assert await api.identify(event.handle.request_id) == Handle(event.handle.request_id)
            assert isinstance(await api.identify("nothing-like-it"), Problem)
        async with Downloader(tmp_path, allow_hosts=["127.0.0.1"]) as files:
            saved = await files.save(record(event.handle), done.outputs[0], 0)
        assert isinstance(saved, SavedFile)
        assert saved.width > 0
        assert (tmp_path / saved.path).stat().st_size == saved.bytes


SUBMIT = {
    "429": Declined,
    "429_date": Declined,
    "500": Lost,
    "500_html": Lost,
    "502": Lost,
    "504": Lost,
    "401": Declined,
    "422": Refused,
    "200_error": Lost,
    "no_money": Declined,
    "no_money_400": Declined,
    "drop_before": Lost,
    "reset_before": Lost,
    "drop_after": Lost,
    "reset_after": Lost,
    "500_html_after": Lost,
    "502_after": Lost,
    "504_after": Lost,
    "500_after": Lost,
    "200_error_after": Lost,
    "garbage": Lost,
    "truncated": Accepted,  # the id stands in the half that comes
    "no_id": Lost,
}


@pytest.mark.parametrize("fault", SUBMIT)
async def test_what_is_not_lost_was_surely_not_taken(fault):
    with serve(SandboxConfig(latency="0.1", faults=(f"submit:{fault}=1",))) as box:
        async with client(box.url) as api:
            event = await api.submit(record(image=f'["{PICTURE}","{PICTURE}"]'), Permit())
        accepted = box.ledger()["accepted"]
    assert type(event) is SUBMIT[fault]
    if not isinstance(event, Lost | Accepted):
        assert accepted == 0


@pytest.mark.parametrize(("fault", "kind"), [("failed", Kind.FAILED), ("moderated", Kind.MODERATED)])
async def test_jobs_that_fail(fault, kind):
    with serve(SandboxConfig(latency="0.1", faults=(f"job:{fault}=1",))) as box:
        async with client(box.url) as api:
            event = await api.submit(record(), Permit())
            assert isinstance(event, Accepted)
            ended = await collect(api, event.handle)
    assert isinstance(ended, Errored)
    assert ended.problem.kind is kind


async def test_cancelling():
    with serve(SandboxConfig(latency="30", slots=1)) as box:
        async with client(box.url) as api:
            first, second = [await api.submit(record(number=number), Permit()) for number in (1, 2)]
            assert isinstance(first, Accepted)
            assert isinstance(second, Accepted)
            assert isinstance(await api.cancel(record(first.handle)), CancelDenied)
            assert isinstance(await api.cancel(record(second.handle)), CancelConfirmed)
            assert isinstance(await api.poll(record(second.handle)), CancelConfirmed)


@pytest.mark.parametrize("fault", ["expired", "html", "truncated", "redirect_out", "redirect"])
async def test_files(tmp_path, fault):
    when = "first:1" if fault == "redirect" else "1"
    with serve(SandboxConfig(latency="0.1", faults=(f"file:{fault}={when}",))) as box:
        async with client(box.url) as api:
            event = await api.submit(record(), Permit())
            assert isinstance(event, Accepted)
            done = await collect(api, event.handle)
        assert isinstance(done, Completed)
        async with Downloader(tmp_path, allow_hosts=["127.0.0.1"]) as files:
            saved = await files.save(record(event.handle), done.outputs[0], 0)
    assert isinstance(saved, SavedFile if fault == "redirect" else Broken), saved
    assert not list(tmp_path.rglob("*.part"))
