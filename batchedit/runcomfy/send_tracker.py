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
"""So long the last read waits: what it is for lies in the socket already."""


class TooLateError(Exception):
    """The POST may not leave any more: others have taken over its job, or another service listens where it would go."""


class SendTracker:
    """Watches one POST by httpcore's ``trace``: ``left`` is False while surely no byte of it has been written.

    A proxy's CONNECT is not the POST: from its first byte on until the POST's, ``tunnels`` is True, and ``tunnel`` limits
    it. A transport that traces nothing leaves both False, and then the exception's class alone decides (see ``never_left``).

    ``late`` is what one last read found when the reading of the answer failed. A process that was stopped finds its time
    up and the answer in its socket, and the id in that answer is paid for. The trace is the one place between the
    failure and the closing of the connection.

    ``raw`` are the first bytes that came in answer to the POST, ``late`` among them, as they came: of what is no HTTP the
    library hands nothing on, and all but the last read would be lost.

    ``why_not`` is asked just before the first byte, and says why it may not go out, or nothing: making a connection may have
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
                self._stream.read = self._kept(self._stream.read)
        await self.tunnel(name, info)
        request = info.get("request")
        if getattr(request, "method", b"POST") != b"POST":
            self.tunnels = True
            return
        if name.endswith(".send_request_headers.started"):
            if why := self._why_not():
                raise TooLateError(why)
            self.left, self.tunnels = True, False
        elif name.endswith(".send_request_headers.failed") and _is_local(info.get("exception")):
            self.left = False  # h11 refused to write these headers at all
        elif name.endswith((".receive_response_headers.failed", ".receive_response_body.failed")):
            await self._read_what_is_there()

    def _kept(self, read: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        async def reading(*args: Any, **named: Any) -> bytes:
            data = await read(*args, **named)
            if self.left and len(self.raw) < LARGEST_LATE:  # what a proxy says before is no answer to the POST
                self.raw += data
            return data

        return reading

    async def _read_what_is_there(self) -> None:
        with anyio.move_on_after(5 * LAST_READ_SECONDS, shield=True):  # a server that trickles would hold it for ever
            try:
                while len(self.late) < LARGEST_LATE and (data := await self._stream.read(65536, LAST_READ_SECONDS)):
                    self.late += data
            except Exception:  # noqa: BLE001 - it is an extra; whatever it meets, the POST's own failure is what counts
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
    """Whether a POST that ended in ``error`` was surely not taken: both the exception's class and the trace say so.

    Of a proxy that was asked for a tunnel and has not given it the trace alone says it, whatever the exception: a CONNECT
    that is refused, closed or left without an answer comes before the POST. ``error`` is None where the time was up.
    """
    return not tracker.left and (tracker.tunnels or isinstance(error, NEVER_LEFT))
