"""Putting a `Reply` on the socket, or failing to: the one place that reaches below HTTP.

The connection's transport comes through the ASGI scope's `state` (see `server.py`). Closing it makes a FIN: the client
reads the end of the stream where an answer should be. With SO_LINGER at 0 the close is an RST. The application must
then wait for uvicorn to notice that the connection is gone before it returns, or uvicorn would complain about (and
answer) a call that was left without an answer.
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
    """A Starlette response that delivers a Reply the way it says, then tells `delivered` the job that it was about."""

    def __init__(self, reply: Reply, delivered: Callable[[Job], None] = lambda _: None) -> None:
        super().__init__(reply.body, reply.status, dict(reply.headers), reply.media)
        self._reply, self._delivered = reply, delivered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Under another server, or none (httpx.ASGITransport), there is no transport to be had, nor to break.
        transport: asyncio.Transport | None = scope.get("state", {}).get("transport")
        if transport is None:
            await self._whole(scope, receive, send)
            return
        match self._reply.delivery:
            case Delivery.HANG:
                if not await _gone_within(receive, self._reply.seconds):
                    transport.close()
                    await _gone(receive)
            case Delivery.DROP | Delivery.RESET:
                if self._reply.delivery is Delivery.RESET:
                    _reset(transport)
                transport.abort() if self._reply.delivery is Delivery.RESET else transport.close()
                await _gone(receive)
            case Delivery.CUT:
                await self._cut(transport, receive, send)
            case Delivery.TRICKLE:
                await self._trickle(receive, send)
            case Delivery.LATE if await _gone_within(receive, self._reply.seconds):
                pass
            case _:
                await self._whole(scope, receive, send, transport)

    async def _whole(
        self, scope: Scope, receive: Receive, send: Send, transport: asyncio.Transport | None = None
    ) -> None:
        if transport is None and self._reply.delivery in _NEED_TRANSPORT:
            raise RuntimeError(f"{self._reply.note}: connections can be broken only under the sandbox's own server")
        await super().__call__(scope, receive, send)
        if self._reply.job and not (transport and transport.is_closing()):
            self._delivered(self._reply.job)

    def _start(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}

    async def _cut(self, transport: asyncio.Transport, receive: Receive, send: Send) -> None:
        await send(self._start())
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        transport.close()
        await _gone(receive)

    async def _trickle(self, receive: Receive, send: Send) -> None:
        await send(self._start())
        step = max(1, len(self.body) // _PIECES)
        for start in range(0, len(self.body), step):
            await send({"type": "http.response.body", "body": self.body[start : start + step], "more_body": True})
            if await _gone_within(receive, self._reply.seconds / _PIECES):
                return
        await send({"type": "http.response.body", "body": b""})


def _reset(transport: asyncio.Transport) -> None:
    connection: Any = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed, by either side."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _gone_within(receive: Receive, seconds: float) -> bool:
    try:
        await asyncio.wait_for(_gone(receive), None if math.isinf(seconds) else seconds)
    except TimeoutError:
        return False
    return True
