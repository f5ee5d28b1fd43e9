"""Asks about links before money is spent, a sample or all (``--check-images``), and applies the answers to the rows."""

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

from ..core.digests import DigestMap, make_digest_set
from ..core.errors import OutputError
from ..core.model import CellProblem, InvalidLine, ResultLine, State
from ..core.plurals_and_durations import pluralize
from ..core.steps import ProgressCallback, no_progress
from ..images.fetched import SHORT_LIVED_HOSTS, fetch_linked_pictures, find_fetched, is_short_lived
from ..images.link_cache import LinkCache, digest_link
from ..images.link_checks import CheckedLinks, check_links
from ..images.link_probe import LinkProbe
from ..images.link_sample import NOT_SAMPLED, SAMPLED, Sample, ask_sample
from ..jobs.expand import Expander, expand_all
from ..jobs.recipe import Recipe
from ..jobs.schema import find_link_limit
from ..manifest.read import Form, Manifest
from ..manifest.rownames import RowExamples, describe_row
from ..ports import Observer, StateOf, Stop
from ..run_folder import RunFolder

ROWS_SAMPLED = 10_000
"""Rows that are read at most for a sample."""
ROWS_SCANNED = 200
"""Rows that are searched for short-lived links."""


@dataclass
class Links:
    """The results for the manifest's links, and the rows that they concern, added while the lines are read."""

    checked: CheckedLinks = field(default_factory=CheckedLinks)
    large: RowExamples = field(default_factory=RowExamples)
    unsure: RowExamples = field(default_factory=RowExamples)
    why_unsure: str = ""  #: the reason of the first of these
    fetched: dict[str, Path] = field(default_factory=dict)  #: link -> the file with its picture

    def judge(
        self, lines: Iterator[ResultLine | InvalidLine], expander: Expander, state_of: StateOf
    ) -> Iterator[ResultLine | InvalidLine]:
        """``lines``. Those that would be bought, and have a link that can't be used, are turned into invalid rows."""
        refused = 0
        for line in lines:
            problems = (
                self._find_problems(line, expander, state_of) if self.checked and isinstance(line, ResultLine) else []
            )
            if not problems:
                yield line
            elif line.row != refused:
                refused = line.row
                yield InvalidLine(line.row, line.id, tuple(problems))

    def _find_problems(self, line: ResultLine, expander: Expander, state_of: StateOf) -> list[CellProblem]:
        if is_bought(state_of(line.job.key)):
            return []
        problems = []
        for column, url in list_links(line, expander.picture_columns):
            digest = digest_link(url)
            if digest in self.checked.bad:
                problems.append(CellProblem(column, url, self.checked.bad[digest]))
            if digest in self.checked.large:
                self.large.add(line.row, line.id)
            if digest in self.checked.unsure:
                self.unsure.add(line.row, line.id)
                self.why_unsure = self.why_unsure or self.checked.unsure[digest]
        return problems

    def list_warnings(self, form: Form) -> Iterator[str]:
        """Warnings that need no correction of the sheet. ``form`` is the manifest's."""
        if self.fetched:
            yield (
                f"{pluralize(len(self.fetched), 'picture')} behind Airtable links, which die after some hours: fetched to "
                "this machine and sent from here"
            )
        if self.large.count:
            yield (
                f"{_describe_rows(self.large, form)} over 16 MB: the service's page names 16 MB in one place and 25 MB in "
                "another, so it may refuse them"
            )
        if self.unsure.count:
            yield f"{_describe_rows(self.unsure, form)} that nobody could tell about: it {self.why_unsure}"


def _describe_rows(rows: RowExamples, form: Form) -> str:
    return f"{rows.count:,} row{'s have' if rows.count > 1 else ' has'} a picture ({rows.describe(form)})"


def list_links(line: ResultLine, columns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """``(column, link)`` for each linked picture."""
    inputs: dict[str, Any] = orjson.loads(line.job.inputs)
    for name, column in columns.items():
        for item in inputs.get(name) or ():
            if isinstance(item, str) and item[:4].lower() == "http":
                yield column, item


def is_bought(state: State | None) -> bool:
    """True if a job of this state has been sent. Its links need no check then."""
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
    on_progress: ProgressCallback = no_progress,
) -> Links:
    """Ask about every distinct link of a job to be bought. Memory is 16 bytes a link, plus the bad ones. ``on_progress`` is
    called with the row that is done and the number of rows.

    With ``limit`` a bad row makes room for a later one, so the manifest is read again until no new row comes in.
    """
    links, seen, progress = Links(), make_digest_set(), _RowProgress(on_progress, manifest)
    try:
        cache = LinkCache(folder.links)
    except OSError as error:
        raise OutputError(f"{folder.links} can't be written: {error}") from None
    observer.note("check_images", "asking whether the pictures behind the links are there …")
    try:
        async with LinkProbe(loopback=recipe.loopback, max_bytes=find_link_limit(recipe.schema), proxy=proxy) as probe:
            with anyio.CancelScope() as scope:
                stop.listen(lambda _: scope.cancel())
                links_before = -1
                while links_before != links.checked.links:
                    links_before = links.checked.links
                    urls = progress.follow(_list_unseen(manifest, recipe, links, seen, state_of, limit))
                    await check_links(urls, cache, probe, links.checked, clock=time, on_progress=progress.report)
                    if limit is None:
                        break
    finally:
        stop.listen(None)
        cache.close()
    if stop.reason is not None:
        raise stop.reason
    observer.note("checked_images", _describe_checked(links.checked))
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
    on_progress: ProgressCallback = no_progress,
) -> None:
    """Fetch the pictures behind short-lived links, for jobs to be bought, into the run's folder. The results are in
    ``links``: the file of each picture, and the links that give none.

    A job that was bought by its link keeps that link, and so its identity.
    """
    short_lived = await to_thread.run_sync(lambda: _list_short_lived(manifest, recipe, state_of, limit))
    if not short_lived:
        return
    observer.note("fetch_pictures", f"fetching {pluralize(len(short_lived), 'picture')} whose links die soon …")
    async with LinkProbe(loopback=recipe.loopback, max_bytes=find_link_limit(recipe.schema), proxy=proxy) as probe:
        bad = await fetch_linked_pictures(short_lived, folder.inputs, probe, on_progress)
    for link in short_lived:
        if link in bad:
            reason = f"{bad[link]}; Airtable's links die after some hours: export the sheet again"
            links.checked.bad[digest_link(link)] = reason
        elif (path := find_fetched(folder.inputs, link)) is not None:
            links.fetched[link] = path.absolute()


def _list_short_lived(manifest: Manifest, recipe: Recipe, state_of: StateOf, limit: int | None) -> list[str]:
    """Short-lived links of jobs to be bought. A sheet without one among its first rows is not read further."""
    first_rows = islice(manifest.rows(), ROWS_SCANNED)
    if not any(mark in str(row) for row in first_rows for mark in SHORT_LIVED_HOSTS):
        return []
    expander, short_lived, jobs = Expander(recipe, manifest.columns), dict[str, None](), 0
    for line in expand_all(manifest, recipe, expander=expander):
        if isinstance(line, InvalidLine) or line.duplicate or is_bought(state_of(line.job.key)):
            continue
        jobs += 1
        if limit is not None and jobs > limit:
            break
        short_lived.update((url, None) for _, url in list_links(line, expander.picture_columns) if is_short_lived(url))
    return list(short_lived)


async def sample_links(manifest: Manifest, recipe: Recipe, state_of: StateOf, *, proxy: str | None) -> Sample:
    """Ask about the first distinct links of jobs to be bought. If the service is a local sandbox, only links to this machine
    are asked about, since it fetches no others.
    """
    sampled = await to_thread.run_sync(lambda: list(islice(_list_first_links(manifest, recipe, state_of), SAMPLED)))
    links = [(describe_row(manifest.form, line.row, line.id), link) for line, link in sampled]
    if not links:
        return NOT_SAMPLED
    async with LinkProbe(
        loopback=recipe.loopback, max_bytes=find_link_limit(recipe.schema), proxy=proxy, tries=1
    ) as probe:
        return await ask_sample(links, probe)


def _list_first_links(manifest: Manifest, recipe: Recipe, state_of: StateOf) -> Iterator[tuple[ResultLine, str]]:
    """``(line, link)``, each link once. At most ``ROWS_SAMPLED`` rows are read, even if most of them are bought."""
    expander, seen, row_count = Expander(recipe, manifest.columns), set[str](), 0
    columns = expander.picture_columns
    for row in manifest.rows():
        row_count += 1
        if row_count > ROWS_SAMPLED:
            return
        lines = expander.expand(row)
        if isinstance(lines, InvalidLine):
            continue
        for line in lines:
            if is_bought(state_of(line.job.key)):
                continue
            for _, url in list_links(line, columns):
                may_ask = not recipe.loopback or url[:5].lower() == "http:"
                if may_ask and url not in seen:
                    seen.add(url)
                    yield line, url


def _list_unseen(
    manifest: Manifest, recipe: Recipe, links: Links, seen: DigestMap, state_of: StateOf, limit: int | None
) -> Iterator[tuple[int, str]]:
    """``(row, link)`` for the links that are not in ``seen``, of the jobs within ``limit``."""
    expander, jobs = Expander(recipe, manifest.columns), 0
    columns, bad = expander.picture_columns, links.checked.bad
    for line in expand_all(manifest, recipe, expander=expander):
        if isinstance(line, InvalidLine) or line.duplicate:
            continue
        urls = [] if is_bought(state_of(line.job.key)) else [url for _, url in list_links(line, columns)]
        digests = [digest_link(url) for url in urls]
        if any(digest in bad for digest in digests):
            continue
        jobs += 1
        if limit is not None and jobs > limit:
            return
        for url, digest in zip(urls, digests, strict=True):
            if seen.add(digest):
                yield line.row, url


class _RowProgress:
    """The row up to which links are answered, interpolated within the current chunk."""

    def __init__(self, on_progress: ProgressCallback, manifest: Manifest) -> None:
        self._on_progress = on_progress
        self._rows = 0 if on_progress is no_progress else manifest.estimate_rows()
        self._done_row = self._row = 0

    def follow(self, links: Iterator[tuple[int, str]]) -> Iterator[str]:
        """The links, while their rows are noted."""
        for row, link in links:
            self._row = row
            yield link

    def report(self, answered: int, in_chunk: int) -> None:
        """Report progress: ``answered`` of the links ``in_chunk``."""
        self._on_progress(self._done_row + (self._row - self._done_row) * answered // in_chunk, self._rows)
        if answered == in_chunk:
            self._done_row = self._row


def _describe_checked(checked: CheckedLinks) -> str:
    links = pluralize(checked.links, "picture link")
    asked = "" if checked.asked == checked.links else f" ({checked.links - checked.asked:,} known from last time)"
    if not checked:
        return f"{links} checked{asked}: all is well"
    parts = [
        f"{len(problems):,} {label}"
        for problems, label in (
            (checked.bad, "can't be used"),
            (checked.large, "over 16 MB"),
            (checked.unsure, "not to be told"),
        )
        if problems
    ]
    return f"{links} checked{asked}: {', '.join(parts)}"
