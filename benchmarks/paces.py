"""Laws of pace beside ours over the same virtual troubles (``tests/support/trouble_rows.py``): median and worst
of some seeds.

Compared: CUBIC as botocore's adaptive mode does it (its own calculator and clock of answers: beta 0.7, scale 0.4, at most
twice what was measured, cut at each 429), AIMD (half at a 429, one POST a second more each second), and our law before BBR.
All obey Retry-After, and have our account limit and breaker beside them. The rivals are not tuned; ours was, on these rows.

    python benchmarks/paces.py [--seeds N] [--night]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from botocore.retries.adaptive import RateClocker
from botocore.retries.throttling import CubicCalculator
from rivals.pace_before import PostRate as PreviousRun

from batchedit.scheduling.post_rate import PostRate
from tests.support.trouble_rows import ROWS, WHOLE_NIGHT, Law


class Rival(PostRate):
    """A bucket that fills with ``speed`` a second, None before the first 429; ``slower`` and ``faster`` are the law."""

    def __init__(self) -> None:
        super().__init__(None)
        self.speed: float | None = None
        self._fill, self._filled_at = 1.0, 0.0
        self._measured, self._count, self._since = 0.0, 0, 0.0
        self._slowed_at = -1e9

    def wait(self, now: float) -> float:
        if self.speed is not None:
            self._fill = min(max(1.0, self.speed), self._fill + (now - self._filled_at) * self.speed)
        self._filled_at = now
        if now < self._held_until:
            return self._held_until - now
        return 0.0 if self.speed is None or self._fill >= 1.0 - 1e-9 else (1.0 - self._fill) / self.speed

    def take(self, now: float) -> None:
        self._fill -= 1.0
        self._count += 1
        if now - self._since >= 0.5:
            self._measured = 0.8 * self._count / (now - self._since) + 0.2 * self._measured
            self._count, self._since = 0, now

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:  # noqa: ARG002
        if self.speed is not None:
            self.faster(now)

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:
        if (now if sent_at is None else sent_at) > self._slowed_at:  # once for those that were under way together
            self.slower(now)
            self._slowed_at = now
        self._held_until = max(self._held_until, now + (retry_after or 0.0) * rng.uniform(1.0, 1.05))

    def held(self, now: float, retry_after: float | None, rng: Random) -> None:  # noqa: ARG002
        self._held_until = max(self._held_until, now + (retry_after or 0.0))

    def restart(self) -> None: ...

    def forget(self, now: float) -> None:  # noqa: ARG002
        self.speed = None

    @property
    def learned(self) -> float | None:
        return self.speed

    def slower(self, now: float) -> None: ...

    def faster(self, now: float) -> None: ...


class Now:
    """botocore asks a clock for the time; this one is told it."""

    at = 0.0

    def current_time(self) -> float:
        return self.at


class Cubic(Rival):
    """botocore's adaptive mode: what ``ClientRateLimiter`` of its retries/adaptive.py does, with its own parts."""

    def __init__(self) -> None:
        super().__init__()
        self._now = Now()
        self._cubic, self._clocker = CubicCalculator(0.0, 0.0), RateClocker(self._now)

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:  # noqa: ARG002
        measured = self._heard(now)
        self._adjust(self._cubic.success_received(now), measured)

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:  # noqa: ARG002
        measured = self._heard(now)
        rate = measured if self.speed is None else min(measured, self.speed)
        self.speed = 0.5
        self._adjust(self._cubic.error_received(rate, now), measured)
        self.held(now, retry_after, rng)

    def _heard(self, now: float) -> float:
        self._now.at = now
        return float(self._clocker.record())

    def _adjust(self, rate: float, measured: float) -> None:
        if self.speed is not None:
            self.speed = max(0.5, min(rate, 2.0 * measured))


class Aimd(Rival):
    """Half at a 429, one more a second."""

    def slower(self, now: float) -> None:  # noqa: ARG002
        self.speed = max(0.5, 0.5 * (self._measured if self.speed is None else self.speed))

    def faster(self, now: float) -> None:  # noqa: ARG002
        assert self.speed is not None
        self.speed += 1.0 / self.speed


LAWS: dict[str, Law] = {
    "ours": lambda: PostRate(None),
    "before": lambda: PreviousRun(None),
    "CUBIC": Cubic,
    "AIMD": Aimd,
}


def cell(row: str, law: Law, seeds: int) -> str:
    """``median (worst)`` of a row's figures that a law of pace decides, or what ended the run."""
    by_figure: dict[str, list[float]] = {}
    try:
        for seed in range(seeds):
            for figure in (WHOLE_NIGHT if row == "night" else ROWS[row])(seed, law):
                if figure.what.startswith(("x ", "429s", "seconds until")):
                    by_figure.setdefault(figure.what, []).append(figure.value)
    except Exception as error:  # noqa: BLE001 - a law that never ends is a result
        return f"did not end ({type(error).__name__})"
    return "; ".join(f"{what} {median(values):.2f} ({max(values):.2f})" for what, values in by_figure.items())


def main() -> None:
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 5
    rows = ["night"] if "--night" in sys.argv else [row for row in ROWS if not row.startswith("outage")]
    print(f"| {seeds} seeds | {' | '.join(LAWS)} |", "| --- " * (1 + len(LAWS)) + "|", sep="\n", flush=True)
    for row in rows:
        began = time.monotonic()
        print(f"| {row} | {' | '.join(cell(row, law, seeds) for law in LAWS.values())} |", flush=True)
        print(f"{row}: {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
