"""``batchedit work``: one more worker for a store's runs. It asks nothing: it buys what was approved elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import to_thread

from ..core.approved_purchases import StoreApproval
from ..core.errors import BatcheditError, ServiceUnavailableError, TokenError, UsageError
from ..core.model import Counts
from ..core.money import label_play
from ..core.write_failures import WriteFailures
from ..files.objects import check_url, join_url
from ..ledger.account import META as ACCOUNTS
from ..ledger.account import hash_token
from ..ledger.opening import open_for_reading
from ..ledger.postgres.bought_from import BoughtFrom
from ..ledger.run_facts import parse_whole_number, read_fact
from ..pool.run_pool import collect_with_others
from ..results.files import FILES_URL
from ..results.report import ASKED_PRICE
from ..run_folder import RunFolder
from ..settings.model import Settings
from .file_store import make_elsewhere_error, open_objects
from .host import Host
from .observers import ObserverGroup
from .play_money import identify_seller
from .rescue_to_file_store import find_runs_with_ids
from .store import need_psycopg
from .take_in_rescued_ids import take_in_for_worker, take_in_objects_for_worker
from .wiring import find_model, model_from_catalogue, open_pool, open_service

if TYPE_CHECKING:
    from ..ledger.postgres.store import OpenRun

T = TypeVar("T")

IDLE_SECONDS = 5.0
"""Between two checks for work of an idle worker."""
RETRY_SECONDS = 0.2
"""Until a store that could not be reached is asked again."""
CHECK_IDS_SECONDS = 60.0
"""Between two checks whether a store of files has the id of a job in doubt."""


@dataclass(frozen=True, slots=True)
class WorkResult:
    """The state of the run ``name`` when this worker left it. ``error`` is why it left early."""

    name: str
    counts: Counts
    error: BatcheditError | None = None


def ignore_result(_: WorkResult) -> None:
    """An ``on_left`` that does nothing."""


async def work(
    url: str,
    host: Host,
    given: Mapping[str, Any],
    *,
    run: str | None = None,
    until_idle: bool = False,
    on_left: Callable[[WorkResult], None] = ignore_result,
) -> list[WorkResult]:
    """Buy and collect in the runs of the store, or in the one named ``run``. With ``until_idle`` it returns when nothing is
    left that this worker may do, else when ``host.stop`` is set or an error ends it. ``on_left`` is called in a thread
    whenever nothing is left to do in a run, or an error ended it. Uncollected jobs are not polled again: a person decides
    that, with ``run`` or ``fetch``, and not the platform that restarts this worker.

    A run that is bought elsewhere, or with another token, is left to other workers; it is an error (64, 77) where ``run``
    names it, or where there is no other run.
    """
    need_psycopg()
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    results: dict[str, WorkResult] = {}
    refusals: dict[str, BatcheditError] = {}
    doubts = _Doubts(url, run, math.inf if until_idle else CHECK_IDS_SECONDS)
    runs = await to_thread.run_sync(
        store.list_open_runs, url, run
    )  # one that can't be reached at the start is an error at once
    while True:
        has_worked = False
        for run_seen in runs or await _ask_store(host, doubts.list_runs):
            try:
                results[run_seen.name] = await _work_at(url, run_seen, host, given)
            except _NotOursError as not_ours:
                _leave_to_others(not_ours, run_seen.name, refusals, host, is_named=run is not None)
                continue
            has_worked = True
            if host.stop.reason is None:
                await to_thread.run_sync(on_left, results[run_seen.name])
            if host.stop.reason or results[run_seen.name].error:
                return list(results.values())
        if refusals and not results:
            raise next(iter(refusals.values()))
        if not has_worked and until_idle:
            await _ask_store(host, lambda: store.check_halted(url, run))
            return list(results.values())
        if host.stop.reason:
            return list(results.values())
        await _wait(host)
        runs = await _ask_store(host, lambda: store.list_open_runs(url, run))


class _Doubts:
    """Runs at rest that have the id of a job in doubt somewhere, checked once in ``every`` seconds."""

    def __init__(self, url: str, run: str | None, every: float) -> None:
        self._url, self._run, self._every = url, run, every
        self._checked_at = -math.inf

    def list_runs(self) -> list[OpenRun]:
        """The runs; none before it is time to check again."""
        if monotonic() - self._checked_at < self._every:
            return []
        runs = find_runs_with_ids(self._url, self._run)
        self._checked_at = monotonic()
        return runs


def _leave_to_others(
    not_ours: _NotOursError, name: str, refusals: dict[str, BatcheditError], host: Host, *, is_named: bool
) -> None:
    """Leave the run ``name`` to others, unless it was asked for. The warning comes once, and the run is checked again: a
    sandbox may be started meanwhile.
    """
    if is_named:
        raise not_ours.refusal from None
    if name not in refusals:
        host.warn(f"{not_ours.refusal}; this worker leaves it to others")
    refusals[name] = not_ours.refusal


async def _ask_store(host: Host, ask: Callable[[], T]) -> T:
    """The store's answer. While it can't be reached it is asked again, for as long as a change within a run is retried."""
    from ..ledger.postgres.connection import PATIENCE_SECONDS  # noqa: PLC0415 - psycopg takes its time

    until = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await to_thread.run_sync(ask)
        except ServiceUnavailableError:
            if host.stop.reason:
                raise host.stop.reason from None
            if monotonic() > until:
                raise
        await _wait(host, RETRY_SECONDS)


async def _wait(host: Host, seconds: float = IDLE_SECONDS) -> None:
    with anyio.CancelScope() as scope:
        host.stop.listen(lambda _: scope.cancel())
        try:
            await anyio.sleep(seconds)
        finally:
            host.stop.listen(None)


async def _work_at(url: str, run_seen: OpenRun, host: Host, given: Mapping[str, Any]) -> WorkResult:
    from ..ledger.postgres.ledger import PostgresLedger  # noqa: PLC0415 - psycopg takes its time

    settings = _make_settings(run_seen, given)
    folder = _make_folder(run_seen, settings)
    with open_service(settings, folder, host.environ, host.warn) as service:
        if refusal := _explain_refusal(run_seen, identify_seller(settings, host.environ), hash_token(service.token)):
            raise _NotOursError(refusal)
        files = _check_files(run_seen, settings)
        observer = ObserverGroup(host.observers())
        model = find_model(settings) or await model_from_catalogue(settings, service, observer, host.step)
        ledger = await to_thread.run_sync(
            lambda: PostgresLedger(url, run_seen.id, run_seen.model, folder.path, local=False)
        )
        try:
            await to_thread.run_sync(take_in_for_worker, ledger, folder.path, host.warn)
            write_failures = WriteFailures()
            opening = open_pool(
                settings, folder, ledger, model, service, observer, (), write_failures, copies=not files
            )
            async with opening as (pool, _):
                if objects := open_objects(files):
                    await to_thread.run_sync(take_in_objects_for_worker, ledger, objects, host.warn)
                pool.price = read_fact(run_seen.facts, ASKED_PRICE, parse_whole_number, 0)
                pool.governor.switch.money = label_play(run_seen.service.own_sandbox)
                pool.approval = StoreApproval((), price=pool.price)
                counts = (await ledger.totals()).counts
                observer.note("working", f"working at the run {run_seen.name}", folder=run_seen.name)
                refresh = host.watch(sum(counts.by_state.values()), play=run_seen.service.own_sandbox)
                error: BatcheditError | None = None
                try:
                    await collect_with_others(pool, stop=host.stop, refresh=refresh, resume_uncollected=False)
                except BatcheditError as stop_error:
                    error = stop_error
                error = host.stop.reason or error or pool.governor.switch.halted
            for line in write_failures.describe():
                host.warn(line)
            return WorkResult(run_seen.name, (await ledger.totals()).counts, error)
        finally:
            await to_thread.run_sync(ledger.close)


def _make_settings(run_seen: OpenRun, given: Mapping[str, Any]) -> Settings:
    """The settings of the run, and over them those ``given`` to this worker: none that makes or prices jobs."""
    kept = Settings.load(run_seen.facts.get("settings") or "{}")
    kept = replace(kept, until=None, on_doubt="hold", canary=0, max_cost=None, out=None, model=run_seen.model)
    settings = replace(kept, **given)
    if settings.sandbox:
        raise UsageError(
            f"the run {run_seen.name} buys from the sandbox inside the process that began it",
            hint="a sandbox that workers share is a process of its own, whose address each is given as --base-url",
        )
    return settings


def _make_folder(run_seen: OpenRun, settings: Settings) -> RunFolder:
    """The folder for what this worker writes about the run, made if it is missing. _NotOursError where that folder has
    another run: the rescue files of the two would be mixed, and where both are made from one sheet an id of the one would
    settle a job of the other.
    """
    if not settings.out and (run_seen.name == ".." or run_seen.name != Path(run_seen.name).name):
        raise _NotOursError(UsageError(f"the run is called {run_seen.name}, which is no name of a folder"))
    folder = RunFolder(Path(settings.out) if settings.out else Path("outputs") / run_seen.name)
    folder.make()
    folder.check_links()
    store_run = None
    if folder.checkpoint.exists():
        with suppress(BatcheditError), open_for_reading(folder.checkpoint) as copy:
            store_run = copy.get("store_run") or ""
    if store_run is not None and store_run != str(run_seen.id):
        raise _NotOursError(
            UsageError(
                f"the folder {folder.path} has another run than {run_seen.name} of the store",
                hint="start the worker in another folder, or give one with --out DIR",
            )
        )
    return folder


class _NotOursError(Exception):
    """A run that this worker may not buy in. Nothing was sent."""

    def __init__(self, refusal: BatcheditError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _explain_refusal(run_seen: OpenRun, seller: BoughtFrom, account: str) -> BatcheditError | None:
    """Why a worker that buys from ``seller`` with the token of ``account`` may not buy in the run; None if it may."""
    if run_seen.service.address != seller.address:
        return UsageError(
            f"the run {run_seen.name} is bought from {run_seen.service.address}, not {seller.address}",
            hint=f"give the service's address: --base-url {run_seen.service.address}",
        )
    accounts = (run_seen.facts.get(ACCOUNTS) or "").split()
    if accounts and account not in accounts:
        return TokenError(
            f"the run {run_seen.name} is bought with another token than the one that is set here; nothing was sent",
            hint="set the token that it is bought with",
        )
    return run_seen.service.explain_refusal(run_seen.name, seller)


def _check_files(run_seen: OpenRun, settings: Settings) -> str:
    """The run's store of files, where its pictures go; "" for its folder."""
    kept_url = run_seen.facts.get(FILES_URL) or ""
    if settings.files is not None and kept_url != join_url(check_url(settings.files), run_seen.name):
        raise make_elsewhere_error(run_seen.name, kept_url)
    return kept_url
