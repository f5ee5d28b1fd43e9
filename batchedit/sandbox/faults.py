"""The fault plan: `PLACE:FAULT[@SECONDS]=WHEN`, decided by (seed, place, ordinal) and never by timing.

PLACE is a kind of call (`submit`, `poll` for status and result, `cancel`, `file`, `model`), `job` for the outcome of an
accepted job, or `any` for every call. WHEN is a probability (`0.05`), `every:7`, `first:3`, `after:100` (from the 100th
on), `at:5+9`, or `time:10-70` (seconds since the start of the plan: the only WHEN that reads the clock, for outages).
A hanging call is cut after SECONDS, or at the end of its outage, as by the restart of a server; else never. Ordinals count
from 1 within a place and start again when the plan is replaced. The first rule that hits applies.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b

# Nothing is handled: no job is made, nothing is cancelled, nothing served.
BEFORE = frozenset(
    {
        *("429", "429_date", "429_bare", "500", "500_html", "502", "503", "504", "401", "403", "404", "422"),
        *("200_error", "no_money", "no_money_400", "drop_before", "reset_before", "hang_before"),
    }
)
# The call is handled (a submit HAS made its job), then the answer is lost or damaged.
AFTER = frozenset(
    {
        *("drop_after", "reset_after", "hang_after", "500_html_after", "502_after", "504_after"),
        *("500_after", "200_error_after"),
        *("garbage", "truncated", "slow"),
    }
)
ONLY_AT = {
    "submit": frozenset({"no_id"}),
    "poll": frozenset({"unknown_status"}),
    "file": frozenset({"expired", "html", "redirect", "redirect_out"}),
    "job": frozenset({"failed", "moderated", "stuck", "slow"}),
}
PLACES = ("submit", "poll", "cancel", "file", "model", "job", "any")
_KINDS = {"every": 1, "first": 1, "after": 1, "at": 0, "time": 2}


@dataclass(frozen=True, slots=True)
class When:
    """The calls that a rule hits."""

    kind: str
    numbers: tuple[float, ...]

    def hits(self, ordinal: int, elapsed: float, chance: float) -> bool:
        """True if the rule hits call number ``ordinal`` (from 1), ``elapsed`` seconds after the start of the plan. ``chance``
        is drawn in [0, 1).
        """
        first = self.numbers[0]
        match self.kind:
            case "every":
                return ordinal % first == 0
            case "first":
                return ordinal <= first
            case "after":
                return ordinal >= first
            case "at":
                return ordinal in self.numbers
            case "time":
                return first <= elapsed < self.numbers[1]
            case _:
                return chance < first


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the plan. `seconds` is the fault's own number (Retry-After, delay), None for its default."""

    place: str
    fault: str
    when: When
    seconds: float | None = None

    def limit_to_outage(self, elapsed: float) -> "Rule":
        """The rule for a call ``elapsed`` seconds after the start of the plan: a hang lasts no longer than its outage."""
        if not self.fault.startswith("hang") or self.when.kind != "time" or self.seconds is not None:
            return self
        ends = self.when.numbers[1]
        return replace(self, seconds=ends - elapsed) if math.isfinite(ends) else self


def list_allowed_faults(place: str) -> frozenset[str]:
    """The faults that can happen at a place."""
    usual = frozenset() if place == "job" else BEFORE | AFTER
    return usual | ONLY_AT.get(place, frozenset())


def parse_fault(text: str) -> Rule:
    """One `PLACE:FAULT[@SECONDS]=WHEN`; ValueError that says which part is wrong and what is allowed."""
    left, equals, when = text.partition("=")
    place, colon, fault = left.strip().partition(":")
    fault, at, seconds = fault.partition("@")
    if not (equals and colon):
        raise ValueError(f"fault {text!r}: write PLACE:FAULT=WHEN, for example submit:drop_after=0.05")
    if place not in PLACES:
        raise ValueError(f"fault {text!r}: no place {place!r}; it is one of {', '.join(PLACES)}")
    if fault not in list_allowed_faults(place):
        raise ValueError(
            f"fault {text!r}: no fault {fault!r} at {place}; it is one of {', '.join(sorted(list_allowed_faults(place)))}"
        )
    return Rule(place, fault, _parse_when(text, when.strip()), _parse_number(text, seconds) if at else None)


def _parse_when(text: str, when: str) -> When:
    kind, colon, rest = when.partition(":")
    if not colon:
        chance = _parse_number(text, when)
        if chance > 1:
            raise ValueError(f"fault {text!r}: a probability is at most 1")
        return When("chance", (chance,))
    if kind not in _KINDS:
        raise ValueError(f"fault {text!r}: WHEN is a probability or one of {', '.join(_KINDS)}, as in every:7")
    parts = [rest] if kind in {"every", "first", "after"} else rest.split("-" if kind == "time" else "+")
    numbers = tuple(_parse_number(text, part) if part else math.inf for part in parts)
    if _KINDS[kind] not in {0, len(numbers)} or (kind == "every" and not 1 <= numbers[0] < math.inf):
        raise ValueError(f"fault {text!r}: {when!r} should look like every:7, first:3, after:100, at:5+9 or time:10-70")
    return When(kind, numbers)


def _parse_number(text: str, part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        raise ValueError(f"fault {text!r}: {part!r} is not a number") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"fault {text!r}: {part!r} is not a number from 0 up")
    return value


class Injector:
    """The current plan: counts the calls at each place and picks the fault, if any, of each call."""

    def __init__(self, rules: tuple[Rule, ...], seed: int, now: float) -> None:
        self._rules, self._seed, self._laid_at = rules, seed, now
        self.call_counts: Counter[str] = Counter()  #: calls by place

    def pick(self, place: str, now: float) -> Rule | None:
        """The rule that hits this call at `place` (a job's outcome is not a call, so `any` does not count it)."""
        self.call_counts[place] += 1
        self.call_counts["any"] += place != "job"
        for rule in self._rules:
            if rule.place == place or (rule.place == "any" and place != "job"):
                ordinal = self.call_counts[rule.place]
                if rule.when.hits(ordinal, now - self._laid_at, self._draw_chance(rule, ordinal)):
                    return rule.limit_to_outage(now - self._laid_at)
        return None

    def _draw_chance(self, rule: Rule, ordinal: int) -> float:
        text = f"{self._seed}:{rule.place}:{rule.fault}:{ordinal}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
