"""HTTP connections as a stack, for the service and for the file hosts alike.

A transport each, with a pool of one connection: httpcore looks at every connection of a pool several times a request and
asks the system about each idle one, which was a sixth of a GET's CPU. The last one used lies on top, so the others' may
expire. ``httpx.AsyncClient`` is left out: what it puts around a transport (authentication, redirects, cookies, hooks) is a
fifth of a call's CPU, and neither caller wants any of it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import anyio
import httpcore
import httpx

KEEPALIVE = 4.0
"""Seconds an idle connection is kept: below the 5 s after which common servers (uvicorn, Node) close theirs."""
FRESH = 1.0
"""Seconds after the last byte for which the other side is taken not to have hung up."""
BLOCK = 2**18
"""Bytes read at once: as many as asyncio takes from a socket. httpcore asks for a quarter of that, and what it did not ask
for would be handed out in pieces, a fifth of what a download costs without its check.
"""


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

        def one() -> httpx.AsyncHTTPTransport:
            made = httpx.AsyncHTTPTransport(verify=verify or True, trust_env=False, limits=limits, proxy=proxy)
            if keep:
                # The parameter is httpcore's own (``network_backend``), and httpx has no way to hand it on.
                made._pool._network_backend = _Backend()  # noqa: SLF001
            return made

        self._idle = [transport or one() for _ in range(size)]

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


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that reads large blocks, and asks the system whether the other side has hung up only once it has been
    quiet for FRESH seconds.

    httpcore wants to know at the beginning and at the end of each call, and anyio asks for the peer's name on the way:
    four calls to the system, a tenth of a GET (``benchmarks/LOG.md``). A server that hangs up at once says so in its answer;
    one that doesn't breaks a call that is free, and that is made again.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._heard = monotonic()
        self._over = False  # an answer without a length ends with the connection, and httpcore would use it again

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's own
        self._heard = monotonic()
        data = await self._inner.read(max(max_bytes, BLOCK), timeout)
        self._over = self._over or not data
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's own
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and (self._over or monotonic() - self._heard < FRESH):
            return self._over
        return self._inner.get_extra_info(info)


class _Backend(httpcore.AnyIOBackend):
    """httpcore's own, with such streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore's. Its errors stay what they are."""
        return _Stream(await super().connect_tcp(host, port, timeout, local_address, socket_options))
