"""The links that may be fetched. Pure.

Only https, only hosts below ``runcomfy.net`` and ``runcomfy.com`` [seen] and those of ``--allow-host``; plain http for
this machine only, and only if that is allowed. A link's text comes from the service, so it is parsed by the parser that
also sends it (httpx). A link with a user name, an odd port or no host is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from ..core.errors import UsageError
from ..core.hosts import is_loopback

_VENDOR = ("runcomfy.net", "runcomfy.com")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class _AllowedHost:
    """One entry of the list. ``below``: hosts below it match too. ``port`` None: the scheme's own port, or any port of this
    machine.
    """

    host: str
    below: bool
    port: int | None

    def matches(self, host: str, port: int, usual: bool) -> bool:
        if host != self.host and not (self.below and host.endswith(f".{self.host}")):
            return False
        return port == self.port if self.port is not None else usual or is_loopback(host)


class HostAllowlist:
    """The list of hosts. ``allow_hosts``: ``cdn.example.com``, ``*.example.com``, ``127.0.0.1:8000``, ``[::1]``."""

    def __init__(self, allow_hosts: Iterable[str] = ()) -> None:
        """UsageError for an entry that is no host."""
        self._entries = [_AllowedHost(host, True, None) for host in _VENDOR] + [
            _parse_entry(text) for text in allow_hosts
        ]

    def explain_refusal(self, url: httpx.URL) -> str | None:
        """Why ``url`` must not be fetched; None if it may."""
        host = url.raw_host.decode("ascii", "replace").lower().strip("[]").rstrip(".")
        if url.scheme not in _PORTS or not host:
            return "it is no https link"
        if url.userinfo:
            return "it carries a user name"
        if url.scheme == "http" and not is_loopback(host):
            return "it is not https"
        port = url.port or _PORTS[url.scheme]
        if not any(entry.matches(host, port, port == _PORTS[url.scheme]) for entry in self._entries):
            host_text = host if port == _PORTS[url.scheme] else f"{host}:{port}"
            return f"its host {host_text[:80]} is not allowed (--allow-host {host_text[:80]} would)"
        return None


def _parse_entry(text: str) -> _AllowedHost:
    lowered = text.strip().lower()
    below = lowered.startswith("*.")
    try:
        url = httpx.URL(f"https://{lowered.removeprefix('*.')}/")
        host = url.raw_host.decode("ascii").strip("[]").rstrip(".")
    except (httpx.InvalidURL, UnicodeError):
        host, url = "", httpx.URL("")
    if (
        not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host)
        or url.userinfo
        or url.path != "/"
        or url.query
        or url.fragment
        or "/" in lowered
    ):
        raise UsageError(f"--allow-host {text!r} is no host", hint="write it like cdn.example.com or *.example.com")
    return _AllowedHost(host, below, url.port)
