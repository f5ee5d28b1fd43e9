"""Links asked about before money is spent, a sample or all (``--check-images``), and what rows make of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import time
from typing import Any

import anyio
import orjson
from anyio import to_thread

from ..core.errors import OutputError
from ..core.model import CellProblem, InvalidLine, ResultLine, State
from ..core.steps import ProgressCallback, no_progress
from ..core.words import pluralize
from ..images.fetched import MARKS, find_kept, is_short_lived, keep_pictures
from ..images.link_cache import LinkCache, link_digest
from ..images.link_checks import Checked, check_links
from ..images.link_probe import Asker
from ..images.link_sample import NOT_SAMPLED, SAMPLED, Sample, ask_sample
from ..jobs.expand import Expander, expand_all
from ..jobs.recipe import Recipe
from ..jobs.schema import most_link_bytes
from ..manifest.digests import DigestSet
from ..manifest.read import Form, Manifest
from ..manifest.rownames import Rows, row_name
from ..ports import Observer, StateOf, Stop
from ..run_folder import RunFolder

ROWS_LOOKED_AT = 10_000
"""For a sample."""
ROWS_PEEKED_AT = 200
"""To find out whether a sheet has links that die soon."""


@dataclass
class Links:
    """What is known of the manifest's links, and the rows that it touches, noted while they go by."""

    checked: Checked = field(default_factory=Checked)
    large: Rows = field(default_factory=Rows)
    unsure: Rows = field(default_factory=Rows)
    why_unsure: str = ""  #: of the first of these
    fetched: dict[str, Path] = field(default_factory=dict)  #: link -> the file that its picture lies in now

    def judge(
        self, lines: Iterator[ResultLine | InvalidLine], expander: Expander, state_of: StateOf
    ) -> Iterator[ResultLine | InvalidLine]:
        """``lines``, those to be bought with a link that can't be used turned into invalid rows."""
        refused = 0
        for line in lines:
            problems = self._problems(line, expander, state_of) if self.checked and isinstance(line, ResultLine) else []
            if not problems:
                yield line
            elif line.row != refused:
                refused = line.row
                yield InvalidLine(line.row, line.id, tuple(problems))

    def _problems(self, line: ResultLine, expander: Expander, state_of: StateOf) -> list[CellProblem]:
        if is_bought(state_of(line.job.key)):
            return []
        problems = []
        for column, url in links_of(line, expander.picture_columns):
            digest = link_digest(url)
            if digest in self.checked.bad:
                problems.append(CellProblem(column, url, self.checked.bad[digest]))
            if digest in self.checked.large:
                self.large.add(line.row, line.id)
            if digest in self.checked.unsure:
                self.unsure.add(line.row, line.id)
                self.why_unsure = self.why_unsure or self.checked.unsure[digest]
        return problems

    def warnings(self, form: Form) -> Iterator[str]:
        """What a person should know and need not mend. ``form`` is the manifest's."""
        if self.fetched:
            yield (
                f"{pluralize(len(self.fetched), 'picture')} behind Airtable links, which die after some hours: fetched to "
                "this machine and sent from here"
            )
        if self.large.count:
            yield (
                f"{_pictures(self.large, form)} over 16 MB: the service's page names 16 MB in one place and 25 MB in "
                "another, so it may refuse them"
            )
        if self.unsure.count:
            yield f"{_pictures(self.unsure, form)} that nobody could tell about: it {self.why_unsure}"


def _pictures(rows: Rows, form: Form) -> str:
    return f"{rows.count:,} row{'s have' if rows.count > 1 else ' has'} a picture ({rows.told(form)})"


def links_of(line: ResultLine, columns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
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
    told: ProgressCallback = no_progress,
) -> Links:
    """Ask about every distinct link of a job to be bought. Memory is 16 bytes a link, and the bad ones. ``told`` hears up to
    which row of about how many that is done.

    With ``limit`` a bad row makes room for a later one, so the manifest is gone through until no new row comes in.
    """
    links, seen, far = Links(), DigestSet(16), _Far(told, manifest)
    try:
        cache = LinkCache(folder.links)
    except OSError as error:
        raise OutputError(f"{folder.links} can't be written: {error}") from None
    observer.note("check_images", "asking whether the pictures behind the links are there …")
    try:
        async with Asker(loopback=recipe.loopback, most=most_link_bytes(recipe.schema), proxy=proxy) as asker:
            with anyio.CancelScope() as scope:
                stop.listen(lambda _: scope.cancel())
                before = -1
                while before != links.checked.links:
                    before = links.checked.links
                    urls = far.follow(_wanted(manifest, recipe, links, seen, state_of, limit))
                    await check_links(urls, cache, asker, links.checked, clock=time, told=far.tell)
                    if limit is None:
                        break
    finally:
        stop.listen(None)
        cache.close()
    if stop.reason is not None:
        raise stop.reason
    observer.note("checked_images", _told(links.checked))
    return links


async def fetch_short_lived(
    manifest: Manifest,
    recipe: Recipe,
    folder: RunFolder,
    links: Links,
    state_of: StateOf,
    *,
    limit: int | None,
    observer: Observer,
    proxy: str | None,
    told: ProgressCallback = no_progress,
) -> None:
    """Fetch the pictures behind links that die within hours, for jobs to be bought, into the run's folder. What came out is
    in ``links``: where each one lies, and which links give none.

    A job that was bought by its link keeps that link, and so its identity.
    """
    wanted = await to_thread.run_sync(lambda: _short_lived(manifest, recipe, state_of, limit))
    if not wanted:
        return
    observer.note("fetch_pictures", f"fetching {pluralize(len(wanted), 'picture')} whose links die soon …")
    async with Asker(loopback=recipe.loopback, most=most_link_bytes(recipe.schema), proxy=proxy) as asker:
        bad = await keep_pictures(wanted, folder.inputs, asker, told)
    for link in wanted:
        if link in bad:
            reason = f"{bad[link]}; Airtable's links die after some hours: export the sheet again"
            links.checked.bad[link_digest(link)] = reason
        elif (path := find_kept(folder.inputs, link)) is not None:
            links.fetched[link] = path.absolute()


def _short_lived(manifest: Manifest, recipe: Recipe, state_of: StateOf, limit: int | None) -> list[str]:
    """Such links of jobs to be bought. A sheet without one among its first rows is not read further."""
    first = islice(manifest.rows(), ROWS_PEEKED_AT)
    if not any(mark in str(row) for row in first for mark in MARKS):
        return []
    expander, found, jobs = Expander(recipe, manifest.columns), dict[str, None](), 0
    for line in expand_all(manifest, recipe, expander=expander):
        if isinstance(line, InvalidLine) or line.twin or is_bought(state_of(line.job.key)):
            continue
        jobs += 1
        if limit is not None and jobs > limit:
            break
        found.update((url, None) for _, url in links_of(line, expander.picture_columns) if is_short_lived(url))
    return list(found)


async def sample_links(manifest: Manifest, recipe: Recipe, state_of: StateOf, *, proxy: str | None) -> Sample:
    """Ask about the first distinct links of jobs to be bought. Where the service is this machine's own, links to this
    machine alone: what is out there is nothing to it.
    """
    found = await to_thread.run_sync(lambda: list(islice(_first_links(manifest, recipe, state_of), SAMPLED)))
    links = [(row_name(manifest.form, line.row, line.id), link) for line, link in found]
    if not links:
        return NOT_SAMPLED
    async with Asker(loopback=recipe.loopback, most=most_link_bytes(recipe.schema), proxy=proxy, tries=1) as asker:
        return await ask_sample(links, asker)


def _first_links(manifest: Manifest, recipe: Recipe, state_of: StateOf) -> Iterator[tuple[ResultLine, str]]:
    """``(line, link)``, each link once. A sheet of which much is bought is not read to its end for it."""
    expander, seen, looked_at = Expander(recipe, manifest.columns), set[str](), 0
    columns = expander.picture_columns
    for row in manifest.rows():
        looked_at += 1
        if looked_at > ROWS_LOOKED_AT:
            return
        lines = expander.expand(row)
        if isinstance(lines, InvalidLine):
            continue
        for line in lines:
            if is_bought(state_of(line.job.key)):
                continue
            for _, url in links_of(line, columns):
                ours = not recipe.loopback or url[:5].lower() == "http:"
                if ours and url not in seen:
                    seen.add(url)
                    yield line, url


def _wanted(
    manifest: Manifest, recipe: Recipe, links: Links, seen: DigestSet, state_of: StateOf, limit: int | None
) -> Iterator[tuple[int, str]]:
    """``(row, link)`` for the links not seen yet of the jobs that ``limit`` lets in."""
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
                yield line.row, url


class _Far:
    """Up to which row the links were asked about: within those in hand as far as they are answered."""

    def __init__(self, told: ProgressCallback, manifest: Manifest) -> None:
        self._told = told
        self._rows = 0 if told is no_progress else manifest.expected()
        self._before = self._row = 0

    def follow(self, links: Iterator[tuple[int, str]]) -> Iterator[str]:
        """The links, as they are taken in hand."""
        for row, link in links:
            self._row = row
            yield link

    def tell(self, answered: int, in_hand: int) -> None:
        """So many of those in hand are answered."""
        self._told(self._before + (self._row - self._before) * answered // in_hand, self._rows)
        if answered == in_hand:
            self._before = self._row


def _told(checked: Checked) -> str:
    links = pluralize(checked.links, "picture link")
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
