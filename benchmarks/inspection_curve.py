"""What looking costs and what it brings: makespan against GETs a job, in virtual time.

Every client keeps ``AT_ONCE`` jobs in flight and starts the next one when a look finds one done. Nothing else takes
time: no network, no CPU. *Perfect* is the same list of jobs in the same order with every end noticed at once. GETs are
looks; the last one, which brings the result, is among them.

    python benchmarks/inspection_curve.py [--quick]
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from statistics import NormalDist
from typing import Any

from batchedit.scheduling.lifetimes import Lifetimes
from batchedit.scheduling.polling import DEFAULT_P, next_poll_delay

AT_ONCE = 50
SIGMAS = (0.2, 0.35, 0.5)
PAUSES = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)
"""Fixed intervals for jobs of 4 s, in seconds; in proportion for slower ones."""
CHANCES = tuple(sorted({0.1, 0.15, 0.22, DEFAULT_P, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6}))
STATED = {
    0.2: ((2.5, 1.076), (3.9, 1.045), (6.0, 1.03)),
    0.35: ((2.8, 1.11), (5.0, 1.06), (7.8, 1.036)),
    0.5: ((3.2, 1.125), (4.9, 1.08), (6.0, 1.06), (9.0, 1.04)),
}
"""From the task: (GETs a job, makespan ÷ perfect) with the distribution known, 2,000 jobs, 50 at a time."""

Gap = Callable[[float, float], float]
"""The schedule: seconds until the next look at a job of that age, at that moment."""


def lognormal(median: float, sigma: float, count: int, rng: Random) -> list[float]:
    return [median * math.exp(rng.gauss(0.0, sigma)) for _ in range(count)]


def bimodal(short: float, long: float, count: int, rng: Random) -> list[float]:
    """Half of each, every one within some per cent of its mode, in random order."""
    return [rng.choice((short, long)) * math.exp(rng.gauss(0.0, 0.05)) for _ in range(count)]


def perfect(durations: Sequence[float], at_once: int = AT_ONCE) -> float:
    """Seconds until all are done if every end is noticed at once."""
    ends: list[float] = []
    for seconds in durations:
        begin = heapq.heappop(ends) if len(ends) >= at_once else 0.0
        heapq.heappush(ends, begin + seconds)
    return max(ends)


def simulate(
    durations: Sequence[float], gap: Gap, lifetimes: Lifetimes | None = None, at_once: int = AT_ONCE
) -> dict[str, float]:
    """Run the list under a schedule; ``lifetimes`` hears of every look. Returns makespan ÷ perfect and GETs a job."""
    looks = 0
    end = 0.0
    waiting = iter(durations)
    events: list[tuple[float, int, float, float, float]] = []

    def start(now: float, serial: int) -> None:
        seconds = next(waiting, None)
        if seconds is not None:
            heapq.heappush(events, (now + gap(0.0, now), serial, now, 0.0, seconds))

    for serial in range(at_once):
        start(0.0, serial)
    while events:
        now, serial, began, seen, seconds = heapq.heappop(events)
        looks += 1
        age = now - began
        if age >= seconds:
            if lifetimes is not None:
                lifetimes.finished(age, since=seen)
            end = now
            start(now, serial)
            continue
        if lifetimes is not None:
            lifetimes.censored(age, since=seen)
        heapq.heappush(events, (now + gap(age, now), serial, began, age, seconds))
    return {"ratio": end / perfect(durations, at_once), "gets": looks / len(durations)}


def known_lognormal(median: float, sigma: float, p: float) -> Gap:
    """Munford and Shahani's rule with the distribution given, no jitter."""
    normal = NormalDist()

    def gap(age: float, _: float) -> float:
        done = normal.cdf(math.log(age / median) / sigma) if age else 0.0
        target = done + (1.0 - done) * p
        # Past 1 - 1e-12 the quantile has no digits left; hardly a job gets there.
        return max(1e-3 * median, median * math.exp(sigma * normal.inv_cdf(min(target, 1.0 - 1e-12))) - age)

    return gap


def learned(lifetimes: Lifetimes, p: float, seed: int) -> Gap:
    rng = Random(seed)
    return lambda age, now: next_poll_delay(lifetimes, age, p=p, rng=rng, now=now)


def fixed(seconds: float, seed: int) -> Gap:
    """Every ``seconds``; a job's first look after as long, with the jitter that threads have."""
    rng = Random(seed)
    return lambda _age, _now: seconds * rng.uniform(0.98, 1.02)


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


Draw = Callable[[int], list[float]]


def _twice(draw: Draw, p: float, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Our schedule from nothing, and over new jobs after what that run has learned was written down and read again."""
    lifetimes = Lifetimes.prior()
    first = simulate(draw(seed), learned(lifetimes, p, seed), lifetimes)
    lifetimes = Lifetimes.load(lifetimes.dump())
    return first, simulate(draw(seed + 1000), learned(lifetimes, p, seed + 1), lifetimes)


def _curves(
    mix: str, draw: Draw, seeds: Sequence[int], pauses: Sequence[float], known: tuple[float, float] | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    jobs = len(draw(0))

    def add(schedule: str, setting: float, results: Sequence[dict[str, float]]) -> None:
        rows.append({"mix": mix, "jobs": jobs, "schedule": schedule, "setting": setting, **_mean(results)})

    for p in CHANCES:
        if known:
            add("known", p, [simulate(draw(seed), known_lognormal(*known, p)) for seed in seeds])
        both = [_twice(draw, p, seed) for seed in seeds]
        add("learned, from nothing", p, [first for first, _ in both])
        add("learned, second run", p, [second for _, second in both])
    for pause in pauses:
        add("fixed", pause, [simulate(draw(seed), fixed(pause, seed)) for seed in seeds])
    return rows


def run(quick: bool) -> list[dict[str, Any]]:
    """Every point: mix, jobs, schedule, setting (p, or the fixed interval in seconds), ratio, gets."""
    count, seeds = (500, range(2)) if quick else (2000, range(2))
    rows: list[dict[str, Any]] = []
    for sigma in SIGMAS:
        rows += _lognormal_curves(4.0, sigma, count, seeds)
    if not quick:
        rows += _lognormal_curves(4.0, 0.5, 500, range(8))
    rows += _lognormal_curves(30.0, 0.5, count, seeds)
    slow = [7.5 * pause for pause in PAUSES]
    return rows + _curves(
        f"5 s and 60 s, {count} jobs", lambda s: bimodal(5.0, 60.0, count, Random(s)), seeds, slow, None
    )


def _lognormal_curves(median: float, sigma: float, count: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    pauses = [pause * median / 4.0 for pause in PAUSES]
    mix = f"{median:g} s, sigma {sigma}, {count} jobs"
    return _curves(mix, lambda s: lognormal(median, sigma, count, Random(s)), seeds, pauses, (median, sigma))


def at(points: Sequence[dict[str, Any]], gets: float) -> float | None:
    """The ratio of a curve at so many GETs a job, between its points; None outside of them."""
    ordered = sorted((row["gets"], row["ratio"]) for row in points)
    for (x0, y0), (x1, y1) in pairwise(ordered):
        if x0 <= gets <= x1:
            return float(y0 + (y1 - y0) * (gets - x0) / ((x1 - x0) or 1.0))
    return None


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One table a mix: a line a p, and the fixed interval that does as well."""
    lines: list[str] = []
    for mix in dict.fromkeys(row["mix"] for row in rows):
        here = {(row["schedule"], row["setting"]): row for row in rows if row["mix"] == mix}
        lines += [f"\n### {mix}, {AT_ONCE} at a time\n", "makespan ÷ perfect at GETs a job\n"]
        lines += ["| p | known | from nothing | second run |", "| --- | --- | --- | --- |"]
        names = ("known", "learned, from nothing", "learned, second run")
        for p in CHANCES:
            cells = [_cell(here.get((name, p))) for name in names]
            lines.append(f"| {p}{' (default)' if p == DEFAULT_P else ''} | {' | '.join(cells)} |")
        pauses = [row for row in rows if row["mix"] == mix and row["schedule"] == "fixed"]
        lines.append("\nFixed: " + "; ".join(f"every {row['setting']:g} s {_cell(row)}" for row in pauses))
    return "\n".join([*lines, "", *_against_stated(rows)])


def _cell(row: dict[str, Any] | None) -> str:
    return f"{row['ratio']:.3f} at {row['gets']:.1f}" if row else ""


def _against_stated(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = ("known", "learned, from nothing", "learned, second run", "fixed")
    lines = ["### At the GETs stated in the task\n", f"| sigma | GETs a job | stated | {' | '.join(names)} |"]
    lines.append("| --- " * (3 + len(names)) + "|")
    for sigma, points in STATED.items():
        here = [row for row in rows if row["mix"].startswith(f"4 s, sigma {sigma},")]
        # Where a distribution is drawn with two counts, the figures are those of the longer list.
        here = [row for row in here if row["jobs"] == max(one["jobs"] for one in here)]
        for gets, ratio in points:
            ratios = [at([row for row in here if row["schedule"] == name], gets) for name in names]
            cells = " | ".join(f"{value:.3f}" if value else "" for value in ratios)
            lines.append(f"| {sigma} | {gets} | {ratio} | {cells} |")
    return lines


if __name__ == "__main__":
    print(markdown(run("--quick" in sys.argv)))
