"""The run time of a job: the distributions of `--latency`, drawn from (seed, job ordinal) and nothing else."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

_SHAPES = "N, lognormal:MEDIAN,SIGMA, uniform:A,B, exp:MEAN or bimodal:A,B,P"
_ARITY = {"const": 1, "lognormal": 2, "uniform": 2, "exp": 1, "bimodal": 3}


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of run times in seconds."""

    kind: str
    numbers: tuple[float, ...]

    def draw_seconds(self, seed: int, ordinal: int) -> float:
        """The run time of the `ordinal`-th accepted job: the same for the same seed, whatever the timing."""
        return _DRAWS[self.kind](random.Random(f"{seed}:latency:{ordinal}"), self.numbers)


_DRAWS: dict[str, Callable[[random.Random, tuple[float, ...]], float]] = {
    "const": lambda _, n: n[0],
    "lognormal": lambda rng, n: n[0] * math.exp(rng.gauss(0.0, n[1])),
    "uniform": lambda rng, n: rng.uniform(n[0], n[1]),
    "exp": lambda rng, n: rng.expovariate(1.0 / n[0]) if n[0] else 0.0,
    "bimodal": lambda rng, n: n[0] if rng.random() < n[2] else n[1],
}


def parse_latency(text: str) -> Latency:
    """`"2"` or `"lognormal:4,0.5"`; ValueError with what is allowed."""
    kind, colon, rest = text.strip().partition(":")
    if not colon:
        kind, rest = "const", kind
    try:
        numbers = tuple(float(part) for part in rest.split(","))
    except ValueError:
        raise ValueError(f"latency {text!r}: {rest!r} is not a list of numbers; write {_SHAPES}") from None
    if _ARITY.get(kind) != len(numbers) or not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise ValueError(f"latency {text!r}: write {_SHAPES}, with numbers of seconds from 0 up")
    return Latency(kind, numbers)
