"""Every distinct link asked about once, a few at a time, while the manifest streams by: ``--check-images``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..core.steps import ProgressCallback, no_progress
from .link_cache import LinkCache, is_fresh, digest_link
from .link_probe import AT_ONCE, BAD, LARGE, UNREACHED, UNSURE, Answer, LinkProbe

CHUNK = 500
"""Links in hand at a time: read, asked and kept together."""


@dataclass
class CheckedLinks:
    """What came out, by a link's digest: why it can't be used, how large it is if that is much, why nobody knows."""

    bad: dict[bytes, str] = field(default_factory=dict)
    large: dict[bytes, str] = field(default_factory=dict)
    unsure: dict[bytes, str] = field(default_factory=dict)
    links: int = 0
    asked: int = 0

    def __bool__(self) -> bool:
        return bool(self.bad or self.large or self.unsure)

    def take(self, digest: bytes, answer: Answer) -> None:
        """Sort one answer in."""
        kinds = {BAD: self.bad, UNREACHED: self.bad, LARGE: self.large, UNSURE: self.unsure}
        if (kind := kinds.get(answer.verdict)) is not None:
            kind[digest] = answer.reason


async def check_links(
    urls: Iterator[str],
    cache: LinkCache,
    asker: LinkProbe,
    checked: CheckedLinks,
    *,
    clock: Callable[[], float],
    told: ProgressCallback = no_progress,
) -> None:
    """Ask about each of ``urls``, which are distinct, unless a fresh answer is kept. The result is in ``checked``. ``told``
    hears how many of those in hand are answered.
    """
    while chunk := await to_thread.run_sync(lambda: list(islice(urls, CHUNK))):
        now = clock()
        todo: list[tuple[str, bytes, Answer | None]] = []
        for url in chunk:
            digest = digest_link(url)
            known = cache.get(digest)
            if known is not None and is_fresh(known, now):
                checked.take(digest, known)
            else:
                todo.append((url, digest, known))
        checked.links += len(chunk)
        checked.asked += len(todo)
        found = await _asked(todo, asker, told)
        told(len(chunk), len(chunk))
        for digest, answer in found:
            checked.take(digest, answer)
        cache.put((digest, replace(answer, at=now)) for digest, answer in found)


async def _asked(
    todo: list[tuple[str, bytes, Answer | None]], asker: LinkProbe, told: ProgressCallback
) -> list[tuple[bytes, Answer]]:
    found: list[tuple[bytes, Answer]] = []
    give, take = anyio.create_memory_object_stream[tuple[str, bytes, Answer | None]](0)
    async with anyio.create_task_group() as tasks:
        for _ in range(min(AT_ONCE, len(todo))):
            tasks.start_soon(_work, take.clone(), asker, found, lambda: told(min(len(found), len(todo) - 1), len(todo)))
        take.close()
        await _feed(give, todo)
    return found


async def _feed(
    give: MemoryObjectSendStream[tuple[str, bytes, Answer | None]], todo: list[tuple[str, bytes, Answer | None]]
) -> None:
    async with give:
        for item in todo:
            await give.send(item)


async def _work(
    take: MemoryObjectReceiveStream[tuple[str, bytes, Answer | None]],
    asker: LinkProbe,
    found: list[tuple[bytes, Answer]],
    answered: Callable[[], None],
) -> None:
    async with take:
        async for url, digest, known in take:
            found.append((digest, await asker.ask(url, known)))
            answered()
