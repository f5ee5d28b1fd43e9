"""Checks a sheet's links before anything of it is bought, and reports problems of the other runs."""

from __future__ import annotations

from pathlib import Path

from ..images.link_sample import NOT_SAMPLED, Sample
from ..ledger.register import Register
from ..manifest.read import Manifest
from ..planning.link_check import Links, ask_about_links, fetch_short_lived
from ..planning.link_check import sample_links as sample_of
from ..planning.other_runs import OtherRuns
from ..planning.previous import PreviousRun
from ..planning.recipe import make_recipe
from ..ports import StateOf
from ..run_folder import RunFolder
from ..runcomfy.catalogue import Model
from ..settings.model import Settings
from .host import Host
from .observers import ObserverGroup
from .proxy import find_proxy

READING_SHEET = "reading the sheet"
"""The step that detects a sheet's form: a workbook is unpacked whole."""
READING_RUN = "reading the run"
"""The step that reads an earlier run of the sheet."""
READING_OTHER_RUNS = "reading the other runs"
"""The step that reads the other runs of this person."""
CHECKING_ROWS = "checking rows"
"""The step that makes jobs of a sheet's rows."""


def report_other_runs(host: Host, others: OtherRuns, register: Register) -> None:
    """Report why other runs could not be read."""
    if register.problem:
        host.warn(register.problem)
    for note in others.notes:
        host.say(f"note: {note}")


async def sample_links(
    manifest: Manifest,
    source: Path,
    settings: Settings,
    model: Model,
    previous: PreviousRun,
    find_state: StateOf,
    host: Host,
) -> Sample:
    """A check of the first links of a sheet, until something of that very sheet was bought. None with a sandbox."""
    if (
        settings.sandbox
        or settings.check_images
        or settings.no_check_images
        or (previous.same_manifest and previous.begun)
    ):
        return NOT_SAMPLED
    recipe = make_recipe(settings, model, source, manifest)
    return await sample_of(manifest, recipe, find_state, proxy=find_proxy(host.environ))


async def check_and_fetch_links(
    manifest: Manifest,
    source: Path,
    settings: Settings,
    model: Model,
    folder: RunFolder,
    find_state: StateOf,
    host: Host,
) -> Links | None:
    """Check every link with ``check_images``, and fetch the pictures whose links expire soon. None where neither is done."""
    if settings.sandbox and not settings.check_images:
        return None
    recipe, observer = make_recipe(settings, model, source, manifest), ObserverGroup(host.observers())
    links, proxy = None, find_proxy(host.environ)
    if settings.check_images:
        folder.make()
        with host.step("asking about links") as on_progress:
            links = await ask_about_links(
                manifest,
                recipe,
                folder,
                find_state,
                limit=settings.limit,
                stop=host.stop,
                observer=observer,
                proxy=proxy,
                on_progress=on_progress,
            )
    if settings.sandbox or settings.no_check_images:
        return links
    all_links = links or Links()
    with host.step("fetching pictures") as on_progress:
        await fetch_short_lived(
            manifest,
            recipe,
            folder,
            all_links,
            find_state,
            limit=settings.limit,
            observer=observer,
            proxy=proxy,
            on_progress=on_progress,
        )
    return all_links if all_links.fetched or all_links.checked else links
