"""Laws of pace beside ours over the same virtual troubles (``tests/support/trouble_rows.py``): median and worst
of some seeds.

Compared: CUBIC after botocore's adaptive mode (beta 0.7, scale 0.4, at most twice what was measured; written from memory,
not held against its source, and cut once for the POSTs that were under way together, where botocore cuts at each 429), AIMD
(half at a 429, one POST a second more each second), and our law before BBR. All obey Retry-After, and all have our account
limit and breaker beside them. The rivals are not tuned; ours was, on these rows.

    python benchmarks/paces.py [--seeds N] [--night]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

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
        if now - self._since >= 0.5:  # botocore's clock of half seconds, smoothed with 0.8
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


class Cubic(Rival):
    """After botocore's adaptive mode."""

    def slower(self, now: float) -> None:  # noqa: ARG002
        self._most_seen = self._measured if self.speed is None else min(self._measured, self.speed)
        self.speed = max(0.5, 0.7 * self._most_seen)

    def faster(self, now: float) -> None:
        k = (self._most_seen * 0.3 / 0.4) ** (1 / 3)
        speed = 0.4 * (now - self._slowed_at - k) ** 3 + self._most_seen
        self.speed = max(0.5, min(speed, 2.0 * self._measured))


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
    found: dict[str, list[float]] = {}
    try:
        for seed in range(seeds):
            for figure in (WHOLE_NIGHT if row == "night" else ROWS[row])(seed, law):
                if figure.what.startswith(("x ", "429s", "seconds until")):
                    found.setdefault(figure.what, []).append(figure.value)
    except Exception as error:  # noqa: BLE001 - a law that never ends is a result
        return f"did not end ({type(error).__name__})"
    return "; ".join(f"{what} {median(values):.2f} ({max(values):.2f})" for what, values in found.items())


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
