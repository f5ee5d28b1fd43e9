"""HTTP connections as a stack, for the service and for the file hosts alike.

A transport each, with a pool of one connection: httpcore looks at every connection of a pool several times a request and
asks the system about each idle one, which was a sixth of a GET's CPU. The last one used lies on top, so the others' may
expire. ``httpx.AsyncClient`` is left out: what it puts around a transport (authentication, redirects, cookies, hooks) is a
fifth of a call's CPU, and neither caller wants any of it.
"""

from __future__ import annotations

import ssl
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import httpx

KEEPALIVE = 4.0
"""Seconds an idle connection is kept: below the 5 s after which common servers (uvicorn, Node) close theirs."""


_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""How pictures begin: Brotli's bytes have no beginning of their own by which a body that is only called so could be told."""


class PackedBodyError(Exception):
    """A compressed body is damaged."""


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

        def connect() -> httpx.AsyncHTTPTransport:
            return httpx.AsyncHTTPTransport(verify=verify or True, trust_env=False, limits=limits, proxy=proxy)

        self._idle = [transport or connect() for _ in range(size)]

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


# --- bodies ---------------------------------------------------------------------------------------


async def read_body(response: httpx.Response, take: Callable[[bytes], Awaitable[None]]) -> None:
    """Hand the body to ``take`` as it comes; what ``take`` raises is raised when the body's generators have ended.

    Left halfway they would be closed by the collector, out of turn, and trio says so with a ResourceWarning; closing the
    outermost leaves those inside it. A cancellation reaches the innermost and ends them all.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    failed: Exception | None = None
    with anyio.CancelScope() as scope:
        async for chunk in response.stream:
            if failed is None:
                try:
                    await take(chunk)
                except Exception as error:  # noqa: BLE001 - raised below
                    failed = error
                    scope.cancel()
    if failed is not None:
        raise failed


def unpacker(response: httpx.Response, first: bytes) -> Callable[[bytes], bytes]:
    """What undoes the body's compression, block by block: gzip, deflate, Brotli or Zstandard, where the header says so and
    the ``first`` bytes are such. PackedBodyError where a block is damaged.

    Every other word (``aws-chunked``, ``utf-8``, ``none``) changes nothing, and a picture that is only called compressed
    stays as it is: whether the bytes are a picture is judged by decoding them.
    """
    words = {word.strip().lower() for word in response.headers.get("content-encoding", "").split(",")}
    if words & {"gzip", "x-gzip", "deflate"} and first.startswith((b"\x1f\x8b", b"\x78")):
        return _telling(zlib.decompressobj(wbits=47).decompress)  # 47: either header, as zlib has it
    if "zstd" in words and first.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd()
    if "br" in words and not first.startswith(_PICTURES):
        import brotli  # noqa: PLC0415 - hardly any host sends it, as nobody asks for it

        return _telling(brotli.Decompressor().process)
    return bytes


def _zstd() -> Callable[[bytes], bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    found = zstd.ZstdDecompressor()
    return _telling(lambda block: b"" if found.eof else found.decompress(block))


def _telling(unpack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Each of the libraries has an exception of its own for what is damaged."""

    def told(block: bytes) -> bytes:
        try:
            return unpack(block)
        except Exception as error:  # noqa: BLE001 - zlib.error, brotli.error, ZstdError: no common one
            raise PackedBodyError(f"the compressed body is damaged: {type(error).__name__} {error}") from None

    return told
