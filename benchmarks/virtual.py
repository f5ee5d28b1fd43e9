"""The table of troubles in virtual time (``tests/support/trouble_rows.py``): the real pool, some seeds of each row, the whole
night too. Both cores take seeds in turn; a seed comes out the same whatever else the machine does.

    python benchmarks/virtual.py                   20 seeds of every row: some 20 CPU-minutes
    python benchmarks/virtual.py --seeds 5 night   of the rows with ``night`` in their name

Exit code 1 if a figure is over its limit at one of the seeds; with ``--json`` whoever reads the file judges.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import hand_over, quick

from batchedit.scheduling.post_rate import PostRate
from tests.support.trouble_rows import ROWS, WHOLE_NIGHT, Figure

NIGHT = "the whole night"
ALL = {**ROWS, NIGHT: WHOLE_NIGHT}


def take(name: str, seed: int) -> tuple[list[Figure], float]:
    """One row at one seed, and the CPU seconds that it took."""
    began = time.process_time()
    return list(ALL[name](seed, lambda: PostRate(None))), time.process_time() - began


def judge(name: str, of_seeds: Sequence[list[Figure]]) -> list[dict[str, Any]]:
    """A row's figures over all seeds, by what they are."""
    judgements = []
    for figures in zip(*of_seeds, strict=True):
        values = [figure.value for figure in figures]
        beyond = [figure.value - figure.most for figure in figures]
        judgements.append(
            {
                "row": name,
                "what": figures[0].what,
                "values": values,
                "most": [figure.most for figure in figures],
                "over": sum(by > 0 for by in beyond),
                "missed": max(beyond) > 0,
            }
        )
    return judgements


def line(figures: dict[str, Any]) -> str:
    """A row of the table. A limit that goes by each seed's calm run is shown by its median."""
    values, most = figures["values"], f"{median(figures['most']):.2f}"
    over = f"{figures['over']} of {len(values)}{': MISSED' if figures['missed'] else ''}"
    return f"| {figures['row']} | {figures['what']} | {most} | {median(values):.2f} | {max(values):.2f} | {over} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="only rows with one of these words in their name")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="one row, two seeds")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    seeds = 2 if quick() else arguments.seeds
    names = (
        ["2 % 429"] if quick() else [n for n in ALL if not arguments.rows or any(word in n for word in arguments.rows)]
    )
    if unknown := [word for word in arguments.rows if not any(word in name for name in ALL)]:
        parser.error(f"no row has {', '.join(unknown)} in its name; the rows are {', '.join(ALL)}")
    all_figures: list[dict[str, Any]] = []
    print("| row | figure | at most | median | worst | over |", "| --- " * 6 + "|", sep="\n", flush=True)
    with ProcessPoolExecutor(arguments.processes) as processes:
        under_way: dict[str, list[Future[tuple[list[Figure], float]]]] = {
            name: [processes.submit(take, name, seed) for seed in range(seeds)] for name in names
        }
        for name, futures in under_way.items():
            taken = [future.result() for future in futures]
            for figures in judge(name, [figures for figures, _ in taken]):
                all_figures.append(figures)
                print(line(figures), flush=True)
            print(f"{name}: {sum(cpu for _, cpu in taken):.0f} CPU-s", file=sys.stderr)
    if arguments.json:
        hand_over({"rows": all_figures})
        return 0
    return int(any(figures["missed"] for figures in all_figures))


if __name__ == "__main__":
    sys.exit(main())
