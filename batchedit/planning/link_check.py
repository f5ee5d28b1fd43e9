"""``--check-images`` in a run: which links are asked about, and what the answers mean for rows. Before money is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any

import anyio
import orjson

from ..core.errors import OutputError
from ..core.model import CellProblem, InvalidLine, Line, State
from ..images.link_cache import LinkCache, link_digest
from ..images.link_checks import Checked, check_links
from ..images.link_probe import Asker
from ..jobs.expand import Expander, expand_all
from ..jobs.recipe import Recipe
from ..manifest.digests import DigestSet
from ..manifest.read import Manifest
from ..ports import Observer
from ..run_folder import RunFolder
from .survey import StateOf, Stop

SHOWN_ROWS = 5


@dataclass
class Links:
    """What is known of the manifest's links, and the rows that it touches, noted while they go by."""

    checked: Checked = field(default_factory=Checked)
    large: dict[int, str] = field(default_factory=dict)
    unsure: dict[int, str] = field(default_factory=dict)

    def judge(
        self, lines: Iterator[Line | InvalidLine], expander: Expander, state_of: StateOf
    ) -> Iterator[Line | InvalidLine]:
        """``lines``, those to be bought with a link that can't be used turned into invalid rows."""
        refused = 0
        for line in lines:
            problems = self._problems(line, expander, state_of) if self.checked and isinstance(line, Line) else []
            if not problems:
                yield line
            elif line.row != refused:
                refused = line.row
                yield InvalidLine(line.row, line.id, tuple(problems))

    def _problems(self, line: Line, expander: Expander, state_of: StateOf) -> list[CellProblem]:
        if is_bought(state_of(line.job.key)):
            return []
        problems = []
        for column, url in links_of(line, expander.picture_columns):
            digest = link_digest(url)
            if digest in self.checked.bad:
                problems.append(CellProblem(column, url, self.checked.bad[digest]))
            for rows, known in ((self.large, self.checked.large), (self.unsure, self.checked.unsure)):
                if digest in known:
                    rows[line.row] = known[digest]
        return problems

    def warnings(self) -> Iterator[str]:
        """What a person should know and need not mend."""
        if self.large:
            yield (
                f"{_pictures(self.large)} over 16 MB: the service's page names 16 MB in one place and 25 MB in another, "
                "so it may refuse them"
            )
        if self.unsure:
            yield f"{_pictures(self.unsure)} that nobody could tell about: it {next(iter(self.unsure.values()))}"


def _pictures(rows: Mapping[int, str]) -> str:
    some = ", ".join(map(str, list(rows)[:SHOWN_ROWS])) + (", …" if len(rows) > SHOWN_ROWS else "")
    return f"{len(rows):,} row{'s have' if len(rows) > 1 else ' has'} a picture (row {some})"


def links_of(line: Line, columns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """``(column, link)`` for each picture that stands behind a link."""
    inputs: dict[str, Any] = orjson.loads(line.job.inputs)
    for name, column in columns.items():
        for item in inputs.get(name) or ():
            if isinstance(item, str) and item[:4].lower() == "http":
                yield column, item


def is_bought(state: State | None) -> bool:
    """Has a job of this state been sent? Then its links don't matter any more."""
    return state not in {None, State.PLANNED}


async def ask_about_links(
    manifest: Manifest,
    recipe: Recipe,
    folder: RunFolder,
    state_of: StateOf,
    *,
    limit: int | None,
    stop: Stop,
    observer: Observer,
    proxy: str | None,
) -> Links:
    """Ask about every distinct link of a job to be bought. Memory is 16 bytes a link, and the bad ones.

    With ``limit`` a bad row makes room for a later one, so the manifest is gone through until no new row comes in.
    """
    links, seen = Links(), DigestSet(16)
    try:
        cache = LinkCache(folder.links)
    except OSError as error:
        raise OutputError(f"{folder.links} can't be written: {error}") from None
    observer.note("check_images", "asking whether the pictures behind the links are there …")
    try:
        async with Asker(loopback=recipe.loopback, proxy=proxy) as asker:
            with anyio.CancelScope() as scope:
                stop.listen(lambda _: scope.cancel())
                before = -1
                while before != links.checked.links:
                    before = links.checked.links
                    urls = _wanted(manifest, recipe, links, seen, state_of, limit)
                    await check_links(urls, cache, asker, links.checked, clock=time)
                    if limit is None:
                        break
    finally:
        stop.listen(None)
        cache.close()
    if stop.reason is not None:
        raise stop.reason
    observer.note("checked_images", _told(links.checked))
    return links


def _wanted(
    manifest: Manifest, recipe: Recipe, links: Links, seen: DigestSet, state_of: StateOf, limit: int | None
) -> Iterator[str]:
    """The links not seen yet of the jobs that ``limit`` lets in."""
    expander, jobs = Expander(recipe, manifest.columns), 0
    columns, bad = expander.picture_columns, links.checked.bad
    for line in expand_all(manifest, recipe, expander=expander):
        if isinstance(line, InvalidLine) or line.twin:
            continue
        urls = [] if is_bought(state_of(line.job.key)) else [url for _, url in links_of(line, columns)]
        digests = [link_digest(url) for url in urls]
        if any(digest in bad for digest in digests):
            continue
        jobs += 1
        if limit is not None and jobs > limit:
            return
        for url, digest in zip(urls, digests, strict=True):
            if seen.add(digest):
                yield url


def _told(checked: Checked) -> str:
    links = f"{checked.links:,} picture link{'s' if checked.links != 1 else ''}"
    asked = "" if checked.asked == checked.links else f" ({checked.links - checked.asked:,} known from last time)"
    if not checked:
        return f"{links} checked{asked}: all is well"
    parts = [
        f"{len(found):,} {what}"
        for found, what in (
            (checked.bad, "can't be used"),
            (checked.large, "over 16 MB"),
            (checked.unsure, "not to be told"),
        )
        if found
    ]
    return f"{links} checked{asked}: {', '.join(parts)}"
