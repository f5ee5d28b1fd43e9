"""Asks about one link: is there a picture behind it, of what type, and how large?

HEAD is sent first. If its answer is not useful, a GET with a Range reads the first bytes. Only https at public addresses is
asked, and http at this machine where that is allowed. Redirects are followed here, and each is checked like the link
itself. A host's name is resolved here, and the connection is made to the checked address, so that a name can't lead
elsewhere between the two. With a proxy the proxy resolves names, and only the text of the link is checked. No token, no
cookie and no data of the user is sent.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from socket import SOCK_STREAM
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import unquote

import anyio
import httpx

from ..connections import find_redirect
from ..core.hosts import is_loopback
from ..core.limits import MAX_LINK_BYTES, SAFE_LINK_BYTES, format_mb
from .formats import detect_media_type

FINE, LARGE, UNSURE, BAD, UNREACHED = "fine", "large", "unsure", "bad", "unreached"
AT_ONCE = 12
REDIRECTS = 5
TRIES = 3
_PEEK = 64  # bytes: enough to recognise a picture
_MOST_UNASKED = 1 << 16  # bytes read from a host that ignores the Range
_TIMES = httpx.Timeout(connect=10.0, pool=60.0, read=15.0, write=15.0)


@cache
def _load_certificates() -> ssl.SSLContext:
    """One context for all: reading the certificates takes longer than asking about a link."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Answer:
    """A host's answer. UNREACHED: this machine can't connect to the host. ``page``: it is a web page.

    ``size`` is bytes, 0 if not stated; ``etag`` and ``modified`` are the validators, ``at`` is the time.
    """

    verdict: str
    reason: str = ""
    size: int = 0
    etag: str = ""
    modified: str = ""
    at: float = 0.0
    page: bool = False


_NO_ADDRESS = "is no link that can be asked for"


class LinkProbe:
    """An async context manager around one HTTP client without a token. ``loopback`` allows http to this machine; a link is
    asked about ``tries`` times before it counts as unsure. The service refuses a picture of more than ``max_bytes`` bytes.
    """

    def __init__(
        self,
        *,
        loopback: bool = False,
        proxy: str | None = None,
        tries: int = TRIES,
        max_bytes: int = MAX_LINK_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._loopback, self._tries, self._max_bytes = loopback, tries, max_bytes
        self._resolves = transport is None and (loopback or proxy is None)
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=True if transport else _load_certificates(),
            proxy=None if transport or loopback else proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=_TIMES,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "batchedit"},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def ask(self, url: str, earlier: Answer | None = None) -> Answer:
        """What is behind ``url``. ``earlier`` is an older answer to revalidate. Never raises for a network's errors."""
        answer = Answer(UNSURE)
        for attempt in range(self._tries):
            await anyio.sleep(attempt * 0.5)
            try:
                answer = await self._ask_once(url, earlier)
            except httpx.ConnectError as error:
                answer = Answer(UNREACHED, f"can't be reached ({_shorten(error)})")
            except httpx.HTTPError as error:
                answer = Answer(UNSURE, f"did not answer ({_shorten(error)})")
            else:
                if answer.verdict not in {UNSURE, UNREACHED}:
                    return answer
        return answer

    async def fetch(self, url: str) -> bytes | Answer:
        """All bytes behind ``url``, or why there are none. Never raises for a network's errors."""
        answer = Answer(UNSURE)
        for attempt in range(self._tries):
            await anyio.sleep(attempt * 0.5)
            try:
                reply = await self._send("GET", url, {}, whole=True)
            except httpx.HTTPError as error:
                answer = Answer(UNREACHED, f"can't be reached ({_shorten(error)})")
                continue
            if isinstance(reply, Answer):
                return reply
            answer = _judge(reply, self._max_bytes)
            if answer.verdict in {FINE, LARGE}:
                return reply.head
            if answer.verdict == BAD:
                return answer
        return answer

    async def _ask_once(self, url: str, earlier: Answer | None) -> Answer:
        reply = await self._send("HEAD", url, _build_validators(earlier))
        if isinstance(reply, Answer):
            return reply
        if reply.status == 304 and earlier is not None:
            return earlier
        if reply.status != 200 or not reply.length or not reply.is_picture:
            reply = await self._send("GET", url, {"Range": f"bytes=0-{_PEEK - 1}"})
        return reply if isinstance(reply, Answer) else _judge(reply, self._max_bytes)

    async def save(self, url: str, file: BinaryIO, max_bytes: int, accept: str) -> Answer | str:
        """Write what is behind ``url`` to ``file``, at most ``max_bytes`` bytes. Returns the name that the host gives it, ""
        if it gives none; or an Answer that says why it can't be had. Never raises for a network's errors.
        """
        try:
            async with self._open("GET", url, {"Accept": accept}) as reply:
                if isinstance(reply, Answer):
                    return reply
                if reply.status_code != 200:
                    return Answer(BAD, f"the host answered {reply.status_code}")
                bytes_left = max_bytes
                async for block in reply.aiter_raw():
                    bytes_left -= len(block)
                    if bytes_left < 0:
                        return Answer(BAD, f"is larger than {format_mb(max_bytes)}")
                    file.write(block)
                return parse_file_name(reply.headers.get("content-disposition", ""))
        except httpx.HTTPError as error:
            return Answer(UNREACHED, f"can't be reached ({_shorten(error)})")

    async def _send(self, method: str, url: str, headers: dict[str, str], *, whole: bool = False) -> Answer | _Reply:
        async with self._open(method, url, headers) as reply:
            return (
                reply
                if isinstance(reply, Answer)
                else await _read_reply(reply, method, MAX_LINK_BYTES if whole else _PEEK)
            )

    @asynccontextmanager
    async def _open(self, method: str, url: str, headers: dict[str, str]) -> AsyncIterator[Answer | httpx.Response]:
        """The response that the redirects lead to, its body unread; or why the link is not requested."""
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL:
            yield Answer(BAD, _NO_ADDRESS)
            return
        for _ in range(REDIRECTS + 1):
            if reason := self._explain_refusal(target):
                yield Answer(BAD, reason)
                return
            request = self._http.build_request(method, target, headers=headers)
            if self._resolves and not (self._loopback and is_loopback(target.host)):
                address = await _resolve(target)
                if not is_public(address):
                    yield Answer(BAD, f"leads to {target.host[:60]}, which is this machine or a private network")
                    return
                # The certificate and the host's own routing still go by the name.
                request.url = target.copy_with(host=address)
                request.extensions["sni_hostname"] = target.raw_host.decode()
            async with aclosing(await self._http.send(request, stream=True)) as reply:
                try:
                    next_target = find_redirect(reply, target)
                except httpx.InvalidURL:
                    yield Answer(BAD, _NO_ADDRESS)
                    return
                if next_target is None:
                    yield reply
                    return
                target = next_target
        yield Answer(BAD, f"leads from one address to the next, more than {REDIRECTS} times")

    def _explain_refusal(self, url: httpx.URL) -> str:
        if url.scheme == "https" and url.host:
            return ""
        if url.scheme == "http" and self._loopback and is_loopback(url.host):
            return ""
        return f"leads to {url.scheme}://{url.host[:60]}; the service fetches https:// links only"


@dataclass(frozen=True, slots=True)
class _Reply:
    """The part of an HTTP response that is used. ``stated_length`` is the whole picture's in bytes, None if not stated."""

    status: int
    media: str
    stated_length: int | None
    head: bytes
    etag: str
    modified: str

    @property
    def length(self) -> int:
        """Bytes, 0 if not stated."""
        return self.stated_length or 0

    @property
    def is_picture(self) -> bool:
        if self.head or self.stated_length == 0:
            return detect_media_type(self.head[:_PEEK]) is not None
        return self.media.startswith("image/") and not self.media.startswith("image/svg")


def parse_file_name(disposition: str) -> str:
    """The file name in a ``Content-Disposition`` header, ``""`` if it has none."""
    if match := re.search(r"filename\*=(?:UTF-8|utf-8)''([^;]+)", disposition):
        return unquote(match[1].strip())
    match = re.search(r'filename="?([^";]+)', disposition)
    return match[1].strip() if match else ""


async def _read_reply(reply: httpx.Response, method: str, max_bytes: int) -> _Reply:
    """``max_bytes``: bytes to keep. The body of a host that sends more than requested is read to a limit only."""
    head = bytearray()
    if method == "GET" and reply.status_code in {200, 206}:
        async for block in reply.aiter_raw():
            head += block
            if len(head) > max(max_bytes, _MOST_UNASKED):
                break
    total = re.search(r"/(\d+)\s*$", reply.headers.get("content-range", ""))
    length = total.group(1) if total else reply.headers.get("content-length", "")
    return _Reply(
        reply.status_code,
        reply.headers.get("content-type", "").split(";")[0].strip().lower(),
        int(length) if length.isdecimal() and len(length) < 19 and (total or reply.status_code != 206) else None,
        bytes(head[: max_bytes + 1]),
        reply.headers.get("etag", "")[:200],
        reply.headers.get("last-modified", "")[:100],
    )


def _judge(reply: _Reply, max_bytes: int) -> Answer:  # noqa: PLR0911 - one return an answer
    if reply.status in {408, 425, 429} or reply.status >= 500:
        return Answer(UNSURE, f"could not be asked (HTTP {reply.status})")
    if reply.status not in {200, 206}:
        return Answer(BAD, f"{_MISSING.get(reply.status, 'gives no picture')} (HTTP {reply.status})")
    if reply.stated_length == 0 and not reply.head:
        return Answer(BAD, "is an empty file, not a picture")
    if not reply.is_picture:
        page = reply.media in {"text/html", "application/xhtml+xml"}
        kind = "a web page" if page else reply.media or "something unknown"
        return Answer(BAD, f"is {kind}, not a picture; the link must be the picture's own", page=page)
    answer = Answer(FINE, "", reply.length, reply.etag, reply.modified)
    if reply.length > max_bytes:
        reason = f"is {format_mb(reply.length)}; the service refuses more than {max_bytes / 1e6:g} MB"
        return replace(answer, verdict=BAD, reason=reason)
    if reply.length > SAFE_LINK_BYTES:
        return replace(answer, verdict=LARGE, reason=f"is {format_mb(reply.length)}")
    return answer


_MISSING = {
    **dict.fromkeys((404, 410), "leads nowhere: there is no picture"),
    **dict.fromkeys((401, 403), "is not public: the service must be able to fetch it without a login"),
}


def _build_validators(earlier: Answer | None) -> dict[str, str]:
    if earlier is None or earlier.verdict == BAD:
        return {}
    headers = {"If-None-Match": earlier.etag, "If-Modified-Since": earlier.modified}
    return {name: value for name, value in headers.items() if value}


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


async def _resolve(url: httpx.URL) -> str:
    """The address to connect to; one that is not public if there is any, so that it is refused. Raises httpx.ConnectError."""
    try:
        entries = await anyio.getaddrinfo(url.host, url.port or 443, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(str(error)) from None
    addresses = sorted({str(entry[4][0]) for entry in entries}, key=lambda address: (":" in address, address))
    return next((address for address in addresses if not is_public(address)), addresses[0])


def is_public(address: str) -> bool:
    """True for an address of the public internet."""
    ip = ip_address(address.partition("%")[0])
    return ip.is_global and not ip.is_multicast
