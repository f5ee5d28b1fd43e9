"""Whether to go on buying: one switch for the whole run, with the reason that is shown to the person.

Collecting what was bought goes on after a halt and during a pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakSet

import anyio

from ..core.errors import BatcheditError, BudgetReachedError, PriceRoseError, StoppedError
from ..core.model import Record, State
from ..core.plurals_and_durations import pluralize
from ..ports import Observer
from .wake_signal import Signal

PAUSED = "paused, as a person wished"


@dataclass(frozen=True, slots=True)
class StopRule:
    """``--stop-after-failures``: stop buying at ``count`` failures, or at ``percent`` once ``first`` have finished.

    The default, neither given: when the first ``first`` finished jobs all failed.
    """

    count: int | None = None
    percent: float | None = None
    first: int = 20

    def is_reached(self, finished: int, failed: int) -> bool:
        """True if the failure limit is reached."""
        if self.count is not None:
            return failed >= self.count
        if self.percent is not None:
            return finished >= self.first and failed * 100 >= self.percent * finished
        return finished == self.first and failed == finished


DEFAULT_STOP_RULE = StopRule()


class Switch:
    """``halted`` is why buying has stopped, None while it goes on. ``changed`` is given when a pause ends. ``money`` is added
    to a reason that names sums: whether they are play money.
    """

    def __init__(self, stop_rule: StopRule, *, observer: Observer, changed: Signal) -> None:
        self.halted: BatcheditError | None = None
        self.paused = False
        self.money = ""
        self._stop_rule = stop_rule
        self._observer = observer
        self._changed = changed
        self._scopes: WeakSet[anyio.CancelScope] = WeakSet()
        self._finished = self._failed = 0

    def halt(self, reason: BatcheditError) -> None:
        """Stop buying. The first reason stands; all waits for something to buy are cancelled."""
        if self.halted is not None:
            return
        if isinstance(reason, BudgetReachedError | PriceRoseError):
            reason.add(self.money)
        self.halted = reason
        self._observer.note("halted", str(reason))
        for scope in list(self._scopes):
            scope.cancel()

    def is_stopped(self) -> bool:
        """Has buying stopped? ``halted`` says why."""
        return self.halted is not None

    def open_buying_scope(self) -> anyio.CancelScope:
        """A scope around a wait for something to buy; it is cancelled when buying stops. Check ``halted`` afterwards."""
        scope = anyio.CancelScope()
        if self.halted is not None:
            scope.cancel()
        self._scopes.add(scope)
        return scope

    def pause(self) -> None:
        """No purchase goes out until ``go_on``; what was bought is collected."""
        self.paused = True

    def go_on(self) -> None:
        """Buying goes on."""
        self.paused = False
        self._changed.give()

    def count_finished(self, record: Record) -> None:
        """Count a job that reached its end; halt when the failure limit is reached."""
        self._finished += 1
        self._failed += record.state is State.FAILED
        if self._stop_rule.is_reached(self._finished, self._failed):
            self.halt(
                StoppedError(
                    f"{self._failed} of {pluralize(self._finished, 'finished job')} failed, so buying stops",
                    hint="look at failed.csv; to go on all the same: --stop-after-failures 1000000",
                )
            )
