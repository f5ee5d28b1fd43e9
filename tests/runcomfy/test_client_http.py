"""The client against scripted sockets: one POST, every failure classified, and the token where it belongs."""

from __future__ import annotations

import datetime as dt
import random
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from batchedit.core.errors import ProxyRefusesError, TokenError
from batchedit.core.events import Accepted, CancelConfirmed, CancelDenied, Completed, Declined, Errored, Lost, Refused
from batchedit.core.model import Handle, Job, JobKey, Kind, Output, Problem, Record, State
from batchedit.ports import NoAnswer, Permit, StillRunning, SubmitEvent
from batchedit.runcomfy import transport as line_module
from batchedit.runcomfy import tunnel as tunnel_module
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from batchedit.runcomfy.send_tracker import NEVER_LEFT, SendTracker, never_left
from batchedit.runcomfy.transport import ATTEMPTS

pytestmark = pytest.mark.anyio

MODEL = load_model("openai/gpt-4o-image/edit")
TOKEN = "tok-0123456789-secret"
ONE = '{"image":["https://images.example.com/a.png"],"prompt":"an ad"}'
TWO = '{"image":["https://images.example.com/a.png","https://images.example.com/b.png"],"prompt":"an ad"}'
MODEL_PATH = "/v1/models/openai/gpt-4o-image/edit"
BAD_IMAGE = {"error_code": 422001, "detail": [{"loc": ["body", "image"], "msg": "Input should be a valid list"}]}


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def saw(self, record: Record, event: object) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None:
        self.notes.append((name, message))


def record(number: int = 1, inputs: str = ONE, handle: Handle | None = None) -> Record:
    job = Job(JobKey(number.to_bytes(16, "big")), MODEL.id, inputs, f"job-{number}")
    state = State.SUBMITTING if handle is None else State.WAITING
    return Record(number, job, state, handle=handle)


BOUGHT = record(handle=Handle("r/1"))


def client(url: str, notes: Notes | None = None, **changes: Any) -> Client:
    values: dict[str, Any] = {"clock": lambda: 1000.0, "rng": random.Random(1), "observer": notes or Notes()}
    return Client(url, TOKEN, MODEL.id, MODEL.schema, **(values | changes))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a thousandth between GETs and short read timeouts: constants of the module, not its behaviour."""
    monkeypatch.setattr(line_module, "_backoff", lambda _: 0.001)
    monkeypatch.setattr(line_module, "_ASK_TIMES", httpx.Timeout(0.3))
    monkeypatch.setattr(line_module, "_POST_TIMES", httpx.Timeout(0.3))


# --- the POST that buys ---------------------------------------------------------------------------


async def test_submit_sends_what_the_page_shows(server):
    server.script = [server.json({"request_id": "r1", "status_url": f"{server.url}/v1/requests/r1/status"})]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert event == Accepted(1000.0, Handle("r1", f"{server.url}/v1/requests/r1/status"))
    [sent] = server.requests
    assert (sent.method, sent.target) == ("POST", MODEL_PATH)
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("batchedit/")
    assert orjson.loads(sent.body) == {"image": "https://images.example.com/a.png", "prompt": "an ad"}


async def test_a_seed_of_25_digits_was_bought_as_another_number(server):
    """Integers over 64 bits went out as floats."""
    server.script = [server.json({"request_id": "r1"})]
    long = "1234567890123456789012345"
    async with client(server.url) as api:
        await api.submit(record(inputs=ONE[:-1] + f',"nested":[{{"n":-{long}}}],"seed":{long}}}'), Permit())
    [sent] = server.requests
    assert f'"seed":{long}'.encode() in sent.body.replace(b" ", b"")
    assert f'"n":-{long}'.encode() in sent.body.replace(b" ", b"")


REPLY = b'HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{"request_id": "r1'
AFTER_THE_BYTES = {
    "closed": lambda s: s.close,
    "reset": lambda s: s.reset,
    "hang": lambda s: s.hang,
    "garbage": lambda s: s.then_close(b"\x00\xff not http at all\r\n\r\n"),
    "half a status line": lambda s: s.then_close(b"HTTP/1.1 2"),
    "half the headers": lambda s: s.then_close(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "half the body": lambda s: s.then_close(REPLY),
    "a body that stalls": lambda s: REPLY,
    "a torn 502": lambda s: s.then_close(s.http(502, b"<html>", content_length="500")),
    "gzip that is none": lambda s: s.http(200, b"plain", content_encoding="gzip"),
    "chunks that are none": lambda s: s.http(200, b"zzz\r\n", content_length="none", transfer_encoding="chunked"),
    "a 200 of nothing": lambda s: s.http(200),
    "a gateway's page": lambda s: s.http(504, b"<html><title>504 Gateway Time-out</title></html>"),
}


@pytest.mark.parametrize("name", AFTER_THE_BYTES)
@pytest.mark.usefixtures("quick")
async def test_after_the_bytes_went_out_it_is_lost_and_sent_once(server, name):
    server.script = [AFTER_THE_BYTES[name](server)]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost), event
    assert event.problem.kind is Kind.LOST
    assert [r.method for r in server.requests] == ["POST"]
    assert TOKEN not in event.problem.message


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_answer_that_only_trickles_is_lost(server, monkeypatch):
    def trickle(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n")
        while not server._stop.wait(0.05):
            connection.sendall(b" ")

    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", 0.4)
    server.script = [trickle]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost)
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_blanks_that_trickle_behind_a_whole_answer_cost_no_id(server, monkeypatch):
    def trickle(connection, request):
        connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{"request_id":"r1"}')
        while not server._stop.wait(0.05):
            connection.sendall(b" ")

    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", 0.4)
    server.script = [trickle]
    async with client(server.url) as api:
        assert await api.submit(record(), Permit()) == Accepted(1000.0, Handle("r1"))


@pytest.mark.parametrize("pieces", [1, 2], ids=["whole", "the head before the stop"])
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_answer_that_lay_in_the_socket_while_the_process_was_stopped_is_read(server, monkeypatch, pieces):
    answer = server.json({"request_id": "r1"})
    cut = answer.index(b"{") if pieces == 2 else 0

    seconds, stopped, answered = 1.0, threading.Event(), threading.Event()

    def late(connection, request):
        connection.sendall(answer[:cut])
        stopped.wait(30)
        connection.sendall(answer[cut:])
        answered.set()

    async def stop_the_process() -> None:
        await wait_for(lambda: server.requests)
        await anyio.sleep(0.1)  # the head is read, where it comes before the stop
        stopped.set()
        answered.wait(30)  # nothing of this process runs meanwhile, as under SIGSTOP
        time.sleep(seconds)  # noqa: ASYNC251 - as above

    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", seconds)
    server.script = [late]
    async with client(server.url) as api, anyio.create_task_group() as tasks:
        tasks.start_soon(stop_the_process)
        event = await api.submit(record(), Permit())
    assert event == Accepted(1000.0, Handle("r1"))


@pytest.mark.usefixtures("quick")
async def test_what_is_in_doubt_keeps_the_answer_without_the_token(server):
    server.script = [server.json({"error_code": 500001, "echo": f"Bearer {TOKEN}"}, status=500, server="nginx")]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost)
    assert "server: nginx" in event.reply
    assert '"error_code":500001' in event.reply
    assert TOKEN not in event.reply


def in_pieces(server, *pieces: bytes, pause: float = 0.1):
    def act(connection, request):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_RDWR)

    return act


NO_HTTP = {
    "garbage": (b"\x00\xff not http at all\r\n\r\n", b"the rest of it"),
    "half a status line": (b"HTTP/1.1 ", b"2"),
    "half the headers": (b"HTTP/1.1 200 OK\r\nx-trace: 7", b"\r\ncontent-le"),
    "a greeting": (b"220 mail.example.com\r\n", b"ESMTP\r\n"),
}


KEPT = {"garbage": "not http at all", "half a status line": "HTTP/1.1 2", "half the headers": "x-trace: 7",
        "a greeting": "220 mail.example.com"}  # fmt: skip


@pytest.mark.parametrize("name", NO_HTTP)
async def test_all_that_came_in_answer_is_kept_also_where_it_is_no_http(server, name):
    """Of an answer that is no HTTP only what came with the last read was kept."""
    server.script = [in_pieces(server, *NO_HTTP[name])]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost)
    assert KEPT[name] in event.reply


async def test_an_id_behind_a_line_that_is_no_http_is_kept(server):
    server.script = [in_pieces(server, b'garbage\r\n{"request_id":"r1"}\r\n\r\n')]
    async with client(server.url) as api:
        assert await api.submit(record(), Permit()) == Accepted(1000.0, Handle("r1"))


async def test_the_first_four_kib_of_a_long_answer_are_kept_whatever_cut_it_off(server, monkeypatch):
    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", 0.4)
    server.script = [server.http(200, b"x" * 9000, content_length="10000")]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost)
    assert 4000 < len(event.reply.encode()) <= 4096


async def test_a_whole_id_in_a_torn_answer_is_kept(server):
    server.script = [server.then_close(server.http(200, b'{"request_id":"r1"}', content_length="90"))]
    async with client(server.url) as api:
        assert await api.submit(record(), Permit()) == Accepted(1000.0, Handle("r1"))


async def test_a_refusal_with_a_torn_body_is_still_a_refusal(server):
    server.script = [server.then_close(server.http(429, b'{"error', content_length="90", retry_after="7"))]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert (event.problem.kind, event.due_at) == (Kind.THROTTLED, 1007.0)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("case", ["refused", "no such host", "tls to a plain server", "no place in the pool"])
@pytest.mark.usefixtures("quick")
async def test_before_the_first_byte_it_is_declined(server, case, monkeypatch):
    connect = 0.5 if case == "tls to a plain server" else 5.0  # which never answers the handshake
    monkeypatch.setattr(line_module, "_POST_TIMES", httpx.Timeout(5, connect=connect, pool=0.3))
    url = {
        "refused": f"http://127.0.0.1:{closed_port()}",
        "no such host": "https://nothing.invalid",
        "tls to a plain server": f"https://127.0.0.1:{server.port}",
        "no place in the pool": server.url,
    }[case]
    server.script = [server.hang if case == "no place in the pool" else b"no tls here"]
    async with client(url, posts=1, gets=1) as api:
        if case == "no place in the pool":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(api.submit, record(), Permit())
                await wait_for(lambda: server.requests)
                event = await api.submit(record(2), Permit())
                tasks.cancel_scope.cancel()
        else:
            event = await api.submit(record(), Permit())
    assert isinstance(event, Declined), event
    assert (event.problem.kind, event.counts) == (Kind.UNREACHABLE, False)
    assert TOKEN not in event.problem.message


async def wait_for(condition):
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - the condition is another thread's
            await anyio.sleep(0.002)


def all_subclasses(root: type) -> set[type]:
    return {root}.union(*(all_subclasses(one) for one in root.__subclasses__()))


EVERY_HTTPX_ERROR = sorted(
    {e for e in vars(httpx).values() if isinstance(e, type) and issubclass(e, Exception)}
    | all_subclasses(httpx.HTTPError)
    | all_subclasses(httpx.StreamError),
    key=lambda e: e.__name__,
)
UNKNOWN = [RuntimeError, OSError, ssl.SSLError, ConnectionResetError, ValueError, anyio.BrokenResourceError]
SURELY_NEVER_LEFT = {
    "ConnectError",
    "ConnectTimeout",
    "InvalidURL",
    "LocalProtocolError",
    "PoolTimeout",
    "ProxyError",
    "UnsupportedProtocol",
}


def an_instance(error: type[Exception]) -> Exception:
    for args in (("seen",), (), ("seen", None, None)):
        try:
            return error(*args)
        except TypeError:
            continue
    request = httpx.Request("POST", "https://x")
    return error("seen", request=request, response=httpx.Response(500, request=request))  # HTTPStatusError


@pytest.mark.parametrize("error", [*EVERY_HTTPX_ERROR, *UNKNOWN], ids=lambda e: e.__name__)
async def test_every_exception_is_classified(error):
    """A new class in httpx lands in Lost by itself; this list says which ones do not."""
    seen = []

    def fail(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise an_instance(error)

    async with client("https://model-api.runcomfy.net", transport=httpx.MockTransport(fail)) as api:
        event = await api.submit(record(), Permit())
    assert len(seen) == 1
    assert isinstance(event, Declined if error.__name__ in SURELY_NEVER_LEFT else Lost)


def test_the_table_of_exceptions_is_as_long_as_it_looks():
    assert {e.__name__ for e in NEVER_LEFT} == SURELY_NEVER_LEFT | {"TooLateError"}
    assert {"ReadTimeout", "ReadError", "WriteError", "RemoteProtocolError"} <= {e.__name__ for e in EVERY_HTTPX_ERROR}


async def test_the_trace_overrules_the_class():
    """A transport that calls a lost answer a connect error (httpx-aiohttp) is found out where it traces."""

    class Liar(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            info = {"request": httpcore.Request("POST", "https://x/")}
            await request.extensions["trace"]("http11.send_request_headers.started", info)
            raise httpx.ConnectTimeout("so it says")

    async with client("https://model-api.runcomfy.net", transport=Liar()) as api:
        assert isinstance(await api.submit(record(), Permit()), Lost)


async def test_a_post_whose_lease_is_over_does_not_leave():
    """Making the connection took longer than the lease: another worker had the job by then."""

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            nonlocal alive
            alive = False
            await request.extensions["trace"](
                "http11.send_request_headers.started", {"request": httpcore.Request("POST", "https://x/")}
            )
            raise AssertionError("it was sent")

    alive = True

    def why_not() -> str:
        return "" if alive else "this worker's lease is over"

    async with client(
        "https://model-api.runcomfy.net",
        transport=Slow(),
        why_not=why_not,
    ) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert "lease is over" in event.problem.message


async def test_a_proxys_connect_is_not_the_post():
    departure = SendTracker()
    await departure("http11.send_request_headers.started", {"request": httpcore.Request("CONNECT", "https://x/")})
    assert never_left(httpx.ProxyError("407"), departure)
    await departure("http11.send_request_headers.started", {"request": httpcore.Request("POST", "https://x/")})
    assert not never_left(httpx.ConnectError("late"), departure)


@pytest.mark.usefixtures("quick")
async def test_a_handshake_that_fails_behind_a_proxy_blocks_no_connection(server):
    """httpcore counts such a connection as in use for ever: each later call would wait for it and time out."""
    server.script = [server.then_close(server.http(200, content_length="none"))]
    async with client("https://model-api.runcomfy.net", proxy=server.url, posts=1, gets=1) as api:
        for number in (1, 2, 3):
            event = await api.submit(record(number), Permit())
            assert isinstance(event, Declined)
            assert "PoolTimeout" not in event.problem.message
            reply = await api.poll(BOUGHT)
            assert isinstance(reply, NoAnswer)
            assert "PoolTimeout" not in reply.problem.message
    assert {request.method for request in server.requests} == {"CONNECT"}


async def test_a_request_that_h11_refuses_to_write_never_left(server):
    server.script = [server.http(200)]
    async with client(server.url) as api:
        api._transport._headers["x-broken"] = "a\nb"
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert server.requests == []


async def test_cancellation_is_not_swallowed(server):
    server.script = [server.hang]
    async with client(server.url) as api:
        with anyio.move_on_after(0.1) as scope:
            await api.submit(record(), Permit())
        assert scope.cancelled_caught


async def test_a_redirect_is_not_followed_and_takes_no_token_along(server, other_server):
    server.script = [server.http(307, location=f"{other_server.url}{MODEL_PATH}")]
    other_server.script = [other_server.json({"request_id": "r1"})]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert event.problem.kind is Kind.UNREACHABLE
    assert other_server.requests == []


async def test_each_post_has_a_fresh_connection_and_gets_share_theirs(server):
    server.script = [server.json({"request_id": "r1", "status": "in_queue"})]
    async with client(server.url) as api:
        for _ in range(3):
            await api.submit(record(), Permit())
        for _ in range(3):
            await api.poll(BOUGHT)
    assert [r.connection for r in server.requests] == [1, 2, 3, 4, 4, 4]


async def submit_as_the_pool(api: Client, of: Record) -> SubmitEvent:
    async with api.post_permit() as permit:
        return await api.submit(of, permit)


async def test_posts_and_gets_do_not_starve_each_other(server):
    def reply(connection, request):
        if request.method == "POST":
            server.hang(connection, request)
        else:
            connection.sendall(server.json({"status": "in_queue"}))

    server.script = [reply]
    async with client(server.url, posts=2, gets=2) as api, anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(submit_as_the_pool, api, record(number))
        await wait_for(lambda: len(server.requests) == 2)
        with anyio.fail_after(2):
            assert await api.poll(BOUGHT) == StillRunning("in_queue", running=False)
        tasks.cancel_scope.cancel()
    assert sum(r.method == "POST" for r in server.requests) == 2  # as many as there are permits


async def test_a_permit_is_given_back_after_its_submit(server):
    server.script = [server.json({"request_id": "r1"})]
    async with client(server.url, posts=1, gets=1) as api:
        with anyio.fail_after(2):
            for number in range(2):
                assert isinstance(await submit_as_the_pool(api, record(number)), Accepted)


async def test_a_large_body_arrives_whole(server):
    server.script = [server.json({"request_id": "r1"})]
    picture = "data:image/png;base64," + "A" * 3_000_000

    async def resolve(inputs):
        return inputs | {"image": [picture]}

    async with client(server.url, resolve_pictures=resolve) as api:
        local = record(inputs='{"image":[{"$file":"a.png","$sha256":"00"}],"prompt":"an ad"}')
        assert isinstance(await api.submit(local, Permit()), Accepted)
    assert orjson.loads(server.requests[0].body)["image"] == picture


@pytest.mark.parametrize("resolver", ["none", "fails"])
async def test_a_local_picture_that_cannot_be_read_is_refused_unsent(server, resolver):
    async def fail(inputs):
        raise FileNotFoundError(2, "No such file or directory", "a.png")

    server.script = [server.json({"request_id": "r1"})]
    async with client(server.url, resolve_pictures=fail if resolver == "fails" else None) as api:
        event = await api.submit(
            record(inputs='{"image":[{"$file":"a.png","$sha256":"00"}],"prompt":"an ad"}'), Permit()
        )
    assert isinstance(event, Refused)
    assert event.problem.kind is Kind.INPUT_FILE
    assert server.requests == []


async def test_a_service_that_echoes_the_token_does_not_get_it_into_a_message(server):
    server.script = [server.json({"error_message": f"bad header Bearer {TOKEN} or {TOKEN}"}, 401)]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
        with pytest.raises(TokenError) as caught:
            await api.poll(BOUGHT)
    assert isinstance(event, Declined)
    assert TOKEN not in event.problem.message + str(caught.value) + caught.value.hint


# --- the shape of one picture ---------------------------------------------------------------------


def shape_server(server, wanted):
    """Takes one picture in one shape only."""

    def reply(connection, request):
        image = orjson.loads(request.body)["image"]
        good = isinstance(image, wanted) and "rotten" not in str(image)
        connection.sendall(
            server.json({"request_id": f"r{len(server.requests)}"}) if good else server.json(BAD_IMAGE, 422)
        )

    server.script = [reply]


async def test_a_server_that_wants_a_list_is_found_out_once(server):
    shape_server(server, list)
    notes = Notes()
    async with client(server.url, notes) as api:
        first = await api.submit(record(), Permit())
        assert isinstance(first, Declined)
        assert (first.problem.kind, first.counts, first.due_at) == (Kind.SHAPE, False, 0.0)
        assert isinstance(await api.submit(record(), Permit()), Accepted)
        assert isinstance(await api.submit(record(2), Permit()), Accepted)
    assert [name for name, _ in notes.notes] == ["image_shape"]
    assert [type(orjson.loads(r.body)["image"]) for r in server.requests] == [str, list, list]


async def test_a_picture_refused_in_both_shapes_is_refused_and_the_others_go_on(server):
    shape_server(server, str)
    rotten = ONE.replace("a.png", "rotten.png")
    async with client(server.url) as api:
        assert isinstance(await api.submit(record(1, rotten), Permit()), Declined)
        assert isinstance(await api.submit(record(1, rotten), Permit()), Refused)
        events = [await api.submit(record(2), Permit()), await api.submit(record(2), Permit())]
        assert [type(e) for e in events] == [Declined, Accepted]
        proven = await api.submit(record(3, rotten), Permit())
        assert isinstance(proven, Refused)
        assert "image: Input should be a valid list" in proven.problem.message


async def test_many_in_flight_at_the_flip_flip_it_once(server):
    shape_server(server, list)
    notes, ended = Notes(), {}

    async def buy(api, number):
        for _ in range(4):
            event = await submit_as_the_pool(api, record(number))
            if not isinstance(event, Declined):
                ended[number] = event
                return

    async with client(server.url, notes) as api, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(buy, api, number)
    assert len(ended) == 20
    assert all(isinstance(event, Accepted) for event in ended.values())
    assert len(notes.notes) == 1


async def test_a_complaint_about_another_field_flips_nothing(server):
    server.script = [server.json({"detail": [{"loc": ["body", "size"], "msg": "not one of 3:2, 1:1, 2:3"}]}, 422)]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Refused)
    assert event.problem == Problem(
        Kind.REFUSED, "the service does not accept this row: “size: not one of 3:2, 1:1, 2:3”", http=422
    )


async def test_several_pictures_are_always_a_list(server):
    server.script = [server.json(BAD_IMAGE, 422)]
    async with client(server.url) as api:
        assert isinstance(await api.submit(record(inputs=TWO), Permit()), Refused)
    assert len(orjson.loads(server.requests[0].body)["image"]) == 2


# --- looking --------------------------------------------------------------------------------------

DONE = {"request_id": "r/1", "status": "completed", "output": {"image": "https://f.runcomfy.net/a.png"}, "cost": 0.04}
COLLECTED = Completed(1000.0, (Output("https://f.runcomfy.net/a.png"),), 40_000)


async def test_look_asks_the_result_with_its_cost(server):
    server.script = [server.json(DONE)]
    async with client(server.url) as api:
        assert await api.poll(BOUGHT) == COLLECTED
    assert [r.target for r in server.requests] == ["/v1/requests/r%2F1/result?include_cost=true"]


@pytest.mark.parametrize(
    "fault", ["reset", "close", "502", "429", "500001", "torn", "stall"], ids=lambda name: f"first {name}"
)
@pytest.mark.usefixtures("quick")
async def test_a_get_is_asked_again(server, fault):
    bad = {
        "reset": server.reset,
        "close": server.close,
        "502": server.http(502, b"<html>"),
        "429": server.http(429, retry_after="0"),
        "500001": server.json({"error_code": 500001}),
        "torn": server.then_close(server.http(200, b"{", content_length="50")),
        "stall": server.http(200, b"{", content_length="50"),
    }[fault]
    server.script = [bad, bad, server.json(DONE)]
    async with client(server.url) as api:
        assert await api.poll(BOUGHT) == COLLECTED
    assert len(server.requests) == 3


async def hangs_up_after(server, quiet: float) -> tuple[Any, list[int]]:
    """Two looks, ``quiet`` seconds apart, at a server that hangs up after its answer and doesn't say so."""
    server.script = [server.then_close(server.json(DONE))]
    async with client(server.url) as api:
        await api.poll(BOUGHT)
        await anyio.sleep(quiet)
        return await api.poll(BOUGHT), [r.connection for r in server.requests]


@pytest.mark.usefixtures("quick")
async def test_a_kept_connection_that_was_hung_up_on_costs_a_get_nothing(server):
    assert await hangs_up_after(server, quiet=0.1) == (COLLECTED, [1, 2])


async def test_a_quiet_connection_is_asked_about_before_it_is_used(server, monkeypatch):
    monkeypatch.setattr(line_module, "ATTEMPTS", 1)  # the second look must not need another try
    assert await hangs_up_after(server, quiet=0.2) == (COLLECTED, [1, 2])


@pytest.mark.usefixtures("quick")
async def test_after_the_attempts_it_is_no_answer(server):
    server.script = [server.http(503, retry_after="0")]
    async with client(server.url) as api:
        reply = await api.poll(BOUGHT)
    assert isinstance(reply, NoAnswer)
    assert (reply.problem.kind, reply.problem.http, reply.absent) == (Kind.SERVICE, 503, False)
    assert len(server.requests) == ATTEMPTS


async def test_a_retry_after_beyond_the_cap_is_handed_on_and_not_waited_for(server):
    server.script = [server.http(429, retry_after="300")]
    async with client(server.url) as api:
        with anyio.fail_after(2):
            reply = await api.poll(BOUGHT)
    assert isinstance(reply, NoAnswer)
    assert (reply.retry_after, len(server.requests)) == (300.0, 1)


@pytest.mark.usefixtures("quick")
async def test_no_service_at_all_is_no_answer():
    async with client(f"http://127.0.0.1:{closed_port()}") as api:
        reply = await api.poll(BOUGHT)
        assert isinstance(reply, NoAnswer)
        assert reply.problem.kind is Kind.UNREACHABLE
        assert await api.ask_model_entry() is None
        assert await api.ask_balance() is None
        assert await api.probe() is False


@pytest.mark.usefixtures("quick")
async def test_no_attempt_begins_after_the_total_time(server, monkeypatch):
    monkeypatch.setattr(line_module, "TOTAL_SECONDS", 0.5)
    server.script = [server.hang]
    async with client(server.url) as api:
        reply = await api.poll(BOUGHT)
    assert isinstance(reply, NoAnswer)
    assert len(server.requests) == 2  # each hangs for 0.3 s


async def test_an_absent_request_is_told_at_once(server):
    server.script = [server.json({"error_code": 404001}, 404)]
    async with client(server.url) as api:
        reply = await api.poll(BOUGHT)
    assert isinstance(reply, NoAnswer)
    assert reply.absent
    assert [r.target.split("/")[-1] for r in server.requests] == ["result?include_cost=true", "status"]


async def test_a_server_with_404_for_unfinished_results_is_found_out_after_three(server):
    def reply(connection, request):
        absent = "/result" in request.target
        connection.sendall(server.http(404) if absent else server.json({"status": "in_queue"}))

    server.script = [reply]
    notes = Notes()
    async with client(server.url, notes) as api:
        for _ in range(5):
            assert await api.poll(BOUGHT) == StillRunning("in_queue", running=False)
    assert len(server.requests) == 2 + 2 + 2 + 1 + 1
    assert [name for name, _ in notes.notes] == ["status_first"]


@pytest.mark.parametrize("status", [401, 403])
async def test_one_answer_of_thousands_that_refused_the_token_ended_the_night(server, status):
    server.script = [server.http(status), server.json({"status": "in_queue"})]
    async with client(server.url) as api:
        assert await api.poll(BOUGHT) == StillRunning("in_queue", running=False)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_ends_the_run(server, status):
    server.script = [server.http(status)]
    async with client(server.url) as api:
        with pytest.raises(TokenError) as caught:
            await api.poll(BOUGHT)
        assert caught.value.hint
        with pytest.raises(TokenError):
            await api.cancel(BOUGHT)


@pytest.mark.parametrize("status", [400, 409, 422, 425])
async def test_a_server_with_4xx_for_unfinished_results_is_asked_at_status(server, status):
    state = {"word": "in_progress"}

    def reply(connection, request):
        result = "/result" in request.target
        if result and state["word"] != "completed":
            connection.sendall(server.json({"message": "not ready"}, status))
        else:
            connection.sendall(server.json(DONE if result else {"status": state["word"]}))

    server.script = [reply]
    notes = Notes()
    async with client(server.url, notes) as api:
        for _ in range(3):
            assert await api.poll(BOUGHT) == StillRunning("in_progress", running=True)
        state["word"] = "completed"
        assert await api.poll(BOUGHT) == COLLECTED
    calls = [r.target.split("/")[-1].split("?")[0] for r in server.requests]
    assert calls == ["result", "status", "status", "status", "status", "result"]
    assert [name for name, _ in notes.notes] == ["status_first"]


async def test_an_ending_is_believed_from_the_result_only(server):
    def reply(connection, request):
        failed = {"status": "failed", "error": "no chainsaw found"}
        first = len(server.requests) == 1
        word = {"status": "completed"} if "/status" in request.target else failed
        connection.sendall(server.json({}, 409) if first else server.json(word))

    server.script = [reply]
    async with client(server.url) as api:
        reply_seen = await api.poll(BOUGHT)
    assert isinstance(reply_seen, Errored)
    assert "no chainsaw found" in reply_seen.problem.message


@pytest.mark.parametrize("named", ["r-another", 17])
async def test_an_answer_that_names_another_request_is_none(server, named):
    """Up to 6 of 8 rows got the pictures of others, and the audit found nothing."""
    done = {"request_id": named, "status": "completed", "output": {"image": "https://files.runcomfy.net/other.png"}}
    server.script = [server.json(done)]
    async with client(server.url) as api:
        reply = await api.poll(BOUGHT)
        cancelled = await api.cancel(BOUGHT)
        pasted = await api.identify("r/1")
    assert isinstance(reply, NoAnswer)
    assert str(named) in reply.problem.message
    assert isinstance(cancelled, NoAnswer)
    assert isinstance(pasted, Problem)


async def test_an_answer_that_names_no_request_or_this_one_is_taken(server):
    done = {"status": "completed", "output": {"image": "https://files.runcomfy.net/1.png"}}
    server.script = [
        server.json(done),
        server.json(done | {"request_id": " r/1 "}),
        server.json(done | {"request_id": {}}),
    ]
    async with client(server.url) as api:
        assert [type(await api.poll(BOUGHT)) for _ in range(3)] == [Completed] * 3


async def test_a_word_nobody_listed_is_noted_once(server):
    server.script = [server.json({"status": "Simmering"})]
    notes = Notes()
    async with client(server.url, notes) as api:
        for _ in range(3):
            reply = await api.poll(BOUGHT)
            assert isinstance(reply, StillRunning)
            assert replace(reply, problem=None) == StillRunning("simmering", running=False, known=False)
            assert reply.problem is not None
            assert "“simmering”, which nobody has listed" in reply.problem.message
    assert [name for name, _ in notes.notes] == ["unknown_status"]


async def test_a_link_of_another_origin_gets_no_token(server, other_server):
    """The token goes to the base URL's origin; what a reply offers elsewhere is not even asked."""
    server.script = [server.json({"status": "in_queue"})]
    other_server.script = [other_server.json(DONE)]
    offered = Handle("r1", *(f"{other_server.url}/v1/requests/r1/{call}" for call in ("status", "result", "cancel")))
    async with client(server.url) as api:
        await api.poll(record(handle=offered))
        await api.cancel(record(handle=offered))
    assert other_server.requests == []
    assert [r.target for r in server.requests] == ["/v1/requests/r1/result?include_cost=true", "/v1/requests/r1/cancel"]


async def test_a_redirected_get_is_not_followed(server, other_server):
    server.script = [server.http(302, location=f"{other_server.url}/v1/requests/r1/result")]
    other_server.script = [other_server.json(DONE)]
    async with client(server.url) as api:
        reply = await api.poll(BOUGHT)
    assert isinstance(reply, NoAnswer)
    assert reply.problem.kind is Kind.UNREADABLE
    assert other_server.requests == []


# --- the other calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "event"), [("cancelled", CancelConfirmed), ("not_cancellable", CancelDenied)])
async def test_cancel(server, outcome, event):
    server.script = [server.json({"status": "in_queue", "outcome": outcome})]
    async with client(server.url) as api:
        assert await api.cancel(BOUGHT) == event(1000.0)
    assert [(r.method, r.target) for r in server.requests] == [("POST", "/v1/requests/r%2F1/cancel")]


async def test_the_catalogue_and_the_balance(server):
    entry = {"model_id": MODEL.id, "base_price_usd": "0.04", "price_unit": "image", "input_schema": dict(MODEL.schema)}
    server.script = [server.json(entry), server.json({"balance_usd": 12.5, "currency": "USD"}), server.http(404)]
    async with client(server.url) as api:
        model_entry = await api.ask_model_entry()
        assert model_entry is not None
        assert (model_entry.price, model_entry.schema) == (40_000, MODEL.schema)
        assert await api.ask_balance() == 12_500_000
        assert await api.probe() is True
    assert [r.target for r in server.requests] == [MODEL_PATH, "/prod/v2/balance", MODEL_PATH]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([DONE | {"request_id": "r1", "model_id": MODEL.id}], Handle("r1")),
        ([{"status": "in_queue"}], Handle("r1")),
        ([DONE | {"request_id": "r1", "model_id": "other/model"}], Kind.REFUSED),
        ([{"error_code": 404001}], Kind.NOT_FOUND),
        ([{"error_code": 403001}], Kind.AUTH),
        ([{"nothing": 1}, {"status": "in_progress"}], Handle("r1")),
    ],
    ids=["ours", "unfinished", "another model", "unknown", "another account", "status knows"],
)
async def test_identify(server, replies, expected):
    server.script = [server.json(reply) for reply in replies]
    async with client(server.url) as api:
        seen = await api.identify(" r1 ")
    assert (seen.kind if isinstance(seen, Problem) else seen) == expected


async def test_identify_takes_no_nonsense_and_no_refused_token(server):
    server.script = [server.http(401)]
    async with client(server.url) as api:
        assert isinstance(await api.identify(".."), Problem)
        assert server.requests == []
        with pytest.raises(TokenError):
            await api.identify("r1")


@pytest.mark.parametrize("call", ["poll", "cancel"])
async def test_the_token_of_another_account_is_told_as_what_it_is(server, call):
    """Two tokens in one office: 403001 said to check the token, which was right, and not whose the jobs are."""
    server.script = [server.json({"error_code": 403001}, 403)] * 2
    async with client(server.url) as api:
        with pytest.raises(TokenError) as caught:
            await getattr(api, call)(BOUGHT)
    assert caught.value.hint == "use the token of the account that bought these jobs"


@pytest.mark.parametrize("call", ["poll", "cancel"])
async def test_a_job_that_was_never_accepted_is_asked_about_nowhere(server, call):
    async with client(server.url) as api:
        with pytest.raises(ValueError, match="was never accepted"):
            await getattr(api, call)(BOUGHT._replace(handle=None))
    assert server.requests == []


# --- a proxy --------------------------------------------------------------------------------------


def _through(proxy: Any) -> Client:
    return Client(
        "https://service.example",
        TOKEN,
        MODEL.id,
        MODEL.schema,
        observer=Notes(),
        clock=lambda: 1000.0,
        proxy=proxy.url,
    )


@pytest.mark.parametrize("what", ["refused", "closed", "reset", "hangs", "garbled", "broken off", "no TLS behind it"])
async def test_a_tunnel_that_no_proxy_gave_left_a_purchase_in_doubt(server, quick, what):
    """A CONNECT comes before the POST: whatever becomes of it, nothing was bought."""
    server.script = [
        {
            "refused": server.http(403),
            "closed": server.close,
            "reset": server.reset,
            "hangs": server.hang,
            "garbled": server.then_close(b"nonsense\r\n\r\n"),
            "broken off": server.then_close(b"HTTP/1.1 200 Connection est"),
            "no TLS behind it": server.then_close(b"HTTP/1.1 200 Connection established\r\n\r\n"),
        }[what]
    ]
    async with _through(server) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined), event
    assert event.problem.kind is (Kind.PROXY if what == "refused" else Kind.UNREACHABLE)
    assert [request.method for request in server.requests] == ["CONNECT"]
    assert TOKEN not in str(server.requests)


async def test_a_tunnel_that_outlasts_the_whole_submit_left_a_purchase_in_doubt(server, monkeypatch):
    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", 0.3)
    server.script = [server.hang]
    async with _through(server) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined), event
    assert [request.method for request in server.requests] == ["CONNECT"]


@pytest.mark.parametrize("status", [403, 407])
async def test_a_proxy_that_refuses_was_asked_again_for_a_minute_and_named_by_nobody(server, status):
    """It gave its answer: nothing is asked twice, and the sentence names the proxy, without the password in its address."""
    server.script = [server.http(status)]
    server.url = server.url.replace("//", "//me:hidden@")
    async with _through(server) as api:
        with pytest.raises(
            ProxyRefusesError, match=rf"the proxy 127\.0\.0\.1:{server.port} .*\({status} X\)"
        ) as raised:
            await api.ask_model_entry()
        event = await api.submit(record(), Permit())
        assert not await api.probe()
    assert isinstance(event, Declined)
    assert event.problem.kind is Kind.PROXY
    assert str(status) in event.problem.message
    assert "hidden" not in f"{raised.value} {raised.value.hint} {event.problem.message}"
    assert [request.method for request in server.requests] == ["CONNECT"] * 3


@pytest.mark.parametrize("status", [408, 429, 502, 503])
@pytest.mark.usefixtures("quick")
async def test_a_proxy_that_is_in_trouble_is_asked_again(server, status):
    server.script = [server.http(status)]
    async with _through(server) as api:
        assert await api.ask_model_entry() is None
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert event.problem.kind is Kind.UNREACHABLE
    assert len(server.requests) == ATTEMPTS + 1


async def test_a_proxy_that_lets_a_tunnel_hang_held_each_post_for_150_seconds(server, monkeypatch):
    monkeypatch.setattr(tunnel_module, "TUNNEL_SECONDS", 0.2)
    monkeypatch.setattr(line_module, "_backoff", lambda _: 0.001)
    server.script = [server.hang]
    async with _through(server) as api:
        event = await api.submit(record(), Permit())
        reply = await api.poll(BOUGHT)
    assert isinstance(event, Declined)
    assert isinstance(reply, NoAnswer)
    message = f"the proxy 127.0.0.1:{server.port} does not answer"
    assert message in event.problem.message
    assert message in reply.problem.message


def test_a_service_that_thinks_is_not_cut_off_with_the_time_of_a_tunnel(monkeypatch, tmp_path):
    """A real tunnel to a real TLS service: the limit is the CONNECT's and not the POST's."""
    monkeypatch.setattr(tunnel_module, "TUNNEL_SECONDS", 2.0)
    trusted, serving = _certificate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def service_behind_a_proxy() -> None:
            with listener.accept()[0] as raw:
                raw.recv(65536)
                raw.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with serving.wrap_socket(raw, server_side=True) as tls:
                    tls.recv(65536)
                    time.sleep(2.5)
                    body = b'{"request_id": "r9"}'
                    tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                    tls.recv(65536)

        thread = threading.Thread(target=service_behind_a_proxy, daemon=True)
        thread.start()

        async def buy() -> object:
            proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with client("https://service.example", proxy=proxy, verify=trusted) as api:
                return await api.submit(record(), Permit())

        event = anyio.run(buy)
        thread.join(20)
    assert isinstance(event, Accepted), event


def _certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What trusts a service named service.example, and what serves it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("service.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return ssl.create_default_context(cafile=str(folder / "cert.pem")), serving


@pytest.mark.anyio
@pytest.mark.parametrize(("patient", "asked"), [(True, ATTEMPTS), (False, 1)])
async def test_a_plan_without_a_network_waited_for_four_tries(patient: bool, asked: int, monkeypatch) -> None:
    """A port that nobody listens at: each try is refused at once, and what took time was the waiting between them."""
    tries = []
    monkeypatch.setattr(line_module, "_backoff", lambda _: 0.001)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    async with client(f"http://127.0.0.1:{free}") as made:
        ask_once = made._transport.ask_once

        async def counted(*arguments, **more):
            tries.append(arguments)
            return await ask_once(*arguments, **more)

        monkeypatch.setattr(made._transport, "ask_once", counted)
        assert await made.ask_model_entry(patient=patient) is None
    assert len(tries) == asked
