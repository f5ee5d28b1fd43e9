"""The proxy: the one place that reads ``HTTPS_PROXY``, for every command and every request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..core.errors import UsageError

VARIABLES = ("HTTPS_PROXY", "https_proxy")
_SCHEMES = frozenset({"http", "https"})
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


def find_proxy(environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, None where none is set; a blank value is none, and ``host:port`` is an http proxy, as in curl.

    UsageError (64) for one that can't be used. No message holds its password.
    """
    for name in VARIABLES:
        if text := environ.get(name, "").strip():
            return _check_proxy(name, text)
    return None


def _check_proxy(name: str, text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname and _HOST.fullmatch(parts.hostname)) and parts.port != 0
    except ValueError:
        is_usable = False
    hint = f"set it like {name}=http://proxy.example.com:8080, or take it away: unset {name}"
    shown_url = re.sub(r"//.*@", "//…@", ascii(url)[1:-1])[:200]
    if not is_usable:
        raise UsageError(f"{name} is {shown_url}, which is no address of a proxy; nothing was sent", hint=hint)
    if parts.scheme.lower() not in _SCHEMES:
        raise UsageError(
            f"{name} is {shown_url}, and a {parts.scheme}:// proxy can't be used, only http:// and https://; "
            "nothing was sent",
            hint=hint,
        )
    return url
