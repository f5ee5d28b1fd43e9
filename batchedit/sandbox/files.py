"""Serves `/files` and `/samples`: draws pictures on first request, in threads, and caches them."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from batchedit.sandbox import links, wire
from batchedit.sandbox.cheap_png import draw_cheap_png
from batchedit.sandbox.faults import Rule
from batchedit.sandbox.heavy import draw_heavy_picture
from batchedit.sandbox.job_clock import Order, State
from batchedit.sandbox.pictures import compose
from batchedit.sandbox.samples import draw_sample_shot
from batchedit.sandbox.service import Service
from batchedit.sandbox.wire import HTML, Reply

_CACHE_BYTES = 128_000_000
_ELSEWHERE = "http://localhost.example.invalid"
_NOT_FOUND = Reply(status=404, body=b"<html><h1>404 Not Found</h1></html>", media=HTML)
_EXPIRED = Reply(
    status=403,
    body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
    media="application/xml",
)


class FileServer:
    """Draws pictures in threads, so that drawing does not delay other calls, and caches them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cache: OrderedDict[Hashable, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._drawing: dict[Hashable, asyncio.Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="sandbox-draw")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def get_result(
        self, request_id: str, number: int, now: float, *, query: Mapping[str, str], range_header: str | None
    ) -> Reply:
        """The picture of a finished job, whole or the requested Range, before any fault is applied."""
        self._service.job_clock.advance(now)
        job = self._service.ledger.jobs.get(request_id)
        if job is None or job.state is not State.DONE or number >= job.order.outputs:
            return _NOT_FOUND
        if not links.is_alive(job, number, query, now):
            return _EXPIRED
        file_size = self._service.config.plain_files
        if file_size is not None:
            return replace(_apply_range(draw_cheap_png(job.order, number, file_size), range_header), job=job)
        photo_format = self._service.config.photo_files
        if photo_format is not None:
            data = draw_heavy_picture(job.order, number, photo_format)
            return replace(_apply_range(data, range_header, f"image/{photo_format}"), job=job)
        data = await self._draw_once((request_id, number), lambda: self._draw(job.order, number))
        return replace(_apply_range(data, range_header), job=job)

    async def get_sample(self, name: str) -> Reply:
        """A product shot of any name, as .png or .jpg."""
        stem, _, suffix = name.rpartition(".")
        if suffix.lower() not in {"png", "jpg", "jpeg"} or not stem:
            return _NOT_FOUND
        data = await self._draw_once(name, lambda: draw_sample_shot(stem, suffix.lower()))
        return Reply(body=data, media="image/png" if suffix.lower() == "png" else "image/jpeg")

    def apply_link_fault(self, rule: Rule | None, whole: Reply, number: int, base: str, now: float) -> Reply:
        """Apply the faults that only links have; `apply_fault` applies all others."""
        job = whole.job
        if rule is None or job is None:
            return whole
        if rule.fault == "expired":
            self._service.memory.expire(job)
            return replace(_EXPIRED, note="expired")
        if rule.fault == "redirect":
            location = base + links.sign_path(self._service.config, job, number, now)
            return Reply(status=302, headers={"location": location})
        if rule.fault == "redirect_out":
            return Reply(
                status=302, headers={"location": f"{_ELSEWHERE}/{job.order.request_id}.png"}, note="redirect_out"
            )
        return whole

    def count(self, reply: Reply) -> None:
        """Count a picture that was sent whole (a Range counts, since the client has the rest)."""
        if reply.job and reply.status in {200, 206}:
            self._service.memory.serve(reply.job)

    def _draw(self, order: Order, number: int) -> bytes:
        return compose(order, number, self._service.memory.uploads.get(order.images[0]) if order.images else None)

    async def _draw_once(self, key: Hashable, draw: Callable[[], bytes]) -> bytes:
        """Draw once, also for concurrent requests; a full cache drops the least recently used pictures."""
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if key not in self._drawing:
            self._drawing[key] = asyncio.get_running_loop().run_in_executor(self._pool, draw)
        try:
            # Shielded: a disconnect of the first client must not cancel the drawing for the second.
            data = await asyncio.shield(self._drawing[key])
        finally:
            self._drawing.pop(key, None)
        self._cache_picture(key, data)
        return data

    def _cache_picture(self, key: Hashable, data: bytes) -> None:
        if key in self._cache:
            return
        self._cache[key] = data
        self._cached_bytes += len(data)
        while self._cached_bytes > _CACHE_BYTES:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])


def _apply_range(data: bytes, range_header: str | None, media: str = "image/png") -> Reply:
    """The part of `Range: bytes=A-` or `bytes=A-B`; the whole for any other value."""
    whole = Reply(body=data, media=media, headers={"accept-ranges": "bytes"})
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", range_header or "")
    if not match:
        return whole
    first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
    if first > last:
        return replace(wire.make_html(416, "Range Not Satisfiable"), headers={"content-range": f"bytes */{len(data)}"})
    part = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{len(data)}"}
    return replace(whole, status=206, body=data[first : last + 1], headers=part)
