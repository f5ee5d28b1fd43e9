"""The tunnel through a proxy: how long its opening may take, and a proxy that refuses it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

TUNNEL_SECONDS = 10.0
"""As long as a connection without a proxy may take. The times for a service that works on its answer are longer: with a
proxy that lets a CONNECT hang, each call would wait for them."""
_PASSING = frozenset({408, 425, 429})
"""These mean "later", as every 5xx does."""


class Tunnel:
    """Watches a CONNECT by httpcore's ``trace``, and ends the call around ``scope`` where the proxy does not answer it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        method = getattr(info.get("request"), "method", None)  # only what starts has one
        if method == b"CONNECT" and name.endswith(".send_request_headers.started"):
            self.scope.deadline = anyio.current_time() + TUNNEL_SECONDS
        elif method not in {None, b"CONNECT"} or name.endswith(".receive_response_headers.complete"):
            self.scope.deadline = math.inf

    @property
    def hung(self) -> bool:
        """Was the call ended because no answer to the CONNECT came?"""
        return self.scope.cancelled_caught


class Proxy:
    """A proxy by its address, without the password that may stand in it, for messages. ``service`` is where it leads."""

    def __init__(self, url: str, service: str) -> None:
        self._name = _format_host_port(url)
        self._service = _format_host_port(service)

    def explain_refusal(self, error: Exception | None) -> str:
        """The message if ``error`` shows that the proxy refuses the tunnel for good; empty if it does not."""
        status = re.match(r"4\d\d\b", str(error)) if isinstance(error, httpx.ProxyError) else None
        if status is None or int(status[0]) in _PASSING:
            return ""
        if status[0] == "407":
            return f"the proxy {self._name} wants a name and a password, or others ({error}); nothing was sent"
        return f"the proxy {self._name} refuses to connect to {self._service} ({error}); nothing was sent"

    @property
    def silence(self) -> str:
        """The message for a tunnel that hangs."""
        return f"the proxy {self._name} does not answer"


def _format_host_port(url: str) -> str:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
