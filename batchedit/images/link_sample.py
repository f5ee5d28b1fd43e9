"""Asks about the first few links of a sheet before the purchase is confirmed: are they pictures at all?

A column of product pages or of expired links concerns the whole sheet, and twenty links show it within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from ..core.plurals_and_durations import pluralize
from .link_probe import BAD, UNREACHED, Answer, LinkProbe

SAMPLED = 20
"""Distinct links that are asked about."""
SECONDS = 5.0
"""For all of them together. Hosts that have not answered by then are not counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Hosts' answers about the first links. Of the ``asked`` links, ``pages`` are web pages, ``bad`` can't be used for
    another reason, and ``unreached`` could not be reached from here. ``example`` is one of the pages or bad ones, with its
    row and what it is.
    """

    asked: int = 0
    pages: int = 0
    bad: int = 0
    unreached: int = 0
    example: str = ""

    @property
    def is_mostly_bad(self) -> bool:
        """True if more than half of the links that were reached are no pictures."""
        return self.pages + self.bad > (self.asked - self.unreached) / 2

    def format_warning(self) -> str:
        """``9 of 20 links are web pages, not pictures (row 3: https://…)``; ``""`` if there is no problem."""
        parts = []
        if self.pages:
            predicate = "is a web page, not a picture" if self.pages == 1 else "are web pages, not pictures"
            parts.append(f"{self.pages} of {pluralize(self.asked, 'link')} {predicate}")
        if self.bad:
            parts.append(f"{self.bad} of {pluralize(self.asked, 'link')} can't be used")
        return f"{' and '.join(parts)} ({self.example}); --check-images asks about every link" if parts else ""

    def format_note(self) -> str:
        """How many links could not be reached from here; ``""`` if all were."""
        if not self.unreached:
            return ""
        return (
            f"{self.unreached} of {pluralize(self.asked, 'link')} did not answer this machine, so it is not known what they "
            "lead to; the service fetches them itself"
        )


NOT_SAMPLED = Sample()


async def ask_sample(links: Iterable[tuple[str, str]], probe: LinkProbe, seconds: float = SECONDS) -> Sample:
    """Ask about ``(the row's name, link)`` pairs, all at once. Never raises for a network's errors."""
    pairs = list(links)
    answers: dict[int, Answer] = {}

    async def ask(place: int, link: str) -> None:
        answers[place] = await probe.ask(link)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for place, (_, link) in enumerate(pairs):
                tasks.start_soon(ask, place, link)
    bad = [place for place in sorted(answers) if answers[place].verdict == BAD]
    pages = [place for place in bad if answers[place].page]
    example = ""
    if bad:
        row, link = pairs[(pages or bad)[0]]
        example = f"{row}: {link[:80]} {answers[(pages or bad)[0]].reason.split(';')[0]}"
    unreached = len(pairs) - len(answers) + sum(answer.verdict == UNREACHED for answer in answers.values())
    return Sample(len(pairs), len(pages), len(bad) - len(pages), unreached, example)
