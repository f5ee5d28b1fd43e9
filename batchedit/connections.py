"""HTTP connections as a stack, for the service and for the file hosts alike.

A transport each, with a pool of one connection: httpcore looks at every connection of a pool several times a request and
asks the system about each idle one, which was a sixth of a GET's CPU. The last one used lies on top, so the others' may
expire. ``httpx.AsyncClient`` is left out: what it puts around a transport (authentication, redirects, cookies, hooks) is a
fifth of a call's CPU, and neither caller wants any of it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx

KEEPALIVE = 4.0
"""Seconds an idle connection is kept: below the 5 s after which common servers (uvicorn, Node) close theirs."""


class Stack:
    """At most ``size`` connections at once. With ``keep`` False each is used for one call only.

    The caller waits for its turn elsewhere. ``proxy`` and ``verify`` are the caller's, nothing here reads the environment;
    ``transport`` replaces the network in tests.
    """

    def __init__(
        self,
        size: int,
        *,
        verify: ssl.SSLContext | None,
        proxy: str | None,
        keep: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=int(keep), keepalive_expiry=KEEPALIVE)
        self._idle = [
            transport or httpx.AsyncHTTPTransport(verify=verify or True, trust_env=False, limits=limits, proxy=proxy)
            for _ in range(size)
        ]

    @asynccontextmanager
    async def take(self) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """A transport for one call and its answer. httpx.PoolTimeout where none is left.

        After a call that broke off its connection is thrown away: httpcore may count a half-made one (a TLS handshake
        through a proxy that failed) as in use for ever.
        """
        if not self._idle:
            raise httpx.PoolTimeout("more calls at once than there are connections")
        transport = self._idle.pop()
        try:
            yield transport
        except BaseException:
            with anyio.move_on_after(5, shield=True), suppress(Exception):
                await transport.aclose()
            raise
        finally:
            self._idle.append(transport)

    async def aclose(self) -> None:
        """Close them all."""
        for transport in {*self._idle}:
            await transport.aclose()
