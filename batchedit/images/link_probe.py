"""One link asked about: is there a picture behind it, of what type, and how large?

HEAD first; where a host does not answer that usefully, the first bytes by GET with a Range. Only https is asked, and
this machine by http where that is allowed; redirects are followed by hand, each judged like the link itself. No token,
no cookie, nothing of the user's is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import anyio
import httpx

from ..core.limits import LINK_MOST, LINK_SAFE, megabytes
from .data_uri import media_type

FINE, LARGE, UNSURE, BAD = "fine", "large", "unsure", "bad"
AT_ONCE = 12
REDIRECTS = 5
TRIES = 3
_PEEK = 64  # bytes: enough to tell what a picture is
_ENOUGH = 1 << 16  # of a host that sends the whole picture all the same
_TIMES = httpx.Timeout(connect=10.0, pool=60.0, read=15.0, write=15.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said. ``size`` is bytes, 0 if untold; ``etag`` and ``modified`` are its validators, ``at`` when."""

    verdict: str
    reason: str = ""
    size: int = 0
    etag: str = ""
    modified: str = ""
    at: float = 0.0


class Asker:
    """An async context manager around one HTTP client without a token. ``loopback`` allows http to this machine."""

    def __init__(
        self, *, loopback: bool = False, proxy: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._loopback = loopback
        self._http = httpx.AsyncClient(
            transport=transport,
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
        for attempt in range(TRIES):
            await anyio.sleep(attempt * 0.5)
            try:
                answer = await self._once(url, known)
            except httpx.InvalidURL:
                return Answer(BAD, "is no link that can be asked for")
            except httpx.ConnectError as error:
                answer = Answer(BAD, f"can't be reached ({_brief(error)})")
            except httpx.HTTPError as error:
                answer = Answer(UNSURE, f"did not answer ({_brief(error)})")
            else:
                if answer.verdict != UNSURE:
                    return answer
        return answer

    async def _once(self, url: str, known: Answer | None) -> Answer:
        reply = await self._send("HEAD", url, _validators(known))
        if isinstance(reply, Answer):
            return reply
        if reply.status == 304 and known is not None:
            return known
        if reply.status != 200 or not reply.length or not reply.is_picture:
            reply = await self._send("GET", url, {"Range": f"bytes=0-{_PEEK - 1}"})
        return reply if isinstance(reply, Answer) else _judge(reply)

    async def _send(self, method: str, url: str, headers: dict[str, str]) -> Answer | _Reply:
        target = httpx.URL(url)
        for _ in range(REDIRECTS + 1):
            if refused := self._refusal(target):
                return Answer(BAD, refused)
            async with self._http.stream(method, target, headers=headers) as reply:
                if not reply.is_redirect or "location" not in reply.headers:
                    return await _read(reply, method)
                target = target.join(reply.headers["location"])
        return Answer(BAD, f"leads from one address to the next, more than {REDIRECTS} times")

    def _refusal(self, url: httpx.URL) -> str:
        if url.scheme == "https" and url.host:
            return ""
        if url.scheme == "http" and self._loopback and _is_loopback(url.host):
            return ""
        return f"leads to {url.scheme}://{url.host[:60]}; the service fetches https:// links only"


@dataclass(frozen=True, slots=True)
class _Reply:
    """The part of an HTTP answer that counts. ``length`` is the whole picture's, 0 if untold."""

    status: int
    media: str
    length: int
    head: bytes
    etag: str
    modified: str

    @property
    def is_picture(self) -> bool:
        if self.head:
            try:
                media_type(self.head)
            except ValueError:
                return False
            return True
        return self.media.startswith("image/") and not self.media.startswith("image/svg")


async def _read(reply: httpx.Response, method: str) -> _Reply:
    head = b""
    if method == "GET" and reply.status_code in {200, 206}:
        async for block in reply.aiter_raw():
            head += block
            if len(head) > _ENOUGH:
                break
    total = re.search(r"/(\d+)\s*$", reply.headers.get("content-range", ""))
    length = total.group(1) if total else reply.headers.get("content-length", "")
    return _Reply(
        reply.status_code,
        reply.headers.get("content-type", "").split(";")[0].strip().lower(),
        int(length) if length.isdigit() and (total or reply.status_code != 206) else 0,
        head[:_PEEK],
        reply.headers.get("etag", "")[:200],
        reply.headers.get("last-modified", "")[:100],
    )


def _judge(reply: _Reply) -> Answer:
    if reply.status in {408, 425, 429} or reply.status >= 500:
        return Answer(UNSURE, f"could not be asked (HTTP {reply.status})")
    if reply.status not in {200, 206}:
        return Answer(BAD, f"{_MISSING.get(reply.status, 'gives no picture')} (HTTP {reply.status})")
    if not reply.is_picture:
        what = "a web page" if reply.media == "text/html" else reply.media or "something unknown"
        return Answer(BAD, f"is {what}, not a picture; the link must be the picture's own")
    found = Answer(FINE, "", reply.length, reply.etag, reply.modified)
    if reply.length > LINK_MOST:
        return replace(found, verdict=BAD, reason=f"is {megabytes(reply.length)}; the service refuses more than 25 MB")
    if reply.length > LINK_SAFE:
        return replace(found, verdict=LARGE, reason=f"is {megabytes(reply.length)}")
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


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
