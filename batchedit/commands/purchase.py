"""The one way to buy: quote, confirm, purchase, results. ``run``, ``retry`` and ``redo`` differ in their order alone.

    order → quote (count, price, cap) → the person's yes → purchase → results

A command asks more than once where more than one answer is needed: for the rest behind a canary, and where a picture turns
out dearer than what was said yes to. Each yes is for one quote and for nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..core.errors import BatcheditError, PriceRoseError, StoppedError
from ..core.model import Counts, State
from ..core.money import label_play
from ..ledger.account import account_of
from ..ledger.book import Book
from ..ledger.register import Register
from ..planning.gone_runs import forget_gone, still_gone
from ..planning.other_runs import left_lines, reused_lines
from ..planning.plan import Plan, outputs_of, with_forgotten, with_gone, without_others
from ..pool.pool import Pool
from ..pool.run_pool import collect_with_others
from ..ports import Snapshot
from ..results.report import ASKED_PRICE, UNDER_WAY, Report
from ..runcomfy.client import Client
from . import canary as canaries
from .awake import keep_awake
from .canary import Canary
from .doubts import explain_quarantine, list_wanted_doubts, note_crashes
from .finish import finish
from .heed import follow_wishes
from .older_copy import forgotten_purchases
from .order import Order, everything_planned, still_planned
from .own_copy import check_copy
from .play import is_play, note_play, note_purchase, would_be_play
from .pricing import priced
from .quote import Quote
from .session import Session, set_cap
from .sharing import Sharing, sharing
from .slowed import keep

FEW = 1000
"""So many purchases are looked up one by one, among however many planned ones."""


async def collect(run: Session) -> Report:
    """``fetch``: collect and download what was bought. Nothing is asked, because nothing can be bought."""
    introduce(run)
    return finish(run, await _collected(run))


async def buy(run: Session, what: Plan, order: Order | None = None, *, new_canary: bool = False) -> Report:
    """Ask, buy ``order``, collect it and everything else that was bought, write the results. No order is all that is planned.

    ``what`` is the plan to show; its count, price and cap are filled in here. With ``new_canary`` an earlier command's
    canary says nothing about this order. Whatever ends it early, the results are written first; only a no to the first
    question leaves everything as it was, and is raised.
    """
    introduce(run)
    environ = run.host.environ
    if told := check_copy(run.checkpoint, run.folder, is_mine=run.is_mine):
        run.host.say(told)
    account = account_of(run.service.token)
    async with sharing(run.checkpoint, run.folder.path, run.settings, account, run.observer.saw, environ) as share:
        tally = await share.take_over()
        if share.register.problem:
            run.host.warn(share.register.problem)
        what, order = _with_doubts(run, what, _still_to_buy(run, order))
        what = without_others(what, run.checkpoint, tally)
        what = with_forgotten(what, forgotten_purchases(run.checkpoint, run.folder))
        return await _buy(run, what, order, share, new_canary=new_canary)


def _still_to_buy(run: Session, order: Order | None) -> Order:
    """``order`` without what other runs have of it, as far as it is planned already."""
    if order is None:
        return everything_planned(run.checkpoint)
    return replace(order, planned=still_planned(run.checkpoint, order.planned).planned)


async def _buy(run: Session, what: Plan, order: Order, share: Sharing, *, new_canary: bool) -> Report:
    if not order:
        for line in (*reused_lines(what.other_runs), *left_lines(what.other_runs.left)):
            run.host.say(line)
        run.host.say(f"nothing is left to buy: {_standing(run.checkpoint.counts())}")
        note_play(run.checkpoint, run.settings, run.host.environ)
        set_cap(run)
        return finish(run, await _collected(run))
    what = with_gone(what, [] if run.settings.fresh else still_gone(run.checkpoint, run.folder.path))
    canary = canaries.choose_canary(run.checkpoint, order, run.settings.canary, fresh=new_canary)
    error = await _Stages(run, replace(what, to_buy=len(order)), canary, share).all()
    if run.checkpoint.top_price and not is_play(run.checkpoint):  # a rehearsal tells nothing of what is paid
        register = Register.of(run.host.environ)
        register.keep_cost(run.settings.service, run.settings.model, run.checkpoint.top_price)
    return finish(run, error)


def _standing(counts: Counts) -> str:
    """``8 done, 2 to be collected``."""
    collect = counts.of(*UNDER_WAY)
    return f"{counts.of(State.DONE):,} done" + (f", {collect:,} to be collected" if collect else "")


def introduce(run: Session) -> None:
    """What the person should know before anything is sent."""
    keep(run.checkpoint, None)
    if run.service.warning:
        run.host.warn(run.service.warning)
    if run.settings.sandbox:
        run.host.say("the sandbox stands in for the service: nothing is really bought, the money is play money")
    elif would_be_play(run.checkpoint, run.settings, run.host.environ):
        run.host.say("the service is the sandbox that you started: nothing is really bought, the money is play money")


def _with_doubts(run: Session, what: Plan, order: Order) -> tuple[Plan, Order]:
    """``--on-doubt buy-again`` adds what may have been bought before: it is asked about with all the rest."""
    if run.settings.on_doubt != "buy-again":
        return what, order
    note_crashes(run.checkpoint)
    early = run.checkpoint.quarantined()
    doubts = [record for record in list_wanted_doubts(run.checkpoint) if record.id not in early]
    if early:
        run.host.warn(f"{explain_quarantine(early)}: they are not bought again yet")
    return replace(what, again=len(doubts)), replace(order, released=doubts)


@dataclass
class _Stages:
    """The questions of one command, each followed by its purchase: the canary, then the rest."""

    run: Session
    what: Plan
    canary: Canary
    share: Sharing
    answered: Quote | None = None

    async def all(self) -> BatcheditError | None:
        """Ask and buy until nothing is left or something ends it: returns what, None for nothing."""
        first, rest, ids = self.canary.first, self.canary.rest, self.canary.ids
        while first or rest:
            part = first or rest
            async with self.run.pool() as (pool, client):
                quote = await self._quote(client, part, rest if first else Order(), () if first else ids)
                try:
                    await self.run.host.confirm(quote)
                except BatcheditError as no:
                    if self.answered is None and quote.canary is None:
                        raise
                    return no
                self.answered = quote
                begun, error = await self._purchase(pool, quote, new_canary=bool(first and not ids))
            if error is not None and not isinstance(error, PriceRoseError):
                return error
            unbought = still_planned(self.run.checkpoint, begun) if error else Order()
            if first:
                first, ids = unbought, ids or tuple(begun)
            else:
                rest = unbought
        return None

    async def _quote(self, client: Client, part: Order, rest: Order, canary: Sequence[int]) -> Quote:
        checkpoint, settings = self.run.checkpoint, self.run.settings
        if self.answered is None:
            self.what = await priced(self.what, self.run, client)
        own = would_be_play(checkpoint, settings, self.run.host.environ)
        self.what = replace(self.what, own_sandbox=own)
        price, before, tested = self.what.price, 0, None
        if self.answered is not None:
            price, before = max(price, checkpoint.top_price), self.answered.price
        if canary:
            at_once, folder = settings.concurrency or 20, self.run.folder.path
            tested = canaries.build_canary_report(
                checkpoint, folder, canary, remaining=len(part), price=price, at_once=at_once
            )
        return Quote(
            what=self.what,
            order=part,
            price=price,
            cap=self.what.max_cost if self.answered is None else checkpoint.cap,
            manifest=checkpoint.get("fingerprint") or "",
            times=2 if settings.on_doubt == "buy-again" else 1,
            rest=len(rest),
            price_before=before,
            canary=tested,
        )

    async def _begin(self, order: Order) -> array[int]:
        """All of ``order`` is planned afterwards, but for what another run bought since. Returns the ids to buy."""
        begun = order.begin(self.run.checkpoint)
        if order.retried or order.redone or order.released:
            tally, asked = await self.share.take_over(), len(begun)
            begun = array("q", still_planned(self.run.checkpoint, begun).planned)
            for line in (*reused_lines(tally), *left_lines(tally.left)) if len(begun) < asked else ():
                self.run.host.say(line)
        return begun

    async def _purchase(
        self, pool: Pool, quote: Quote, *, new_canary: bool
    ) -> tuple[array[int], BatcheditError | None]:
        """Buy what ``quote`` was said yes to and nothing else. Returns the ids that were begun, and what ended it."""
        run, begun = self.run, array("q")
        try:
            _must_stand(run.checkpoint, quote)
            note_purchase(run.checkpoint, run.settings, run.host.environ, run.service.why_another)
            pool.governor.switch.money = label_play(is_play(run.checkpoint))
            set_cap(run)
            run.checkpoint.put(ASKED_PRICE, str(quote.price))
            forget_gone(run.checkpoint)
            begun = await self._begin(quote.order)
            if new_canary:
                canaries.store_canary(run.checkpoint, begun)
            pool.approval = run.checkpoint.allow(begun, price=quote.price, times=quote.times)
            pool.price = quote.price
            await _collected_by(run, pool, begun)
        except BatcheditError as failed:
            return begun, run.host.stop.reason or failed
        return begun, run.host.stop.reason or pool.governor.switch.halted


def _must_stand(checkpoint: Book, quote: Quote) -> None:
    """The yes was for a digest: what is there now must have the same one. ``Order.begin`` looks at each job."""
    if replace(quote, manifest=checkpoint.get("fingerprint") or "").digest != quote.digest:
        raise StoppedError("the manifest was changed while the question stood", hint="the same command asks anew")


async def _collected(run: Session) -> BatcheditError | None:
    """Collect what was bought, if anything is to be collected. Returns what ended it early."""
    if not left(run.checkpoint):
        return run.host.stop.reason
    async with run.pool() as (pool, _):
        try:
            await _collected_by(run, pool, ())
        except BatcheditError as failed:
            return run.host.stop.reason or failed
        return run.host.stop.reason or pool.governor.switch.halted


async def _collected_by(run: Session, pool: Pool, begun: Sequence[int]) -> None:
    checkpoint = run.checkpoint
    only = None
    if 0 < len(begun) <= FEW and not checkpoint.shared:
        only = [record for record in checkpoint.records_of(begun) if record.state is State.PLANNED]
    show = _watched(run)
    try:
        with keep_awake(allow_sleep=run.settings.allow_sleep) as kept:
            run.told_awake(kept=kept)
            await collect_with_others(
                pool, stop=run.host.stop, refresh=show, only=only, beside=partial(follow_wishes, run)
            )
    finally:
        checkpoint.refresh()
        run.slowed = pool.governor.outlook.slowed_in_all or run.slowed


def _watched(run: Session) -> Callable[[Snapshot], None]:
    """Who is shown the pool's numbers: the person, and those who look from elsewhere."""
    total, live = sum(run.checkpoint.counts().by_state.values()), run.live
    person = run.host.watch(total, play=is_play(run.checkpoint))

    def show(now: Snapshot) -> None:
        if person is not None:
            person(now)
        if live is not None:
            live.refresh(now)

    return show


def left(checkpoint: Book) -> bool:
    """Is anything bought and not yet collected, cut off by a crash, or still without a price?"""
    money, counts = checkpoint.money(), checkpoint.counts()
    return bool(money.in_flight or money.guesses or counts.of(State.FETCHED, State.UNCOLLECTED))


def plan_of_run(run: Session) -> Plan:
    """The frame of a plan that begins with a run."""
    folder, strange = run.folder.path, not run.is_mine
    rehearsal = run.settings.sandbox
    return Plan(
        str(folder),
        folder,
        run.settings.model,
        rows=0,
        to_buy=0,
        reused=0,
        strange=strange,
        is_rehearsal=rehearsal,
        outputs=outputs_of(run.checkpoint),
    )
