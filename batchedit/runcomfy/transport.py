"""Transport to the service: its connections, the permits in front of them, the timeouts and the retries.

It knows nothing of jobs. ``post`` sends once and distinguishes an answer, silence, and "never sent"; ``ask`` is for
free calls, and retries.
"""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import anyio
import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_exponential

from ..connections import Stack, make_unpacker, read_body
from ..core.errors import ProxyRefusesError
from ..core.hosts import is_loopback
from ..core.model import Kind, Problem
from ..ports import NoAnswer, Permit
from .reply_body import clean
from .send_tracker import SendTracker, never_left
from .tunnel import Proxy, Tunnel
from .urls import parse_origin

ATTEMPTS = 4
TOTAL_SECONDS = 45.0  # no further attempt begins after this
SUBMIT_SECONDS = 180.0  # a server that trickles would never trip the read timeout
SLOWEST_UPLINK = 32_768  # bytes a second, on top of SUBMIT_SECONDS for a large body
LARGEST_REPLY = 4 * 2**20  # bytes; a real one has some hundred
LARGEST_RESULT = 48 * 2**20  # of a GET: some services write the picture itself into the answer
_CHUNK = 64 * 1024

_POST_TIMES = httpx.Timeout(connect=10.0, pool=30.0, read=150.0, write=120.0)
"""Seconds. A slow answer is not a lost one: hosted inputs may be stored before it comes, and the most patient of the
vendor's clients reads for 120 s [seen]. Giving up too early leaves a bought job in doubt."""
_ASK_TIMES = httpx.Timeout(connect=10.0, pool=30.0, read=30.0, write=120.0)
_TRANSIENT = frozenset({Kind.THROTTLED, Kind.UNREACHABLE, Kind.PROXY, Kind.SERVICE})
_backoff = wait_exponential(multiplier=0.5, max=8.0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or as much of its body as came."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer to a POST. ``sent`` is False only where surely no byte of it went out; ``cause`` is what happened.

    ``late`` are bytes that came nevertheless and are no HTTP answer. ``refused`` is the message about a proxy that refuses
    to connect to the service.
    """

    sent: bool
    cause: str
    late: bytes = b""
    refused: str = ""


@dataclass(slots=True)
class _PartialReply:
    """An answer as far as it has come: it is kept when a failure or a timeout cuts off the reading."""

    head: httpx.Response | None = None
    body: bytearray = field(default_factory=bytearray)

    def to_reply(self, late: bytes = b"", raw: bytes = b"") -> Reply | None:
        """The answer, followed by the bytes of a last read; without a head, what can be read from the ``raw`` bytes. None
        where not even a status came.
        """
        if self.head is not None:
            return Reply(self.head.status_code, self.head.headers, bytes(self.body) + late)
        return _read_raw(raw)


class Transport:
    """``posts`` connections for POSTs that buy and ``gets`` for everything else, each with a semaphore of its own in front.

    How many POSTs are under way at the moment is the pool's to decide (``scheduling.wire_window``): here is the most.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        posts: int,
        gets: int,
        proxy: str | None,
        verify: ssl.SSLContext | None,
        transport: httpx.AsyncBaseTransport | None,
        why_not: Callable[[], str],
    ) -> None:
        self._why_not = why_not
        self._token = token
        self._clock = clock
        self._rng = rng
        self._buying = anyio.Semaphore(posts, fast_acquire=True)
        self._asking = anyio.Semaphore(gets, fast_acquire=True)
        base_origin = parse_origin(base_url)
        is_local = base_origin is not None and is_loopback(base_origin[1])
        verify = verify or (httpx.create_ssl_context() if transport is None else None)
        proxy = None if is_local else proxy
        self._proxy = None if proxy is None else Proxy(proxy, base_url)
        self.heard = False
        """Has the service answered anything yet?"""
        # A POST that buys never uses a connection that has been idle: if the server closes it at the same moment, the
        # purchase is in doubt. A handshake costs little beside a job, and in an outage a fresh connection is *refused*,
        # which surely buys nothing, where an old one would be *lost*.
        self._fresh = Stack(posts, verify=verify, proxy=proxy, keep=False, transport=transport)
        self._kept = Stack(gets, verify=verify, proxy=proxy, transport=transport)
        self._headers = httpx.Headers(
            {
                **({"Authorization": f"Bearer {token}"} if token else {}),
                "User-Agent": f"batchedit/{_read_version()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a broken gzip body would be a lost answer
            }
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._fresh.aclose()
        await self._kept.aclose()

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """The right to have one POST that buys on the wire."""
        async with self._buying:
            yield Permit()

    async def post(self, url: str, content: bytes, _permit: Permit) -> Reply | Silence:
        """One POST, once, on a connection of its own. Only cancellation is raised."""
        tracker, partial = SendTracker(self._why_not), _PartialReply()
        body_headers = ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(content)))
        try:
            request = httpx.Request(
                "POST",
                url,
                content=_split_chunks(content) if len(content) > _CHUNK else content,
                headers=[*self._headers.raw, *body_headers],
                extensions={"trace": tracker, "timeout": _POST_TIMES.as_dict()},
            )
            time_limit = anyio.move_on_after(SUBMIT_SECONDS + len(content) / SLOWEST_UPLINK)
            with time_limit as scope, tracker.tunnel.scope:
                async with self._fresh.take() as transport:
                    await self._exchange(request, transport, partial)
        except Exception as error:  # noqa: BLE001 - every exception that NEVER_LEFT does not list means "sent"
            if (reply := partial.to_reply(tracker.late, tracker.raw)) is not None:
                return self._note_answer(reply)
            proxy_refusal = self._explain_refusal(error)
            return Silence(not never_left(error, tracker), self._describe_error(error), tracker.raw, proxy_refusal)
        if (reply := partial.to_reply(tracker.late, tracker.raw)) is not None:
            return self._note_answer(reply)
        cause = "no whole answer in time" if scope.cancelled_caught else "no answer"
        if tracker.tunnel.hung and self._proxy is not None:
            cause = self._proxy.silence
        return Silence(sent=not never_left(None, tracker), cause=cause, late=tracker.raw)

    async def ask(self, method: str, url: str, read: Callable[..., T], *, patient: bool = True) -> T | NoAnswer:
        """One of the free calls, with tenacity: at most ATTEMPTS, none begun after TOTAL_SECONDS, full jitter or the
        service's Retry-After, whichever is longer. Without ``patient`` a service that can't be reached is asked once.

        ProxyRefusesError where the proxy refuses and the service has never answered: asking again would change nothing.
        """

        def is_missed(reply: object) -> bool:
            return _is_transient(reply) and (patient or not _is_unreachable(reply))

        began = anyio.current_time()

        async def attempt() -> T | NoAnswer:
            reply = await self.ask_once(method, url, read)
            if isinstance(reply, NoAnswer) and reply.problem.kind is Kind.PROXY and not self.heard:
                raise ProxyRefusesError(reply.problem.message)
            return reply

        def stop(state: RetryCallState) -> bool:
            late = anyio.current_time() - began + state.upcoming_sleep > TOTAL_SECONDS
            return state.attempt_number >= ATTEMPTS or late

        def wait(state: RetryCallState) -> float:
            told = getattr(_outcome(state), "retry_after", None) or 0.0
            return float(max(told, 0.0)) + self._rng.uniform(0.0, _backoff(state))

        retrying = AsyncRetrying(
            sleep=anyio.sleep, stop=stop, wait=wait, retry=retry_if_result(is_missed), retry_error_callback=_outcome
        )
        result: T | NoAnswer = await retrying(attempt)
        return result

    async def ask_once(self, method: str, url: str, read: Callable[..., T]) -> T | NoAnswer:
        """A free call without a second try. Only cancellation is raised."""
        try:
            tunnel, partial = Tunnel(), _PartialReply()
            extensions = {"timeout": _ASK_TIMES.as_dict()} | ({} if self._proxy is None else {"trace": tunnel})
            request = httpx.Request(method, url, headers=self._headers, extensions=extensions)
            with tunnel.scope:
                async with self._asking, self._kept.take() as transport:
                    with anyio.fail_after(TOTAL_SECONDS):
                        await self._exchange(request, transport, partial)
        except Exception as error:  # noqa: BLE001 - also ValueError and OverflowError of an odd address or header
            return self._make_unreached(self._describe_error(error), self._explain_refusal(error))
        reply = partial.to_reply()
        if reply is None:  # the tunnel hung: otherwise an exception would have been raised
            assert self._proxy is not None
            return self._make_unreached(self._proxy.silence)
        self.heard = True
        try:
            return read(reply.status, reply.headers, reply.body, self._clock(), secret=self._token)
        except Exception as error:  # noqa: BLE001 - no reply ends a run: one that no reader can handle is unreadable
            return NoAnswer(
                Problem(Kind.UNREADABLE, f"the service's answer makes no sense ({self._describe_error(error)})")
            )

    @staticmethod
    async def _exchange(request: httpx.Request, transport: httpx.AsyncBaseTransport, partial: _PartialReply) -> None:
        """Send and read into ``partial``. A POST's answer that breaks off stays there as far as it came: a whole request_id
        in it is a purchase, the status of a 422 is known, and a torn 200 is read as no answer.
        """
        unpack: Callable[[bytes], bytes] | None = None

        async def take(chunk: bytes) -> None:
            nonlocal unpack
            unpack = unpack or make_unpacker(response, chunk)
            if len(partial.body) < largest:
                partial.body += unpack(chunk)

        response = await transport.handle_async_request(request)
        partial.head, quietly = response, True
        largest = LARGEST_REPLY if request.method == "POST" else LARGEST_RESULT
        try:
            await read_body(response, take)
            quietly = request.method == "POST"  # nothing may come between a purchase and its answer any more
        except Exception:
            if request.method != "POST":
                raise
        finally:
            if quietly:
                with anyio.move_on_after(5, shield=True), suppress(httpx.HTTPError, OSError):
                    await response.aclose()
            else:
                await response.aclose()

    def _note_answer(self, reply: Reply) -> Reply:
        self.heard = True
        return reply

    def _explain_refusal(self, error: Exception) -> str:
        message = "" if self._proxy is None else self._proxy.explain_refusal(error)
        return clean(message, self._token, 240)

    @staticmethod
    def _make_unreached(cause: str, proxy_refusal: str = "") -> NoAnswer:
        if proxy_refusal:
            return NoAnswer(Problem(Kind.PROXY, proxy_refusal))
        return NoAnswer(Problem(Kind.UNREACHABLE, f"the service can't be reached ({cause})"))

    def _describe_error(self, error: Exception) -> str:
        return clean(f"{type(error).__name__} {error}".strip(), self._token, 160)


def _read_raw(data: bytes) -> Reply | None:
    """An HTTP/1.1 answer from bytes; None where there is no whole head. A chunked body keeps its framing."""
    head, end, body = data.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.\d (\d{3})\b", head)
    if status is None or not end:
        return None
    pairs = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    headers = httpx.Headers([(name.strip(), value.strip()) for name, colon, value in pairs if colon and name.strip()])
    return Reply(int(status[1]), headers, body)


def _is_transient(reply: object) -> bool:
    return isinstance(reply, NoAnswer) and not reply.absent and reply.problem.kind in _TRANSIENT


def _is_unreachable(reply: object) -> bool:
    return isinstance(reply, NoAnswer) and reply.problem.kind in {Kind.UNREACHABLE, Kind.PROXY}


def _outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # tenacity asks only after an attempt
    return state.outcome.result()


async def _split_chunks(content: bytes) -> AsyncIterator[bytes]:
    """A large body in pieces, so that the write timeout is for a piece and not for 64 MiB."""
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]


def _read_version() -> str:
    try:
        return version("batchedit")
    except PackageNotFoundError:
        return "0"
