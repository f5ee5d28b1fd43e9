"""How a run stands, read from its checkpoint: for the screen, ``report.json`` and the exit code."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .core.model import Counts, Money, Outcome, State

MOST = 5
"""How many of the commonest errors are told, and how many rows of each are named."""


@dataclass(frozen=True, slots=True)
class CommonError:
    """An error that several rows share. ``rows`` names the first few of ``count``."""

    kind: str
    message: str
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``seconds_median`` and ``seconds_p90``: from submission to result, over finished jobs, None without any."""

    counts: Counts
    invalid: int
    money: Money
    seconds_median: float | None = None
    seconds_p90: float | None = None
    errors: tuple[CommonError, ...] = ()
    halted: str = ""
    hint: str = ""
    code: int = 0
    extra: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The shape of ``report.json``: money in dollars."""
        money = self.money
        return {
            "jobs": {state.value: count for state, count in sorted(self.counts.by_state.items())},
            "invalid_rows": self.invalid,
            "usd": {
                "spent": money.spent / 1e6,
                "reserved": money.held / 1e6,
                "in_doubt": money.in_doubt / 1e6,
                "max_cost": None if money.cap is None else money.cap / 1e6,
            },
            "seconds": {"median": self.seconds_median, "p90": self.seconds_p90},
            "errors": [
                {"kind": e.kind, "message": e.message, "count": e.count, "rows": list(e.rows)} for e in self.errors
            ],
            "stopped": self.halted or None,
            "exit_code": self.code,
            **self.extra,
        }


def exit_code(counts: Counts, money: Money) -> int:
    """For a run that was not stopped: 76 before 75 before 1 before 0 (DESIGN §5)."""
    if money.doubts:
        return 76
    if counts.of(State.UNCOLLECTED, State.PLANNED, State.SUBMITTING, State.WAITING, State.FETCHED, State.CANCELLING):
        return 75
    return 1 if counts.of(State.FAILED, State.CANCELLED) else 0


def digest(outcomes: Iterable[Outcome]) -> tuple[int, list[float], list[CommonError]]:
    """``(invalid rows, seconds of each finished job, the commonest errors)`` of a run, in one pass."""
    invalid = 0
    seconds: list[float] = []
    counted: Counter[tuple[str, str]] = Counter()
    rows: dict[tuple[str, str], list[int]] = {}
    seen: set[bytes] = set()
    for line in outcomes:
        if line.state == "invalid":
            invalid += 1
        elif line.state == State.DONE and line.key not in seen and line.finished_at and line.submitted_at:
            seconds.append(line.finished_at - line.submitted_at)
        if line.key:
            seen.add(line.key)
        if line.kind and line.state not in {State.DONE, State.PLANNED}:
            about = (line.kind, line.problem)
            counted[about] += 1
            rows.setdefault(about, [])
            if len(rows[about]) < MOST:
                rows[about].append(line.row)
    errors = [CommonError(*about, count, tuple(rows[about])) for about, count in counted.most_common(MOST)]
    return invalid, seconds, errors


def make_report(
    counts: Counts,
    money: Money,
    outcomes: Iterable[Outcome],
    *,
    halted: str = "",
    hint: str = "",
    code: int | None = None,
) -> Report:
    """``code`` is the halting error's; None asks ``exit_code``."""
    invalid, seconds, errors = digest(outcomes)
    return Report(
        counts=counts,
        invalid=invalid,
        money=money,
        seconds_median=round(statistics.median(seconds), 1) if seconds else None,
        seconds_p90=round(statistics.quantiles(seconds, n=10)[-1], 1) if len(seconds) > 1 else None,
        errors=tuple(errors),
        halted=halted,
        hint=hint,
        code=exit_code(counts, money) if code is None else code,
    )
