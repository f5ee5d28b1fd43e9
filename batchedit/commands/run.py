"""``batchedit run``: buy what is missing, collect, write the results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from anyio import to_thread

from ..core.errors import BatcheditError, UsageError
from ..core.typed import to_type
from ..ledger.account import account_of
from ..ledger.lock import run_lock
from ..ledger.register import Register, is_run
from ..manifest.read import FormKind, Manifest
from ..manifest.sheets import load_parquet
from ..planning.gone_runs import note_gone
from ..planning.intake import IntakeRequest, InvalidRowsError, bought_anywhere, take_in_manifest
from ..planning.other_runs import OtherRuns
from ..planning.plan import Plan, plan_of_the_rest, sampled
from ..planning.previous import load_previous_run
from ..planning.recipe import picture_roots, run_roots
from ..planning.run_settings import keep_settings
from ..results.files import FILES_URL
from ..results.report import Report
from ..run_folder import digest_of, folder_of, gone_runs, how_to_start, open_source
from ..settings.model import Settings
from .file_store import open_objects, upload_pictures
from .host import Host
from .kept_settings import Given
from .play import would_be_play
from .purchase import buy
from .reading import run_here
from .session import Session, again, opened
from .sharing import other_runs
from .sheet_links import BEFORE, CHECKING, OPENING, OTHERS, look_at_links, sample_links, tell_of_others


async def run(source: Path, settings: Settings, host: Host, *, name: str = "") -> Report:
    """Buy what is missing, collect, write the results. The same call again resumes.

    ``name`` stands for the manifest where ``source`` is a copy of something else.
    """
    if settings.format == FormKind.PARQUET:
        load_parquet()  # before anything is bought
    with host.step(OPENING):
        content = _content_of(source)
        manifest = open_source(source, settings, name)
    async with _begun(source, settings, host, name) as (here, others):
        what = await _intake(here, manifest, source, content, others)
        return await buy(here, what)


@asynccontextmanager
async def _begun(source: Path, settings: Settings, host: Host, name: str) -> AsyncIterator[tuple[Session, OtherRuns]]:
    """The run of a sheet, made if there is none, locked and open; and the other runs of this person."""
    register = Register.of(host.environ)
    folder = folder_of(Path(name or source), settings, register)
    gone = [] if is_run(folder.path) else gone_runs(Path(name or source), settings, register)
    folder.make()
    async with AsyncExitStack() as held:
        held.enter_context(run_lock(folder.path, "run"))
        here = await held.enter_async_context(opened(folder, settings, host, "run"))
        note_gone(here.checkpoint, gone)
        account = account_of(here.service.token)
        play = would_be_play(here.checkpoint, settings, host.environ)
        with host.step(OTHERS):
            reader = other_runs(register, folder.path, settings, account, host.environ, play=play)
            others = held.enter_context(reader)
        if not here.is_mine:
            here.picture_roots = (*picture_roots(source, settings), *run_roots(folder))
        tell_of_others(host, others, register)
        yield here, others


def _content_of(source: Path) -> str | None:
    """The digest of the sheet, to be taken before it is opened; None where it can't be read, which the opening tells."""
    try:
        return digest_of(source) if source.is_file() else None
    except OSError:
        return None


async def _intake(run: Session, manifest: Manifest, source: Path, content: str | None, others: OtherRuns) -> Plan:
    """Rows become jobs and jobs stand in the ledger, after their links were asked about."""
    folder, settings, host, model = run.folder, run.settings, run.host, run.model
    with host.step(BEFORE):
        before = await to_thread.run_sync(load_previous_run, folder, settings, source)
    state_of = bought_anywhere(before, others)
    links = await look_at_links(manifest, source, settings, model, folder, state_of, host)
    sample = await sample_links(manifest, source, settings, model, before, state_of, host)
    objects = open_objects(run.checkpoint.get(FILES_URL), host.environ)
    if objects is not None:
        await to_thread.run_sync(objects.check)
    keep = partial(upload_pictures, objects) if objects is not None else None
    request = IntakeRequest(manifest, source, folder, settings, model, content, links, others, keep)
    with host.step(CHECKING) as told:
        try:
            what = await to_thread.run_sync(take_in_manifest, run.checkpoint, request, host.stop, told)
        except InvalidRowsError as error:
            error.plan = replace(error.plan, own_sandbox=would_be_play(run.checkpoint, settings, host.environ))
            raise
    return sampled(what, sample)


async def resume(run_name: str, given: Given, host: Host) -> Report:
    """Go on in a run with what it was made with: its own copy of the manifest, its own settings.

    Nothing new comes of it, whatever became of the sheet: what is planned is bought, what was bought is collected.
    """
    async with again(run_name, given, host, "run") as run:
        checkpoint = run.checkpoint
        if not checkpoint.get("fingerprint"):
            raise UsageError(
                f"the run in {run.folder.path} never took its manifest in, so nothing was bought in it",
                hint=how_to_start(checkpoint, run.folder),
            )
        if run.is_mine:  # else no file of this machine is looked at because the run names it
            _tell_of_edits(run)
        keep_settings(checkpoint, run.folder, run.settings)
        what = plan_of_the_rest(checkpoint, run.folder, run.settings, checkpoint.get("source") or "")
        return await buy(run, replace(what, strange=not run.is_mine))


def _tell_of_edits(run: Session) -> None:
    """The sheet that the run came from is another one now: that is not taken in here, and how it is."""
    source = Path(run.checkpoint.get("source") or "")
    try:
        same = not source.is_file() or f":{digest_of(source)}:" in (run.checkpoint.get("fingerprint") or "")
    except OSError:
        return
    if not same:
        again = to_type("run", source, "--config", run.folder.settings, "--out", run.folder.path)
        run.host.say(f"{source} was changed since; this run goes on with its own copy")
        run.host.say(f"  → to take the changes in: {again}")


def run_named(name: str, given: Given) -> Path | None:
    """The folder, where ``batchedit run NAME`` means a run that is there, by its folder or name, rather than a manifest."""
    if name == "-" or Path(name).is_file():
        return None
    try:
        return run_here(name, given).path
    except BatcheditError:
        return None
