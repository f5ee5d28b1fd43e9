"""Which connection a call takes, and whether a call that failed may have reached the service.

A POST that buys never rides on a connection that has been idle: a server that closes such
a connection at the same moment leaves a purchase in doubt. So submits get a fresh connection each (a handshake a job is
nothing beside the job, and in an outage a fresh connection is *refused*, which is surely not taken, where an old one
would be *lost*). GETs keep theirs alive, and each is a pool of its own: httpcore looks at every connection of a pool
several times a request, and asks the system about each idle one, which was a sixth of a GET's CPU.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx

KEEPALIVE = 4.0
"""Seconds an idle GET connection is kept: below the 5 s after which common servers (uvicorn, Node) close theirs."""


class Connections:
    """Stacks of transports with one connection each: ``fresh`` are ``posts`` whose connection is used once, ``kept`` are
    ``gets`` whose connection stays open. Given one ``transport``, all of them are that. The caller holds a permit of the
    same number, so a stack is never empty; the last one used lies on top, and the others' connections may expire.
    """

    def __init__(
        self,
        *,
        posts: int,
        gets: int,
        verify: ssl.SSLContext | None,
        proxy: str | None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        verify = verify or (httpx.create_ssl_context() if transport is None else None)

        def made(limits: httpx.Limits) -> httpx.AsyncBaseTransport:
            if transport is not None:
                return transport
            return httpx.AsyncHTTPTransport(verify=verify or True, trust_env=False, limits=limits, proxy=proxy)

        once = httpx.Limits(max_connections=1, max_keepalive_connections=0)
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE)
        self.fresh = [made(once) for _ in range(posts)]
        self.kept = [made(one) for _ in range(gets)]

    async def aclose(self) -> None:
        """Close them all."""
        for transport in {*self.fresh, *self.kept}:
            await transport.aclose()


@asynccontextmanager
async def taken(stack: list[httpx.AsyncBaseTransport]) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """The transport on top of ``stack`` for one call. After a call that broke off its connection is thrown away: httpcore
    may count a half-made one (a TLS handshake through a proxy that failed) as in use for ever. httpx.PoolTimeout where
    none is left.
    """
    if not stack:
        raise httpx.PoolTimeout("more calls at once than there are connections")  # a caller that passed the permit by
    transport = stack.pop()
    try:
        yield transport
    except BaseException:
        with anyio.move_on_after(5, shield=True), suppress(Exception):
            await transport.aclose()
        raise
    finally:
        stack.append(transport)


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
