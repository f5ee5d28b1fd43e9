"""The first few links of a sheet asked about before anybody is asked to buy: are they pictures at all?

A column of product pages or of expired links is the whole sheet's mistake, and twenty links show it within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from ..core.words import pluralize
from .link_probe import BAD, UNREACHED, Answer, Asker

SAMPLED = 20
"""Distinct links that are asked about."""
SECONDS = 5.0
"""For all of them together. Who has not answered by then is not counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What hosts said about the first links: how many of the ``asked`` ones answered that they are web ``pages``, or that
    they are of no use otherwise (``bad``); how many could not be ``reached`` from here. ``example`` is one of the pages or
    bad ones, with its row and what it is.
    """

    asked: int = 0
    pages: int = 0
    bad: int = 0
    unreached: int = 0
    example: str = ""

    @property
    def is_mostly_bad(self) -> bool:
        """Are more than half of those that answered no pictures?"""
        return self.pages + self.bad > (self.asked - self.unreached) / 2

    def warning(self) -> str:
        """``9 of 20 links are web pages, not pictures (row 3: https://…)``; ``""`` where all is well."""
        told = []
        if self.pages:
            what = "is a web page, not a picture" if self.pages == 1 else "are web pages, not pictures"
            told.append(f"{self.pages} of {pluralize(self.asked, 'link')} {what}")
        if self.bad:
            told.append(f"{self.bad} of {pluralize(self.asked, 'link')} can't be used")
        return f"{' and '.join(told)} ({self.example}); --check-images asks about every link" if told else ""

    def note(self) -> str:
        """What could not be found out from here; ``""`` where nothing is left open."""
        if not self.unreached:
            return ""
        return (
            f"{self.unreached} of {pluralize(self.asked, 'link')} did not answer this machine, so it is not known what they "
            "lead to; the service fetches them itself"
        )


NOT_SAMPLED = Sample()


async def ask_sample(links: Iterable[tuple[str, str]], asker: Asker, seconds: float = SECONDS) -> Sample:
    """Ask about ``(the row's name, link)`` pairs, all at once. Never raises for what a network does."""
    pairs = list(links)
    found: dict[int, Answer] = {}

    async def ask(place: int, link: str) -> None:
        found[place] = await asker.ask(link)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for place, (_, link) in enumerate(pairs):
                tasks.start_soon(ask, place, link)
    bad = [place for place in sorted(found) if found[place].verdict == BAD]
    pages = [place for place in bad if found[place].page]
    example = ""
    if bad:
        row, link = pairs[(pages or bad)[0]]
        example = f"{row}: {link[:80]} {found[(pages or bad)[0]].reason.split(';')[0]}"
    unreached = len(pairs) - len(found) + sum(answer.verdict == UNREACHED for answer in found.values())
    return Sample(len(pairs), len(pages), len(bad) - len(pages), unreached, example)
