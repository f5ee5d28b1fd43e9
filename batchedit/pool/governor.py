"""How much at once, and whether to go on buying: the pure governors of ``core`` on the event loop.

Three things are rationed: POSTs (rate, Retry-After, the breaker), jobs in flight as the service counts them, and
GETs. And there is one switch: ``halt`` stops buying, for the whole run, for a reason that the person will read.
Collecting what was bought goes on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from weakref import WeakSet

import anyio

from ..core.errors import BatcheditError, ServiceUnavailableError, StoppedError, TokenError
from ..core.lifecycle import Accepted, Declined, Lost, Refused
from ..core.model import Kind, Record, State
from ..ports import Api, Observer, StillRunning, SubmitEvent
from ..scheduling.breaker import Breaker
from ..scheduling.concurrency import InFlight
from ..scheduling.eta import eta
from ..scheduling.get_rate import GetRate
from ..scheduling.lifetimes import Lifetimes
from ..scheduling.polling import AUTO_P, DEFAULT_P, next_look, stalled
from ..scheduling.post_rate import PostRate
from .waiting import WORTH_SECONDS, Asleep

Clock = Callable[[], float]

NEVER_REACHED_SECONDS = 60.0
"""A service that has not answered once by then is the wrong address or a dead network: tell the person now."""
OUTAGE_SECONDS = 6 * 3600.0
"""One that has answered before is waited for through the night."""


KNOWN_SECONDS = 120.0
"""A 404 is believed if the service has known another request so lately."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """``--stop-after-failures``: stop buying at ``count`` failures, or at ``percent`` once ``first`` have finished.

    The default, neither given: when the first ``first`` finished jobs all failed.
    """

    count: int | None = None
    percent: float | None = None
    first: int = 20

    def reached(self, finished: int, failed: int) -> bool:
        """Is the input rotten?"""
        if self.count is not None:
            return failed >= self.count
        if self.percent is not None:
            return finished >= self.first and failed * 100 >= self.percent * finished
        return finished == self.first and failed == finished


@dataclass(frozen=True, slots=True)
class Pace:
    """Settings of the governor. ``concurrency`` 0 means ``auto``; ``rate`` is POSTs a second; times are seconds."""

    concurrency: int = 20
    rate: float | None = None
    gets_per_second: float = 100.0
    poll_seconds: float | None = None
    until: float | None = None
    stop_rule: StopRule = StopRule()


class Slot:
    """A place among the jobs in flight. ``free`` may be called twice."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self.since: float | None = None  # when its job began to run
        self.doubtful = False

    @property
    def held(self) -> bool:
        """Is the place taken?"""
        return self in self._governor.slots

    def free(self, *, quietly: bool = False) -> None:
        """Give the place back; ``quietly`` where no money came free with it."""
        self._governor.give_back(self, quietly=quietly)


class Governor:
    """One a run, shared by all its jobs."""

    def __init__(
        self, pace: Pace, *, api: Api, observer: Observer, clock: Clock, rng: Random, lifetimes: Lifetimes | None = None
    ) -> None:
        self.lifetimes = lifetimes or Lifetimes.prior()
        self.halted: BatcheditError | None = None
        self._pace = pace
        self._api = api
        self._observer = observer
        self._clock = clock
        self._rng = rng
        self._in_flight = InFlight(pace.concurrency or None)
        self.slots: set[Slot] = set()
        self._queue: deque[anyio.Event] = deque()
        self._posts = PostRate(pace.rate)
        # A service that bears thousands of our jobs bears a question every 20 s about each, and twice as many of those
        # about jobs that are likely to be done.
        self._looks_per_second = max(pace.gets_per_second, pace.concurrency / 20)
        most = max(pace.gets_per_second, pace.concurrency / 10)
        self._gets = GetRate(most)
        self._asleep = Asleep()
        self._breaker = Breaker()
        self._changed = anyio.Event()
        self._settled = anyio.Event()
        self._scopes: WeakSet[anyio.CancelScope] = WeakSet()
        self._started = clock()
        self._answered = False
        self._finished = self._failed = 0
        self._throttled_since: float | None = None
        self.short_of_money = 0
        self._last_crowd = 0
        self.known_at = -math.inf
        """When the service last knew one of our requests."""

    # --- the switch ---

    def halt(self, reason: BatcheditError) -> None:
        """Stop buying. The first reason stands; everybody who waits to buy is sent home."""
        if self.halted is not None:
            return
        self.halted = reason
        self._observer.note("halted", str(reason))
        for scope in list(self._scopes):
            scope.cancel()

    def stopped(self) -> bool:
        """Has buying stopped? ``halted`` says why."""
        return self.halted is not None

    def buying(self) -> anyio.CancelScope:
        """A scope around a wait for something to buy; it ends when buying stops. Look at ``halted`` afterwards."""
        scope = anyio.CancelScope()
        if self.halted is not None:
            scope.cancel()
        self._scopes.add(scope)
        return scope

    # --- jobs in flight ---

    async def take(self, slot: Slot) -> None:
        """Wait for a place among the jobs in flight; first come, first served."""
        if slot.held:
            return
        while len(self.slots) >= self._in_flight.allowed(self._clock()):
            turn = anyio.Event()
            self._queue.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if turn in self._queue:
                    self._queue.remove(turn)
                else:
                    self._wake_next()
                raise
        self.slots.add(slot)

    def take_now(self, slot: Slot) -> None:
        """A place for a job that is in flight already, whatever the limit says: it was bought before."""
        self.slots.add(slot)

    def give_back(self, slot: Slot, *, quietly: bool = False) -> None:
        """Called by ``Slot.free``."""
        if slot not in self.slots:
            return
        self.slots.discard(slot)
        if not quietly:  # those who wait for money would wake each other for ever with the places they give back
            self.money_changed()
        self._wake_next()

    def money_changed(self) -> None:
        """Some may have come free: who waits for money may try again."""
        self._settled.set()
        self._settled = anyio.Event()

    def lingers(self, slot: Slot, record: Record) -> float:
        """Seconds for which a job in doubt keeps its place: it may be running at the service.

        As long as most jobs take; but doubts hold at most half of the places, or a crash would stop the next run.
        """
        half = self._in_flight.allowed(self._clock()) // 2
        if sum(other.doubtful for other in self.slots) >= half or record.submitted_at is None:
            return 0.0
        slot.doubtful = True
        return record.submitted_at + self.lifetimes.quantile(0.9) - self._clock()

    async def money_to_come_free(self) -> None:
        """Wait for a settlement; until then nobody new is fed."""
        self.short_of_money += 1
        try:
            await self.settlement()
        finally:
            self.short_of_money -= 1

    async def settlement(self) -> None:
        """Wait until some job leaves the service: its money may have come free."""
        await self._settled.wait()

    def _wake_next(self) -> None:
        free = self._in_flight.allowed(self._clock()) - len(self.slots)
        while self._queue and free > 0:
            self._queue.popleft().set()
            free -= 1

    # --- POSTs ---

    async def post_turn(self) -> None:
        """Wait until one POST may go out, and take that turn."""
        while True:
            now = self._clock()
            self._check_deadlines(now)
            wait = max(self._breaker.wait(now), self._posts.wait(now))
            if wait <= 0:
                if not self._breaker.open or await self._service_answers():
                    self._breaker.sent(now)
                    self._posts.take(now)
                    return
                continue
            with anyio.move_on_after(None if math.isinf(wait) else wait):
                await self._changed.wait()

    async def _service_answers(self) -> bool:
        """With the breaker half open, a free call goes first: an outage it shows costs no doubt."""
        now = self._clock()
        self._breaker.sent(now)
        if await self._api.probe():
            self._breaker.released(self._clock())
            return not self._breaker.open
        self._breaker.failed(self._clock(), self._rng)
        self._signal()
        return False

    def turn_unused(self) -> None:
        """The POST that had its turn was never sent."""
        self._breaker.abandoned(self._clock())
        self._signal()

    def _check_deadlines(self, now: float) -> None:
        if self._pace.until is not None and now >= self._pace.until:
            self.halt(StoppedError("the time given with --until has come", hint="the same command goes on"))
        if self._throttled_since is not None and now - self._throttled_since >= OUTAGE_SECONDS:
            reason = "the service has answered every submission for hours with 429, too many requests"
            self.halt(StoppedError(reason, hint="the same command goes on later"))
        since = self._breaker.open_since
        if since is None:
            return
        if not self._answered and now - self._started >= NEVER_REACHED_SECONDS:
            self.halt(ServiceUnavailableError("the service can't be reached", hint="check the network and --base-url"))
        elif now - since >= OUTAGE_SECONDS:
            self.halt(ServiceUnavailableError("the service has been out of order for hours", hint="try again later"))

    def heard(self, event: SubmitEvent, sent_at: float | None) -> None:
        """What the answer to a POST, which went out at ``sent_at``, means for all the others."""
        now = self._clock()
        in_trouble = self._breaker.open_since is not None
        match event:
            case Accepted():
                self._breaker.succeeded(now)
                self._posts.accepted(now, sent_at=sent_at)
                self._answered = True
                self._throttled_since = None
            case Refused():
                self._breaker.released(now)
                self._answered = True
            case Lost(problem=problem):
                self._trouble(now, problem.message)
            case Declined(problem=problem, due_at=due_at, at=at):
                self._declined(now, problem.kind, problem.message, due_at - at if due_at else None, sent_at)
        if in_trouble and self._breaker.open_since is None:
            self._observer.note("breaker_closed", "the service answers again")
        self._signal()

    def _declined(self, now: float, kind: Kind, message: str, retry_after: float | None, sent_at: float | None) -> None:
        match kind:
            case Kind.AUTH:
                self._breaker.released(now)
                self.halt(TokenError(message, hint="put a valid token into RUNCOMFY_API_TOKEN, then the same command"))
            case Kind.BALANCE:
                self._breaker.released(now)
                self.halt(StoppedError(message, hint="top up the account, then type the same command again"))
            case Kind.THROTTLED:
                self._breaker.released(now)
                self._posts.throttled(now, retry_after, self._rng, sent_at=sent_at)
                self._in_flight.troubled(now)
                self._answered = True
                if self._throttled_since is None:
                    self._throttled_since = now
            case Kind.UNREACHABLE | Kind.SERVICE:
                self._trouble(now, message)
            case _:
                self._breaker.released(now)

    def _trouble(self, now: float, message: str) -> None:
        in_trouble = self._breaker.open_since is not None
        self._breaker.failed(now, self._rng)
        self._posts.troubled(now)
        self._in_flight.troubled(now)
        if self._breaker.open and not in_trouble:
            self._observer.note("breaker_open", f"the service is in trouble, buying pauses: {message}")

    def _signal(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # --- GETs ---

    async def get_turn(self) -> None:
        """Wait until one GET may go out, and take that turn."""
        wait = self._gets.turn(self._clock())
        if wait > 0:
            await anyio.sleep(wait)

    async def sleep_until_look(self, record: Record, slot: Slot, until: float) -> bool:
        """Wait for the next look at a job that runs. True if it is due sooner, by what was learned meanwhile."""
        now = self._clock()
        pause = max(0.0, until - now)
        if pause < WORTH_SECONDS or slot.since is None or record.problem is not None or self._pace.poll_seconds:
            await anyio.sleep(pause)
            return False
        return await self._asleep.sleep(pause, began=slot.since, looked=max(slot.since, record.looked_at))

    def first_look_in(self, slot: Slot, now: float) -> float:
        """Seconds from the accept to the first look."""
        slot.since = now
        scout = self._in_flight.scout(now, len(self.slots))
        return scout if scout is not None else self._next_look(0.0, now)

    def look_again_in(self, record: Record, slot: Slot, now: float, reply: StillRunning) -> float:
        """Seconds until the next look, having learned from this one.

        A queued job can't be done sooner than one that starts now.
        """
        accepted = record.accepted_at or now
        if not reply.running:
            slot.since = now
            self._in_flight.queued(
                now - accepted,
                0.0,
                reply.queue_position,
                now,
                in_use=len(self.slots),
                waiting=True,
                accepted_at=accepted,
            )
            self._wake_next()
            return self._next_look(0.0, now)
        slot.since = since = _began(record, now)
        age = max(0.0, now - since)
        self.lifetimes.censored(age, since=max(0.0, record.looked_at - since))
        self._in_flight.queued(
            _surely_queued(record, accepted),
            0.0,
            None,
            now,
            in_use=len(self.slots),
            waiting=False,
            accepted_at=accepted,
        )
        self._wake_next()
        return self._next_look(age, now)

    def all_bought(self) -> None:
        """Nothing is left to buy: from here on the jobs in flight decide when the run ends."""
        self._last_crowd = len(self.slots)

    def _chance(self) -> float:
        """The chance that a gap between looks carries.

        While more jobs are to be bought, a late look holds up one place of many. When no more come it holds up the end
        of the run if it is the last job's: the fewer are left, the likelier that is. A gap that is to cost as much as it
        saves goes with the root of that (Keller, "Optimum checking schedules", Management Science 21, 1974). With ``-j``
        given only the last quarter is looked at more often: before that it costs GETs and gains nothing
        (``benchmarks/LOG.md``). Under ``-j auto`` a late look costs nothing while a short queue keeps the service busy.
        """
        left = len(self.slots) / self._last_crowd if self._last_crowd else 1.0
        if self._pace.concurrency:
            return DEFAULT_P * math.sqrt(min(1.0, 4.0 * left))
        return AUTO_P * math.sqrt(min(1.0, left))

    def _next_look(self, age: float, now: float) -> float:
        return next_look(
            self.lifetimes,
            age,
            p=self._chance(),
            rng=self._rng,
            now=now,
            fixed=self._pace.poll_seconds,
            floor=self._least_gap(),
        )

    def _least_gap(self) -> float:
        """Seconds between two looks at one job: with thousands in flight not shorter than the cap on GETs lets all have.

        Looks that would only stand in a queue are not wished for: they would tell no more, and hold up the last ones.
        """
        return 0.2 if self._pace.poll_seconds else max(0.2, len(self.slots) / self._looks_per_second - 1.0)

    def completed(self, record: Record, now: float) -> None:
        """A look found the job done: it ended somewhere between the last look and this one."""
        since = _began(record, now)
        last = max(0.0, record.looked_at - since)
        self.lifetimes.finished(max(0.0, now - since), since=last)
        accepted = record.accepted_at or since
        ran = max(0.0, (max(record.looked_at, since) + now) / 2 - since)
        queued = _surely_queued(record, accepted)
        self._in_flight.queued(queued, ran, None, now, in_use=len(self.slots), accepted_at=accepted)
        self._asleep.learned(self.lifetimes, now, self._chance())
        self._wake_next()

    # --- for those who watch ---

    def eta(self, planned: int) -> tuple[float, float] | None:
        """Seconds until the run is over (p50, p90); None while nothing is known."""
        if not self.lifetimes.observations:
            return None
        at_once = self._in_flight.allowed(self._clock())
        return eta(self.lifetimes, self._ages(), planned, at_once, rate=self._posts.rate)

    def stalled(self) -> int:
        """Jobs in flight that take unusually long. They are looked after, not bought again."""
        return sum(stalled(self.lifetimes, age) for age in self._ages()) if self.lifetimes.observations else 0

    def paused(self) -> str:
        """Why no POST goes out at the moment, in a few words; empty if they do."""
        now = self._clock()
        if self._breaker.open:
            return "waiting for the service"
        if self._posts.held_until > now + 1:
            return f"asked to wait {self._posts.held_until - now:.0f} s"
        if self._throttled_since is not None and now - self._throttled_since > 30:
            return "slowed down by the service"
        return ""

    def _ages(self) -> list[float]:
        now = self._clock()
        return [max(0.0, now - slot.since) for slot in self.slots if slot.since is not None]

    def knew_another(self, now: float) -> bool:
        """Has the service lately known any request of ours?"""
        return now - self.known_at <= KNOWN_SECONDS

    # --- what became of jobs ---

    def finished(self, record: Record) -> None:
        """Count a job that reached its end; learn how long it ran; stop when the input is rotten."""
        if record.state is State.FAILED and record.problem and record.problem.kind is Kind.SERVICE:
            return
        self._finished += 1
        self._failed += record.state is State.FAILED
        if self._pace.stop_rule.reached(self._finished, self._failed):
            self.halt(
                StoppedError(
                    f"{self._failed} of {self._finished} finished jobs failed, so buying stops",
                    hint="look at failed.csv; to go on all the same: --stop-after-failures 1000000",
                )
            )


def _began(record: Record, now: float) -> float:
    """Where the clock of the job's run starts, this look (``now``) having found it out of the queue."""
    if record.left_queue_at is not None:
        return record.left_queue_at
    if record.queued_at is not None:
        return (record.queued_at + now) / 2
    return record.accepted_at if record.accepted_at is not None else now


def _surely_queued(record: Record, accepted: float) -> float:
    """Seconds from the accept to the last look that found the job in the queue.

    Not to the middle between that look and the next, as for the job's own clock: the next one comes seconds later, and a
    wait of half a second would pass for a queue that is far too long.
    """
    return max(0.0, record.queued_at - accepted) if record.queued_at is not None else 0.0
