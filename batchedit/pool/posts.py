"""When a POST may go out, and what each answer means for all other POSTs.

Limited by their rate (``scheduling.post_rate``), by a Retry-After, by the breaker, and by an account's limit of jobs at
once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import anyio

from ..core.errors import ProxyRefusesError, ServiceUnavailableError, StoppedError, TokenError
from ..core.events import Accepted, Declined, Lost, Refused
from ..core.model import Kind, Problem
from ..core.pace import AccountPace, PaceReport
from ..ports import Api, Observer, SubmitEvent
from ..scheduling.breaker import Breaker
from ..scheduling.post_rate import PostRate
from ..scheduling.shared_rate import SharedRate
from ..scheduling.slowdown import Slowness
from ..scheduling.suspension import Beats
from ..scheduling.wire_window import WireWindow
from .slots import Slot, Slots
from .stop_rule import PAUSED, Switch
from .wake_signal import Signal

NEVER_REACHED_SECONDS = 60.0
"""A service that has not answered once by then is a wrong address or a dead network: the run ends with that error."""
CAUTIOUS_POSTS = 4
"""POSTs on the wire at once while the last ones failed: each may become a doubt."""
PAUSE_CHECK_SECONDS = 30.0
"""How often a paused run checks whether it has to end."""
OUTAGE_SECONDS = 6 * 3600.0
"""How long a service that has answered before is waited for: through a night."""
WAITING_SECONDS = 5.0
"""With nothing but refusals for so long the run counts as waiting, however short a pause each refusal asks for."""


class Posts:
    """All POSTs of a run. ``until`` is the time on ``wall`` at which buying stops; all other times are on ``clock``."""

    def __init__(
        self,
        rate: PostRate,
        *,
        until: float | None,
        api: Api,
        observer: Observer,
        clock: Callable[[], float],
        wall: Callable[[], float],
        rng: Random,
        switch: Switch,
        slots: Slots,
        beats: Beats,
        changed: Signal,
    ) -> None:
        self.rate = rate
        self.breaker = Breaker()
        self.slowness = Slowness()
        self._window = WireWindow()
        self._until = until
        self._api = api
        self._observer = observer
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._switch = switch
        self._slots = slots
        self._beats = beats
        self._changed = changed
        self._started = clock()
        self._on_the_wire = 0
        self._waiting = 0  # for their turn
        self._answered = False
        self._throttled_since: float | None = None
        self._usual_gap = 0.0  # seconds between two POSTs at the rate that the service accepted last
        self._asked_until = 0.0  # by the Retry-After of a POST's answer, unless one was accepted since

    async def await_turn(self, notice_suspension: Callable[[], None]) -> float:
        """Wait until one POST may go out, and take that turn; its time is what the turn is known by."""
        self._waiting += 1
        try:
            return await self._wait_until_allowed(notice_suspension)
        finally:
            self._waiting -= 1

    async def _wait_until_allowed(self, notice_suspension: Callable[[], None]) -> float:
        while True:
            notice_suspension()
            now = self._clock()
            self._check_deadlines(now)
            if self._switch.paused:
                with anyio.move_on_after(PAUSE_CHECK_SECONDS):
                    await self._changed.wait()
                continue
            wait = max(self.breaker.wait(now), self.rate.wait(now))
            under_way = self._slots.bought + self._on_the_wire
            crowded = self.breaker.cautious and self._on_the_wire >= CAUTIOUS_POSTS
            crowded = crowded or not self._window.admits(now, is_free=self.rate.is_free)
            if wait <= 0 and crowded:
                wait = math.inf
            elif wait <= 0 and not self._slots.account.admits(under_way, now):
                wait = self._slots.account.compute_time_to_probe(under_way, now)
            if wait <= 0:
                if not self.breaker.open or await self._does_service_answer():
                    self.breaker.note_sent(now)
                    self.rate.take(now)
                    self._slots.account.note_sent(under_way, now)
                    self._on_the_wire += 1
                    turn = self._clock()  # later than ``now`` by a free call where the breaker was open
                    self._window.note_sent(turn)
                    return turn
                continue
            wait = min(wait, self._compute_time_to_give_up(now))
            with anyio.move_on_after(None if math.isinf(wait) else wait):
                await self._changed.wait()

    def report(self, rate: SharedRate) -> PaceReport:
        """This worker's report to the other workers of the account."""
        under_way = self._slots.bought + self._on_the_wire
        return rate.report(self._clock(), in_flight=under_way, waits=self._waiting > 0)

    def apply_account_pace(self, rate: SharedRate, pace: AccountPace) -> None:
        """Take over what holds for all workers of the account."""
        rate.apply_account_pace(self._clock(), pace, self._rng)
        self._slots.account.apply_account_pace(pace, self._slots.bought)
        self._slots.wake_next()
        self._changed.give()

    def _compute_time_to_give_up(self, now: float) -> float:
        """Seconds until a service that never answered is given up; infinite where it has answered, or nothing is wrong."""
        if self._answered or self.breaker.open_since is None:
            return math.inf
        return max(0.0, NEVER_REACHED_SECONDS - self._beats.count_awake(self._started, now))

    async def _does_service_answer(self) -> bool:
        """With the breaker half open, a free call goes first: if it shows an outage, no job gets into doubt."""
        now = self._clock()
        self.breaker.note_sent(now)
        if await self._api.probe():
            self.breaker.note_other_answer(self._clock())
            return not self.breaker.open
        self.breaker.note_failure(self._clock(), self._rng)
        self._changed.give()
        return False

    def return_turn(self, turn: float) -> None:
        """The POST that had the turn was not sent."""
        self._on_the_wire -= 1
        self._window.note_unsent(turn)
        self.breaker.note_unsent(self._clock())
        self._changed.give()

    def _check_deadlines(self, now: float) -> None:
        halt, waited = self._switch.halt, self._beats.count_awake
        if self._until is not None and self._wall() >= self._until:
            halt(StoppedError("the time given with --until has come", hint="the same command goes on"))
        if self._throttled_since is not None and waited(self._throttled_since, now) >= OUTAGE_SECONDS:
            reason = "the service has answered every submission for hours with 429, too many requests"
            halt(StoppedError(reason, hint="the same command goes on later"))
        since = self.breaker.open_since
        if since is None:
            return
        if not self._answered and waited(self._started, now) >= NEVER_REACHED_SECONDS:
            hint = "check the network, HTTPS_PROXY and --base-url"
            halt(ServiceUnavailableError("the service can't be reached", hint=hint))
        elif waited(since, now) >= OUTAGE_SECONDS:
            halt(ServiceUnavailableError("the service has been out of order for hours", hint="try again later"))

    def note_answer(self, event: SubmitEvent, sent_at: float, slot: Slot) -> None:
        """Learn from the answer to a POST, whose turn was at ``sent_at``, for the job at ``slot``."""
        now = self._clock()
        self._on_the_wire -= 1
        self._note_in_window(event, now, sent_at)
        in_trouble = self.breaker.open_since is not None
        match event:
            case Accepted():
                self._slots.mark_bought(slot)
                self._slots.account.note_accepted(self._slots.bought, now, sent_at)
                self.breaker.note_success(now)
                self.rate.accepted(now, sent_at=sent_at)
                self.slowness.note_accepted()
                self._answered = True
                self._throttled_since = None
                self._usual_gap = 1.0 / self.rate.own if self.rate.own else 0.0
                self._asked_until = 0.0
            case Refused():
                self.breaker.note_other_answer(now)
                self._answered = True
            case Lost(problem=problem):
                self._note_trouble(now, problem.message)
            case Declined(problem=problem, due_at=due_at, at=at):
                self._note_declined(now, problem.kind, problem.message, due_at - at if due_at else None, sent_at)
        if in_trouble and self.breaker.open_since is None:
            self._observer.note("breaker_closed", "the service answers again")
        self._changed.give()

    def _note_in_window(self, event: SubmitEvent, now: float, sent_at: float) -> None:
        match event:
            case Accepted():
                self._window.note_accepted(now, sent_at)
            case Declined(problem=Problem(kind=Kind.THROTTLED)):
                self._window.note_refused(sent_at)
            case _:
                self._window.note_trouble(sent_at)

    def _note_declined(self, now: float, kind: Kind, message: str, retry_after: float | None, sent_at: float) -> None:
        match kind:
            case Kind.AUTH:
                self.breaker.note_other_answer(now)
                hint = "put a valid token into RUNCOMFY_API_TOKEN, then the same command"
                self._switch.halt(TokenError(message, hint=hint))
            case Kind.BALANCE:
                self.breaker.note_other_answer(now)
                hint = "top up the account, then type the same command again"
                self._switch.halt(StoppedError(message, hint=hint))
            case Kind.THROTTLED:
                self.breaker.note_other_answer(now)
                self._asked_until = max(self._asked_until, now + (retry_after or 0.0))
                self._note_refused(now, retry_after, sent_at)
                self._answered = True
                if self._throttled_since is None:
                    self._throttled_since = now
            case Kind.PROXY if not self._answered:
                self._switch.halt(ProxyRefusesError(message))
            case Kind.UNREACHABLE | Kind.PROXY:
                self._note_trouble(now, message)
            case _:
                self.breaker.note_other_answer(now)

    def _note_refused(self, now: float, retry_after: float | None, sent_at: float) -> None:
        """A 429: by the account's limit of jobs at once, by a limit of speed, or by chance."""
        self.slowness.note_refused()
        account = self._slots.account
        if not account.note_refused(self._slots.bought, now, sent_at, retry_after or 0.0):
            self.rate.throttled(now, retry_after, self._rng, sent_at=sent_at)
            return
        if account.believed_at == now:
            self.rate.forget(now)
        self.rate.held(now, retry_after, self._rng)
        self._slots.in_flight.note_trouble(now)

    def _note_trouble(self, now: float, message: str) -> None:
        in_trouble = self.breaker.open_since is not None
        self.breaker.note_failure(now, self._rng)
        self._slots.in_flight.note_trouble(now)
        if self.breaker.open and not in_trouble:
            self._observer.note("breaker_open", f"the service is in trouble, buying pauses: {message}")

    def find_requested_pause_end(self, now: float) -> float | None:
        """Until when the service asks, by a Retry-After, not to send POSTs; None if it does not."""
        return self._asked_until if not self.breaker.open and self._asked_until > now else None

    def describe_pause(self) -> str:
        """Why no POST goes out now, in a few words; empty if they do."""
        now = self._clock()
        if self._switch.paused:
            return PAUSED
        if self.breaker.open:
            return "waiting for the service"
        if self.rate.held_until > now + 1:
            return f"asked to wait {self.rate.held_until - now:.0f} s"
        if self._throttled_since is not None and now - self._throttled_since > max(
            WAITING_SECONDS, 3 * self._usual_gap
        ):
            # At an account's limit of jobs at once a refusal is usual: when a job ends, the next POST is accepted.
            return "" if self._slots.account.limit and self._slots.bought else "the service takes no job at the moment"
        return ""
