"""The shell around the codec: sends what ``wire`` built, hands back what ``wire`` and ``looks`` read.

One POST buys, and it is sent once: no retry, no redirect, no connection that has been idle (see ``transport``). All
else is free and is asked again, within attempt and time caps.

The pool takes ``async with client.post_permit():`` *before* it writes an intention down, so that a job never waits for
a connection while it counts as being submitted; ``submit`` takes the permit itself where its caller holds none.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_exponential

from ..core.errors import TokenError
from ..core.lifecycle import Accepted, Declined, Lost, Refused
from ..core.model import Handle, Kind, Problem, Record
from ..ports import CancelReply, LookReply, NoAnswer, Observer, StillRunning, SubmitEvent
from . import looks, wire
from .said import NOT_YOURS, clean
from .shapes import Shapes
from .transport import FRESH, Departure, TwoPools, never_left
from .urls import Addresses, check_base_url, is_loopback, origin

ATTEMPTS = 4
TOTAL_SECONDS = 45.0  # no further attempt begins after this
LARGEST_REPLY = 4 * 2**20  # bytes; a real one has some hundred
_CHUNK = 64 * 1024

_SUBMIT_TIMES = httpx.Timeout(connect=10.0, pool=30.0, read=60.0, write=120.0)
_ASK_TIMES = httpx.Timeout(connect=10.0, pool=30.0, read=30.0, write=120.0)
_TRANSIENT = frozenset({Kind.THROTTLED, Kind.UNREACHABLE, Kind.SERVICE})
_backoff = wait_exponential(multiplier=0.5, max=8.0)

Inputs = dict[str, Any]
Resolver = Callable[[Inputs], Awaitable[Inputs]]
"""Replaces ``{"$file": path, "$sha256": hex}`` in the inputs by what is sent. OSError or ValueError refuses the job."""

Reply = tuple[int, httpx.Headers, bytes]
T = TypeVar("T")

_holds_permit: ContextVar[bool] = ContextVar("holds_permit", default=False)


class Client:
    """``ports.Api`` over HTTP: an async context manager around one ``httpx.AsyncClient``.

    ``connections`` is split between POSTs that buy and everything else, each with a semaphore of its own in front
    (httpcore's pool is quadratic in its idle connections [LIMITS]). ``proxy`` and ``verify`` are the caller's: nothing
    here reads the environment. ``transport`` replaces the network in tests.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        model: str,
        schema: Mapping[str, Any],
        *,
        observer: Observer,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        connections: int = 16,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve_pictures: Resolver | None = None,
    ) -> None:
        self._addresses = Addresses(check_base_url(base_url))
        self._token = token
        self._model = model
        self._schema = schema
        self._observer = observer
        self._clock = clock
        self._rng = rng or random.Random()
        self._resolve = resolve_pictures
        self._shapes = Shapes()
        self._status_first = False  # this server answers an unfinished job's /result with a 4xx
        self._unknown_words: set[str] = set()
        posts = max(1, connections // 2)
        self._asking = anyio.Semaphore(max(1, connections - posts))
        self._buying = anyio.Semaphore(posts)
        place = origin(self._addresses.base_url)
        at_home = place is not None and is_loopback(place[1])
        self._transport = transport or TwoPools(
            fresh=posts,
            kept=max(1, connections - posts),
            verify=verify or httpx.create_ssl_context(),
            proxy=None if at_home else proxy,
        )
        self._http = httpx.AsyncClient(
            transport=self._transport,
            trust_env=False,
            follow_redirects=False,
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": f"batchedit/{_version()}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a broken gzip body would be a lost answer
            },
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(5, shield=True):
            await self._http.__aexit__(kind, error, trace)

    # --- the POST that buys -----------------------------------------------------------------------

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[None]:
        """The right to have one submit on the wire. Take it before the intention is written."""
        async with self._buying:
            before = _holds_permit.set(True)
            try:
                yield
            finally:
                _holds_permit.reset(before)

    async def submit(self, record: Record) -> SubmitEvent:
        """Send the POST once. Whatever happens is an event; only cancellation and defects of ours are raised.

        Lost is also the rare reset of a connection that the server had just closed (``transport`` keeps that away).
        """
        try:
            inputs = await self._inputs(record)
        except (OSError, ValueError) as error:
            message = clean(f"a local picture can't be sent: {error}", self._token)
            return Refused(self._clock(), Problem(Kind.INPUT_FILE, message))
        async with nullcontext() if _holds_permit.get() else self._buying:
            shape = self._shapes.now
            event, body = await self._buy(wire.submit_body(inputs, shape, self._schema))
        if wire.has_choice(inputs, self._schema):
            return self._judge_shape(record, shape, event, body)
        return event

    async def _inputs(self, record: Record) -> Inputs:
        inputs: Inputs = orjson.loads(record.job.inputs)
        if self._resolve is not None:
            inputs = await self._resolve(inputs)
        if wire.names_a_file(inputs):
            raise ValueError("it was not read from disk")  # and must not go out as a paid job about nothing
        return inputs

    async def _buy(self, content: bytes) -> tuple[SubmitEvent, bytes]:
        """The one POST, and what its answer or its failure means."""
        departure = Departure()
        try:
            request = self._http.build_request(
                "POST",
                self._addresses.model(self._model),
                content=_chunks(content) if len(content) > _CHUNK else content,
                headers={"Content-Type": "application/json", "Content-Length": str(len(content))},
                timeout=_SUBMIT_TIMES,
                extensions={"trace": departure, FRESH: True},
            )
            # A server that trickles would never trip the read timeout; slow uplinks get a second for 32 KiB.
            with anyio.move_on_after(180.0 + len(content) / 32_768) as scope:
                status, headers, body = await self._exchange(request)
        except Exception as error:  # noqa: BLE001 - the table says: every other exception is Lost
            return self._failed_submit(error, departure), b""
        if scope.cancelled_caught:
            return Lost(self._clock(), Problem(Kind.LOST, f"no answer within the time {_MAYBE}")), b""
        return wire.read_submit(status, headers, body, self._clock(), secret=self._token), body

    def _failed_submit(self, error: Exception, departure: Departure) -> SubmitEvent:
        seen = clean(f"{type(error).__name__} {error}".strip(), self._token, 160)
        if never_left(error, departure):
            problem = Problem(Kind.UNREACHABLE, f"the service can't be reached, nothing was sent ({seen})")
            return Declined(self._clock(), problem)
        return Lost(self._clock(), Problem(Kind.LOST, f"the answer was lost ({seen}) {_MAYBE}"))

    def _judge_shape(self, record: Record, sent: wire.ImageShape, event: SubmitEvent, body: bytes) -> SubmitEvent:
        """Learn from an answer to a job with one picture; a complaint about the picture may get a second try."""
        if isinstance(event, Accepted):
            self._shapes.accepted(sent)
            return event
        if not isinstance(event, Refused) or not _is_invalid(event.problem):
            return event
        if not wire.blames(body, wire.ambiguous_fields(self._schema)):
            return event
        before = self._shapes.now
        if not self._shapes.refused(record.id, sent):
            return event
        if self._shapes.now is not before:
            self._observer.note(
                "image_shape",
                f"the service refused the picture written as {_SPOKEN[sent]}; nothing was bought, "
                f"from here on it is written as {_SPOKEN[self._shapes.now]}",
                shape=str(self._shapes.now),
            )
        return Declined(event.at, replace(event.problem, kind=Kind.SHAPE))

    # --- what is free -----------------------------------------------------------------------------

    async def look(self, record: Record) -> LookReply:
        """``/result``, or ``/status`` first where the server wants that. TokenError on 401 and 403."""
        handle = _handle(record)
        reply = _KNOWN if self._status_first else await self._result(handle)
        if isinstance(reply, looks.AskStatus):
            reply = await self._by_status(handle, reply)
        if isinstance(reply, StillRunning) and not reply.known and reply.word not in self._unknown_words:
            self._unknown_words.add(reply.word)
            self._observer.note(
                "unknown_status",
                f"the service says “{reply.word}”, which nobody has listed; we keep asking",
                word=reply.word,
            )
        return reply

    async def _result(self, handle: Handle) -> LookReply | looks.AskStatus:
        reply = await self._ask("GET", self._addresses.result(handle), looks.read_result)
        if isinstance(reply, looks.TokenRefused):
            raise _token_error(reply.problem)
        return reply

    async def _by_status(self, handle: Handle, said: looks.AskStatus) -> LookReply:
        """The way of a server that answers an unfinished job's ``/result`` with a 4xx."""
        state = await self._ask("GET", self._addresses.status(handle), looks.read_status)
        if isinstance(state, looks.TokenRefused):
            raise _token_error(state.problem)
        if not isinstance(state, looks.SeeResult):
            if isinstance(state, StillRunning) and not self._status_first:
                self._status_first = True
                self._observer.note(
                    "status_first",
                    "this server tells an unfinished job's state at /status only",
                    http=said.problem.http,
                )
            return state
        reply = await self._result(handle)
        return state.otherwise if isinstance(reply, looks.AskStatus) else reply

    async def cancel(self, record: Record) -> CancelReply:
        """Ask to cancel a queued job: may be repeated, so it is retried like a GET. TokenError on 401 and 403."""
        reply = await self._ask("POST", self._addresses.cancel(_handle(record)), looks.read_cancel)
        if isinstance(reply, looks.TokenRefused):
            raise _token_error(reply.problem)
        return reply

    async def model_entry(self) -> wire.ModelEntry | None:
        """The catalogue's entry with the price; None where it is absent or unreadable. Never fails the run."""
        reply = await self._ask("GET", self._addresses.model(self._model), _whole(wire.read_model))
        return reply if isinstance(reply, wire.ModelEntry) else None

    async def balance(self) -> int | None:
        """The account's balance in micro-dollars; None where it can't be had."""
        reply = await self._ask("GET", self._addresses.balance(), _whole(wire.read_balance))
        return reply if isinstance(reply, int) else None

    async def probe(self) -> bool:
        """Whether the service answers at all: one free GET, no retry. Any answer of its own below 500 is one."""
        return await self._ask_once("GET", self._addresses.model(self._model), looks.read_probe) is True

    async def identify(self, request_id: str) -> Handle | Problem:
        """A handle for an id that a person pasted, or why not: unknown, another account's, another model's.

        TokenError if the token itself is refused.
        """
        usable = wire.usable_id(request_id)
        if usable is None:
            return Problem(Kind.NOT_FOUND, "that is not a request id")
        handle = Handle(usable)
        found = await self._ask("GET", self._addresses.result(handle), looks.read_identity)
        if isinstance(found, Problem) and found.kind is Kind.UNREADABLE:
            found = await self._ask("GET", self._addresses.status(handle), looks.read_identity)
        match found:
            case NoAnswer(problem) | (Problem() as problem):
                if problem.kind is Kind.AUTH and problem.code != NOT_YOURS:
                    raise _token_error(problem)
                return problem
            case looks.Seen(model) if model and model != self._model:
                return Problem(Kind.REFUSED, f"that request is of model {model}, this run is of {self._model}")
            case _:
                return handle

    # --- the wire ---------------------------------------------------------------------------------

    async def _ask(self, method: str, url: str, read: Callable[..., T]) -> T | NoAnswer:
        """One of the free calls, with tenacity: at most ATTEMPTS, none begun after TOTAL_SECONDS, full jitter or the
        service's Retry-After, whichever is longer.
        """
        began = anyio.current_time()

        def stop(state: RetryCallState) -> bool:
            late = anyio.current_time() - began + state.upcoming_sleep > TOTAL_SECONDS
            return state.attempt_number >= ATTEMPTS or late

        def wait(state: RetryCallState) -> float:
            told = getattr(_outcome(state), "retry_after", None) or 0.0
            return float(max(told, 0.0)) + self._rng.uniform(0.0, _backoff(state))

        retrying = AsyncRetrying(
            sleep=anyio.sleep, stop=stop, wait=wait, retry=retry_if_result(_is_transient), retry_error_callback=_outcome
        )
        result: T | NoAnswer = await retrying(self._ask_once, method, url, read)
        return result

    async def _ask_once(self, method: str, url: str, read: Callable[..., T]) -> T | NoAnswer:
        try:
            async with self._asking:
                request = self._http.build_request(method, url, timeout=_ASK_TIMES)
                with anyio.fail_after(TOTAL_SECONDS):
                    status, headers, body = await self._exchange(request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            seen = clean(f"{type(error).__name__} {error}".strip(), self._token, 160)
            return NoAnswer(Problem(Kind.UNREACHABLE, f"the service can't be reached ({seen})"))
        return read(status, headers, body, self._clock(), secret=self._token)

    async def _exchange(self, request: httpx.Request) -> Reply:
        """Send and read. A POST's answer that breaks off is handed on as far as it came: a whole request_id in it is a
        purchase, the status of a 422 is known, and a torn 200 reads as what it is, no answer.
        """
        response = await self._http.send(request, stream=True)
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                if len(body) < LARGEST_REPLY:
                    body += chunk
        except Exception:
            if request.method != "POST":
                raise
        finally:
            with anyio.move_on_after(5, shield=True), suppress(httpx.HTTPError, OSError):
                await response.aclose()
        return response.status_code, response.headers, bytes(body)


_KNOWN = looks.AskStatus(Problem(Kind.UNREADABLE, "known to answer at /status only"))
_MAYBE = "and it may have been bought, or not"
_SPOKEN = {wire.ImageShape.STRING: "one address", wire.ImageShape.ARRAY: "a list of addresses"}


def _token_error(problem: Problem) -> TokenError:
    if problem.code == NOT_YOURS:
        return TokenError(problem.message, hint="use the token of the account that bought these jobs")
    return TokenError(problem.message, hint="check the token (RUNCOMFY_API_TOKEN), then run the same command again")


def _handle(record: Record) -> Handle:
    if record.handle is None:
        raise ValueError(f"job {record.id} was never accepted: there is nothing to ask for")
    return record.handle


def _is_invalid(problem: Problem) -> bool:
    return problem.kind is Kind.REFUSED and (problem.http == 422 or problem.code == 422001)


def _is_transient(reply: object) -> bool:
    return isinstance(reply, NoAnswer) and not reply.absent and reply.problem.kind in _TRANSIENT


def _outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # tenacity asks only after an attempt
    return state.outcome.result()


def _whole(read: Callable[[int, bytes], T]) -> Callable[..., T | NoAnswer]:
    """A reader of the catalogue as ``_ask`` calls it: 429 and 5xx are asked again."""

    def reader(status: int, headers: httpx.Headers, body: bytes, now: float, *, secret: str) -> T | NoAnswer:
        missed = looks.read_missed(status, headers, body, now, secret=secret)
        return read(status, body) if missed is None else missed

    return reader


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    """A large body in pieces, so that the write timeout is for a piece and not for 64 MiB."""
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]


def _version() -> str:
    try:
        return version("batchedit")
    except PackageNotFoundError:
        return "0"
