"""The I/O around the codecs: sends what ``submit_reply`` built, returns what it and ``poll_reply`` read.

One POST buys, and it is sent once: no retry, no redirect, no connection that has been idle (see ``transport``). All
other calls are free and are retried, within attempt and time caps.

The pool takes ``async with client.post_permit():`` *before* it writes an intention down, so that a job never waits for
a connection while it counts as being submitted.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx

from ..core.errors import ProxyRefusesError, TokenError
from ..core.events import Accepted, Completed, Declined, Lost, Refused
from ..core.inline_pictures import InlinePictures
from ..core.jsontext import read_inputs
from ..core.model import Handle, Kind, Output, Problem, Record
from ..ports import CancelReply, NoAnswer, Observer, Permit, PollReply, StillRunning, SubmitEvent
from . import poll_reply
from . import submit_reply as wire
from .ids import find_id, parse_request_id
from .image_shape import ImageShapeProbe
from .outputs import read_embedded
from .reply_body import NOT_YOURS, clean
from .transport import Silence, Transport
from .urls import Addresses, check_base_url

Inputs = dict[str, Any]
Resolver = Callable[[Inputs], Awaitable[Inputs]]
"""Replaces ``{"$file": path, "$sha256": hex}`` in the inputs by what is sent. OSError or ValueError refuses the job."""

T = TypeVar("T")


class Client:
    """``ports.Api`` over HTTP: an async context manager around its connections.

    ``posts`` is the most connections for POSTs that buy, ``gets`` for all other calls. ``proxy`` and ``verify`` come from the
    caller: nothing here reads the environment. ``transport`` replaces the network in tests. UsageError for a base URL that
    is neither https nor this machine.
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
        posts: int = 8,
        gets: int = 8,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve_pictures: Resolver | None = None,
        inline_pictures: InlinePictures | None = None,
        why_not: Callable[[], str] = str,
    ) -> None:
        self._addresses = Addresses(check_base_url(base_url))
        self._token = token
        self._model = model
        self._schema = schema
        self._observer = observer
        self._clock = clock
        self._resolve = resolve_pictures
        self._in_answer = inline_pictures or InlinePictures()
        self._prepared: dict[int, Inputs | Exception] = {}
        self._shapes = ImageShapeProbe()
        self._status_first = False  # this server answers an unfinished job's /result with a 4xx
        self._status_knew_alone = 0
        self._unknown_words: set[str] = set()
        self._transport = Transport(
            self._addresses.base_url,
            token,
            clock=clock,
            rng=rng or random.Random(),
            posts=posts,
            gets=gets,
            proxy=proxy,
            verify=verify,
            transport=transport,
            why_not=why_not,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(5, shield=True):
            await self._transport.aclose()

    @property
    def has_answered(self) -> bool:
        """Has the service answered anything yet?"""
        return self._transport.heard

    # --- the POST that buys -----------------------------------------------------------------------

    def post_permit(self) -> AbstractAsyncContextManager[Permit]:
        """The right to have one submit on the wire. Take it before the intention is written."""
        return self._transport.permit()

    async def prepare(self, record: Record) -> None:
        """Read and re-encode the job's local pictures before its intention is written, so that no crash meanwhile leaves
        a doubt. ``submit`` raises or reports what went wrong here.
        """
        if self._resolve is None or '"$file"' not in record.job.inputs:
            return
        try:
            self._prepared[record.id] = await self._resolve(read_inputs(record.job.inputs))
        except Exception as error:  # noqa: BLE001 - a picture that no reader can handle refuses its own job
            self._prepared[record.id] = error

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        """Send the POST once. Whatever happens is an event; only cancellation and defects of ours are raised.

        Lost is also the rare reset of a connection that the server had just closed (``transport`` keeps that away).
        """
        try:
            inputs = await self._inputs(record)
        except Exception as error:  # noqa: BLE001 - nothing was sent yet: the job is refused, and the others go on
            message = clean(f"a local picture can't be sent: {error}", self._token)
            return Refused(self._clock(), Problem(Kind.INPUT_FILE, message))
        shape = self._shapes.now
        content = wire.submit_body(inputs, shape, self._schema)
        reply = await self._transport.post(self._addresses.model(self._model), content, permit)
        if isinstance(reply, Silence):
            return self._unheard(reply)
        event = wire.read_submit(reply.status, reply.headers, reply.body, self._clock(), secret=self._token)
        if wire.has_choice(inputs, self._schema):
            return self._judge_shape(record, shape, event, reply.body)
        return event

    async def _inputs(self, record: Record) -> Inputs:
        prepared = self._prepared.pop(record.id, None)
        if isinstance(prepared, Exception):
            raise prepared
        inputs: Inputs = prepared or read_inputs(record.job.inputs)
        if self._resolve is not None and prepared is None:
            inputs = await self._resolve(inputs)
        if wire.has_local_file(inputs):
            raise ValueError("it was not read from disk")  # and must not go out as a paid job about nothing
        return inputs

    def _unheard(self, silence: Silence) -> Accepted | Declined | Lost:
        if silence.sent:
            if request_id := find_id(silence.late):
                return Accepted(self._clock(), Handle(request_id))
            message = f"the answer was lost ({silence.cause}): it may have been bought, or not"
            reply = wire.keep_reply(silence.cause, {}, silence.late, self._token)
            return Lost(self._clock(), Problem(Kind.LOST, message), reply)
        message = f"the service can't be reached, nothing was sent ({silence.cause})"
        problem = Problem(Kind.PROXY, silence.refused) if silence.refused else Problem(Kind.UNREACHABLE, message)
        return Declined(self._clock(), problem)

    def _judge_shape(self, record: Record, sent: wire.ImageShape, event: SubmitEvent, body: bytes) -> SubmitEvent:
        """Learn from an answer to a job with one picture; after a complaint about the picture a second try may follow."""
        if isinstance(event, Accepted):
            self._shapes.note_acceptance(sent)
            return event
        if not isinstance(event, Refused) or not _is_invalid(event.problem):
            return event
        if not wire.may_be_about(body, wire.find_ambiguous_fields(self._schema)):
            return event
        previous = self._shapes.now
        if not self._shapes.note_refusal(record.id, sent):
            return event
        if self._shapes.now is not previous:
            self._observer.note(
                "image_shape",
                f"the service refused the picture written as {_SHAPE_NAMES[sent]}; nothing was bought, "
                f"from here on it is written as {_SHAPE_NAMES[self._shapes.now]}",
                shape=str(self._shapes.now),
            )
        return Declined(event.at, replace(event.problem, kind=Kind.SHAPE))

    # --- free calls -------------------------------------------------------------------------------

    async def poll(self, record: Record) -> PollReply:
        """``/result``, or ``/status`` first where the server wants that. TokenError on 401 and 403, both times."""
        handle = _require_handle(record)
        reply = _STATUS_FIRST if self._status_first else await self._ask_result(handle)
        if isinstance(reply, poll_reply.AskStatus) or (isinstance(reply, NoAnswer) and reply.absent):
            reply = await self._ask_status(handle, reply)
        if isinstance(reply, StillRunning) and not reply.known and reply.word not in self._unknown_words:
            self._unknown_words.add(reply.word)
            self._observer.note(
                "unknown_status",
                f"the service says “{reply.word}”, which nobody has listed; we keep asking",
                word=reply.word,
            )
        return self._keep_embedded_pictures(handle, reply) if isinstance(reply, Completed) else reply

    def _keep_embedded_pictures(self, handle: Handle, reply: Completed) -> Completed:
        """Keep pictures inside the answer in memory until they are on the disk, with an address in place of each."""

        def keep_one(index: int, output: Output) -> Output:
            data = read_embedded(output.url)
            if data is None:
                return output
            return replace(output, url=self._in_answer.keep(handle.request_id, index, data))

        return replace(reply, outputs=tuple(keep_one(*pair) for pair in enumerate(reply.outputs)))

    async def _ask_about(self, handle: Handle, method: str, url: str, read: Callable[..., T]) -> T | NoAnswer:
        """A free call about a request. It is repeated once after a refused token: one such answer of thousands may be a
        server's fault, and would end the run.
        """
        reply = await self._transport.ask(method, url, _make_request_reader(handle, read))
        again = isinstance(reply, poll_reply.TokenRefused)
        return await self._transport.ask(method, url, _make_request_reader(handle, read)) if again else reply

    async def _ask_result(self, handle: Handle) -> PollReply | poll_reply.AskStatus:
        reply = await self._ask_about(handle, "GET", self._addresses.result(handle), poll_reply.read_result)
        if isinstance(reply, poll_reply.TokenRefused):
            raise _make_token_error(reply.problem)
        return reply

    async def _ask_status(self, handle: Handle, result_reply: poll_reply.AskStatus | NoAnswer) -> PollReply:
        """For a server that answers an unfinished job's ``/result`` with a 4xx. Only a request that neither call knows is
        absent.
        """
        state = await self._ask_about(handle, "GET", self._addresses.status(handle), poll_reply.read_status)
        if isinstance(state, poll_reply.TokenRefused):
            raise _make_token_error(state.problem)
        if not isinstance(state, poll_reply.SeeResult):
            if isinstance(state, StillRunning):
                self._learn_status_first(result_reply)
            return state
        reply = await self._ask_result(handle)
        return state.otherwise if isinstance(reply, poll_reply.AskStatus) else reply

    def _learn_status_first(self, result_reply: poll_reply.AskStatus | NoAnswer) -> None:
        """``/status`` knew a job that ``/result`` did not know: remembered for the run. A 404 may also be a passing fault,
        so three are needed.
        """
        self._status_knew_alone += 1
        if self._status_first or (isinstance(result_reply, NoAnswer) and self._status_knew_alone < 3):
            return
        self._status_first = True
        text = "this server tells an unfinished job's state at /status only"
        self._observer.note("status_first", text, http=result_reply.problem.http)

    async def cancel(self, record: Record) -> CancelReply:
        """Ask to cancel a queued job: may be repeated, so it is retried like a GET. TokenError as for ``poll``."""
        handle = _require_handle(record)
        reply = await self._ask_about(handle, "POST", self._addresses.cancel(handle), poll_reply.read_cancel)
        if isinstance(reply, poll_reply.TokenRefused):
            raise _make_token_error(reply.problem)
        return reply

    async def ask_model_entry(self, *, patient: bool = True) -> wire.ModelEntry | None:
        """The catalogue's entry with the price; None where it is absent or unreadable. Without ``patient`` a service that
        can't be reached is asked once. Raises ProxyRefusesError as ``Transport.ask`` does, and nothing else.
        """
        url = self._addresses.model(self._model)
        reply = await self._transport.ask("GET", url, _make_catalogue_reader(wire.read_model), patient=patient)
        return reply if isinstance(reply, wire.ModelEntry) else None

    async def ask_catalogue(self, search: str = "", limit: int = 2_000) -> Sequence[wire.ModelEntry] | None:
        """The models whose names contain ``search``, at most ``limit`` of them; None where the catalogue can't be read."""
        entries: list[wire.ModelEntry] = []
        while len(entries) < limit:
            url = self._addresses.models(search, len(entries), _PAGE)
            page = await self._transport.ask("GET", url, _make_catalogue_reader(wire.read_models))
            if not isinstance(page, wire.CataloguePage):
                return entries or None
            entries += page.entries
            if not page.entries or len(entries) >= page.total:
                break
        return entries[:limit]

    async def ask_balance(self, *, patient: bool = True) -> int | None:
        """The account's balance in micro-dollars; None where it is not available. ``patient`` as in ``ask_model_entry``."""
        url = self._addresses.balance()
        try:
            reply = await self._transport.ask("GET", url, _make_catalogue_reader(wire.read_balance), patient=patient)
        except ProxyRefusesError:  # the balance has a host of its own, which nothing else needs
            return None
        return reply if isinstance(reply, int) else None

    async def probe(self) -> bool:
        """Whether the service answers at all: one free GET, no retry. Any answer of its own below 500 counts."""
        return await self._transport.ask_once("GET", self._addresses.model(self._model), poll_reply.read_probe) is True

    async def identify(self, request_id: str) -> Handle | Problem:
        """A handle for an id that a person pasted, or why not: unknown, another account's, another model's.

        TokenError if the token itself is refused.
        """
        usable = parse_request_id(request_id)
        if usable is None:
            return Problem(Kind.NOT_FOUND, "that is not a request id")
        handle = Handle(usable)
        reply = await self._transport.ask(
            "GET", self._addresses.result(handle), _make_request_reader(handle, poll_reply.read_identity)
        )
        if isinstance(reply, Problem) and reply.kind is Kind.UNREADABLE:
            reply = await self._transport.ask(
                "GET", self._addresses.status(handle), _make_request_reader(handle, poll_reply.read_identity)
            )
        match reply:
            case NoAnswer(problem) | (Problem() as problem):
                if problem.kind is Kind.AUTH and problem.code != NOT_YOURS:
                    raise _make_token_error(problem)
                return problem
            case poll_reply.OwnRequest(model) if model and model != self._model:
                return Problem(Kind.REFUSED, f"that request is of model {model}, this run is of {self._model}")
            case _:
                return handle


_PAGE = 500
"""Entries of the catalogue at once; the service takes 1 to 500 [seen]."""
_STATUS_FIRST = poll_reply.AskStatus(Problem(Kind.UNREADABLE, "known to answer at /status only"))
_SHAPE_NAMES = {wire.ImageShape.STRING: "one address", wire.ImageShape.ARRAY: "a list of addresses"}


def _make_token_error(problem: Problem) -> TokenError:
    if problem.code == NOT_YOURS:
        return TokenError(problem.message, hint="use the token of the account that bought these jobs")
    return TokenError(problem.message, hint="check the token (RUNCOMFY_API_TOKEN), then run the same command again")


def _require_handle(record: Record) -> Handle:
    if record.handle is None:
        raise ValueError(f"job {record.id} was never accepted: there is nothing to ask for")
    return record.handle


def _is_invalid(problem: Problem) -> bool:
    return problem.kind is Kind.REFUSED and (problem.http == 422 or problem.code == 422001)


def _make_request_reader(handle: Handle, read: Callable[..., T]) -> Callable[..., T | NoAnswer]:
    """A reader for answers about one request: an answer that names another request is none."""

    def read_about(status: int, headers: httpx.Headers, body: bytes, now: float, *, secret: str) -> T | NoAnswer:
        if (other_id := poll_reply.find_other_request_id(body, handle.request_id)) is not None:
            message = clean(f"the service's answer is about another request: {other_id}", secret)
            return NoAnswer(Problem(Kind.UNREADABLE, message, http=status))
        return read(status, headers, body, now, secret=secret)

    return read_about


def _make_catalogue_reader(read: Callable[[int, bytes], T]) -> Callable[..., T | NoAnswer]:
    """A reader of the catalogue as ``Transport.ask`` calls it: 429 and 5xx are asked again."""

    def read_or_miss(status: int, headers: httpx.Headers, body: bytes, now: float, *, secret: str) -> T | NoAnswer:
        missed = poll_reply.read_missed(status, headers, body, now, secret=secret)
        return read(status, body) if missed is None else missed

    return read_or_miss
