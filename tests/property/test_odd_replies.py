"""No reply ends a run: arbitrary JSON and headers through every call of the service and through the download."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.approved_purchases import Approval
from batchedit.core.errors import OutputError, TokenError
from batchedit.core.events import Accepted, CancelConfirmed, CancelDenied, Completed, Declined, Errored, Lost, Refused
from batchedit.core.model import Handle, Job, JobKey, Kind, Output, Record, SavedFile, State
from batchedit.files.download import Downloader
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.worker import run_all
from batchedit.ports import Broken, NoAnswer, Permit, StillRunning
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from tests.support.factories import make_line
from tests.support.share import examples

MODEL = load_model("openai/gpt-4o-image/edit")
INPUTS = '{"image":["https://images.example.com/a.png"],"prompt":"an ad"}'
KEYS = ["request_id", "status", "queue_position", "output", "image", "images", "url", "cost", "error", "error_code",
        "detail", "outcome", "status_url", "result_url", "base_price_usd", "price_unit", "input_schema", "balance_usd",
        "currency", "b64_json", "message"]  # fmt: skip
ODD = st.sampled_from(
    ["completed", "in_queue", "failed", "cancelled", "r1", "https://files.runcomfy.net:99999/a.png", 10**400, -(10**400),
     "https://xn--a.runcomfy.net/a.png", f"https://{'a' * 70}.runcomfy.net/a.png", "https://\u2603..runcomfy.net/", "\ud800",
     "data:image/png;base64,AAAA", "data:,", float("nan"), float("inf"), 400002, 500001, "\x00", "a" * 5000]
)  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), ANY, max_size=8)
BODIES = st.binary(max_size=60) | (OBJECTS | ANY).map(lambda value: json.dumps(value).encode())
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["retry-after", "content-encoding", "content-length", "location", "content-type", "date", "x"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
        | st.sampled_from(["gzip", "br", "aws-chunked", "9" * 5000, "https://h:99999/", "1e400", "identity, gzip"]),
    ),
    max_size=4,
)
REPLIES = st.tuples(st.integers(100, 599) | st.sampled_from([200, 302, 404, 422, 500]), HEADERS, BODIES)


class Scripted(httpx.AsyncBaseTransport):
    """Answers every call with one reply."""

    def __init__(self, reply: tuple[int, list[tuple[str, str]], bytes]) -> None:
        self._reply = reply

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status, headers, body = self._reply
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]

        class Stream(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                yield body

        return httpx.Response(status, headers=raw, stream=Stream(), request=request)


class Silent:
    def saw(self, record: Record, event: object) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None: ...


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchedit.runcomfy.transport.ATTEMPTS", 1)
    monkeypatch.setattr("batchedit.files.download.ATTEMPTS", 1)


def client(reply: Any) -> Client:
    return Client("https://h.example", "tok-0123456789", MODEL.id, MODEL.schema, observer=Silent(), clock=lambda: 1000.0,
                  rng=random.Random(1), transport=Scripted(reply))  # fmt: skip


def record(state: State) -> Record:
    handle = None if state is State.SUBMITTING else Handle("r1")
    return Record(1, Job(JobKey(bytes(16)), MODEL.id, INPUTS, "job-1"), state, handle=handle)


@settings(max_examples=examples(100), deadline=None)
@given(REPLIES)
def test_no_reply_makes_a_call_raise(reply: tuple[int, list[tuple[str, str]], bytes]) -> None:
    async def ask() -> None:
        async with client(reply) as api:
            submitted = await api.submit(record(State.SUBMITTING), Permit())
            assert isinstance(submitted, Accepted | Declined | Refused | Lost)
            for call, kinds in (
                (api.poll, StillRunning | NoAnswer | Completed | Errored | CancelConfirmed),
                (api.cancel, CancelConfirmed | CancelDenied | NoAnswer),
            ):
                try:
                    assert isinstance(await call(record(State.WAITING)), kinds)
                except TokenError:
                    continue  # 401 and 403 are about the run
            await api.ask_model_entry()
            await api.ask_balance()
            await api.probe()

    anyio.run(ask)


LINKS = st.sampled_from(
    ["https://files.runcomfy.net/a.png", "https://files.runcomfy.net:99999/a.png", "https://xn--a.runcomfy.net/a.png",
     f"https://{'a' * 70}.runcomfy.net/", "https://\u2603..runcomfy.net/", "data:image/png;base64,AAAA", "https://[::1/x"]
) | st.text(max_size=40)  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(LINKS, REPLIES)
def test_no_link_and_no_file_makes_a_download_raise(link: str, reply: tuple[int, list[tuple[str, str]], bytes]) -> None:
    async def fetch(folder: Path) -> None:
        async with Downloader(folder, transport=Scripted(reply)) as files:
            assert isinstance(await files.save(record(State.FETCHED), Output(link), 0), SavedFile | Broken)

    with tempfile.TemporaryDirectory() as folder:
        try:
            anyio.run(fetch, Path(folder))
        except OutputError as error:  # the disk, never the reply
            raise AssertionError(error) from error


class Breaks:
    """A service whose answer about one job hits a defect that nobody foresaw."""

    def __init__(self, at: str) -> None:
        self._at = at

    def post_permit(self) -> Any:
        return _Permit()

    async def submit(self, of: Record, permit: Permit) -> Any:
        if self._at == "submit" and of.id == 2:
            raise LookupError("unforeseen")
        return Accepted(1000.0, Handle(f"r{of.id}"))

    async def poll(self, of: Record) -> Any:
        if self._at == "poll" and of.id == 2:
            raise OverflowError("int too large to convert to float")
        return Completed(1000.0, (Output("https://files.runcomfy.net/1.png"),), 40_000)

    async def cancel(self, of: Record) -> Any:
        raise AssertionError(of)

    async def probe(self) -> bool:
        return True

    async def save(self, of: Record, output: Output, index: int) -> Any:
        if self._at == "download" and of.id == 2:
            raise ValueError("unforeseen")
        return SavedFile(f"files/{of.id}.png", "ab" * 32, 1)


class _Permit:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("at", "state", "kind"),
    [
        ("submit", State.IN_DOUBT, Kind.LOST),
        ("poll", State.UNCOLLECTED, Kind.INTERNAL),
        ("download", State.UNCOLLECTED, Kind.INTERNAL),
    ],
)
@pytest.mark.anyio
async def test_an_error_that_nobody_foresaw_harms_one_job(at: str, state: State, kind: Kind) -> None:
    """A link with port 99999 ended the run with a traceback, and every later run too."""
    checkpoint = MemoryCheckpoint([make_line(n) for n in (1, 2, 3)])
    breaks: Any = Breaks(at)
    governor = Governor(PurchaseLimits(), api=breaks, observer=Silent(), clock=time.time, rng=random.Random(1))
    pool = Pool(api=breaks, checkpoint=checkpoint, files=breaks, observer=Silent(), governor=governor,
                clock=time.time, rng=random.Random(1), price=40_000, approval=Approval((1, 2, 3)))  # fmt: skip
    with anyio.fail_after(20):
        await run_all(pool)
    records = checkpoint.records()
    assert [r.state for r in records] == [State.DONE, state, State.DONE]
    problem = records[1].problem
    assert problem is not None
    assert problem.kind is kind
    assert any(word in problem.message for word in ("LookupError", "OverflowError", "ValueError"))
