"""Which connection a call takes, and whether a call that failed may have reached the service.

Two pools behind one client. A POST that buys never rides on a connection that has been idle: a server that closes such
a connection at the same moment leaves a purchase in doubt. So submits get a fresh connection each (a handshake a job is
nothing beside the job, and in an outage a fresh connection is *refused*, which is surely not taken, where an old one
would be *lost*). GETs keep theirs alive.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import httpx

FRESH = "batchedit.fresh"
"""The request extension that asks for a connection of its own."""

KEEPALIVE = 4.0
"""Seconds an idle GET connection is kept: below the 5 s after which common servers (uvicorn, Node) close theirs."""

IDLE = 4
"""So many of them at most: httpcore looks at every idle connection twice a request, at 50 µs each."""


class TwoPools(httpx.AsyncBaseTransport):
    """Sends what is marked FRESH over connections used once, all else over kept ones. Neither can starve the other."""

    def __init__(self, *, fresh: int, kept: int, verify: ssl.SSLContext, proxy: str | None) -> None:
        once = httpx.Limits(max_connections=fresh, max_keepalive_connections=0)
        many = httpx.Limits(max_connections=kept, max_keepalive_connections=min(kept, IDLE), keepalive_expiry=KEEPALIVE)
        self._fresh = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=once, proxy=proxy)
        self._kept = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=many, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool = self._fresh if request.extensions.get(FRESH) else self._kept
        return await pool.handle_async_request(request)

    async def aclose(self) -> None:
        await self._fresh.aclose()
        await self._kept.aclose()


class Departure:
    """Watches one POST by httpcore's ``trace``: ``left`` is False while surely no byte of it has been written.

    A proxy's CONNECT is not the POST. A transport that traces nothing leaves ``left`` False, and then the exception's
    class alone decides (see ``never_left``).
    """

    def __init__(self) -> None:
        self.left = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        request = info.get("request")
        if getattr(request, "method", b"POST") != b"POST":
            return
        if name.endswith(".send_request_headers.started"):
            self.left = True
        elif name.endswith(".send_request_headers.failed") and _is_local(info.get("exception")):
            self.left = False  # h11 refused to write these headers at all


def _is_local(error: object) -> bool:
    return type(error).__name__ == "LocalProtocolError"


NEVER_LEFT: tuple[type[Exception], ...] = (
    httpx.ConnectError,  # DNS, refused, unreachable, TLS handshake
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # the proxy refused to make the tunnel; http:// never goes through a proxy here
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,  # our own request is malformed: h11 checks before it writes
    httpx.InvalidURL,
)
"""The exceptions that come before the first byte. Every other one, known or not, means that it may have gone out."""


def never_left(error: Exception, departure: Departure) -> bool:
    """Whether a POST that ended in ``error`` was surely not taken: both the exception's class and the trace say so."""
    return isinstance(error, NEVER_LEFT) and not departure.left
