"""How much at once, and whether to go on buying: the pure decisions of ``scheduling`` on the event loop.

Three things are limited: POSTs (``posts``), jobs in flight as the service counts them (``slots``), and GETs (``gets``).
There is one ``switch``: halting it stops buying, for the whole run. ``learning`` and ``outlook`` measure. The Governor
puts them together and does what concerns them all: it notices that the process was suspended, and reports long waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import anyio

from ..core.actions import Patience
from ..core.model import Record
from ..ports import Api, Observer
from ..scheduling.lifetimes import Lifetimes
from ..scheduling.post_rate import PostRate
from ..scheduling.suspension import BEAT_SECONDS, Beats
from .gets import Gets
from .learning import Learning, Outlook
from .long_waits import LongWaits, Wait, format_wait
from .posts import Posts
from .slots import Slots
from .stop_rule import DEFAULT_STOP_RULE, StopRule, Switch
from .wake_signal import Signal

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class PurchaseLimits:
    """Settings of the governor. ``concurrency`` 0 means ``auto``; ``rate`` is POSTs a second; times are seconds."""

    concurrency: int = 20
    rate: float | None = None
    gets_per_second: float = 100.0
    poll_seconds: float | None = None
    until: float | None = None
    stop_rule: StopRule = DEFAULT_STOP_RULE


class Governor:
    """One a run, shared by all its jobs."""

    def __init__(
        self,
        limits: PurchaseLimits,
        *,
        api: Api,
        observer: Observer,
        clock: Clock,
        rng: Random,
        lifetimes: Lifetimes | None = None,
        wall: Clock | None = None,
        posts: PostRate | None = None,
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._wall = wall or clock  # --until is wall clock time, also after the computer has slept
        self._changed = Signal()
        self._long_waits = LongWaits()
        self.beats = Beats()
        self.lifetimes = lifetimes or Lifetimes.prior()
        self.switch = Switch(limits.stop_rule, observer=observer, changed=self._changed)
        self.slots = Slots(limits.concurrency, lifetimes=self.lifetimes, clock=clock, changed=self._changed)
        self.posts = Posts(
            posts or PostRate(limits.rate),
            until=limits.until,
            api=api,
            observer=observer,
            clock=clock,
            wall=self._wall,
            rng=rng,
            switch=self.switch,
            slots=self.slots,
            beats=self.beats,
            changed=self._changed,
        )
        self._learning = Learning(self.lifetimes, self.slots)
        self.gets = Gets(
            limits.gets_per_second,
            limits.concurrency,
            limits.poll_seconds,
            clock=clock,
            rng=rng,
            slots=self.slots,
            learning=self._learning,
        )
        self.outlook = Outlook(limits.rate, lifetimes=self.lifetimes, slots=self.slots, posts=self.posts, clock=clock)

    def set_concurrency(self, jobs: int) -> None:
        """From now on at most ``jobs`` are in flight, 0 for ``auto``. Those that are in flight stay."""
        self.gets.set_concurrency(jobs)
        self.slots.set_concurrency(jobs)

    async def await_post_turn(self) -> float:
        """Wait until one POST may go out, and take that turn: its time."""
        return await self.posts.await_turn(self.notice_suspension)

    def extend_patience(self, patience: Patience, record: Record) -> Patience:
        """``patience`` for one job: longer by the time for which the process was suspended since it watches this job."""
        suspended = self.beats.count_suspended(record.watched_from)
        return (
            replace(patience, stuck_after=patience.stuck_after + suspended)
            if suspended and patience.stuck_after
            else patience
        )

    async def watch(self, planned: Callable[[], Awaitable[int]]) -> None:
        """At each beat of ``scheduling.suspension``, notice that the machine slept or the process was stopped, and that the
        service slows the run or makes it wait for long.

        ``planned`` returns how many jobs are still to be bought; it may raise CheckpointError.
        """
        self.beats.begin(self._clock(), self._wall())
        try:
            while True:
                await anyio.sleep(BEAT_SECONDS)
                self.notice_suspension()
                await self.outlook.notice_slowdown(planned, self._observer, stopped=self.switch.is_stopped)
                self._notice_long_waits()
        finally:
            self.outlook.note_buying_ended()

    def notice_suspension(self) -> None:
        """After a suspension, discard what was measured across it and poll all jobs in flight at once: they may be over."""
        now = self._clock()
        suspension = self.beats.beat(now, self._wall())
        if suspension is None:
            return
        self._learning.restart(now)
        self.posts.rate.restart()
        self.slots.account.restart()
        self.slots.in_flight.restart(now)
        seconds = round(suspension.seconds)
        cause = "the process was suspended" if suspension.counted else "the machine slept, or its clock was set ahead,"
        self._observer.note(
            "resumed", f"{cause} for {seconds} s: all that is in flight is looked at now", seconds=seconds
        )
        self.gets.wake()
        self._changed.give()

    def describe_pause(self) -> str:
        """Why the run waits for the service, or for a person, now; empty where it does not."""
        silent = self.gets.measure_silence(self._clock())
        return self.posts.describe_pause() or (f"the service has not answered for {silent:.0f} s" if silent else "")

    def _notice_long_waits(self) -> None:
        now = self._clock()
        for wait in self._long_waits.pick_due(self._list_waits(now), now):
            seconds = None if wait.until is None else round(wait.until - now)
            self._observer.note("waiting", format_wait(wait, now, self._wall()), kind=wait.kind, seconds=seconds)

    def _list_waits(self, now: float) -> Iterator[Wait]:
        """What keeps the run from buying or collecting now. Outages of the service, and an account's limit of jobs at once,
        are reported when they are noticed, not here.
        """
        asked_until = self.posts.find_requested_pause_end(now)
        if asked_until is not None and not self.switch.is_stopped():
            yield Wait("submit", "the service asks to wait {wait} before more is bought (HTTP 429 or 503)", asked_until)
        if self.gets.measure_silence(now) and not self.posts.breaker.open:
            yield Wait("silence", "the service answers no question about the jobs under way")
        if self.gets.held_until > now:
            text = "the service asks to wait {wait} before it is asked about jobs again"
            yield Wait("look", text, self.gets.held_until)
        if self.slots.short_of_money:
            yield Wait("budget", "buying waits for the budget: what --max-cost leaves is reserved by jobs under way")
