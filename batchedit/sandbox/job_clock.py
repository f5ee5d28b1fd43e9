"""The times at which jobs wait, run and end: pure arithmetic on a clock that is passed in, O(log n) for each event.

No job has a task or a timer. `advance(now)` applies, in order of time, all events since the last call: the job at the head
of the queue starts when a slot is free and its least wait is over; a running job ends when its run time is up and frees
its slot at that time, not at the time of the call. So the answer to any call is the same as if a thread had watched the
clock, and 5,000 jobs in flight cost no CPU between calls.

All times are seconds on the caller's clock; `advance` must not be called with an earlier time than before.
"""

import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Order:
    """A job as it was accepted; never changes."""

    request_id: str
    ordinal: int  #: 1 for the first accepted job
    model_id: str
    prompt: str
    size: str
    images: tuple[str, ...]  #: URLs, or `sha256:…` of a data URI's bytes
    digest: str  #: SHA-256 of the canonical body: equal inputs, equal digest
    seconds: float  #: how long it runs
    fate: str | None  #: None: it succeeds; else failed, moderated or stuck
    inputs: dict[str, Any]  #: the other fields of the body
    price: int = 0  #: micro-dollars reserved for it
    actual: int = 0  #: micro-dollars it costs if it succeeds
    outputs: int = 1  #: pictures it gives; ``price`` and ``actual`` are for all of them


@dataclass(slots=True)
class Job:
    """An order and its state."""

    order: Order
    accepted_at: float
    due_at: float  #: does not start earlier
    ticket: int
    state: State = State.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    polls: int = 0
    served: int = 0
    delivered: bool = False  #: the answer with its request_id was sent
    generation: int = 0  #: links of an older generation are dead


class JobClock:
    """The queue and the slots. `on_end` is called once for each job that ends, with the job."""

    def __init__(self, slots: int | None, min_wait: float, on_end: Callable[[Job], None] = lambda _: None) -> None:
        self._slots = math.inf if slots is None else slots
        self._min_wait, self._on_end = min_wait, on_end
        self._queue: deque[Job] = deque()
        self._gaps: list[int] = []  # tickets of jobs cancelled in the queue, sorted
        self._running: list[tuple[float, int, Job]] = []
        self._clock = -math.inf  # the time of the last event
        self._tickets = 0
        self.in_flight = self.max_in_flight = self.max_queue = self.waiting = 0

    def change(self, slots: int | None, min_wait: float, now: float) -> None:
        """Use other settings from now on. A job keeps the least wait that it was accepted with."""
        self.advance(now)
        self._slots = math.inf if slots is None else slots
        self._min_wait = min_wait
        # A new slot is free from now on, not from the time when a job began to wait for one.
        self._clock = max(self._clock, now)

    def accept(self, order: Order, now: float) -> Job:
        """Append ``order`` to the queue."""
        self.advance(now)
        job = Job(order, now, now + self._min_wait, self._tickets)
        self._tickets += 1
        self._queue.append(job)
        self.in_flight += 1
        self.waiting += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.advance(now)
        self.max_queue = max(self.max_queue, self.waiting)
        return job

    def advance(self, now: float) -> None:
        """Apply all events that are due until `now`, in order."""
        while True:
            end = self._running[0][0] if self._running else math.inf
            start = self._find_next_start()
            if min(start, end) > now:
                return
            # At equal times a slot is freed before the next job starts.
            if end <= start:
                self._end_first(end)
            else:
                self._start_head(start)

    def find_position(self, job: Job) -> int:
        """How many jobs are ahead of a queued one; 0 is next."""
        head = self._queue[0].ticket
        return job.ticket - head - (bisect_left(self._gaps, job.ticket) - bisect_left(self._gaps, head))

    def cancel(self, job: Job, now: float) -> bool:
        """Cancel a queued job; False if it is not queued (any more)."""
        self.advance(now)
        if job.state is not State.QUEUED:
            return False
        insort(self._gaps, job.ticket)
        self.waiting -= 1
        self._close(job, State.CANCELLED, now)
        self._drop_cancelled_head()
        return True

    def _find_next_start(self) -> float:
        if not self._queue or len(self._running) >= self._slots:
            return math.inf
        # The head starts no earlier than the event that freed its slot.
        return max(self._queue[0].due_at, self._clock)

    def _start_head(self, at: float) -> None:
        self._clock = at
        job = self._queue.popleft()
        job.state, job.started_at = State.RUNNING, at
        self.waiting -= 1
        heapq.heappush(self._running, (at + job.order.seconds, job.ticket, job))
        self._drop_cancelled_head()

    def _end_first(self, at: float) -> None:
        self._clock = at
        job = heapq.heappop(self._running)[2]
        # A stuck job frees its slot, or a few of them would block all slots for ever; it stays in flight.
        if job.order.fate != "stuck":
            self._close(job, State.DONE if job.order.fate is None else State.FAILED, at)

    def _close(self, job: Job, state: State, at: float) -> None:
        job.state, job.ended_at = state, at
        self.in_flight -= 1
        self._on_end(job)

    def _drop_cancelled_head(self) -> None:
        while self._queue and self._queue[0].state is State.CANCELLED:
            self._queue.popleft()
        del self._gaps[: bisect_left(self._gaps, self._queue[0].ticket if self._queue else self._tickets)]
