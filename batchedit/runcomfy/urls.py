"""Where a call goes. Pure decisions on URLs, because the token is sent to them.

The token goes to the origin (scheme, host, port) of the base URL and nowhere else. Every URL is built from
the base URL and an id; one that a reply offered is used only if it has the same origin and names the same call. The
balance is the one call the vendor serves from another host [seen]: it is asked only of the vendor, only while the base
URL is the vendor's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from ..core.errors import UsageError
from ..core.hosts import is_loopback
from ..core.model import Handle
from ..core.paths import normalize_base_url

DEFAULT_BASE_URL = "https://model-api.runcomfy.net"  # [page]
_BALANCE_PATH = "/prod/v2/balance"
_VENDOR_BALANCE = f"https://api.runcomfy.net{_BALANCE_PATH}"  # [seen]

_PORTS = {"https": 443, "http": 80}
# RFC 3986's characters without "@": what is left can't be read in two ways by two parsers.
_PLAIN = re.compile(r"[A-Za-z0-9:/?\[\]!$&'()*+,;=%._~-]+")


def check_base_url(url: str) -> str:
    """``url`` without a slash or ``/v1`` at its end, which each call's path begins with; UsageError unless it is https, or
    http to this machine.
    """
    text = normalize_base_url(url)
    base_origin = parse_origin(text)
    if base_origin is None or "?" in text:
        raise UsageError(
            f"--base-url {_hide_password(url)} is not a URL this program can use",
            hint=f"write it like {DEFAULT_BASE_URL}, without user, query or #",
        )
    scheme, host, _ = base_origin
    if scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"--base-url {_hide_password(url)} would send the token unencrypted",
            hint="use https://; http:// is for this machine only (127.0.0.1, localhost)",
        )
    return text


def _hide_password(url: str) -> str:
    """The URL for a message, without a password that may stand in it."""
    return re.sub(r"//[^/@]*@", "//…@", url.strip())[:200]


def parse_origin(url: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of an http or https URL; None for anything else, odd or ambiguous."""
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host or not url.lower().startswith(f"{scheme}://"):
        return None
    return scheme, host, port if port is not None else _PORTS[scheme]


def may_use(offered: str, base_url: str, call: str) -> bool:
    """Whether the token may be sent to a URL from a reply: it has the base URL's origin, and its last word is ``call``.

    The last word is checked so that no reply can turn a free call into ``POST /v1/models/...``, which buys.
    """
    offered_origin = parse_origin(offered)
    if offered_origin is None or offered_origin != parse_origin(base_url):
        return False
    path = urlsplit(offered).path
    return path.rsplit("/", 1)[-1] == call and "/models/" not in path


@dataclass(frozen=True, slots=True)
class Addresses:
    """The service's calls as URLs. ``base_url`` has passed ``check_base_url``."""

    base_url: str

    def model(self, model: str) -> str:
        """``POST`` submits (and buys), ``GET`` is the catalogue's entry."""
        return f"{self.base_url}/v1/models/{quote(model, safe='/')}"

    def models(self, search: str, offset: int, limit: int) -> str:
        """One page of the catalogue, with schemas [seen]. ``limit`` is 1 to 500."""
        query = urlencode(
            {"limit": limit, "offset": offset, "include_schema": "true", **({"search": search} if search else {})}
        )
        return f"{self.base_url}/v1/models?{query}"

    def status(self, handle: Handle) -> str:
        return self._request(handle, "status", handle.status_url)

    def result(self, handle: Handle) -> str:
        """With the cost, which the service tells only on request [seen]."""
        url = self._request(handle, "result", handle.result_url)
        if "include_cost=" in url:
            return url
        return f"{url}{'&' if '?' in url else '?'}include_cost=true"

    def cancel(self, handle: Handle) -> str:
        """Always built here, never from a reply: the page gives the path, and this call is a POST."""
        return self._request(handle, "cancel", "")

    def balance(self) -> str:
        """The vendor's balance host for the vendor's base URL, else the same path on the base URL's own origin."""
        if parse_origin(self.base_url) == parse_origin(DEFAULT_BASE_URL):
            return _VENDOR_BALANCE
        scheme, host, port = parse_origin(self.base_url) or ("https", "", 443)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{_BALANCE_PATH}"

    def _request(self, handle: Handle, call: str, offered_url: str) -> str:
        if offered_url and may_use(offered_url, self.base_url, call):
            return offered_url
        return f"{self.base_url}/v1/requests/{quote(handle.request_id, safe='')}/{call}"
