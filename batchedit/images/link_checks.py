"""Asks about every distinct link once, a few at a time, while the manifest is read: ``--check-images``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..core.steps import ProgressCallback, no_progress
from .link_cache import LinkCache, digest_link, is_fresh
from .link_probe import AT_ONCE, BAD, LARGE, UNREACHED, UNSURE, Answer, LinkProbe

CHUNK = 500
"""Links that are read, asked about and stored together."""


@dataclass
class CheckedLinks:
    """Results by a link's digest: why it is ``bad``, how ``large`` it is, why the host's answer is ``unsure``."""

    bad: dict[bytes, str] = field(default_factory=dict)
    large: dict[bytes, str] = field(default_factory=dict)
    unsure: dict[bytes, str] = field(default_factory=dict)
    links: int = 0
    asked: int = 0

    def __bool__(self) -> bool:
        return bool(self.bad or self.large or self.unsure)

    def add(self, digest: bytes, answer: Answer) -> None:
        """Add one answer."""
        reasons_of = {BAD: self.bad, UNREACHED: self.bad, LARGE: self.large, UNSURE: self.unsure}
        if (reasons := reasons_of.get(answer.verdict)) is not None:
            reasons[digest] = answer.reason


async def check_links(
    urls: Iterator[str],
    cache: LinkCache,
    probe: LinkProbe,
    checked: CheckedLinks,
    *,
    clock: Callable[[], float],
    on_progress: ProgressCallback = no_progress,
) -> None:
    """Ask about each of ``urls``, which are distinct, unless a fresh answer is stored. The result is in ``checked``.
    ``on_progress`` is called with the number of answered links and of links in the chunk.
    """
    while chunk := await to_thread.run_sync(lambda: list(islice(urls, CHUNK))):
        now = clock()
        to_ask: list[tuple[str, bytes, Answer | None]] = []
        for url in chunk:
            digest = digest_link(url)
            stored = cache.get(digest)
            if stored is not None and is_fresh(stored, now):
                checked.add(digest, stored)
            else:
                to_ask.append((url, digest, stored))
        checked.links += len(chunk)
        checked.asked += len(to_ask)
        answers = await _ask_all(to_ask, probe, on_progress)
        on_progress(len(chunk), len(chunk))
        for digest, answer in answers:
            checked.add(digest, answer)
        cache.put((digest, replace(answer, at=now)) for digest, answer in answers)


async def _ask_all(
    links: list[tuple[str, bytes, Answer | None]], probe: LinkProbe, on_progress: ProgressCallback
) -> list[tuple[bytes, Answer]]:
    answers: list[tuple[bytes, Answer]] = []
    sender, receiver = anyio.create_memory_object_stream[tuple[str, bytes, Answer | None]](0)
    async with anyio.create_task_group() as tasks:
        for _ in range(min(AT_ONCE, len(links))):
            tasks.start_soon(
                _ask_each,
                receiver.clone(),
                probe,
                answers,
                lambda: on_progress(min(len(answers), len(links) - 1), len(links)),
            )
        receiver.close()
        await _send_all(sender, links)
    return answers


async def _send_all(
    sender: MemoryObjectSendStream[tuple[str, bytes, Answer | None]], links: list[tuple[str, bytes, Answer | None]]
) -> None:
    async with sender:
        for link in links:
            await sender.send(link)


async def _ask_each(
    receiver: MemoryObjectReceiveStream[tuple[str, bytes, Answer | None]],
    probe: LinkProbe,
    answers: list[tuple[bytes, Answer]],
    on_answer: Callable[[], None],
) -> None:
    async with receiver:
        async for url, digest, stored in receiver:
            answers.append((digest, await probe.ask(url, stored)))
            on_answer()
