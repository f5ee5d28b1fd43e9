"""HTTP connections as a stack, for the service and for the file hosts alike.

Each connection is a transport with a pool of one: httpcore checks every connection of a pool several times a request and
asks the system about each idle one, which was a sixth of a GET's CPU. The last one used lies on top, so that the others may
expire. ``httpx.AsyncClient`` is not used: what it adds to a transport (authentication, redirects, cookies, hooks) is a
fifth of a call's CPU, and neither caller needs any of it.
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
"""First bytes of pictures. Brotli has no magic bytes, so a body that is only declared as Brotli is recognised by these."""


class PackedBodyError(Exception):
    """A compressed body is damaged."""


class Stack:
    """At most ``size`` connections at once. With ``keep`` False each is used for one call only.

    The caller limits how many calls are made at once. ``proxy`` and ``verify`` come from the caller: nothing here reads the
    environment. ``transport`` replaces the network in tests.
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

        The connection of a call that broke off is closed: httpcore may count a half-made one (a TLS handshake through a
        proxy that failed) as in use for ever.
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


def find_redirect(response: httpx.Response, url: httpx.URL) -> httpx.URL | None:
    """The address that the response from ``url`` leads to; None where it is no redirect. httpx.InvalidURL where that is no
    address. Whether it may be followed is the caller's to judge.
    """
    return url.join(response.headers["location"]) if response.has_redirect_location else None


# --- bodies ---------------------------------------------------------------------------------------


async def read_body(response: httpx.Response, on_chunk: Callable[[bytes], Awaitable[None]]) -> None:
    """Pass the body to ``on_chunk`` as it comes; what ``on_chunk`` raises is raised when the body's generators have ended.

    Left halfway they would be closed by the garbage collector, out of order, and trio reports that with a ResourceWarning;
    closing the outermost leaves those inside it. A cancellation reaches the innermost and ends them all.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    failure: Exception | None = None
    with anyio.CancelScope() as scope:
        async for chunk in response.stream:
            if failure is None:
                try:
                    await on_chunk(chunk)
                except Exception as error:  # noqa: BLE001 - raised below
                    failure = error
                    scope.cancel()
    if failure is not None:
        raise failure


def make_unpacker(response: httpx.Response, first: bytes) -> Callable[[bytes], bytes]:
    """A function that undoes the body's compression, block by block: gzip, deflate, Brotli or Zstandard, where the header
    names it and the ``first`` bytes match. PackedBodyError where a block is damaged.

    Every other encoding (``aws-chunked``, ``utf-8``, ``none``) changes nothing, and a picture that is only declared as
    compressed stays as it is: whether the bytes are a picture is judged by decoding them.
    """
    encodings = {encoding.strip().lower() for encoding in response.headers.get("content-encoding", "").split(",")}
    if encodings & {"gzip", "x-gzip", "deflate"} and first.startswith((b"\x1f\x8b", b"\x78")):
        return _convert_errors(zlib.decompressobj(wbits=47).decompress)  # 47: either header, as zlib has it
    if "zstd" in encodings and first.startswith(b"\x28\xb5\x2f\xfd"):
        return _make_zstd_unpacker()
    if "br" in encodings and not first.startswith(_PICTURES):
        import brotli  # noqa: PLC0415 - hardly any host sends it, as no request asks for it

        return _convert_errors(brotli.Decompressor().process)
    return bytes


def _make_zstd_unpacker() -> Callable[[bytes], bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    decompressor = zstd.ZstdDecompressor()
    return _convert_errors(lambda block: b"" if decompressor.eof else decompressor.decompress(block))


def _convert_errors(unpack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """``unpack``, raising PackedBodyError: each library has an exception of its own for damaged data."""

    def unpack_or_raise(block: bytes) -> bytes:
        try:
            return unpack(block)
        except Exception as error:  # noqa: BLE001 - zlib.error, brotli.error, ZstdError: no common one
            raise PackedBodyError(f"the compressed body is damaged: {type(error).__name__} {error}") from None

    return unpack_or_raise
