"""Slots, the places among the jobs in flight: how many there are, which are taken, and waiting for one or for money."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from ..core.model import Record
from ..scheduling.account_limit import AccountLimit
from ..scheduling.concurrency import InFlight
from ..scheduling.lifetimes import Lifetimes
from .wake_signal import Signal


class Slot:
    """A place among the jobs in flight. ``free`` may be called twice."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.since: float | None = None  # when its job began to run
        self.bought = False  # has the service accepted its job?
        self.doubtful = False

    @property
    def is_taken(self) -> bool:
        """Is the slot taken?"""
        return self in self._slots.taken

    def free(self, *, quietly: bool = False) -> None:
        """Give the slot back; ``quietly`` where no money was released with it."""
        self._slots.give_back(self, quietly=quietly)


class Slots:
    """The slots of a run. ``in_flight`` learns how many are worth having, ``account`` how many the service lets run.

    ``concurrency`` 0 means ``auto``. ``changed`` is given when an account at its limit has one job less.
    """

    def __init__(self, concurrency: int, *, lifetimes: Lifetimes, clock: Callable[[], float], changed: Signal) -> None:
        self.taken: set[Slot] = set()
        self.in_flight = InFlight(concurrency or None)
        self.account = AccountLimit()
        self.bought = 0
        """Jobs that the service has accepted and that are not over, as far as is known. Each is counted at its slot, and
        counted off when the slot is freed, whatever the job's end."""
        self.settled = Signal()
        """Given when a job leaves the service: its money may have been released."""
        self.short_of_money = 0
        self._lifetimes = lifetimes
        self._clock = clock
        self._changed = changed
        self._queue: deque[anyio.Event] = deque()

    def set_concurrency(self, concurrency: int) -> None:
        """From now on at most ``concurrency`` are in flight, 0 for ``auto``. Those that are in flight stay."""
        self.in_flight = InFlight(concurrency or None)
        self.wake_next()

    async def take(self, slot: Slot) -> None:
        """Wait for a free slot; first come, first served."""
        if slot.is_taken:
            return
        while len(self.taken) >= self.count_allowed():
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
        """A slot for a job that is in flight already, whatever the limit: it was bought before if it has ``since``."""
        self.taken.add(slot)
        if slot.since is not None:
            self.mark_bought(slot)

    def mark_bought(self, slot: Slot) -> None:
        """The job at ``slot`` was accepted."""
        self.bought += not slot.bought
        slot.bought = True

    def count_allowed(self) -> int:
        """How many jobs may be in flight now."""
        now = self._clock()
        return self.account.count_allowed(self.in_flight.count_allowed(now), now)

    def count_free(self) -> int:
        """Free slots: how many more jobs may be in flight."""
        return max(0, self.count_allowed() - len(self.taken))

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
        if not quietly:  # tasks that wait for money would wake each other for ever with the slots they give back
            self.settled.give()
        self.wake_next()

    def keep_in_doubt(self, slot: Slot, record: Record) -> float:
        """Mark the slot as doubtful; seconds for which a job in doubt keeps it, as it may be running at the service.

        As long as most jobs take; but doubts hold at most half of the slots, or a crash would stop the next run.
        """
        half = self.count_allowed() // 2
        if sum(other.doubtful for other in self.taken) >= half or record.submitted_at is None:
            return 0.0
        slot.doubtful = True
        now = self._clock()  # submitted_at may come from a clock that was ahead
        return min(record.submitted_at, now) + self._lifetimes.quantile(0.9) - now

    async def wait_for_money(self, settled: anyio.Event) -> None:
        """Wait for ``settled``, taken from ``self.settled.next``; until then no new jobs are started."""
        self.short_of_money += 1
        try:
            await settled.wait()
        finally:
            self.short_of_money -= 1

    def list_ages(self) -> list[float]:
        """Seconds for which each job in flight has run, for those that are known to run."""
        now = self._clock()
        return [max(0.0, now - slot.since) for slot in self.taken if slot.since is not None]

    def wake_next(self) -> None:
        """Wake as many waiting tasks as there are free slots."""
        free = self.count_allowed() - len(self.taken)
        while self._queue and free > 0:
            self._queue.popleft().set()
            free -= 1
