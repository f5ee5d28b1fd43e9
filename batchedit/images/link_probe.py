"""One link asked about: is there a picture behind it, of what type, and how large?

HEAD first; where a host does not answer that usefully, the first bytes by GET with a Range. Only https is asked, at public
addresses, and this machine by http where that is allowed; redirects are followed by hand, each judged like the link itself.
A host's name is resolved here and the address that was judged is the one that is connected to, so that a name can't lead
elsewhere between the two. Through a proxy the proxy resolves, and only what the link itself says is judged. No token, no
cookie, nothing of the user's is sent.
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

from ..core.hosts import is_loopback
from ..core.limits import MAX_LINK_BYTES, SAFE_LINK_BYTES, format_mb
from .formats import media_type

FINE, LARGE, UNSURE, BAD, UNREACHED = "fine", "large", "unsure", "bad", "unreached"
AT_ONCE = 12
REDIRECTS = 5
TRIES = 3
_PEEK = 64  # bytes: enough to tell what a picture is
_ENOUGH = 1 << 16  # of a host that sends the whole picture all the same
_TIMES = httpx.Timeout(connect=10.0, pool=60.0, read=15.0, write=15.0)


@cache
def _certificates() -> ssl.SSLContext:
    """One for all: reading the certificates takes longer than asking about a link."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said. UNREACHED is a host that this machine can't get to; ``page`` is True for a web page.

    ``size`` is bytes, 0 if untold; ``etag`` and ``modified`` are its validators, ``at`` when.
    """

    verdict: str
    reason: str = ""
    size: int = 0
    etag: str = ""
    modified: str = ""
    at: float = 0.0
    page: bool = False


class Asker:
    """An async context manager around one HTTP client without a token. ``loopback`` allows http to this machine; a link is
    asked about ``tries`` times before it counts as unsure. The service refuses a picture of more than ``most`` bytes.
    """

    def __init__(
        self,
        *,
        loopback: bool = False,
        proxy: str | None = None,
        tries: int = TRIES,
        most: int = MAX_LINK_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._loopback, self._tries, self._most = loopback, tries, most
        self._resolves = transport is None and (loopback or proxy is None)
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=True if transport else _certificates(),
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

    async def ask(self, url: str, known: Answer | None = None) -> Answer:
        """What is behind ``url``; ``known`` is an older answer to be confirmed. Never raises for what a network does."""
        answer = Answer(UNSURE)
        for attempt in range(self._tries):
            await anyio.sleep(attempt * 0.5)
            try:
                answer = await self._once(url, known)
            except httpx.InvalidURL:
                return Answer(BAD, "is no link that can be asked for")
            except httpx.ConnectError as error:
                answer = Answer(UNREACHED, f"can't be reached ({_brief(error)})")
            except httpx.HTTPError as error:
                answer = Answer(UNSURE, f"did not answer ({_brief(error)})")
            else:
                if answer.verdict not in {UNSURE, UNREACHED}:
                    return answer
        return answer

    async def fetch(self, url: str) -> bytes | Answer:
        """All bytes behind ``url``, or why there are none to be had. Never raises for what a network does."""
        problem = Answer(UNSURE)
        for attempt in range(self._tries):
            await anyio.sleep(attempt * 0.5)
            try:
                found = await self._send("GET", url, {}, whole=True)
            except httpx.HTTPError as error:
                problem = Answer(UNREACHED, f"can't be reached ({_brief(error)})")
                continue
            if isinstance(found, Answer):
                return found
            problem = _judge(found, self._most)
            if problem.verdict in {FINE, LARGE}:
                return found.head
            if problem.verdict == BAD:
                return problem
        return problem

    async def _once(self, url: str, known: Answer | None) -> Answer:
        reply = await self._send("HEAD", url, _validators(known))
        if isinstance(reply, Answer):
            return reply
        if reply.status == 304 and known is not None:
            return known
        if reply.status != 200 or not reply.length or not reply.is_picture:
            reply = await self._send("GET", url, {"Range": f"bytes=0-{_PEEK - 1}"})
        return reply if isinstance(reply, Answer) else _judge(reply, self._most)

    async def save(self, url: str, file: BinaryIO, most: int, accept: str) -> Answer | str:
        """Write what is behind ``url`` to ``file``, at most ``most`` bytes of it. Returns the name that the host gives it, ""
        where it gives none; or why there is nothing to be had. Never raises for what a network does.
        """
        try:
            async with self._opened("GET", url, {"Accept": accept}) as reply:
                if isinstance(reply, Answer):
                    return reply
                if reply.status_code != 200:
                    return Answer(BAD, f"the host answered {reply.status_code}")
                left = most
                async for block in reply.aiter_raw():
                    left -= len(block)
                    if left < 0:
                        return Answer(BAD, f"is larger than {format_mb(most)}")
                    file.write(block)
                return name_in(reply.headers.get("content-disposition", ""))
        except httpx.InvalidURL:
            return Answer(BAD, "is no link that can be asked for")
        except httpx.HTTPError as error:
            return Answer(UNREACHED, f"can't be reached ({_brief(error)})")

    async def _send(self, method: str, url: str, headers: dict[str, str], *, whole: bool = False) -> Answer | _Reply:
        async with self._opened(method, url, headers) as reply:
            return reply if isinstance(reply, Answer) else await _read(reply, method, MAX_LINK_BYTES if whole else _PEEK)

    @asynccontextmanager
    async def _opened(self, method: str, url: str, headers: dict[str, str]) -> AsyncIterator[Answer | httpx.Response]:
        """The answer that the redirects lead to, not read yet; or why it is not asked for."""
        target = httpx.URL(url)
        for _ in range(REDIRECTS + 1):
            if refused := self._refusal(target):
                yield Answer(BAD, refused)
                return
            request = self._http.build_request(method, target, headers=headers)
            if self._resolves and not (self._loopback and is_loopback(target.host)):
                address = await _address_of(target)
                if not is_public(address):
                    yield Answer(BAD, f"leads to {target.host[:60]}, which is this machine or a private network")
                    return
                # The certificate and the host's own routing still go by the name.
                request.url = target.copy_with(host=address)
                request.extensions["sni_hostname"] = target.raw_host.decode()
            async with aclosing(await self._http.send(request, stream=True)) as reply:
                if not reply.is_redirect or "location" not in reply.headers:
                    yield reply
                    return
                target = target.join(reply.headers["location"])
        yield Answer(BAD, f"leads from one address to the next, more than {REDIRECTS} times")

    def _refusal(self, url: httpx.URL) -> str:
        if url.scheme == "https" and url.host:
            return ""
        if url.scheme == "http" and self._loopback and is_loopback(url.host):
            return ""
        return f"leads to {url.scheme}://{url.host[:60]}; the service fetches https:// links only"


@dataclass(frozen=True, slots=True)
class _Reply:
    """The part of an HTTP answer that counts. ``told_length`` is the whole picture's in bytes, None if untold."""

    status: int
    media: str
    told_length: int | None
    head: bytes
    etag: str
    modified: str

    @property
    def length(self) -> int:
        """Bytes, 0 if untold."""
        return self.told_length or 0

    @property
    def is_picture(self) -> bool:
        if self.head or self.told_length == 0:
            return media_type(self.head[:_PEEK]) is not None
        return self.media.startswith("image/") and not self.media.startswith("image/svg")


def name_in(disposition: str) -> str:
    """The file's name out of a ``Content-Disposition`` header, ``""`` if it holds none."""
    if found := re.search(r"filename\*=(?:UTF-8|utf-8)''([^;]+)", disposition):
        return unquote(found[1].strip())
    found = re.search(r'filename="?([^";]+)', disposition)
    return found[1].strip() if found else ""


async def _read(reply: httpx.Response, method: str, most: int) -> _Reply:
    """``most``: bytes to keep. A host that sends more than was asked for is left after a while."""
    head = bytearray()
    if method == "GET" and reply.status_code in {200, 206}:
        async for block in reply.aiter_raw():
            head += block
            if len(head) > max(most, _ENOUGH):
                break
    total = re.search(r"/(\d+)\s*$", reply.headers.get("content-range", ""))
    length = total.group(1) if total else reply.headers.get("content-length", "")
    return _Reply(
        reply.status_code,
        reply.headers.get("content-type", "").split(";")[0].strip().lower(),
        int(length) if length.isdecimal() and len(length) < 19 and (total or reply.status_code != 206) else None,
        bytes(head[: most + 1]),
        reply.headers.get("etag", "")[:200],
        reply.headers.get("last-modified", "")[:100],
    )


def _judge(reply: _Reply, most: int) -> Answer:  # noqa: PLR0911 - one return an answer
    if reply.status in {408, 425, 429} or reply.status >= 500:
        return Answer(UNSURE, f"could not be asked (HTTP {reply.status})")
    if reply.status not in {200, 206}:
        return Answer(BAD, f"{_MISSING.get(reply.status, 'gives no picture')} (HTTP {reply.status})")
    if reply.told_length == 0 and not reply.head:
        return Answer(BAD, "is an empty file, not a picture")
    if not reply.is_picture:
        page = reply.media in {"text/html", "application/xhtml+xml"}
        what = "a web page" if page else reply.media or "something unknown"
        return Answer(BAD, f"is {what}, not a picture; the link must be the picture's own", page=page)
    found = Answer(FINE, "", reply.length, reply.etag, reply.modified)
    if reply.length > most:
        reason = f"is {format_mb(reply.length)}; the service refuses more than {most / 1e6:g} MB"
        return replace(found, verdict=BAD, reason=reason)
    if reply.length > SAFE_LINK_BYTES:
        return replace(found, verdict=LARGE, reason=f"is {format_mb(reply.length)}")
    return found


_MISSING = {
    **dict.fromkeys((404, 410), "leads nowhere: there is no picture"),
    **dict.fromkeys((401, 403), "is not public: the service must be able to fetch it without a login"),
}


def _validators(known: Answer | None) -> dict[str, str]:
    if known is None or known.verdict == BAD:
        return {}
    told = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
    return {name: value for name, value in told.items() if value}


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


async def _address_of(url: httpx.URL) -> str:
    """The address to connect to; one that is not public if there is any, so that it is refused. httpx.ConnectError."""
    try:
        found = await anyio.getaddrinfo(url.host, url.port or 443, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(str(error)) from None
    addresses = sorted({str(entry[4][0]) for entry in found}, key=lambda address: (":" in address, address))
    return next((address for address in addresses if not is_public(address)), addresses[0])


def is_public(address: str) -> bool:
    """Is it an address of the public internet?"""
    found = ip_address(address.partition("%")[0])
    return found.is_global and not found.is_multicast
