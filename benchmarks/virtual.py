"""The table of troubles in virtual time (``tests/support/trouble_rows.py``): the real pool, some seeds of each row.

python benchmarks/virtual.py [--seeds N] [--quick] [--json FILE]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import hand_over, quick, spread

from batchedit.scheduling.post_rate import PostRate
from tests.support.trouble_rows import ROWS


def row(name: str, seeds: int) -> list[dict[str, Any]]:
    """One row's figures, by what they are: the values of all seeds, and what each may be at most."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"values": [], "most": []})
    for seed in range(seeds):
        for figure in ROWS[name](seed, lambda: PostRate(None)):
            found[figure.what]["values"].append(figure.value)
            found[figure.what]["most"].append(figure.most)
            found[figure.what]["of_median"] = figure.of_median
    return [{"row": name, "what": what, **figures} for what, figures in found.items()]


def main() -> None:
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 20
    rows: list[dict[str, Any]] = []
    for name in ["2 % 429"] if quick() else ROWS:
        began = time.monotonic()
        for figures in row(name, 2 if quick() else seeds):
            rows.append(figures)
            over = sum(value > most for value, most in zip(figures["values"], figures["most"], strict=True))
            of = len(figures["values"])
            print(f"| {name} | {figures['what']} | {spread(figures['values'])} | over in {over} of {of} |", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if "--json" in sys.argv:
        hand_over({"rows": rows})


if __name__ == "__main__":
    main()
