"""The pool's part of a run, common to all that buy or collect: price, ask, canary, work, results, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import time
from typing import IO, Protocol

import orjson

from ..core.errors import BatcheditError, OutputError, UsageError
from ..core.model import Record, State
from ..ledger.rescue import spare
from ..ledger.sqlite import SqliteCheckpoint
from ..ledger.summary import digest
from ..planning.intake import Plan
from ..planning.survey import Stop, collect_and_buy
from ..pool.collecting import Pool
from ..ports import Observer
from ..results.files import write_all, write_whole
from ..results.report import Report, make_report, next_steps
from ..run_folder import RunFolder, open_run
from ..runcomfy.catalogue import Model
from ..runcomfy.client import Client
from ..settings.model import Settings
from .doubts import note_crashes, release, wanted_doubts
from .observers import Everybody, JsonLines, Snapshot
from .wiring import Service, connected


class Host(Protocol):
    """Whoever started the command: the command line, or a program that uses the library."""

    environ: Mapping[str, str]
    stop: Stop

    def observers(self) -> Sequence[Observer]:
        """Those who want to see events and notes, besides ``run.jsonl``."""
        ...

    def say(self, text: str) -> None:
        """One line for the person."""
        ...

    async def confirm(self, what: Plan) -> None:
        """Show the plan; raise UsageError (64) if the person, or the lack of ``--yes``, says no."""
        ...

    async def confirm_rest(self, canary: CanaryReport) -> None:
        """Show what the canary came to and ask for the rest: UsageError (64) for a no, StoppedError if it failed."""
        ...

    def watch(self, total: int) -> Callable[[Snapshot], None] | None:
        """The pool starts on ``total`` jobs: what to call with each snapshot, None where nobody watches."""
        ...


@dataclass
class Opened:
    """A run in hand: locked, its checkpoint open."""

    folder: RunFolder
    checkpoint: SqliteCheckpoint
    settings: Settings
    observer: Observer
    host: Host
    started_at: float = field(default_factory=time)


@contextmanager
def opened(folder: RunFolder, settings: Settings, host: Host) -> Iterator[Opened]:
    """The run in ``folder``, made if there is none. The caller holds its lock."""
    with closing(open_run(folder, settings)) as checkpoint, spare(folder.path), _log(folder) as log:
        yield Opened(folder, checkpoint, settings, Everybody([JsonLines(log), *host.observers()]), host)


@contextmanager
def _log(folder: RunFolder) -> Iterator[IO[str]]:
    """``run.jsonl``, whose lines go out one by one. What a full disk did not take is not tried again at the end."""
    try:
        log = folder.log.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder.log} can't be written: {error.strerror or error}") from error
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()


async def execute(
    run: Opened, model: Model, found: Service, what: Plan, *, buy: bool, fresh_canary: bool = False
) -> Report:
    """Price, ask, buy and collect, write the results. Whatever ends it early, the results are written first.

    ``fresh_canary``: an earlier run's canary says nothing about what is bought now.
    """
    if found.warning:
        run.host.say(found.warning)
    if run.settings.sandbox:
        run.host.say("the sandbox stands in for the service: nothing is really bought, the money is play money")
    error: BatcheditError | None = None
    async with connected(run.settings, run.folder, run.checkpoint, model, found, run.observer, run.host.environ) as (
        pool,
        client,
    ):
        again: list[Record] = []
        if buy and run.settings.on_doubt == "buy-again":
            note_crashes(run.checkpoint)
            again = wanted_doubts(run.checkpoint)
            what = replace(what, to_buy=what.to_buy + len(again), again=len(again))
            pool.buy_again = True
        if buy and what.to_buy:
            what = await priced(what, run.settings, client)
            await run.host.confirm(what)
            pool.price = what.price
            release(run.checkpoint, again)
        elif buy:
            run.host.say(f"nothing is left to buy: {run.checkpoint.counts().of(State.DONE):,} done")
        run.checkpoint.set_cap(run.settings.max_cost)
        try:
            if buy and 0 < run.settings.canary < what.to_buy:
                if fresh_canary:
                    run.checkpoint.put("canary", "")
                await buy_canary(run, pool)
            if pool.governor.halted is None and (what.to_buy or left(run.checkpoint)):
                show = run.host.watch(sum(run.checkpoint.counts().by_state.values()))
                await collect_and_buy(pool, buy=buy, stop=run.host.stop, refresh=show)
        except BatcheditError as failed:
            error = failed
        error = run.host.stop.reason or error or pool.governor.halted
    return finish(run, error)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat()


def left(checkpoint: SqliteCheckpoint) -> bool:
    """Is anything bought and not yet collected, cut off by a crash, or still without a price?"""
    money, counts = checkpoint.money(), checkpoint.counts()
    return bool(money.in_flight or money.guesses or counts.of(State.FETCHED, State.UNCOLLECTED))


async def priced(what: Plan, settings: Settings, client: Client) -> Plan:
    """The price of one job: ``--price``, else the catalogue, else unknown; then ``--max-cost`` can't be kept."""
    price, told = settings.price, "--price"
    if price is None:
        entry = await client.model_entry()
        price, told = (entry.price, "the catalogue") if entry is not None else (None, "")
    if not price and settings.max_cost is not None:
        raise UsageError(
            "--max-cost needs to know what a picture costs, and the service's catalogue does not tell",
            hint="say it with --price 0.04 (US dollars a picture, from your account's pricing page)",
        )
    return replace(what, price=price or 0, price_source=told if price else "", max_cost=settings.max_cost)


def finish(run: Opened, error: BatcheditError | None) -> Report:
    """Write the results and the report. ``error`` goes into the report; it is raised only if even that fails."""
    checkpoint, folder = run.checkpoint, run.folder
    try:
        write_all(checkpoint, folder, run.settings)
        report = make_report(
            checkpoint.counts(),
            checkpoint.money(),
            digest(checkpoint),
            halted=str(error) if error else "",
            hint=error.hint if error else "",
            code=error.code if error else None,
        )
        source = checkpoint.get("source") or str(folder.path)
        report.extra.update(
            source=source,
            started_at=_iso(run.started_at),
            ended_at=_iso(time()),
            next=list(next_steps(report, folder.path, f"batchedit run {shlex.quote(source)}")),
        )
        write_whole(folder.report, orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    except BatcheditError as failed:
        raise error or failed from failed
    return report


# --- the canary -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What the first few came to. Money in micro-dollars, ``seconds`` from submission to result, one a finished job."""

    jobs: int
    done: int
    failed: int
    in_doubt: int
    cost: int
    seconds: tuple[float, ...]
    files: tuple[str, ...]
    remaining: int
    price: int
    at_once: int
    problems: tuple[str, ...] = ()


async def buy_canary(run: Opened, pool: Pool) -> None:
    """Buy a few, spread over the manifest, collect them, and ask before the rest. Raises what the person decided.

    Which jobs they were is kept: the same command after a no shows the same ones again and buys no others.
    """
    ids = canary_ids(run.checkpoint, run.settings.canary)
    chosen = [record for record in _by_id(run.checkpoint, ids) if record.state is State.PLANNED]
    if chosen:
        show = run.host.watch(len(ids))
        await collect_and_buy(pool, buy=True, stop=run.host.stop, refresh=show, only=chosen)
    if pool.governor.halted is not None:
        return
    await run.host.confirm_rest(canary_report(run, ids, pool.price))


def canary_ids(checkpoint: SqliteCheckpoint, count: int) -> list[int]:
    """The ids of the canary's jobs: those of last time, or ``count`` planned ones at even distances.

    If the manifest no longer asks for one of those, it is a new canary.
    """
    kept = [int(job_id) for job_id in orjson.loads(checkpoint.get("canary") or "[]")]
    if len(kept) >= count and all(checkpoint.records("id = ? AND wanted = 1", (job_id,)) for job_id in kept):
        return kept
    planned = checkpoint.planned_ids()
    step = (len(planned) - 1) / max(1, count - 1)
    ids = [planned[round(index * step)] for index in range(count)]
    checkpoint.put("canary", orjson.dumps(ids).decode())
    return ids


def canary_report(run: Opened, ids: Sequence[int], price: int) -> CanaryReport:
    """How the canary's jobs stand."""
    records = _by_id(run.checkpoint, ids)
    done = [record for record in records if record.state is State.DONE]
    cost = sum(record.spent for record in records)
    return CanaryReport(
        jobs=len(records),
        done=len(done),
        failed=sum(record.state in {State.FAILED, State.CANCELLED} for record in records),
        in_doubt=sum(record.state is State.IN_DOUBT for record in records),
        cost=cost,
        seconds=tuple((r.finished_at or 0) - (r.submitted_at or 0) for r in done),
        files=tuple(str(run.folder.path / file.path) for r in done for file in r.files),
        remaining=run.checkpoint.counts().of(State.PLANNED),
        price=max(price, cost // len(done) if done else 0),
        at_once=run.settings.concurrency or 20,
        problems=tuple(r.problem.message for r in records if r.problem is not None),
    )


def _by_id(checkpoint: SqliteCheckpoint, ids: Sequence[int]) -> list[Record]:
    return [record for job_id in ids for record in checkpoint.records("id = ?", (job_id,))]
