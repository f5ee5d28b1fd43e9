"""``batchedit work``: one more worker at a store's runs. It asks nothing: it buys what was said yes to elsewhere."""

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

from ..core.approval import StoreApproval
from ..core.errors import BatcheditError, ServiceUnavailableError, TokenError, UsageError
from ..core.model import Counts
from ..core.money import label_play
from ..core.unwritten import Unwritten
from ..files.objects import below, check_url
from ..ledger.account import META as ACCOUNTS
from ..ledger.account import hash_token
from ..ledger.facts import parse_whole_number, read_fact
from ..ledger.opening import open_for_reading
from ..ledger.postgres.bought_from import BoughtFrom
from ..pool.run_pool import collect_with_others
from ..results.files import FILES_URL
from ..results.report import ASKED_PRICE
from ..run_folder import RunFolder
from ..settings.model import Settings
from .file_store import elsewhere, objects_at
from .host import Host
from .left_ids import runs_with_ids
from .observers import ObserverGroup
from .play import bought_from
from .rescued import take_in_for_worker, take_in_objects_for_worker
from .store import need_psycopg
from .wiring import connected, find_model, model_from_catalogue, service

if TYPE_CHECKING:
    from ..ledger.postgres.store import OpenRun

T = TypeVar("T")

LOOK_SECONDS = 5.0
"""So often a worker without work looks whether there is some."""
AGAIN_SECONDS = 0.2
"""Until a store that was away is asked again."""
LOOK_FOR_IDS_SECONDS = 60.0
"""So often it looks whether the id of a job in doubt has come to lie in a store of files."""


@dataclass(frozen=True, slots=True)
class Worked:
    """How the run ``name`` stood when this worker left it. ``error`` is why it left early."""

    name: str
    counts: Counts
    error: BatcheditError | None = None


def say_nothing(_: Worked) -> None:
    """Nobody wants to hear how the runs stand."""


async def work(
    url: str,
    host: Host,
    given: Mapping[str, Any],
    *,
    run: str | None = None,
    until_idle: bool = False,
    left: Callable[[Worked], None] = say_nothing,
) -> list[Worked]:
    """Buy and collect at the runs of the store, or at the one called ``run``. Returns at ``until_idle`` when nothing is left
    that this worker may do, else when ``host.stop`` is thrown or something ends it. ``left`` is called in a thread whenever
    nothing is left to do in a run, or something ended it. What was given up is not asked for again: a person says so, with
    ``run`` or ``fetch``, and not the platform that starts this worker anew.

    A run that is bought elsewhere, or with another token, is left to others; it is an error (64, 77) where ``run`` names it,
    or where there was nothing else.
    """
    need_psycopg()
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    done: dict[str, Worked] = {}
    refused: dict[str, BatcheditError] = {}
    doubts = _Doubts(url, run, math.inf if until_idle else LOOK_FOR_IDS_SECONDS)
    runs = await to_thread.run_sync(
        store.list_open_runs, url, run
    )  # one that is away when a worker starts is told at once
    while True:
        worked = False
        for found in runs or await _answered(host, doubts.look):
            try:
                done[found.name] = await _work_at(url, found, host, given)
            except _NotOursError as no:
                _leave_to_others(no, found.name, refused, host, named=run is not None)
                continue
            worked = True
            if host.stop.reason is None:
                await to_thread.run_sync(left, done[found.name])
            if host.stop.reason or done[found.name].error:
                return list(done.values())
        if refused and not done:
            raise next(iter(refused.values()))
        if not worked and until_idle:
            await _answered(host, lambda: store.check_halted(url, run))
            return list(done.values())
        if host.stop.reason:
            return list(done.values())
        await _wait(host)
        runs = await _answered(host, lambda: store.list_open_runs(url, run))


class _Doubts:
    """Runs at rest in which the id of a job in doubt has come to lie somewhere, looked for once in ``every`` seconds."""

    def __init__(self, url: str, run: str | None, every: float) -> None:
        self._url, self._run, self._every = url, run, every
        self._looked = -math.inf

    def look(self) -> list[OpenRun]:
        """None of them before it is time to look again."""
        if monotonic() - self._looked < self._every:
            return []
        found = runs_with_ids(self._url, self._run)
        self._looked = monotonic()
        return found


def _leave_to_others(
    no: _NotOursError, name: str, refused: dict[str, BatcheditError], host: Host, *, named: bool
) -> None:
    """The run ``name``, unless it was asked for. It is told once, and looked at again: a sandbox may be started."""
    if named:
        raise no.refusal from None
    if name not in refused:
        host.warn(f"{no.refusal}; this worker leaves it to others")
    refused[name] = no.refusal


async def _answered(host: Host, look: Callable[[], T]) -> T:
    """What the store says. While it is away it is asked again, for as long as a change within a run is sent again."""
    from ..ledger.postgres.line import PATIENCE_SECONDS  # noqa: PLC0415 - psycopg takes its time

    until = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await to_thread.run_sync(look)
        except ServiceUnavailableError:
            if host.stop.reason:
                raise host.stop.reason from None
            if monotonic() > until:
                raise
        await _wait(host, AGAIN_SECONDS)


async def _wait(host: Host, seconds: float = LOOK_SECONDS) -> None:
    with anyio.CancelScope() as scope:
        host.stop.listen(lambda _: scope.cancel())
        try:
            await anyio.sleep(seconds)
        finally:
            host.stop.listen(None)


async def _work_at(url: str, found: OpenRun, host: Host, given: Mapping[str, Any]) -> Worked:
    from ..ledger.postgres.ledger import PostgresLedger  # noqa: PLC0415 - psycopg takes its time

    settings = _settings(found, given)
    folder = _folder(found, settings)
    with service(settings, folder, host.environ, host.warn) as at:
        if no := _refusal(found, bought_from(settings, host.environ), hash_token(at.token)):
            raise _NotOursError(no)
        files = _check_files(found, settings)
        observer = ObserverGroup(host.observers())
        model = find_model(settings) or await model_from_catalogue(settings, at, observer, host.step)
        ledger = await to_thread.run_sync(lambda: PostgresLedger(url, found.id, found.model, folder.path, local=False))
        try:
            await to_thread.run_sync(take_in_for_worker, ledger, folder.path, host.warn)
            unwritten = Unwritten()
            edges = connected(settings, folder, ledger, model, at, observer, (), unwritten, copies=not files)
            async with edges as (pool, _):
                if objects := objects_at(files):
                    await to_thread.run_sync(take_in_objects_for_worker, ledger, objects, host.warn)
                pool.price = read_fact(found.facts, ASKED_PRICE, parse_whole_number, 0)
                pool.governor.switch.money = label_play(found.service.own_sandbox)
                pool.approval = StoreApproval((), price=pool.price)
                counts = (await ledger.totals()).counts
                observer.note("working", f"working at the run {found.name}", folder=found.name)
                show = host.watch(sum(counts.by_state.values()), play=found.service.own_sandbox)
                error: BatcheditError | None = None
                try:
                    await collect_with_others(pool, stop=host.stop, refresh=show, asks_again=False)
                except BatcheditError as failed:
                    error = failed
                error = host.stop.reason or error or pool.governor.switch.halted
            for line in unwritten.lines():
                host.warn(line)
            return Worked(found.name, (await ledger.totals()).counts, error)
        finally:
            await to_thread.run_sync(ledger.close)


def _settings(found: OpenRun, given: Mapping[str, Any]) -> Settings:
    """What the run was made with, and over it what this worker was told: nothing that makes or prices jobs."""
    kept = Settings.load(found.facts.get("settings") or "{}")
    kept = replace(kept, until=None, on_doubt="hold", canary=0, max_cost=None, out=None, model=found.model)
    settings = replace(kept, **given)
    if settings.sandbox:
        raise UsageError(
            f"the run {found.name} buys from the sandbox inside the process that began it",
            hint="a sandbox that workers share is a process of its own, whose address each is given as --base-url",
        )
    return settings


def _folder(found: OpenRun, settings: Settings) -> RunFolder:
    """Where this worker keeps what it writes about the run, made if it is not there. _NotOursError where that folder has a
    run of its own: the side files of the two would be taken for one, and where both are made from one sheet an id of the
    one would settle a job of the other.
    """
    if not settings.out and (found.name == ".." or found.name != Path(found.name).name):
        raise _NotOursError(UsageError(f"the run is called {found.name}, which is no name of a folder"))
    folder = RunFolder(Path(settings.out) if settings.out else Path("outputs") / found.name)
    folder.make()
    folder.check_links()
    store_run = None
    if folder.checkpoint.exists():
        with suppress(BatcheditError), open_for_reading(folder.checkpoint) as there:
            store_run = there.get("store_run") or ""
    if store_run is not None and store_run != str(found.id):
        raise _NotOursError(
            UsageError(
                f"the folder {folder.path} has another run than {found.name} of the store",
                hint="start the worker in another folder, or give one with --out DIR",
            )
        )
    return folder


class _NotOursError(Exception):
    """A run that this worker may not buy in. Nothing was sent."""

    def __init__(self, refusal: BatcheditError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _refusal(found: OpenRun, here: BoughtFrom, account: str) -> BatcheditError | None:
    """Why who buys from ``here`` with the token of ``account`` may not buy in the run; None if they may."""
    if found.service.address != here.address:
        return UsageError(
            f"the run {found.name} is bought from {found.service.address}, not {here.address}",
            hint=f"give the service's address: --base-url {found.service.address}",
        )
    known = (found.facts.get(ACCOUNTS) or "").split()
    if known and account not in known:
        return TokenError(
            f"the run {found.name} is bought with another token than the one that is set here; nothing was sent",
            hint="set the token that it is bought with",
        )
    return found.service.explain_refusal(found.name, here)


def _check_files(found: OpenRun, settings: Settings) -> str:
    """The run's store of files, which decides where its pictures go; "" for its folder."""
    kept = found.facts.get(FILES_URL) or ""
    if settings.files is not None and kept != below(check_url(settings.files), found.name):
        raise elsewhere(found.name, kept)
    return kept
