"""How long jobs take, and how that is learned.

The distribution is learned, as a life table over logarithmic bins (actuarial estimate, as Kaplan and Meier 1958 but of
bounded size): for each bin how many jobs were seen alive at its beginning and how many ended in it. Jobs that still run
count as survivors up to their last poll, so that the first ones to finish don't make all seem short. Where the table
has seen few jobs, a log-normal fitted to it (expectation-maximisation over ended and surviving jobs, with a wide prior)
fills in; it stands for ``SMOOTHING`` jobs, so a mix of short and long ones soon overrules it. Old observations fade: a
job counts for 1/e of a new one after ``MEMORY`` later ones.

Each job has a clock of its own, which the caller keeps: it begins at the accept, and again where a reply says that the
job has left the service's queue. All times here are seconds on it.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

MEMORY = 600
SMOOTHING = 8.0

_RATIO = 1.05
_STEP = math.log(_RATIO)
_SHORTEST = 0.05
_BINS = 300
END = float(_BINS)
"""The table's last position."""
_LAST = END - 1e-6
_LOG_EDGES = tuple(math.log(_SHORTEST) + _STEP * k for k in range(_BINS))
_PRIOR_SIGMA = 1.3
_PRIOR_WEIGHT = 0.5
_EVENLY = 0.3
_STEEPEST = 0.6
_FORMAT = 1


def to_table_position(age: float) -> float:
    """An age as a position in the table: the bin's number plus the share of the bin that is over."""
    if age <= _SHORTEST:
        return max(0.0, age / _SHORTEST)
    return min(_LAST, 1.0 + math.log(age / _SHORTEST) / _STEP)


def to_age(position: float) -> float:
    """The inverse of ``to_table_position``: seconds."""
    return position * _SHORTEST if position <= 1.0 else _SHORTEST * math.exp((position - 1.0) * _STEP)


class Moments(NamedTuple):
    """``mean`` and ``excess`` in seconds, ``variance`` in their square."""

    mean: float
    variance: float
    excess: float


class Lifetimes:
    """The distribution of the seconds from accept to done. Size is bounded: 300 bins, about 2 % wide on either side.

    A job may be entered at once, ``finished(seconds)``, or poll by poll: ``censored(age, since=age at the poll before)``
    for each poll that finds it running, ``finished(age, since=age at the poll before)`` for the last one. Don't mix the
    two for one job, or its first part counts twice.
    """

    def __init__(self, median: float = 30.0) -> None:
        self._prior_mu = math.log(max(_SHORTEST, median))
        self._ended = [0.0] * _BINS
        self._change = [0.0] * (_BINS + 2)  # of the number at risk, from bin to bin
        self._unit = 1.0  # the weight of a job entered now; it grows instead of all the others shrinking
        self._weight = 0.0
        self._count = 0
        self._pending = 0.0
        self._mu, self._sigma = self._prior_mu, _PRIOR_SIGMA
        self._hazard: list[float] = []  # cumulative, at the bins' edges
        self._integrals: tuple[list[float], float] | None = None  # of the survival; computed on demand
        self._build()

    @classmethod
    def prior(cls, median: float = 30.0) -> Lifetimes:
        """No jobs seen yet: a wide log-normal around ``median`` seconds that the first few jobs overrule."""
        return cls(median)

    @property
    def observations(self) -> int:
        """Jobs seen to their end, earlier runs included."""
        return self._count

    def finished(self, seconds: float, *, since: float | None = None) -> None:
        """A job ended at age ``seconds``, exactly; or somewhere after age ``since``, when it was last seen running.

        With ``since``, the time before it has been entered by ``censored``.
        """
        if not math.isfinite(seconds):
            return
        until = to_table_position(max(0.0, seconds))
        begin = until if since is None else min(until, to_table_position(max(0.0, since)))
        self._enter(0.0 if since is None else begin, self._unit)
        for k, share in self._spread(begin, until):
            self._ended[k] += share * self._unit
            self._change[k + 1] -= share * self._unit
        self._count += 1
        self._weight += self._unit
        self._unit *= 1.0 + 1.0 / MEMORY
        self._note_pending(1.0)

    def censored(self, seconds: float, *, since: float = 0.0) -> None:
        """A job was still running at age ``seconds``; the time up to ``since`` has been entered before."""
        if not math.isfinite(seconds) or seconds <= since:
            return
        self._enter(to_table_position(max(0.0, since)), self._unit)
        self._enter(to_table_position(seconds), -self._unit)
        self._note_pending(0.2)

    def survival(self, age: float) -> float:
        """The chance that a job takes longer than ``age`` seconds."""
        return math.exp(-self.hazard(age))

    def quantile(self, q: float, *, beyond: float = 0.0) -> float:
        """Seconds since the accept by which a share ``q`` of the jobs that were alive at age ``beyond`` is done."""
        start = max(0.0, beyond)
        if q <= 0.0:
            return start
        return max(start, self._age_at_hazard(self.hazard(start) - math.log1p(-min(q, 1.0 - 1e-12))))

    def moments(self) -> Moments:
        """Mean and variance of a life, and the mean of what is left of one that runs at a random moment."""
        areas, moment = self._integrate_survival()
        mean = areas[0]
        return Moments(mean, max(0.0, 2.0 * moment - mean * mean), moment / mean)

    def residual(self, age: float) -> float:
        """Mean seconds still to go at ``age``."""
        position = to_table_position(max(0.0, age))
        areas, _ = self._integrate_survival()
        k = min(int(position), _BINS - 1)
        alive = self.survival(age)
        if alive < 1e-12:
            return max(0.0, age)  # it has outlived everything: as long again
        rest = (_AGES[k + 1] - max(0.0, age)) * (alive + math.exp(-self._hazard[k + 1])) / 2
        return (max(0.0, rest) + areas[k + 1]) / alive

    def excess_quantile(self, q: float) -> float:
        """The ``q`` quantile of what is left of a life that runs at a random moment (the equilibrium distribution)."""
        areas, _ = self._integrate_survival()
        target = (1.0 - q) * areas[0]
        k = bisect_left(areas, -target, key=lambda area: -area)
        return _AGES[min(k, _BINS)]

    def dump(self) -> str:
        """The whole table as JSON, some kilobytes at most."""
        if self._pending:
            self._build()
        risk = self._count_at_risk()
        rows = [
            [k, _round_short(d / self._unit), _round_short(max(n, d) / self._unit)]
            for k, (d, n) in enumerate(zip(self._ended, risk, strict=True))
        ]
        used_rows = [row for row in rows if row[1] or row[2]]
        return json.dumps(
            {"v": _FORMAT, "median": _round_short(math.exp(self._prior_mu)), "n": self._count, "bins": used_rows},
            separators=(",", ":"),
        )

    @classmethod
    def load(cls, text: str) -> Lifetimes:
        """What ``dump`` wrote; the prior for anything else."""
        try:
            return cls._read(json.loads(text))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
            return cls()

    @classmethod
    def _read(cls, table: Any) -> Lifetimes:
        if table["v"] != _FORMAT:
            raise ValueError("another format")
        new = cls(_check_number(table["median"]))
        before, at = 0.0, 0
        for k, ended, risk in table["bins"]:
            if not 0 <= k < _BINS or k < at or _check_number(ended) > 1.001 * _check_number(risk):
                raise ValueError("not a life table")
            if k > at:
                new._change[at] -= before
                before = 0.0
            new._ended[k] = ended
            new._change[k] += risk - before
            before, at = risk, k + 1
        new._change[at] -= before
        new._count = int(_check_number(table["n"]))
        new._weight = sum(new._ended)
        for _ in range(10):
            new._build()  # each takes the fit some steps further
        return new

    # --- the table ---

    def _integrate_survival(self) -> tuple[list[float], float]:
        """The integral of the survival from each bin's edge on; that of age times survival."""
        if self._integrals is None:
            alive = [math.exp(-hazard) for hazard in self._hazard]
            areas, moment = [0.0] * (_BINS + 1), 0.0
            for k in range(_BINS - 1, -1, -1):
                area = (_AGES[k + 1] - _AGES[k]) * (alive[k] + alive[k + 1]) / 2
                areas[k] = areas[k + 1] + area
                moment += area * (_AGES[k] + _AGES[k + 1]) / 2
            self._integrals = areas, moment
        return self._integrals

    def _enter(self, position: float, weight: float) -> None:
        """``weight`` jobs more are at risk from here on; a bin entered halfway counts them half."""
        k = min(int(position), _BINS)
        part = (position - k) * weight
        self._change[k] += weight - part
        self._change[k + 1] += part

    def _spread(self, begin: float, until: float) -> list[tuple[int, float]]:
        """Where in a gap a job ended: as the table has it (self-consistency, Turnbull 1976), and in part evenly.

        The even part lets the table learn of jobs that have become shorter than the gap before the first poll.
        """
        first, last = min(int(begin), _BINS - 1), min(int(until), _BINS - 1)
        if first == last:
            return [(first, 1.0)]
        edges = [begin, *range(first + 1, last + 1), until]
        alive = [math.exp(self._hazard_at(begin) - self._hazard_at(edge)) for edge in edges]
        even = [to_age(edge) for edge in edges]
        gone, width = alive[0] - alive[-1], even[-1] - even[0]
        if width <= 0.0:
            return [(last, 1.0)]
        trust = 1.0 - _EVENLY if gone > 1e-9 else 0.0
        shares = [
            trust * (alive[k] - alive[k + 1]) / (gone or 1.0) + (1.0 - trust) * (even[k + 1] - even[k]) / width
            for k in range(len(edges) - 1)
        ]
        return [(first + k, share) for k, share in enumerate(shares)]

    def _note_pending(self, weight: float) -> None:
        self._pending += weight
        if self._unit > 1e9:
            self._rescale()
        if self._pending >= max(1.0, 0.05 * self._weight / self._unit):
            self._build()

    def _rescale(self) -> None:
        self._ended = [d / self._unit for d in self._ended]
        self._change = [d / self._unit for d in self._change]
        self._weight, self._unit = self._weight / self._unit, 1.0

    def _count_at_risk(self) -> list[float]:
        risk, total = [], 0.0
        for change in self._change[:_BINS]:
            total += change
            risk.append(max(0.0, total))
        return risk

    def _build(self) -> None:
        self._pending = 0.0
        unit = self._unit
        ended = [d / unit for d in self._ended]
        risk = [max(n / unit, d) for n, d in zip(self._count_at_risk(), ended, strict=True)]
        self._fit(ended, risk)
        rates = self._compute_fitted_rates(sum(ended))
        total, hazard = 0.0, [0.0]
        for d, n, rate in zip(ended, risk, rates, strict=True):
            if n:
                gone = (d - SMOOTHING * math.expm1(-rate)) / (n + SMOOTHING)
                rate = -math.log1p(-min(gone, 0.999999))  # noqa: PLW2901 - the fit's rate, or the table's where it has one
            total += max(rate, 1e-9)
            hazard.append(total)
        self._hazard = hazard
        self._integrals = None

    def _fit(self, ended: Sequence[float], risk: Sequence[float]) -> None:
        """A log-normal to the table: three EM steps from the last fit, the prior worth ``_PRIOR_WEIGHT`` jobs."""
        deaths = [(_LOG_EDGES[k] - _STEP / 2, d) for k, d in enumerate(ended) if d]
        left = [risk[k] - ended[k] - (risk[k + 1] if k + 1 < _BINS else 0.0) for k in range(_BINS)]
        alive = [(_LOG_EDGES[k], n) for k, n in enumerate(left) if n > 1e-6]
        for _ in range(3):
            self._em_step(deaths, alive)

    def _em_step(self, deaths: Sequence[tuple[float, float]], alive: Sequence[tuple[float, float]]) -> None:
        mu, sigma = self._mu, self._sigma
        n, first, second = _PRIOR_WEIGHT, 0.0, _PRIOR_WEIGHT * _PRIOR_SIGMA**2
        for x, d in deaths:
            n += d
            first += d * (x - self._prior_mu)
            second += d * (x - self._prior_mu) ** 2
        for x, d in alive:
            mean, square = _truncated_moments(mu, sigma, x)
            n += d
            first += d * (mean - self._prior_mu)
            second += d * (square - 2 * mean * self._prior_mu + self._prior_mu**2)
        shift = first / n
        self._mu = self._prior_mu + shift
        self._sigma = math.sqrt(max(0.0025, second / n - shift * shift))

    def _compute_fitted_rates(self, n: float) -> list[float]:
        """The hazard of each bin as the fit has it, wider while few jobs have been seen."""
        sigma = self._sigma * math.sqrt(1.0 + 1.0 / (n + 1.0))
        logs = [0.0, *(_log_survivors((edge - self._mu) / sigma) for edge in _LOG_EDGES)]
        return [min(_STEEPEST, logs[k] - logs[k + 1]) for k in range(_BINS)]

    def hazard(self, age: float) -> float:
        """The hazard of an end up to ``age`` seconds, cumulated: minus the logarithm of ``survival``."""
        if age > _LONGEST:
            return self._hazard[-1] + math.log(age / _LONGEST)
        position = to_table_position(max(0.0, age))
        k = min(int(position), _BINS - 1)
        return self._hazard[k] + (position - k) * (self._hazard[k + 1] - self._hazard[k])

    def _hazard_at(self, position: float) -> float:
        k = min(int(position), _BINS - 1)
        return self._hazard[k] + (position - k) * (self._hazard[k + 1] - self._hazard[k])

    def _age_at_hazard(self, hazard: float) -> float:
        hazards = self._hazard
        if hazard >= hazards[-1]:
            return _LONGEST * math.exp(min(50.0, hazard - hazards[-1]))
        k = max(0, bisect_right(hazards, hazard) - 1)
        return to_age(k + (hazard - hazards[k]) / (hazards[k + 1] - hazards[k]))


_LONGEST = to_age(END)
_AGES = tuple(to_age(float(k)) for k in range(_BINS + 1))
"""The bins' edges in seconds."""


def _round_short(number: float) -> float:
    return float(f"{number:.6g}")


def _check_number(number: Any) -> float:
    """A finite, non-negative number that is not a bool, or ValueError."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
        raise ValueError("not a number of ours")
    return float(number)


def _log_survivors(z: float) -> float:
    """The logarithm of P(Z > z) of a standard normal, also where the probability is too small to write down."""
    if z < 30.0:
        return math.log(0.5 * math.erfc(z / math.sqrt(2.0)))
    return -0.5 * z * z - math.log(z * math.sqrt(2.0 * math.pi))


def _truncated_moments(mu: float, sigma: float, x: float) -> tuple[float, float]:
    """Mean and mean square of a normal variable that is known to be greater than ``x``."""
    z = (x - mu) / sigma
    pull = math.exp(-0.5 * z * z - _log_survivors(z)) / math.sqrt(2.0 * math.pi)
    mean = mu + sigma * pull
    return mean, mu * mu + sigma * sigma + sigma * pull * (x + mu)
