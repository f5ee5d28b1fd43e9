"""Durable changes of state a second through ``SqliteCheckpoint.save``, and how long ``--help`` takes.

A hundred tasks change a job each, one change after the other; each waits until its own is on disk (``synchronous=FULL``)
before it makes the next. All of it counts: the record, its event, the sums by state, the budget.

    python benchmarks/commits.py [--quick] [--json FILE]
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
from common import CLI, hand_over, quick, run, scratch

from batchedit.core.events import Declined, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Job, JobKey, Kind, Problem, Record, ResultLine
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.sqlite import SqliteCheckpoint

CHANGES = 40_000
WAITING = (1, 10, 100, 1000)


def checkpoint_of(folder: Path, jobs: int) -> SqliteCheckpoint:
    checkpoint = create_checkpoint(folder / "checkpoint.sqlite", model="m", service="s")
    intake = Intake.begin(checkpoint)
    intake.add(
        [
            ResultLine(n, f"SKU-{n}", Job(JobKey(n.to_bytes(16, "big")), "m", '{"prompt":"an ad"}', f"SKU-{n}"), n)
            for n in range(1, jobs + 1)
        ]
    )
    intake.commit("benchmark")
    checkpoint.set_cap(10**12, 0.0)
    checkpoint.earlier_cost = 40_000  # else one job at a time is under way, until its cost is told
    return checkpoint


async def change(checkpoint: SqliteCheckpoint, record: Record, times: int) -> None:
    busy = Declined(2.0, Problem(Kind.THROTTLED, "busy"), 0.0, False)
    for _ in range(times // 2):
        for event in (Reserved(1.0, 40_000), busy):
            record = await checkpoint.save(advance(record, event), event)


async def once(folder: Path, waiting: int, changes: int) -> tuple[float, float]:
    """Changes a second, and CPU-µs a change (both threads)."""
    checkpoint = checkpoint_of(folder, waiting)
    records = checkpoint.records("1")
    began, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as tasks:
        for record in records:
            tasks.start_soon(change, checkpoint, record, changes // waiting)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    checkpoint.close()
    return changes / seconds, 1e6 * cpu / changes


def main() -> None:
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for waiting in WAITING:
        for _ in range(1 if quick() else 3):
            with scratch() as folder:
                changes = min(CHANGES, 1000 * waiting) // (10 if quick() else 1)
                rate, spent = anyio.run(once, folder, waiting, changes)
                rates.setdefault(str(waiting), []).append(rate)
                cpu.setdefault(str(waiting), []).append(spent)
    with scratch() as folder:
        run(*CLI, "--help", folder=folder)
        helps = [run(*CLI, "--help", folder=folder) for _ in range(5)]
    figures: dict[str, Any] = {"a_second": rates, "cpu_us": cpu, "help": [ran.seconds for ran in helps]}
    hand_over({**figures, "help_cpu": [ran.cpu for ran in helps]})


if __name__ == "__main__":
    main()
