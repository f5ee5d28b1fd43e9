"""The one way to buy: quote, confirm, purchase, results. ``run``, ``retry`` and ``redo`` differ in their order alone.

    order → quote (count, price, cap) → the person's yes → purchase → results

A command asks more than once where more than one answer is needed: for the rest after a canary, and where a picture turns
out dearer than the approved price. Each yes is for one quote and for nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..core.errors import BatcheditError, PriceRoseError, StoppedError
from ..core.model import Counts, State
from ..core.money import label_play
from ..ledger.account import hash_token
from ..ledger.book import Book
from ..ledger.register import Register
from ..planning.gone_runs import forget_gone, list_gone
from ..planning.other_runs import describe_left, describe_reused
from ..planning.plan import Plan, add_forgotten_warning, add_gone_warning, read_output_count, subtract_others
from ..pool.pool import Pool
from ..pool.run_pool import collect_with_others
from ..ports import Snapshot
from ..results.report import ASKED_PRICE, UNDER_WAY, Report
from ..runcomfy.client import Client
from . import canary as canaries
from .awake import keep_awake
from .canary import Canary
from .decide_doubts import explain_quarantine, list_wanted_doubts, note_crashes
from .finish import finish
from .obey_pause_stop import follow_wishes
from .older_copy import count_forgotten_purchases
from .play_money import is_play, note_play, note_purchase, would_be_play
from .pricing import fetch_price
from .purchase_order import Order, order_everything_planned, order_still_planned
from .quote_to_confirm import Quote
from .register_run import Sharing, share_run
from .session import Session, set_cap
from .sheet_copy import check_copy
from .slowed import keep_slowdown

MAX_SINGLE_LOOKUPS = 1000
"""Up to this number of purchases is looked up one by one, among however many planned ones."""


async def collect(run: Session) -> Report:
    """``fetch``: collect and download what was bought. Nothing is asked, because nothing can be bought."""
    say_before_start(run)
    return finish(run, await _collect_bought(run))


async def buy(run: Session, plan: Plan, order: Order | None = None, *, new_canary: bool = False) -> Report:
    """Ask, buy ``order``, collect it and everything else that was bought, write the results. Without an order: all that is
    planned.

    ``plan`` is the plan to show; its count, price and cap are filled in here. With ``new_canary`` an earlier command's
    canary does not count for this order. Whatever ends the purchase early, the results are written first; only a no to the
    first question leaves everything as it was, and is raised.
    """
    say_before_start(run)
    environ = run.host.environ
    if message := check_copy(run.checkpoint, run.folder, is_mine=run.is_mine):
        run.host.say(message)
    account = hash_token(run.service.token)
    async with share_run(run.checkpoint, run.folder.path, run.settings, account, run.observer.saw, environ) as share:
        counts_of_others = await share.take_over()
        if share.register.problem:
            run.host.warn(share.register.problem)
        plan, order = _with_doubts(run, plan, _still_to_buy(run, order))
        plan = subtract_others(plan, run.checkpoint, counts_of_others)
        plan = add_forgotten_warning(plan, count_forgotten_purchases(run.checkpoint, run.folder))
        return await _buy(run, plan, order, share, new_canary=new_canary)


def _still_to_buy(run: Session, order: Order | None) -> Order:
    """``order`` without the planned jobs that other runs have."""
    if order is None:
        return order_everything_planned(run.checkpoint)
    return replace(order, planned=order_still_planned(run.checkpoint, order.planned).planned)


async def _buy(run: Session, plan: Plan, order: Order, share: Sharing, *, new_canary: bool) -> Report:
    if not order:
        for line in (*describe_reused(plan.other_runs), *describe_left(plan.other_runs.left)):
            run.host.say(line)
        run.host.say(f"nothing is left to buy: {_format_standing(run.checkpoint.counts())}")
        note_play(run.checkpoint, run.settings, run.host.environ)
        set_cap(run)
        return finish(run, await _collect_bought(run))
    plan = add_gone_warning(plan, [] if run.settings.fresh else list_gone(run.checkpoint, run.folder.path))
    canary = canaries.choose_canary(run.checkpoint, order, run.settings.canary, fresh=new_canary)
    error = await _Stages(run, replace(plan, to_buy=len(order)), canary, share).run_all()
    if run.checkpoint.top_price and not is_play(run.checkpoint):  # play money says nothing about real prices
        register = Register.from_environ(run.host.environ)
        register.keep_cost(run.settings.service, run.settings.model, run.checkpoint.top_price)
    return finish(run, error)


def _format_standing(counts: Counts) -> str:
    """``8 done, 2 to be collected``."""
    collect = counts.of(*UNDER_WAY)
    return f"{counts.of(State.DONE):,} done" + (f", {collect:,} to be collected" if collect else "")


def say_before_start(run: Session) -> None:
    """Say what the person should know before anything is sent."""
    keep_slowdown(run.checkpoint, None)
    if run.service.warning:
        run.host.warn(run.service.warning)
    if run.settings.sandbox:
        run.host.say("the sandbox stands in for the service: nothing is really bought, the money is play money")
    elif would_be_play(run.checkpoint, run.settings, run.host.environ):
        run.host.say("the service is the sandbox that you started: nothing is really bought, the money is play money")


def _with_doubts(run: Session, plan: Plan, order: Order) -> tuple[Plan, Order]:
    """``--on-doubt buy-again`` adds the jobs in doubt to the order, so that the same question asks about them."""
    if run.settings.on_doubt != "buy-again":
        return plan, order
    note_crashes(run.checkpoint)
    on_their_way_ids = run.checkpoint.list_quarantined()
    released = [record for record in list_wanted_doubts(run.checkpoint) if record.id not in on_their_way_ids]
    if on_their_way_ids:
        run.host.warn(f"{explain_quarantine(on_their_way_ids)}: they are not bought again yet")
    return replace(plan, again=len(released)), replace(order, released=released)


@dataclass
class _Stages:
    """The questions of one command, each followed by its purchase: the canary, then the rest."""

    run: Session
    plan: Plan
    canary: Canary
    share: Sharing
    answered: Quote | None = None

    async def run_all(self) -> BatcheditError | None:
        """Ask and buy until nothing is left or an error ends it, which is returned."""
        first, rest, ids = self.canary.first, self.canary.rest, self.canary.ids
        while first or rest:
            order = first or rest
            async with self.run.pool() as (pool, client):
                quote = await self._make_quote(client, order, rest if first else Order(), () if first else ids)
                try:
                    await self.run.host.confirm(quote)
                except BatcheditError as refusal:
                    if self.answered is None and quote.canary is None:
                        raise
                    return refusal
                self.answered = quote
                started, ending = await self._purchase(pool, quote, new_canary=bool(first and not ids))
            if ending is not None and not isinstance(ending, PriceRoseError):
                return ending
            unbought = order_still_planned(self.run.checkpoint, started) if ending else Order()
            if first:
                first, ids = unbought, ids or tuple(started)
            else:
                rest = unbought
        return None

    async def _make_quote(self, client: Client, order: Order, remaining: Order, canary: Sequence[int]) -> Quote:
        checkpoint, settings = self.run.checkpoint, self.run.settings
        if self.answered is None:
            self.plan = await fetch_price(self.plan, self.run, client)
        is_own_sandbox = would_be_play(checkpoint, settings, self.run.host.environ)
        self.plan = replace(self.plan, own_sandbox=is_own_sandbox)
        price, price_before, report = self.plan.price, 0, None
        if self.answered is not None:
            price, price_before = max(price, checkpoint.top_price), self.answered.price
        if canary:
            at_once, folder = settings.concurrency or 20, self.run.folder.path
            report = canaries.build_canary_report(
                checkpoint, folder, canary, remaining=len(order), price=price, at_once=at_once
            )
        return Quote(
            plan=self.plan,
            order=order,
            price=price,
            cap=self.plan.max_cost if self.answered is None else checkpoint.cap,
            manifest=checkpoint.get("fingerprint") or "",
            times=2 if settings.on_doubt == "buy-again" else 1,
            rest=len(remaining),
            price_before=price_before,
            canary=report,
        )

    async def _begin(self, order: Order) -> array[int]:
        """Make ``order`` planned, except for what another run bought since. Returns the ids to buy."""
        job_ids = order.begin(self.run.checkpoint)
        if order.retried or order.repurchases or order.released:
            totals, count = await self.share.take_over(), len(job_ids)
            job_ids = array("q", order_still_planned(self.run.checkpoint, job_ids).planned)
            for line in (*describe_reused(totals), *describe_left(totals.left)) if len(job_ids) < count else ():
                self.run.host.say(line)
        return job_ids

    async def _purchase(
        self, pool: Pool, quote: Quote, *, new_canary: bool
    ) -> tuple[array[int], BatcheditError | None]:
        """Buy what ``quote`` was approved for and nothing else. Returns the ids that were begun, and what ended it early."""
        run, started = self.run, array("q")
        try:
            _check_unchanged(run.checkpoint, quote)
            note_purchase(run.checkpoint, run.settings, run.host.environ, run.service.explain_other_service)
            pool.governor.switch.money = label_play(is_play(run.checkpoint))
            set_cap(run)
            run.checkpoint.put(ASKED_PRICE, str(quote.price))
            forget_gone(run.checkpoint)
            started = await self._begin(quote.order)
            if new_canary:
                canaries.store_canary(run.checkpoint, started)
            pool.approval = run.checkpoint.allow(started, price=quote.price, times=quote.times)
            pool.price = quote.price
            await _collect_with_pool(run, pool, started)
        except BatcheditError as error:
            return started, run.host.stop.reason or error
        return started, run.host.stop.reason or pool.governor.switch.halted


def _check_unchanged(checkpoint: Book, quote: Quote) -> None:
    """StoppedError unless the manifest still has the digest that was approved. ``Order.begin`` checks each job."""
    if replace(quote, manifest=checkpoint.get("fingerprint") or "").digest != quote.digest:
        raise StoppedError("the manifest was changed while the question stood", hint="the same command asks anew")


async def _collect_bought(run: Session) -> BatcheditError | None:
    """Collect what was bought, if anything is to be collected. Returns what ended it early."""
    if not has_uncollected(run.checkpoint):
        return run.host.stop.reason
    async with run.pool() as (pool, _):
        try:
            await _collect_with_pool(run, pool, ())
        except BatcheditError as error:
            return run.host.stop.reason or error
        return run.host.stop.reason or pool.governor.switch.halted


async def _collect_with_pool(run: Session, pool: Pool, job_ids: Sequence[int]) -> None:
    checkpoint = run.checkpoint
    records = None
    if 0 < len(job_ids) <= MAX_SINGLE_LOOKUPS and not checkpoint.shared:
        records = [record for record in checkpoint.read_records(job_ids) if record.state is State.PLANNED]
    refresh = _make_refresh(run)
    try:
        with keep_awake(allow_sleep=run.settings.allow_sleep) as keeps_awake:
            run.note_awake(keeps_awake=keeps_awake)
            await collect_with_others(
                pool, stop=run.host.stop, refresh=refresh, only=records, side_task=partial(follow_wishes, run)
            )
    finally:
        checkpoint.refresh()
        run.slowed = pool.governor.outlook.slowed_in_all or run.slowed


def _make_refresh(run: Session) -> Callable[[Snapshot], None]:
    """A callback that shows the pool's numbers to the person, and in the live file to other processes."""
    total, live = sum(run.checkpoint.counts().by_state.values()), run.live
    show_person = run.host.watch(total, play=is_play(run.checkpoint))

    def refresh(snapshot: Snapshot) -> None:
        if show_person is not None:
            show_person(snapshot)
        if live is not None:
            live.refresh(snapshot)

    return refresh


def has_uncollected(checkpoint: Book) -> bool:
    """Is anything bought and not yet collected, cut off by a crash, or still without a price?"""
    money, counts = checkpoint.money(), checkpoint.counts()
    return bool(money.in_flight or money.guesses or counts.of(State.FETCHED, State.UNCOLLECTED))


def make_plan_of_run(run: Session) -> Plan:
    """A plan of a run that is there, without counts and price."""
    folder, is_strange = run.folder.path, not run.is_mine
    rehearsal = run.settings.sandbox
    return Plan(
        str(folder),
        folder,
        run.settings.model,
        rows=0,
        to_buy=0,
        reused=0,
        strange=is_strange,
        is_rehearsal=rehearsal,
        outputs=read_output_count(run.checkpoint),
    )
