"""Whether a POST that failed may have reached the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import httpx

from .tunnel import Tunnel

LARGEST_LATE = 64 * 1024
"""Bytes. A real answer has some hundred."""
LAST_READ_SECONDS = 0.2
"""How long the last read waits: the bytes that it is for are in the socket already."""


class TooLateError(Exception):
    """The POST may not leave any more: another process has taken over its job, or another service is at its address."""


class SendTracker:
    """Watches one POST by httpcore's ``trace``: ``left`` is False while surely no byte of it has been written.

    A proxy's CONNECT is not the POST: from its first byte on until the POST's, ``tunnels`` is True, and ``tunnel`` limits
    it. A transport that traces nothing leaves both False, and then the exception's class alone decides (see ``never_left``).

    ``late`` is what one last read returned after reading the answer failed. A process that was stopped finds its time
    up and the answer in its socket, and the id in that answer is paid for. The trace is the one place between the
    failure and the closing of the connection.

    ``raw`` are the first bytes that came in answer to the POST, including ``late``, unchanged: of what is not HTTP the
    library passes on nothing, and all but the last read would be lost.

    ``why_not`` is called just before the first byte, and returns why it may not go out, or "": making a connection may have
    taken longer than a lease.
    """

    def __init__(self, why_not: Callable[[], str] = str) -> None:
        self._why_not = why_not
        self.tunnel = Tunnel()
        self.left = False
        self.tunnels = False
        self.late = b""
        self.raw = b""
        self._stream: Any = None

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        if name in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._stream = info.get("return_value")
            if self._stream is not None:
                self._stream.read = self._record_reads(self._stream.read)
        await self.tunnel(name, info)
        request = info.get("request")
        if getattr(request, "method", b"POST") != b"POST":
            self.tunnels = True
            return
        if name.endswith(".send_request_headers.started"):
            if reason := self._why_not():
                raise TooLateError(reason)
            self.left, self.tunnels = True, False
        elif name.endswith(".send_request_headers.failed") and _is_local(info.get("exception")):
            self.left = False  # h11 refused to write these headers at all
        elif name.endswith((".receive_response_headers.failed", ".receive_response_body.failed")):
            await self._read_late_bytes()

    def _record_reads(self, read: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        async def read_and_record(*args: Any, **options: Any) -> bytes:
            data = await read(*args, **options)
            if self.left and len(self.raw) < LARGEST_LATE:  # bytes from a proxy before that are no answer to the POST
                self.raw += data
            return data

        return read_and_record

    async def _read_late_bytes(self) -> None:
        with anyio.move_on_after(5 * LAST_READ_SECONDS, shield=True):  # a server that trickles would hold it for ever
            try:
                while len(self.late) < LARGEST_LATE and (data := await self._stream.read(65536, LAST_READ_SECONDS)):
                    self.late += data
            except Exception:  # noqa: BLE001 - an extra attempt; the POST's own failure is what counts
                return


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
    TooLateError,
)
"""The exceptions that come before the first byte. Every other one, known or not, means that it may have gone out."""


def never_left(error: Exception | None, tracker: SendTracker) -> bool:
    """Whether a POST that ended in ``error`` was surely not accepted: both the exception's class and the trace show it.

    Where a proxy was asked for a tunnel and has not opened it, the trace alone shows it, whatever the exception: a CONNECT
    that is refused, closed or left without an answer comes before the POST. ``error`` is None where the time was up.
    """
    return not tracker.left and (tracker.tunnels or isinstance(error, NEVER_LEFT))
