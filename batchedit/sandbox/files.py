"""What `/files` and `/samples` serve: pictures drawn when first asked for, off the event loop, kept a while."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from batchedit.sandbox import links, wire
from batchedit.sandbox.job_clock import Order, State
from batchedit.sandbox.faults import Rule
from batchedit.sandbox.heavy import heavy
from batchedit.sandbox.pictures import compose
from batchedit.sandbox.cheap_png import plain_png
from batchedit.sandbox.samples import sample_shot
from batchedit.sandbox.service import Service
from batchedit.sandbox.wire import HTML, Reply

_KEPT = 128_000_000
_ELSEWHERE = "http://localhost.example.invalid"
_NOT_FOUND = Reply(status=404, body=b"<html><h1>404 Not Found</h1></html>", media=HTML)
_EXPIRED = Reply(
    status=403,
    body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
    media="application/xml",
)


class Files:
    """Draws and keeps; one thread for each core that is left, because drawing must not hold up the calls."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._drawing: dict[Hashable, asyncio.Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="sandbox-draw")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def result(
        self, request_id: str, number: int, now: float, *, query: Mapping[str, str], span: str | None
    ) -> Reply:
        """The picture of a finished job, whole or the Range asked for; the fault plan has not been asked yet."""
        self._service.clockwork.advance(now)
        job = self._service.ledger.jobs.get(request_id)
        if job is None or job.state is not State.DONE or number >= job.order.outputs:
            return _NOT_FOUND
        if not links.alive(job, number, query, now):
            return _EXPIRED
        plain = self._service.config.plain_files
        if plain is not None:
            return replace(_ranged(plain_png(job.order, number, plain), span), job=job)
        kind = self._service.config.photo_files
        if kind is not None:
            return replace(_ranged(heavy(job.order, number, kind), span, f"image/{kind}"), job=job)
        data = await self._drawn((request_id, number), lambda: self._draw(job.order, number))
        return replace(_ranged(data, span), job=job)

    async def sample(self, name: str) -> Reply:
        """A product shot of any name, as .png or .jpg."""
        stem, _, kind = name.rpartition(".")
        if kind.lower() not in {"png", "jpg", "jpeg"} or not stem:
            return _NOT_FOUND
        data = await self._drawn(name, lambda: sample_shot(stem, kind.lower()))
        return Reply(body=data, media="image/png" if kind.lower() == "png" else "image/jpeg")

    def befallen(self, rule: Rule | None, whole: Reply, number: int, base: str, now: float) -> Reply:
        """The faults that only a link can have; every other one is `apply_fault`'s."""
        job = whole.job
        if rule is None or job is None:
            return whole
        if rule.fault == "expired":
            self._service.memory.expire(job)
            return replace(_EXPIRED, note="expired")
        if rule.fault == "redirect":
            there = base + links.path(self._service.config, job, number, now)
            return Reply(status=302, headers={"location": there})
        if rule.fault == "redirect_out":
            return Reply(
                status=302, headers={"location": f"{_ELSEWHERE}/{job.order.request_id}.png"}, note="redirect_out"
            )
        return whole

    def count(self, reply: Reply) -> None:
        """Count a picture that went out whole (a Range counts: the client has the rest)."""
        if reply.job and reply.status in {200, 206}:
            self._service.memory.serve(reply.job)

    def _draw(self, order: Order, number: int) -> bytes:
        return compose(order, number, self._service.memory.uploads.get(order.images[0]) if order.images else None)

    async def _drawn(self, key: Hashable, draw: Callable[[], bytes]) -> bytes:
        """Drawn once, also when two ask at once; the least asked for are forgotten when the shelf is full."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._drawing:
            self._drawing[key] = asyncio.get_running_loop().run_in_executor(self._pool, draw)
        try:
            # Shielded: the first asker's hanging up must not cancel it for the second.
            data = await asyncio.shield(self._drawing[key])
        finally:
            self._drawing.pop(key, None)
        self._keep(key, data)
        return data

    def _keep(self, key: Hashable, data: bytes) -> None:
        if key in self._kept:
            return
        self._kept[key] = data
        self._bytes += len(data)
        while self._bytes > _KEPT:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def _ranged(data: bytes, span: str | None, media: str = "image/png") -> Reply:
    """`Range: bytes=A-` or `bytes=A-B`; anything else gets the whole."""
    whole = Reply(body=data, media=media, headers={"accept-ranges": "bytes"})
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
    if not found:
        return whole
    first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
    if first > last:
        return replace(wire.html(416, "Range Not Satisfiable"), headers={"content-range": f"bytes */{len(data)}"})
    part = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{len(data)}"}
    return replace(whole, status=206, body=data[first : last + 1], headers=part)
