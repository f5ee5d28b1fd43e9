"""Answers to a POST that are whole on the socket, and that the HTTP library never hands on: their id is paid for."""

from __future__ import annotations

import pytest

from batchedit.core.events import Accepted, Declined, Lost, Refused
from batchedit.core.model import Handle, Kind
from batchedit.ports import Permit
from batchedit.runcomfy import send_tracker as tracker_module
from batchedit.runcomfy import transport as line_module
from tests.runcomfy.test_client_http import BAD_IMAGE, client, record

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]
ODD = b"X Cache: a blank in the name, which h11 refuses\r\n"


def with_odd_header(answer: bytes, odd: bytes = ODD) -> bytes:
    status, _, rest = answer.partition(b"\r\n")
    return status + b"\r\n" + odd + rest


@pytest.mark.parametrize("closes", [True, False])
async def test_an_id_behind_a_header_that_the_library_refuses_is_kept(server, closes):
    """The library raises at the first odd byte and hands nothing on: no status, no header, no body."""
    answer = with_odd_header(server.json({"request_id": "r1"}))
    server.script = [server.then_close(answer) if closes else answer]
    async with client(server.url) as api:
        assert await api.submit(record(), Permit()) == Accepted(1000.0, Handle("r1"))
    assert len(server.requests) == 1


async def test_a_refusal_behind_such_a_header_is_known_as_one_and_not_in_doubt(server):
    server.script = [with_odd_header(server.json(BAD_IMAGE, status=422)), with_odd_header(server.json({}, status=401))]
    async with client(server.url) as api:
        refused, token = await api.submit(record(), Permit()), await api.submit(record(2), Permit())
    assert isinstance(refused, Refused | Declined)
    assert refused.problem.http == 422
    assert isinstance(token, Declined)
    assert token.problem.kind is Kind.AUTH


async def test_the_wait_that_such_an_answer_asks_for_is_read_from_its_headers(server):
    """Its header lines are read one by one: a line without a colon, or without a name, is left out."""
    odd = b"no colon at all\r\n: no name\r\nretry-after:  7 \r\n"
    server.script = [with_odd_header(server.json({}, status=429), odd)]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Declined)
    assert event.due_at == 1007.0


@pytest.mark.parametrize("pieces", [1, 2], ids=["whole", "the head in time"])
@pytest.mark.parametrize("status", [200, 401])
async def test_an_answer_that_comes_while_the_connection_is_given_up_is_read(server, monkeypatch, pieces, status):
    """The time is up, and what one last read still finds is the answer."""
    answer = server.json({"request_id": "r1"} if status == 200 else {}, status=status)
    cut = answer.index(b"{") if pieces == 2 else 0

    def late(connection, request):
        connection.sendall(answer[:cut])
        server._stop.wait(0.6)
        server.then_close(answer[cut:])(connection, request)

    monkeypatch.setattr(tracker_module, "LAST_READ_SECONDS", 5.0)
    monkeypatch.setattr(line_module, "SUBMIT_SECONDS", 0.3)
    server.script = [late]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    if status == 200:
        assert event == Accepted(1000.0, Handle("r1"))
    else:
        assert isinstance(event, Declined), "it was surely not taken: no doubt is left"
        assert event.problem.kind is Kind.AUTH


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX Bad: 1\r\n", b"220 mail.example.com ESMTP\r\n\r\n"]
)
async def test_what_is_no_whole_head_is_no_answer_and_stays_with_the_doubt(server, raw):
    server.script = [server.then_close(raw)]
    async with client(server.url) as api:
        event = await api.submit(record(), Permit())
    assert isinstance(event, Lost)
    assert raw.split(b"\r\n")[0].decode() in event.reply
