"""How much at once, and whether to go on buying: the pure governors of ``core`` on the event loop.

Three things are rationed: POSTs (rate, Retry-After, the breaker), jobs in flight as the service counts them, and GETs.
And there is one switch: ``halt`` stops buying, for the whole run, for a reason that the person will read. Collecting what
was bought goes on.
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
from ..core.governors import Breaker, GetRate, InFlight, PostRate
from ..core.inspection import DEFAULT_P, Lifetimes, next_look
from ..core.lifecycle import Accepted, Declined, Lost, Refused
from ..core.model import Kind, Record, State
from ..ports import Api, Observer, SubmitEvent

Clock = Callable[[], float]

NEVER_REACHED_SECONDS = 60.0
"""A service that has not answered once by then is the wrong address or a dead network: tell the person, who is there."""
OUTAGE_SECONDS = 6 * 3600.0
"""One that has answered before is waited for through the night."""


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
        self.held = False

    def free(self) -> None:
        """Give the place back."""
        if self.held:
            self.held = False
            self._governor.give_back()


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
        self._in_use = 0
        self._queue: deque[anyio.Event] = deque()
        self._posts = PostRate(pace.rate)
        self._gets = GetRate(pace.gets_per_second)
        self._breaker = Breaker()
        self._changed = anyio.Event()
        self._settled = anyio.Event()
        self._scopes: WeakSet[anyio.CancelScope] = WeakSet()
        self._started = clock()
        self._answered = False
        self._finished = self._failed = 0

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
        while self._in_use >= self._in_flight.allowed(self._clock()):
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
        self._in_use += 1
        slot.held = True

    def take_now(self, slot: Slot) -> None:
        """A place for a job that is in flight already, whatever the limit says: it was bought before."""
        self._in_use += not slot.held
        slot.held = True

    def give_back(self) -> None:
        """Called by ``Slot.free``."""
        self._in_use -= 1
        self._settled.set()
        self._settled = anyio.Event()
        self._wake_next()

    async def settlement(self) -> None:
        """Wait until some job leaves the service: its money may have come free."""
        await self._settled.wait()

    def _wake_next(self) -> None:
        free = self._in_flight.allowed(self._clock()) - self._in_use
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

    def _check_deadlines(self, now: float) -> None:
        if self._pace.until is not None and now >= self._pace.until:
            self.halt(StoppedError("the time given with --until has come", hint="the same command goes on"))
        since = self._breaker.open_since
        if since is None:
            return
        if not self._answered and now - self._started >= NEVER_REACHED_SECONDS:
            self.halt(ServiceUnavailableError("the service can't be reached", hint="check the network and --base-url"))
        elif now - since >= OUTAGE_SECONDS:
            self.halt(ServiceUnavailableError("the service has been out of order for hours", hint="try again later"))

    def heard(self, event: SubmitEvent) -> None:
        """What the answer to a POST means for all the others."""
        now = self._clock()
        was_open = self._breaker.open
        match event:
            case Accepted():
                self._breaker.succeeded(now)
                self._posts.accepted(now)
                self._answered = True
            case Refused():
                self._breaker.released(now)
                self._answered = True
            case Lost(problem=problem):
                self._trouble(now, problem.message)
            case Declined(problem=problem, due_at=due_at, at=at):
                self._declined(now, problem.kind, problem.message, due_at - at if due_at else None)
        if was_open and not self._breaker.open:
            self._observer.note("breaker_closed", "the service answers again")
        self._signal()

    def _declined(self, now: float, kind: Kind, message: str, retry_after: float | None) -> None:
        match kind:
            case Kind.AUTH:
                self._breaker.released(now)
                self.halt(TokenError(message, hint="put a valid token into RUNCOMFY_API_TOKEN, then the same command"))
            case Kind.BALANCE:
                self._breaker.released(now)
                self.halt(StoppedError(message, hint="top up the account, then type the same command again"))
            case Kind.THROTTLED:
                self._breaker.released(now)
                self._posts.throttled(now, retry_after, self._rng)
                self._answered = True
            case Kind.UNREACHABLE | Kind.SERVICE:
                self._trouble(now, message)
            case _:
                self._breaker.released(now)

    def _trouble(self, now: float, message: str) -> None:
        was_open = self._breaker.open
        self._breaker.failed(now, self._rng)
        self._posts.troubled(now)
        if self._breaker.open and not was_open:
            self._observer.note("breaker_open", f"the service is in trouble, buying pauses: {message}")

    def _signal(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # --- GETs ---

    async def get_turn(self) -> None:
        """Wait until one GET may go out, and take that turn."""
        while (wait := self._gets.wait(self._clock())) > 0:
            await anyio.sleep(wait)
        self._gets.take(self._clock())

    def look_again_in(self, record: Record, now: float, *, queued: bool) -> float:
        """Seconds until the next look. A queued job can't be done sooner than one that starts now."""
        since = record.running_since
        age = 0.0 if queued or since is None else max(0.0, now - since)
        return next_look(self.lifetimes, age, p=DEFAULT_P, rng=self._rng, fixed=self._pace.poll_seconds)

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
                    hint="look at failed.csv; to go on all the same: --stop-after-failures 100%",
                )
            )

    def completed(self, record: Record, now: float) -> None:
        """A look found the job done: it ended somewhere between the last look and this one."""
        since = record.running_since
        if since is None:
            return
        last = record.looked_at or since
        self.lifetimes.finished(max(0.0, (last + now) / 2 - since))
        if record.queued_at is not None and record.accepted_at is not None:
            self._in_flight.queued(since - record.accepted_at, now - since, None, now, in_use=self._in_use)
        else:
            self._in_flight.queued(0.0, now - since, None, now, in_use=self._in_use)
        self._wake_next()
