"""``batchedit run``: buy what is missing, collect, write the results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from anyio import to_thread

from ..core.errors import BatcheditError, UsageError
from ..core.shell_commands import format_command
from ..ledger.account import hash_token
from ..ledger.lock import hold_run_lock
from ..ledger.register import Register, is_run
from ..manifest.read import FormKind, Manifest
from ..manifest.typed_tables import load_parquet
from ..planning.gone_runs import note_gone
from ..planning.intake import IntakeRequest, InvalidRowsError, make_state_lookup, take_in_manifest
from ..planning.other_runs import OtherRuns
from ..planning.plan import Plan, add_sample, plan_the_rest
from ..planning.previous import read_previous_run
from ..planning.recipe import list_picture_roots, list_run_roots
from ..planning.run_settings import save_run_settings
from ..results.files import FILES_URL
from ..results.report import Report
from ..run_folder import explain_how_to_start, find_gone_runs, find_run_folder, hash_file, open_source
from ..settings.model import Settings
from .file_store import open_objects, upload_pictures
from .host import Host
from .kept_settings import Given
from .open_run_to_read import find_run_here
from .play_money import would_be_play
from .purchase_stages import buy
from .register_run import find_other_runs
from .session import Session, open_session, reopen_session
from .sheet_links import (
    CHECKING_ROWS,
    READING_OTHER_RUNS,
    READING_RUN,
    READING_SHEET,
    check_and_fetch_links,
    report_other_runs,
    sample_links,
)


async def run(source: Path, settings: Settings, host: Host, *, name: str = "") -> Report:
    """Buy what is missing, collect, write the results. The same call again resumes.

    ``name`` stands for the manifest where ``source`` is a copy of something else.
    """
    if settings.format == FormKind.PARQUET:
        load_parquet()  # before anything is bought
    with host.step(READING_SHEET):
        content = _read_content_digest(source)
        manifest = open_source(source, settings, name)
    async with _begin(source, settings, host, name) as (session, other_runs):
        plan = await _take_in(session, manifest, source, content, other_runs)
        return await buy(session, plan)


@asynccontextmanager
async def _begin(source: Path, settings: Settings, host: Host, name: str) -> AsyncIterator[tuple[Session, OtherRuns]]:
    """The run of a sheet, made if there is none, locked and open; and the other runs of this person."""
    register = Register.from_environ(host.environ)
    folder = find_run_folder(Path(name or source), settings, register)
    gone_folders = [] if is_run(folder.path) else find_gone_runs(Path(name or source), settings, register)
    folder.make()
    async with AsyncExitStack() as stack:
        stack.enter_context(hold_run_lock(folder.path, "run"))
        session = await stack.enter_async_context(open_session(folder, settings, host, "run"))
        note_gone(session.checkpoint, gone_folders)
        account = hash_token(session.service.token)
        is_play = would_be_play(session.checkpoint, settings, host.environ)
        with host.step(READING_OTHER_RUNS):
            opening = find_other_runs(register, folder.path, settings, account, host.environ, play=is_play)
            others = stack.enter_context(opening)
        if not session.is_mine:
            session.picture_roots = (*list_picture_roots(source, settings), *list_run_roots(folder))
        report_other_runs(host, others, register)
        yield session, others


def _read_content_digest(source: Path) -> str | None:
    """The digest of the sheet, to be taken before it is opened; None where it can't be read, which the opening reports."""
    try:
        return hash_file(source) if source.is_file() else None
    except OSError:
        return None


async def _take_in(
    run: Session, manifest: Manifest, source: Path, content_digest: str | None, other_runs: OtherRuns
) -> Plan:
    """Check links, then make jobs of the rows and write them into the ledger."""
    folder, settings, host, model = run.folder, run.settings, run.host, run.model
    with host.step(READING_RUN):
        previous = await to_thread.run_sync(
            read_previous_run, run.checkpoint, None, content_digest or hash_file(source)
        )
    find_state = make_state_lookup(previous, other_runs)
    links = await check_and_fetch_links(manifest, source, settings, model, folder, find_state, host)
    link_sample = await sample_links(manifest, source, settings, model, previous, find_state, host)
    objects = open_objects(run.checkpoint.get(FILES_URL), host.environ)
    if objects is not None:
        await to_thread.run_sync(objects.check)
    keep_picture = partial(upload_pictures, objects) if objects is not None else None
    request = IntakeRequest(manifest, source, folder, settings, model, content_digest, links, other_runs, keep_picture)
    with host.step(CHECKING_ROWS) as on_progress:
        try:
            plan = await to_thread.run_sync(take_in_manifest, run.checkpoint, request, host.stop, on_progress)
        except InvalidRowsError as error:
            error.plan = replace(error.plan, own_sandbox=would_be_play(run.checkpoint, settings, host.environ))
            raise
    return add_sample(plan, link_sample)


async def resume(run_name: str, given: Given, host: Host) -> Report:
    """Go on with a run from its own copy of the manifest and its own settings.

    It takes nothing from the sheet, whether that was changed or not: what is planned is bought, what was bought is collected.
    """
    async with reopen_session(run_name, given, host, "run") as run:
        checkpoint = run.checkpoint
        if not checkpoint.get("fingerprint"):
            raise UsageError(
                f"the run in {run.folder.path} never took its manifest in, so nothing was bought in it",
                hint=explain_how_to_start(checkpoint, run.folder),
            )
        if run.is_mine:  # else no file of this machine is read because the run names it
            _say_edits(run)
        save_run_settings(checkpoint, run.folder, run.settings)
        plan = plan_the_rest(checkpoint, run.folder, run.settings, checkpoint.get("source") or "")
        return await buy(run, replace(plan, strange=not run.is_mine))


def _say_edits(run: Session) -> None:
    """Say that the sheet of the run was changed and is not taken in here, and which command takes it in."""
    source = Path(run.checkpoint.get("source") or "")
    try:
        is_same = not source.is_file() or f":{hash_file(source)}:" in (run.checkpoint.get("fingerprint") or "")
    except OSError:
        return
    if not is_same:
        command = format_command("run", source, "--config", run.folder.settings, "--out", run.folder.path)
        run.host.say(f"{source} was changed since; this run goes on with its own copy")
        run.host.say(f"  → to take the changes in: {command}")


def find_named_run(name: str, given: Given) -> Path | None:
    """The folder, where ``batchedit run NAME`` names an existing run by its folder or name; None for a manifest."""
    if name == "-" or Path(name).is_file():
        return None
    try:
        return find_run_here(name, given).path
    except BatcheditError:
        return None
