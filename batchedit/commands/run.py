"""What each command does, without a word printed.

``run`` and ``plan`` begin with a manifest; the others with a run that is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import time
from typing import Any

from anyio import to_thread

from ..core.errors import BatcheditError, UsageError
from ..core.lifecycle import RetryAsked, advance
from ..core.model import Record, State
from ..ledger.lock import run_lock
from ..ledger.opening import open_checkpoint
from ..ledger.repurchases import take_in_again
from ..ledger.sqlite import SqliteCheckpoint
from ..ledger.summary import digest
from ..manifest.read import FormKind, Manifest
from ..manifest.sheets import load_parquet
from ..planning.intake import (
    Before,
    InvalidRowsError,
    Plan,
    known_before,
    make_recipe,
    open_source,
    survey_manifest,
    take_in_manifest,
)
from ..planning.link_check import Links, ask_about_links
from ..pool.collecting import cancel as cancel_remote
from ..results.files import write_one
from ..results.report import Report, make_report
from ..run_folder import RunFolder, find_run, folder_for, open_run
from ..runcomfy.catalogue import Model
from ..runcomfy.client import Client
from ..settings.model import Settings
from . import doubts as doubting
from . import proof as auditing
from .observers import Everybody
from .purchase import CanaryReport, Host, Opened, execute, finish, opened, priced
from .redo import redo_lines
from .wiring import Service, connected, find_model, model_from_catalogue, service

__all__ = [
    "CanaryReport",
    "Host",
    "InvalidRowsError",
    "Plan",
    "audit",
    "cancel",
    "doubt",
    "fetch",
    "plan",
    "redo",
    "results",
    "retry",
    "run",
    "status",
]

Given = Mapping[str, Any]
"""Settings that the person gave with the command: they go over those that the run was made with."""


# --- with a manifest ------------------------------------------------------------------------------


async def run(source: Path, settings: Settings, host: Host, *, name: str = "") -> Report:
    """Buy what is missing, collect, write the results. The same call again resumes.

    ``name`` stands for the manifest where ``source`` is a copy of something else.
    """
    if settings.format == FormKind.PARQUET:
        load_parquet()  # before anything is bought
    manifest = open_source(source, settings, name)
    folder = folder_for(Path(name or source), settings.out)
    folder.make()
    with run_lock(folder.path, "run"), service(settings, folder, host.environ) as found:
        model = find_model(settings) or await model_from_catalogue(settings, found, Everybody(host.observers()))
        with opened(folder, settings, host) as here:
            links = None
            if settings.check_images:
                before = await to_thread.run_sync(lambda: known_before(folder, settings, source))
                links = await _ask_about_links(manifest, source, settings, model, folder, before, host)
            what = await to_thread.run_sync(
                lambda: take_in_manifest(
                    here.checkpoint,
                    folder,
                    settings,
                    manifest=manifest,
                    source=source,
                    model=model,
                    stop=host.stop,
                    links=links,
                )
            )
            return await execute(here, model, found, what, buy=True)


async def plan(source: Path, settings: Settings, host: Host, *, name: str = "") -> Plan:
    """Check every row, count, price. Sends nothing that buys.

    Writes nothing, but with ``check_images`` what was said about links, so that ``run`` need not ask again.
    """
    manifest = open_source(source, settings, name)
    folder = folder_for(Path(name or source), settings.out)
    model = find_model(settings)
    found = _service_if_any(settings, folder, host) if model is None or settings.price is None else None
    if model is None:
        if found is None:
            raise UsageError(f"the input schema of {settings.model} is needed", hint="give it as --schema FILE")
        model = await model_from_catalogue(settings, found, Everybody(host.observers()))
    before = known_before(folder, settings, source)
    links = None
    if settings.check_images:
        folder.make()
        links = await _ask_about_links(manifest, source, settings, model, folder, before, host)
    what = survey_manifest(manifest, source, folder, settings, model, before, links)
    if settings.price is not None:
        return replace(what, price=settings.price, price_source="--price")
    if found is None:
        return what
    async with _client(settings, found, model, host) as client:
        entry = await client.model_entry()
    return replace(what, price=entry.price, price_source="the catalogue") if entry and entry.price else what


async def _ask_about_links(
    manifest: Manifest, source: Path, settings: Settings, model: Model, folder: RunFolder, before: Before, host: Host
) -> Links:
    return await ask_about_links(
        manifest,
        make_recipe(settings, model, source),
        folder,
        before.state_of,
        limit=settings.limit,
        stop=host.stop,
        observer=Everybody(host.observers()),
        proxy=host.environ.get("HTTPS_PROXY") or host.environ.get("https_proxy"),
    )


def _service_if_any(settings: Settings, folder: RunFolder, host: Host) -> Service | None:
    """``plan`` works without a token: it only can't tell the price then."""
    if settings.sandbox:
        return None
    try:
        with service(settings, folder, host.environ) as found:
            return found
    except BatcheditError:
        return None


def _client(settings: Settings, found: Service, model: Model, host: Host) -> Client:
    return Client(found.base_url, found.token, settings.model, model.schema, observer=Everybody(host.observers()))


# --- on a run that is there -----------------------------------------------------------------------


def kept_settings(checkpoint: SqliteCheckpoint, given: Given) -> Settings:
    """The settings the run was made with, and over them what was given now.

    What was said for one evening is not kept: a time to stop at, a canary, the leave to buy doubtful jobs again. The cap
    is the last one that was given.
    """
    text, cap = checkpoint.get("settings"), checkpoint.get("max_cost")
    kept = Settings.load(text) if text else Settings()
    kept = replace(kept, until=None, on_doubt="hold", canary=0, max_cost=int(cap) if cap else None)
    return replace(kept, **given)


@dataclass(frozen=True)
class Again:
    """A run that is there, locked and open, with its service and model."""

    here: Opened
    model: Model
    found: Service


@asynccontextmanager
async def _again(run_name: str, given: Given, host: Host, doing: str) -> AsyncIterator[Again]:
    folder = find_run(run_name, given.get("out"))
    with run_lock(folder.path, doing):
        settings = _settings_of(folder, given)
        with service(settings, folder, host.environ) as found:
            model = find_model(settings) or await model_from_catalogue(settings, found, Everybody(host.observers()))
            with opened(folder, settings, host) as here:
                yield Again(here, model, found)


def _settings_of(folder: RunFolder, given: Given) -> Settings:
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        return kept_settings(checkpoint, given)
    finally:
        checkpoint.close()


def status(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """How a run stands. May be called while it is going on."""
    folder = find_run(run_name, given.get("out"))
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        return folder, make_report(checkpoint.counts(), checkpoint.money(), digest(checkpoint))
    finally:
        checkpoint.close()


def settings_of(run_name: str, given: Given) -> tuple[Path, Settings, dict[str, str]]:
    """A run's folder, its settings with ``given`` over them, and where those of the run came from that are no default."""
    folder = find_run(run_name, given.get("out"))
    kept, plain = _settings_of(folder, {}), Settings()
    named = {f.name: getattr(kept, f.name) != getattr(plain, f.name) for f in fields(Settings)}
    told = {name: f"the run ({kept.origins.get(name, 'as it was made')})" for name, other in named.items() if other}
    return folder.path, replace(kept, **given), told


def results(run_name: str, given: Given, *, kind: str | None = None, to: Path | None = None) -> Path:
    """Write the enriched manifest again, in its own form or as ``kind``. May be called while a run is going on."""
    folder = find_run(run_name, given.get("out"))
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        return write_one(checkpoint, folder, kept_settings(checkpoint, given), kind, to)
    finally:
        checkpoint.close()


def audit(run_name: str, given: Given) -> tuple[RunFolder, auditing.Audit]:
    """Prove the run from its event log."""
    folder = find_run(run_name, given.get("out"))
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        return folder, auditing.audit(checkpoint, folder.path)
    finally:
        checkpoint.close()


async def fetch(run_name: str, given: Given, host: Host) -> Report:
    """Collect and download what was bought. Never a POST that buys."""
    async with _again(run_name, given, host, "fetch") as again:
        here = again.here
        what = Plan(run_name, here.folder.path, here.settings.model, rows=0, to_buy=0, reused=0)
        return await execute(here, again.model, again.found, what, buy=False)


async def retry(run_name: str, given: Given, host: Host, chosen: Callable[[Record, list[int]], bool]) -> Report:
    """Buy failed and cancelled jobs anew: those for which ``chosen(record, its rows)``. New purchases, priced as such."""
    async with _again(run_name, given, host, "retry") as again:
        here, checkpoint = again.here, again.here.checkpoint
        candidates = checkpoint.records("state IN ('failed', 'cancelled') AND wanted = 1 ORDER BY id")
        rows = checkpoint.rows_of(record.id for record in candidates)
        records = [r for r in candidates if chosen(r, [row for row, _ in rows.get(r.id, [])])]
        if not records:
            raise UsageError("no failed or cancelled job matches", hint=f"see them with: batchedit status {run_name}")
        to_buy = len(records) + checkpoint.counts().of(State.PLANNED)
        what = Plan(run_name, here.folder.path, here.settings.model, rows=0, to_buy=to_buy, reused=0)
        async with _client(here.settings, again.found, again.model, host) as client:
            what = await priced(what, here.settings, client)
        await host.confirm(what)
        for record in records:
            event = RetryAsked(time())
            checkpoint.save_now(advance(record, event), event)
        asked = replace(here, host=_Confirmed(host))
        return await execute(asked, again.model, again.found, what, buy=True, fresh_canary=True)


class _Confirmed:
    """A host whose person has said yes already."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    async def confirm(self, what: Plan) -> None:
        """Asked before."""


async def redo(run_name: str, given: Given, host: Host, *, prompt_add: str = "", use_notes: bool = False) -> Report:
    """Another version of exactly the rejected ones: the same prompt, or with an addition. Old files stay."""
    async with _again(run_name, given, host, "redo") as again:
        here, checkpoint = again.here, again.here.checkpoint
        pairs = redo_lines(checkpoint, prompt_add=prompt_add, use_notes=use_notes)
        planned = checkpoint.counts().of(State.PLANNED)
        if not pairs and not planned:
            raise UsageError(
                "nothing is rejected that was not redone already", hint=f"reject some with: batchedit review {run_name}"
            )
        examples = [line for _, line in pairs[:3]]
        to_buy = len(pairs) + planned
        what = Plan(run_name, here.folder.path, here.settings.model, rows=0, to_buy=to_buy, reused=0, examples=examples)
        async with _client(here.settings, again.found, again.model, host) as client:
            what = await priced(what, here.settings, client)
        await host.confirm(what)
        take_in_again(checkpoint, pairs)
        asked = replace(here, host=_Confirmed(host))
        return await execute(asked, again.model, again.found, what, buy=True, fresh_canary=True)


async def cancel(run_name: str, given: Given, host: Host) -> tuple[int, int]:
    """Cancel what is still queued remotely. Returns ``(cancelled, too late)``."""
    async with _again(run_name, given, host, "cancel") as again:
        here, checkpoint = again.here, again.here.checkpoint
        waiting = checkpoint.records("state IN ('waiting', 'cancelling', 'uncollected') ORDER BY id")
        async with connected(
            here.settings, here.folder, checkpoint, again.model, again.found, here.observer, host.environ
        ) as (pool, _):
            await cancel_remote(pool, waiting)
        finish(here, None)
        gone = sum(checkpoint.records("id = ?", (w.id,))[0].state is State.CANCELLED for w in waiting)
        return gone, len(waiting) - gone


@dataclass(frozen=True, slots=True)
class DoubtReport:
    """The doubts still open, and how many were decided just now."""

    folder: Path
    open: Sequence[doubting.Doubt]
    adopted: int = 0
    released: int = 0
    written_off: int = 0


async def doubt(
    run_name: str,
    given: Given,
    host: Host,
    *,
    pasted: Mapping[str, str],
    buy_again: Sequence[str],
    write_off: Sequence[str],
) -> DoubtReport:
    """List the jobs in doubt and decide about some. ``pasted``: ROW → request_id. Nothing here buys."""
    folder = find_run(run_name, given.get("out"))
    if not (pasted or buy_again or write_off):
        checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
        try:
            return DoubtReport(folder.path, doubting.doubts(checkpoint))
        finally:
            checkpoint.close()
    adopted = 0
    if pasted:
        async with _again(run_name, given, host, "doubt") as again:
            async with _client(again.here.settings, again.found, again.model, host) as client:
                adopted = await doubting.adopt(again.here.checkpoint, client, pasted)
            finish(again.here, None)
    with run_lock(folder.path, "doubt"):
        settings = _settings_of(folder, given)
        checkpoint = open_run(folder, settings)
        try:
            found = doubting.doubts(checkpoint)
            release, off = doubting.pick(found, buy_again), doubting.pick(found, write_off)
            if both := {d.record.job.name for d in release} & {d.record.job.name for d in off}:
                raise UsageError(f"{', '.join(sorted(both))}: buy again or write off, not both")
            released = doubting.decide(checkpoint, release, buy_again=True)
            written_off = doubting.decide(checkpoint, off, buy_again=False)
            finish(Opened(folder, checkpoint, settings, Everybody(host.observers()), host), None)
            return DoubtReport(folder.path, doubting.doubts(checkpoint), adopted, released, written_off)
        finally:
            checkpoint.close()
