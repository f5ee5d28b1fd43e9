"""The routes: pass HTTP calls to `Service`, apply the fault plan, and count calls."""

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
from batchedit.sandbox.files import FileServer
from batchedit.sandbox.journal import Journal
from batchedit.sandbox.service import Service
from batchedit.sandbox.wire import Reply, make_error, make_json

MAX_BODY = 64 * 2**20


def create_app(config: SandboxConfig | None = None) -> Starlette:
    """The ASGI application, with a ledger of its own at `app.state.endpoints`; StateError if `state` cannot be opened."""
    endpoints = Endpoints(config or SandboxConfig())
    app = Starlette(
        routes=[
            Route("/v1/requests/{request_id}/status", endpoints.status, methods=["GET"]),
            Route("/v1/requests/{request_id}/result", endpoints.result, methods=["GET"]),
            Route("/v1/models", endpoints.models, methods=["GET"]),
            Route("/v1/models/categories", endpoints.categories, methods=["GET"]),
            Route("/v1/models/{model_id:path}", endpoints.submit, methods=["POST"]),
            Route("/files/{request_id}/{number:int}.png", endpoints.file, methods=["GET", "HEAD"]),
            Route("/v1/requests/{request_id}/cancel", endpoints.cancel, methods=["POST"]),
            Route("/v1/models/{model_id:path}", endpoints.model, methods=["GET"]),
            Route("/prod/v2/balance", endpoints.balance, methods=["GET"]),
            Route("/samples/{name}", endpoints.sample, methods=["GET", "HEAD"]),
            Route("/_sandbox/ledger", endpoints.show_ledger, methods=["GET"]),
            Route("/_sandbox/faults", endpoints.replace_faults, methods=["POST"]),
        ],
        exception_handlers={Exception: endpoints.report_bug},
    )
    app.state.endpoints = endpoints
    return app


class Endpoints:
    """Handles each call, applies the fault plan, and counts the answers."""

    def __init__(self, config: SandboxConfig) -> None:
        journal = None if config.state is None else Journal(Path(config.state))
        # Unix time that never goes back: the wall clock is read once, and is never before the last time in the journal.
        start = max(time.time(), journal.find_latest_time() if journal else 0.0)
        self._clock_offset = start - time.monotonic()
        try:
            self.service = Service(config, start, journal)
        except BaseException:
            if journal:
                journal.close()
            raise
        self.files = FileServer(self.service)
        self._half_trip = config.answer_after / 2

    def close(self) -> None:
        """Close the state file for the next server. The ledger can still be read."""
        self.files.close()
        self.service.memory.close()

    async def submit(self, request: Request) -> Response:
        """POST ``/v1/models/{model_id}``: accepts a job, which costs money."""
        body, model_id = await request.body(), request.path_params["model_id"]
        if len(body) > MAX_BODY:
            return await self._answer("submit", "submit", lambda: make_error("too_large"))
        return await self._answer(
            "submit",
            "submit",
            lambda: self.service.submit(model_id, body, _read_token(request), _read_base_url(request), self._now()),
        )

    async def status(self, request: Request) -> Response:
        request_id = request.path_params["request_id"]
        return await self._answer(
            "poll",
            "status",
            lambda: self.service.status(request_id, _read_token(request), _read_base_url(request), self._now()),
        )

    async def result(self, request: Request) -> Response:
        request_id, with_cost = request.path_params["request_id"], request.query_params.get("include_cost") == "true"
        return await self._answer(
            "poll",
            "result",
            lambda: self.service.result(
                request_id, _read_token(request), _read_base_url(request), self._now(), with_cost=with_cost
            ),
        )

    async def cancel(self, request: Request) -> Response:
        request_id = request.path_params["request_id"]
        return await self._answer(
            "cancel", "cancel", lambda: self.service.cancel(request_id, _read_token(request), self._now())
        )

    async def model(self, request: Request) -> Response:
        model_id = request.path_params["model_id"]
        return await self._answer("model", "model", lambda: self.service.model(model_id, _read_token(request)))

    async def models(self, request: Request) -> Response:
        query = request.query_params
        return await self._answer("model", "model", lambda: self.service.models(query, _read_token(request)))

    async def categories(self, request: Request) -> Response:
        return await self._answer("model", "model", lambda: self.service.categories(_read_token(request)))

    async def balance(self, request: Request) -> Response:
        return await self._answer("balance", "balance", lambda: self.service.balance(_read_token(request)))

    async def file(self, request: Request) -> Response:
        """A result's picture. It is drawn before the fault is picked, so that faults apply to a whole answer."""
        self._watch_for_token(request)
        number, request_id = request.path_params["number"], request.path_params["request_id"]
        range_header = request.headers.get("range")
        whole = await self.files.get_result(
            request_id, number, self._now(), query=request.query_params, range_header=range_header
        )
        if request.method == "HEAD":
            return ReplyResponse(whole, self.service.memory.deliver)
        self.service.ledger.calls["file"] += 1
        rule = self.service.memory.injector.pick("file", self._now())
        altered = self.files.apply_link_fault(rule, whole, number, _read_base_url(request), self._now())
        reply = apply_fault(rule, lambda: altered, time.time())
        return self._build_response("file", reply)

    async def sample(self, request: Request) -> Response:
        """A product shot. `--check-images` sends HEAD."""
        self._watch_for_token(request)
        self.service.ledger.calls["sample_head" if request.method == "HEAD" else "sample"] += 1
        return ReplyResponse(await self.files.get_sample(request.path_params["name"]))

    async def show_ledger(self, request: Request) -> Response:
        return ReplyResponse(make_json(self.report(full=request.query_params.get("full") == "1")))

    async def replace_faults(self, request: Request) -> Response:
        """A new fault plan from ``{"faults": [text]}`` in place of the current one."""
        try:
            plan = orjson.loads(await request.body())
            self.set_faults([str(rule) for rule in plan["faults"]])
        except (ValueError, KeyError, TypeError) as reason:
            return ReplyResponse(
                make_json({"error_message": f'send {{"faults": ["PLACE:FAULT=WHEN"]}}: {reason}'}, 422)
            )
        return ReplyResponse(make_json({"faults": plan["faults"]}))

    async def report_bug(self, request: Request, bug: Exception) -> Response:
        """Record an error of the sandbox itself, so that tests can see it; a client that disconnects is no error."""
        if not isinstance(bug, ClientDisconnect):
            self.service.ledger.bugs.append(f"{request.method} {request.url.path}: {bug!r}")
        return ReplyResponse(make_error("internal"))

    def set_faults(self, faults: list[str]) -> None:
        self.service.set_faults(faults, self._now())

    def report(self, *, full: bool) -> dict[str, object]:
        self.service.job_clock.advance(self._now())
        return ledger.build_report(self.service.ledger, self.service.job_clock, self.service.account, full=full)

    async def _answer(self, place: str, call: str, handle: Callable[[], Reply]) -> Response:
        """`place` is the fault plan's name of the call, `call` the ledger's."""
        self.service.ledger.calls[call] += 1
        # The fault is picked when the call arrives: a slow answer must not change which call it applies to.
        rule = self.service.memory.injector.pick(place, self._now())
        if self._half_trip:
            await asyncio.sleep(self._half_trip)
        reply = apply_fault(rule, handle, time.time())
        response = self._build_response(call, reply)
        if self._half_trip:
            await asyncio.sleep(self._half_trip)
        return response

    def _build_response(self, call: str, reply: Reply) -> Response:
        """Count a reply and build its response. If the process is killed now, only counts of polls and the like are lost."""
        self.service.ledger.count(call, reply)
        if call == "file":
            self.files.count(reply)
        # A reply about a job is followed by a line of its own (delivered, served), which includes the counts.
        self.service.memory.count(self._now(), at_once=reply.job is None and call in {"submit", "cancel", "file"})
        return ReplyResponse(reply, self.service.memory.deliver)

    def _watch_for_token(self, request: Request) -> None:
        if request.headers.get("authorization"):
            self.service.ledger.record_leak(f"{request.method} {request.url.path}")

    def _now(self) -> float:
        return time.monotonic() + self._clock_offset


def _read_token(request: Request) -> str:
    return request.headers.get("authorization", "")


def _read_base_url(request: Request) -> str:
    # As the client wrote it, so that links use the same name and port.
    return f"http://{request.headers.get('host', '127.0.0.1')}"
