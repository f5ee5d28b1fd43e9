"""How a run stands, read from its checkpoint: for the screen, ``report.json`` and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..core.model import Counts, Money, State
from ..ledger.summary import CommonError, Digest


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
            "pictures": sum(self.counts.by_state.values()),
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


def make_report(
    counts: Counts,
    money: Money,
    found: Digest,
    *,
    halted: str = "",
    hint: str = "",
    code: int | None = None,
) -> Report:
    """``code`` is the halting error's; None asks ``exit_code``."""
    return Report(
        counts=counts,
        invalid=found.invalid,
        money=money,
        seconds_median=found.seconds_median,
        seconds_p90=found.seconds_p90,
        errors=found.errors,
        halted=halted,
        hint=hint,
        code=exit_code(counts, money) if code is None else code,
    )


def next_steps(report: Report, folder: object, again: str) -> Iterable[str]:
    """The exact commands to type next, the most urgent first."""
    counts = report.counts
    if report.hint:
        yield report.hint
    if counts.of(State.PLANNED, State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED, State.UNCOLLECTED):
        yield f"to go on: {again}"
    if report.money.doubts:
        yield f"to decide about what may have been bought: batchedit doubt {folder}"
    if counts.of(State.FAILED):
        yield f"to buy the failed ones anew: batchedit retry {folder} --failed"
    if counts.of(State.DONE):
        yield f"the pictures: {folder}/files, the enriched manifest: {folder}/results.csv"
