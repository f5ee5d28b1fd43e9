"""``make bench``: every benchmark, one after the other, into ``RESULTS.md`` and ``makespan.png``.

    python benchmarks/run.py [--quick] [--only rows,auto] [--from FOLDER]

``--quick`` proves that all of it works and writes nothing into this folder. ``--from`` takes the figures that an
earlier run left there as ``NAME.json`` and measures only what is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import HERE, machine, quick, spread

NAMES = ("curve", "commits", "throttle", "trouble", "virtual", "auto", "makespan", "photos", "inflight", "rows")
"""In this order. ``inflight`` deletes 10,000 files, and for minutes after that ext4 looks longer for each new one."""
PYTHONS = {"virtual": os.environ.get("BATCHEDIT_TESTS_PYTHON", sys.executable)}
"""The scenarios in virtual time are those of the tests, and need what tests need: trio and Hypothesis."""
Found = dict[str, Any]


def measure(name: str, kept: Path) -> Found:
    """A benchmark's figures: those in ``kept``, or from a process of its own."""
    there = kept / f"{name}.json"
    if not there.exists():
        began = time.monotonic()
        script = HERE / ("plot.py" if name == "curve" else f"{name}.py")
        extra = ["--quick"] if quick() else []
        subprocess.run([PYTHONS.get(name, sys.executable), script, "--json", there, *extra], check=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    figures: Found = json.loads(there.read_text(encoding="utf-8"))
    return figures


# --- the targets ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """``values`` are the repetitions; hit if their median is at most (or, with ``least``, at least) ``limit``."""

    what: str
    limit: float
    values: Sequence[float]
    digits: int = 2
    least: bool = False
    note: str = ""

    @property
    def hit(self) -> bool:
        value = round(median(self.values), self.digits)
        return value >= self.limit if self.least else value <= self.limit

    def line(self) -> str:
        sign = "≥" if self.least else "≤"
        verdict = "hit" if self.hit else "**miss**"
        return (
            f"| {self.what} | {sign} {self.limit:,g} | {spread(self.values, self.digits)} | {verdict} | {self.note} |"
        )


def targets(figures: Found) -> list[Target]:
    return [
        *_makespan_targets(figures),
        *_auto_targets(figures["auto"]),
        *_other_targets(figures),
        *_photo_targets(figures["photos"]["rows"]),
        *_trouble_targets(figures["trouble"]["rows"]),
        *_virtual_targets(figures["virtual"]["rows"]),
        *_row_targets(figures["rows"]),
    ]


def _of(rows: Sequence[Found], client: str, figure: str) -> list[float]:
    return [row[figure] for row in rows if row["client"] == client]


def curve_at(curve: Sequence[Found], gets: float) -> float:
    """Makespan ÷ perfect of the limit curve: distribution known, no network, no CPU; the mean over seeds."""
    from inspection_curve import at  # noqa: PLC0415 - only the writer of the report needs it

    points = [row for row in curve if row["mix"].startswith("4 s, sigma 0.5, 500") and row["schedule"] == "known"]
    ratio = at(points, gets)
    return ratio if ratio is not None else min(points, key=lambda row: abs(row["gets"] - gets))["ratio"]


def _makespan_targets(figures: Found) -> list[Target]:
    rows, first, second = figures["makespan"]["rows"], "batchedit, first run", "batchedit, second run"
    over = [row["ratio"] - curve_at(figures["curve"]["rows"], row["gets"]) for row in rows if row["client"] == second]
    return [
        Target("makespan ÷ perfect, learning from nothing", 1.08, _of(rows, first, "ratio"), 3),
        Target("GETs a job, the same run", 6, _of(rows, first, "gets")),
        Target("second run over new rows: above the known distribution's curve", 0.02, over, 3),
        Target("CPU-ms a job, start-up and checkpoint included", 10, _of(rows, first, "cpu_ms"), 1),
    ]


def _auto_targets(figures: Found) -> list[Target]:
    def all_(name: str) -> list[float]:
        return [row[name] for row in figures["rows"]]

    return [
        Target("`-j auto`, 40 slots: of what 40 busy slots could do", 0.95, all_("busy"), 3, least=True),
        Target("GETs a job, the same run", 4, all_("gets")),
        Target("longest remote queue after settling", 16, all_("queue_settled"), 0),
    ]


def _other_targets(figures: Found) -> list[Target]:
    throttle, flight, commits = figures["throttle"]["rows"], figures["inflight"]["rows"], figures["commits"]
    return [
        Target("200 jobs against 20 POST/s, burst 5: ÷ floor", 1.2, [row["ratio"] for row in throttle]),
        Target("answers 429, the same run", 20, [row["refused"] for row in throttle], 0),
        *(
            Target(
                f"5,000 in flight, jobs of `--latency {row['latency']}`: ÷ perfect",
                1.3,
                [row["ratio"]],
                note="5,000 pictures at once, all at the end" if row["latency"] == "60" else "",
            )
            for row in flight
        ),
        Target("5,000 in flight: MB", 400, [row["peak"] for row in flight], 0),
        Target("durable changes a second, 100 waiting", 20_000, commits["a_second"]["100"], 0, least=True),
        Target("`--help`, seconds", 0.3, commits["help"]),
    ]


def _photo_targets(rows: Sequence[Found]) -> list[Target]:
    return [
        Target(f"CPU-ms a job beyond one decode of its picture: {name}", 15, values, digits=1)
        for name in dict.fromkeys(row["picture"] for row in rows)
        if (values := [row["beyond_ms"] for row in rows if row["picture"] == name])
    ]


def photo_table(rows: Sequence[Found]) -> list[str]:
    """One line a picture, the median and range of its runs."""
    lines = [
        "| picture | MB | CPU-ms a job | one decode, ms | beyond | a bare script, beyond | peak, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["picture"] for row in rows):
        mine = [row for row in rows if row["picture"] == name]
        figures = [
            spread([row[key] for row in mine], 1) for key in ("cpu_ms", "decode_ms", "beyond_ms", "bare_ms", "peak")
        ]
        lines.append(f"| {name} | {mine[0]['bytes'] / 1e6:.1f} | {' | '.join(figures)} |")
    return lines


def _trouble_targets(rows: Sequence[Found]) -> list[Target]:
    names = dict.fromkeys(row["row"] for row in rows if row["most"] is not None)
    mine = {name: [row for row in rows if row["row"] == name] for name in names}
    return [
        Target(f"trouble: {name}", median(row["most"] for row in some), [row["value"] for row in some])
        for name, some in mine.items()
    ]


def _virtual_targets(rows: Sequence[Found]) -> list[Target]:
    """How far the worst seed of each row is from what it may be at most."""
    virtual_targets = []
    for row in rows:
        beyond = [value - most for value, most in zip(row["values"], row["most"], strict=True)]
        most, spread_text = max(row["most"]), spread(row["values"])
        what = f"virtual time, {row['row']}: {row['what']}, {len(beyond)} seeds, beyond {most:.2f}"
        virtual_targets.append(Target(what, 0, [max(beyond)], note=f"worst of {spread_text}"))
    return virtual_targets


def per_row(rows: Found, step: str, size: Found) -> float:
    """CPU µs a row beyond the start-up."""
    start = rows["sizes"][0]["steps"][step]["cpu"]
    return 1e6 * (size["steps"][step]["cpu"] - start) / size["rows"]


def _row_targets(rows: Found) -> list[Target]:
    size = rows["sizes"][-1]
    steps = size["steps"]

    def row(what: str, limit: float, step: str) -> Target:
        return Target(what, limit, [per_row(rows, step, size)], 1)

    return [
        row("`plan`, µs a row", 15, "plan"),
        Target("`plan`, MB resident", 250, [steps["plan"]["peak"]], 0),
        row("first intake, µs a row", 25, "intake"),
        Target("re-run, nothing to do, manifest unchanged: CPU seconds", 3, [steps["unchanged"]["cpu"]]),
        row("intake of an edited manifest over a finished run, µs a row", 15, "edited"),
        row("`results` in CSV, µs a row", 15, "results csv"),
        row("`results` in JSONL, µs a row", 12, "results jsonl"),
        Target("`status`, CPU seconds", 1, [steps["status"]["cpu"]]),
        Target("checkpoint, bytes a row beyond the payload", 400, [size["beyond_payload"]], 0),
        Target("`run --limit 500` of a million buys", 500, [rows["limit"]["bought"]], 0),
    ]


# --- the report -----------------------------------------------------------------------------------


def makespan_table(figures: Found) -> list[str]:
    rows = figures["makespan"]["rows"]
    lines = ["| client | × perfect | GETs a job | CPU-ms a job | peak MB |", "| --- | --- | --- | --- | --- |"]
    for client in dict.fromkeys(row["client"] for row in rows):
        cells = [spread(_of(rows, client, name), digits) for name, digits in
                 (("ratio", 3), ("gets", 1), ("cpu_ms", 1), ("peak", 0))]  # fmt: skip
        lines.append(f"| {client} | {' | '.join(cells)} |")
    return lines


def rows_table(rows: Found) -> list[str]:
    start, *sizes = rows["sizes"]
    head = " | ".join(f"{size['rows']:,} rows: µs a row, MB" for size in sizes)
    lines = [f"| step | start-up, CPU s | {head} |", "| --- " * (2 + len(sizes)) + "|"]
    for step in start["steps"]:
        cells = [f"{per_row(rows, step, size):.1f}, {size['steps'][step]['peak']:.0f}" for size in sizes]
        lines.append(f"| {step} | {start['steps'][step]['cpu']:.2f} | {' | '.join(cells)} |")
    bytes_ = " | ".join(f"{size['beyond_payload']:.0f}; {size['done_bytes']:.0f}" for size in sizes)
    return [*lines, f"| checkpoint, bytes a row: beyond the payload after the intake; in all when done |  | {bytes_} |"]


def small_tables(figures: Found) -> list[str]:
    lines = ["| waiting | durable changes a second |", "| --- | --- |"]
    lines += [f"| {waiting} | {spread(rates, 0)} |" for waiting, rates in figures["commits"]["a_second"].items()]
    cpu = figures["commits"].get("cpu_us", {}).get("100")
    lines += ["", f"CPU-µs a change with 100 waiting: {spread(cpu, 0)}."] if cpu else []
    lines += [
        "",
        "| 5,000 in flight | perfect, s | × perfect | last one bought after, s | GETs a job | MB | CPU-ms a job |",
    ]
    lines += ["| --- " * 7 + "|"]
    for row in figures["inflight"]["rows"]:
        lines.append(
            f"| {row['latency']} | {row['floor']:.0f} | {row['ratio']:.2f} | {row['bought_in']:.0f} "
            f"| {row['gets']:.1f} | {row['peak']:.0f} | {row['cpu_ms']:.1f} |"
        )
    lines += ["", "| `-j auto`, seed | makespan | served by the service | settled | queue ever | GETs | CPU-ms |"]
    lines += ["| --- " * 7 + "|"]
    for row in figures["auto"]["rows"]:
        lines.append(
            f"| {row['seed']} | {row['busy']:.3f} | {row['busy_served']:.3f} | {row['busy_settled']:.3f} "
            f"| {row['queue_ever']} | {row['gets']:.2f} | {row['cpu_ms']:.1f} |"
        )
    throttled = figures["throttle"]["told"][0]
    lines += ["", f"With `--rate 20/s`: {throttled['ratio']:.2f} × floor, {throttled['refused']} answers 429."]
    return lines


def report(figures: Found, about: Sequence[str], curves: str) -> str:
    log = HERE / "LOG.md"
    table = ["| what | to reach | measured: median (least to most) | | |", "| --- | --- | --- | --- | --- |"]
    sections: list[tuple[str, Sequence[str]]] = [
        ("Targets", [*table, *(target.line() for target in targets(figures))]),
        (f"Makespan, calls and CPU: {figures['makespan']['jobs']} jobs of 4 s, 50 at a time", makespan_table(figures)),
        ("CPU a job, by its picture", photo_table(figures["photos"]["rows"])),
        ("The curve", ["![makespan against calls a job](makespan.png)", "", *curves.splitlines()]),
        ("Rows", rows_table(figures["rows"])),
        ("The rest", small_tables(figures)),
        (
            "How these figures came about, what was tried, what holds back a miss",
            log.read_text(encoding="utf-8").splitlines(),
        ),
    ]
    how = "Written by `make bench`; see the scripts for how each figure is taken."
    if "--from" in sys.argv:
        how = "Put together by `run.py --from` of figures taken at different times: the last section says which."
    lines = ["# Results", "", how, ""]
    lines += [*(f"- {line}" for line in about), ""]
    for title, body in sections:
        lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines)


def main() -> None:
    arguments = sys.argv[1:]
    about = machine()
    if "--from" in arguments:
        about.pop()  # the load of this moment says nothing of that one
    only = arguments[arguments.index("--only") + 1].split(",") if "--only" in arguments else NAMES
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(arguments[arguments.index("--from") + 1]) if "--from" in arguments else Path(temporary)
        figures = {name: measure(name, kept) for name in NAMES if name in only}
    if set(only) < set(NAMES) or quick():
        print(json.dumps(figures, indent=1))
        return
    from plot import curve_tables, draw  # noqa: PLC0415 - matplotlib, and a parent that forks must be small

    draw(figures["curve"]["rows"], figures["makespan"]["rows"], HERE / "makespan.png")
    (HERE / "RESULTS.md").write_text(report(figures, about, curve_tables(figures["curve"]["rows"])), encoding="utf-8")
    for target in targets(figures):
        print(target.line())


if __name__ == "__main__":
    main()
