"""Places among the jobs in flight: how many there are, who has one, and who waits for one or for money to come free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from ..core.model import Record
from ..scheduling.account_limit import AtOnce
from ..scheduling.concurrency import InFlight
from ..scheduling.lifetimes import Lifetimes
from .signal import Signal


class Slot:
    """A place among the jobs in flight. ``free`` may be called twice."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.since: float | None = None  # when its job began to run
        self.bought = False  # has the service accepted its job?
        self.doubtful = False

    @property
    def held(self) -> bool:
        """Is the place taken?"""
        return self in self._slots.taken

    def free(self, *, quietly: bool = False) -> None:
        """Give the place back; ``quietly`` where no money came free with it."""
        self._slots.give_back(self, quietly=quietly)


class Slots:
    """The places of a run. ``in_flight`` learns how many are worth having, ``account`` how many the service lets run.

    ``concurrency`` 0 means ``auto``. ``changed`` is given when an account at its limit has one job less.
    """

    def __init__(self, concurrency: int, *, lifetimes: Lifetimes, clock: Callable[[], float], changed: Signal) -> None:
        self.taken: set[Slot] = set()
        self.in_flight = InFlight(concurrency or None)
        self.account = AtOnce()
        self.bought = 0
        """Jobs that the service has accepted and that are not over, as far as we know. Each is counted at its place, so that
        it is counted off with it, whatever became of it."""
        self.settled = Signal()
        """Given when some job leaves the service: its money may have come free."""
        self.short_of_money = 0
        self._lifetimes = lifetimes
        self._clock = clock
        self._changed = changed
        self._queue: deque[anyio.Event] = deque()

    def limit(self, concurrency: int) -> None:
        """From now on at most ``concurrency`` are in flight, 0 for ``auto``. Those that are in flight stay."""
        self.in_flight = InFlight(concurrency or None)
        self.wake_next()

    async def take(self, slot: Slot) -> None:
        """Wait for a place among the jobs in flight; first come, first served."""
        if slot.held:
            return
        while len(self.taken) >= self.allowed():
            turn = anyio.Event()
            self._queue.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if turn in self._queue:
                    self._queue.remove(turn)
                else:
                    self.wake_next()
                raise
        self.taken.add(slot)

    def take_now(self, slot: Slot) -> None:
        """A place for a job that is in flight already, whatever the limit says: it was bought before if it has ``since``."""
        self.taken.add(slot)
        if slot.since is not None:
            self.count(slot)

    def count(self, slot: Slot) -> None:
        """The job at ``slot`` was accepted."""
        self.bought += not slot.bought
        slot.bought = True

    def allowed(self) -> int:
        """How many jobs may be in flight now."""
        now = self._clock()
        return self.account.allowed(self.in_flight.allowed(now), now)

    def places_left(self) -> int:
        """How many jobs could be in flight besides those that are."""
        return max(0, self.allowed() - len(self.taken))

    def give_back(self, slot: Slot, *, quietly: bool = False) -> None:
        """Called by ``Slot.free``."""
        if slot not in self.taken:
            return
        self.taken.discard(slot)
        if slot.bought:
            slot.bought = False
            self.bought -= 1
            if self.account.limit is not None:
                self._changed.give()
        if not quietly:  # those who wait for money would wake each other for ever with the places they give back
            self.settled.give()
        self.wake_next()

    def lingers(self, slot: Slot, record: Record) -> float:
        """Seconds for which a job in doubt keeps its place: it may be running at the service.

        As long as most jobs take; but doubts hold at most half of the places, or a crash would stop the next run.
        """
        half = self.allowed() // 2
        if sum(other.doubtful for other in self.taken) >= half or record.submitted_at is None:
            return 0.0
        slot.doubtful = True
        now = self._clock()  # submitted_at may have been written down by a clock that was ahead
        return min(record.submitted_at, now) + self._lifetimes.quantile(0.9) - now

    async def money_to_come_free(self, settled: anyio.Event) -> None:
        """Wait for ``settled``, which ``self.settled.next`` gave; until then nobody new is fed."""
        self.short_of_money += 1
        try:
            await settled.wait()
        finally:
            self.short_of_money -= 1

    def ages(self) -> list[float]:
        """Seconds for which each job in flight has run, of those that are known to run."""
        now = self._clock()
        return [max(0.0, now - slot.since) for slot in self.taken if slot.since is not None]

    def wake_next(self) -> None:
        """Let in as many of those who wait as there are places."""
        free = self.allowed() - len(self.taken)
        while self._queue and free > 0:
            self._queue.popleft().set()
            free -= 1
