"""The routes: from HTTP to `Service` and back, through the fault plan. Calls are counted here."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from batchedit.sandbox import ledger
from batchedit.sandbox.apply_fault import apply_fault
from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.delivery import ReplyResponse
from batchedit.sandbox.files import Files
from batchedit.sandbox.journal import Journal
from batchedit.sandbox.service import Service
from batchedit.sandbox.wire import Reply, error, json_reply

MAX_BODY = 64 * 2**20


def create_app(config: SandboxConfig | None = None) -> Starlette:
    """The ASGI application, with a ledger of its own at `app.state.desk`; StateError where `state` cannot be had."""
    desk = Desk(config or SandboxConfig())
    app = Starlette(
        routes=[
            Route("/v1/requests/{request_id}/status", desk.status, methods=["GET"]),
            Route("/v1/requests/{request_id}/result", desk.result, methods=["GET"]),
            Route("/v1/models", desk.models, methods=["GET"]),
            Route("/v1/models/categories", desk.categories, methods=["GET"]),
            Route("/v1/models/{model_id:path}", desk.submit, methods=["POST"]),
            Route("/files/{request_id}/{number:int}.png", desk.file, methods=["GET", "HEAD"]),
            Route("/v1/requests/{request_id}/cancel", desk.cancel, methods=["POST"]),
            Route("/v1/models/{model_id:path}", desk.model, methods=["GET"]),
            Route("/prod/v2/balance", desk.balance, methods=["GET"]),
            Route("/samples/{name}", desk.sample, methods=["GET", "HEAD"]),
            Route("/_sandbox/ledger", desk.show_ledger, methods=["GET"]),
            Route("/_sandbox/faults", desk.replace_faults, methods=["POST"]),
        ],
        exception_handlers={Exception: desk.broken},
    )
    app.state.desk = desk
    return app


class Desk:
    """Takes each call in, lets the fault plan have its way with it, and counts what went out."""

    def __init__(self, config: SandboxConfig) -> None:
        journal = None if config.state is None else Journal(Path(config.state))
        # Unix time that only goes forward: the wall clock is read once, and never before what an earlier server wrote.
        start = max(time.time(), journal.latest() if journal else 0.0)
        self._ahead = start - time.monotonic()
        try:
            self.service = Service(config, start, journal)
        except BaseException:
            if journal:
                journal.close()
            raise
        self.files = Files(self.service)
        self._half_trip = config.answer_after / 2

    def close(self) -> None:
        """Leave the state file to the next server. The ledger can still be read."""
        self.files.close()
        self.service.memory.close()

    async def submit(self, request: Request) -> Response:
        """POST ``/v1/models/{model_id}``: takes a job, which is money."""
        body, model_id = await request.body(), request.path_params["model_id"]
        if len(body) > MAX_BODY:
            return await self._answer("submit", "submit", lambda: error("too_large"))
        return await self._answer(
            "submit",
            "submit",
            lambda: self.service.submit(model_id, body, _token(request), _base(request), self._now()),
        )

    async def status(self, request: Request) -> Response:
        of = request.path_params["request_id"]
        return await self._answer(
            "poll", "status", lambda: self.service.status(of, _token(request), _base(request), self._now())
        )

    async def result(self, request: Request) -> Response:
        of, costs = request.path_params["request_id"], request.query_params.get("include_cost") == "true"
        return await self._answer(
            "poll",
            "result",
            lambda: self.service.result(of, _token(request), _base(request), self._now(), with_cost=costs),
        )

    async def cancel(self, request: Request) -> Response:
        of = request.path_params["request_id"]
        return await self._answer("cancel", "cancel", lambda: self.service.cancel(of, _token(request), self._now()))

    async def model(self, request: Request) -> Response:
        of = request.path_params["model_id"]
        return await self._answer("model", "model", lambda: self.service.model(of, _token(request)))

    async def models(self, request: Request) -> Response:
        query = request.query_params
        return await self._answer("model", "model", lambda: self.service.models(query, _token(request)))

    async def categories(self, request: Request) -> Response:
        return await self._answer("model", "model", lambda: self.service.categories(_token(request)))

    async def balance(self, request: Request) -> Response:
        return await self._answer("balance", "balance", lambda: self.service.balance(_token(request)))

    async def file(self, request: Request) -> Response:
        """A result's picture. It is drawn before the plan is asked, so that faults see a whole answer to spoil."""
        self._watch_for_token(request)
        number, of = request.path_params["number"], request.path_params["request_id"]
        span = request.headers.get("range")
        whole = await self.files.result(of, number, self._now(), query=request.query_params, span=span)
        if request.method == "HEAD":
            return ReplyResponse(whole, self.service.memory.deliver)
        self.service.ledger.calls["file"] += 1
        rule = self.service.memory.injector.pick("file", self._now())
        befallen = self.files.befallen(rule, whole, number, _base(request), self._now())
        reply = apply_fault(rule, lambda: befallen, time.time())
        return self._counted("file", reply)

    async def sample(self, request: Request) -> Response:
        """A product shot. HEAD is what `--check-images` asks."""
        self._watch_for_token(request)
        self.service.ledger.calls["sample_head" if request.method == "HEAD" else "sample"] += 1
        return ReplyResponse(await self.files.sample(request.path_params["name"]))

    async def show_ledger(self, request: Request) -> Response:
        return ReplyResponse(json_reply(self.report(full=request.query_params.get("full") == "1")))

    async def replace_faults(self, request: Request) -> Response:
        """A new fault plan from ``{"faults": [text]}`` in place of the one that was laid."""
        try:
            plan = orjson.loads(await request.body())
            self.set_faults([str(rule) for rule in plan["faults"]])
        except (ValueError, KeyError, TypeError) as reason:
            return ReplyResponse(
                json_reply({"error_message": f'send {{"faults": ["PLACE:FAULT=WHEN"]}}: {reason}'}, 422)
            )
        return ReplyResponse(json_reply({"faults": plan["faults"]}))

    async def broken(self, request: Request, bug: Exception) -> Response:
        """The sandbox's own mistake, put where a test can see it; a client that left in mid-sentence is none."""
        if not isinstance(bug, ClientDisconnect):
            self.service.ledger.bugs.append(f"{request.method} {request.url.path}: {bug!r}")
        return ReplyResponse(error("internal"))

    def set_faults(self, faults: list[str]) -> None:
        self.service.set_faults(faults, self._now())

    def report(self, *, full: bool) -> dict[str, object]:
        self.service.clockwork.advance(self._now())
        return ledger.report(self.service.ledger, self.service.clockwork, self.service.till, full=full)

    async def _answer(self, place: str, call: str, handle: Callable[[], Reply]) -> Response:
        """`place` is where the plan looks the call up, `call` how the ledger names it."""
        self.service.ledger.calls[call] += 1
        # The fault is picked when the call arrives: a slow answer must not change who is hit.
        rule = self.service.memory.injector.pick(place, self._now())
        if self._half_trip:
            await asyncio.sleep(self._half_trip)
        reply = apply_fault(rule, handle, time.time())
        response = self._counted(call, reply)
        if self._half_trip:
            await asyncio.sleep(self._half_trip)
        return response

    def _counted(self, call: str, reply: Reply) -> Response:
        """An answer on its way out. Only polls and the like may be forgotten, if the process is killed at once."""
        self.service.ledger.count(call, reply)
        if call == "file":
            self.files.count(reply)
        # What goes out about a job is followed by a line of its own (delivered, served), which takes the count along.
        self.service.memory.count(self._now(), at_once=reply.job is None and call in {"submit", "cancel", "file"})
        return ReplyResponse(reply, self.service.memory.deliver)

    def _watch_for_token(self, request: Request) -> None:
        if request.headers.get("authorization"):
            self.service.ledger.leak(f"{request.method} {request.url.path}")

    def _now(self) -> float:
        return time.monotonic() + self._ahead


def _token(request: Request) -> str:
    return request.headers.get("authorization", "")


def _base(request: Request) -> str:
    # As the client wrote it, so that links lead back through whatever port or name it came by.
    return f"http://{request.headers.get('host', '127.0.0.1')}"
