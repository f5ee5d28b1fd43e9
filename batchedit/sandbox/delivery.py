"""Writes a `Reply` to the socket, or breaks the connection instead: the only module that reaches below HTTP.

The connection's transport comes through the ASGI scope's `state` (see `server.py`). Closing it sends a FIN: the client
reads the end of the stream instead of an answer. With SO_LINGER at 0 the close is an RST. The application must then wait
until uvicorn notices the disconnect before it returns, or uvicorn would log an error and answer the call itself.
"""

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from batchedit.sandbox.job_clock import Job
from batchedit.sandbox.wire import Delivery, Reply

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PIECES = 20
_NEED_TRANSPORT = {Delivery.DROP, Delivery.RESET, Delivery.HANG, Delivery.CUT}


class ReplyResponse(Response):
    """A Starlette response that delivers a Reply as its `delivery` says, then calls `on_delivered` with its job."""

    def __init__(self, reply: Reply, on_delivered: Callable[[Job], None] = lambda _: None) -> None:
        super().__init__(reply.body, reply.status, dict(reply.headers), reply.media)
        self._reply, self._on_delivered = reply, on_delivered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Another server, or none (httpx.ASGITransport), gives no access to the transport.
        transport: asyncio.Transport | None = scope.get("state", {}).get("transport")
        if transport is None:
            await self._send_whole(scope, receive, send)
            return
        match self._reply.delivery:
            case Delivery.HANG:
                if not await _disconnects_within(receive, self._reply.seconds):
                    transport.close()
                    await _wait_for_disconnect(receive)
            case Delivery.DROP | Delivery.RESET:
                if self._reply.delivery is Delivery.RESET:
                    _reset_on_close(transport)
                transport.abort() if self._reply.delivery is Delivery.RESET else transport.close()
                await _wait_for_disconnect(receive)
            case Delivery.CUT:
                await self._send_half(transport, receive, send)
            case Delivery.TRICKLE:
                await self._send_slowly(receive, send)
            case Delivery.LATE if await _disconnects_within(receive, self._reply.seconds):
                pass
            case _:
                await self._send_whole(scope, receive, send, transport)

    async def _send_whole(
        self, scope: Scope, receive: Receive, send: Send, transport: asyncio.Transport | None = None
    ) -> None:
        if transport is None and self._reply.delivery in _NEED_TRANSPORT:
            raise RuntimeError(f"{self._reply.note}: connections can be broken only under the sandbox's own server")
        await super().__call__(scope, receive, send)
        if self._reply.job and not (transport and transport.is_closing()):
            self._on_delivered(self._reply.job)

    def _build_start(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}

    async def _send_half(self, transport: asyncio.Transport, receive: Receive, send: Send) -> None:
        await send(self._build_start())
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        transport.close()
        await _wait_for_disconnect(receive)

    async def _send_slowly(self, receive: Receive, send: Send) -> None:
        await send(self._build_start())
        step = max(1, len(self.body) // _PIECES)
        for start in range(0, len(self.body), step):
            await send({"type": "http.response.body", "body": self.body[start : start + step], "more_body": True})
            if await _disconnects_within(receive, self._reply.seconds / _PIECES):
                return
        await send({"type": "http.response.body", "body": b""})


def _reset_on_close(transport: asyncio.Transport) -> None:
    connection: Any = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until the connection is closed, by either side."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _disconnects_within(receive: Receive, seconds: float) -> bool:
    try:
        await asyncio.wait_for(_wait_for_disconnect(receive), None if math.isinf(seconds) else seconds)
    except TimeoutError:
        return False
    return True
