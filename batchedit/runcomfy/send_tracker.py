"""Whether a POST that failed may have reached the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


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
