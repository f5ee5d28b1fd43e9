"""The limit curve as figures, and the picture: makespan against calls a job.

python benchmarks/plot.py [--quick] [--json FILE]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import hand_over, quick
from inspection_curve import markdown, run

Rows = Sequence[dict[str, Any]]
INK, SOFT, BLUE, RED = "#222222", "#999999", "#1f6fb4", "#c8442e"
PANELS = (("4 s, sigma 0.5", "4 s jobs, log-normal σ 0.5"), ("30 s", "30 s jobs, log-normal σ 0.5"),
          ("5 s and 60 s", "half 5 s, half 60 s"))  # fmt: skip


def draw(curve: Rows, measured: Rows, path: Path) -> None:
    """Three panels: 4 s jobs with what was measured over HTTP, 30 s and the two-moded mix in virtual time."""
    import matplotlib as mpl  # noqa: PLC0415 - only here

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, 3, figsize=(15, 5), sharey=True)
    for panel, (mix, title) in zip(panels, PANELS, strict=True):
        _curves(panel, _longest([row for row in curve if row["mix"].startswith(mix)]))
        panel.set_title(title, fontsize=11, color=INK, loc="left")
        panel.set_xlabel("GETs a job")
        panel.set_xlim(1.5, 20)
        panel.set_ylim(1.0, 1.35)
        panel.grid(visible=True, color="#eeeeee")
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    _measured(panels[0], measured)
    panels[0].set_ylabel("makespan ÷ perfect list schedule")
    for panel in panels:
        panel.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _longest(rows: Rows) -> Rows:
    """Where a distribution was drawn with two counts of jobs, that which was also measured: 500, or the only one."""
    counts = {row["jobs"] for row in rows}
    return [row for row in rows if row["jobs"] == (500 if 500 in counts else max(counts))]


def _curves(panel: Any, rows: Rows) -> None:
    styles = (
        ("known", "the limit: distribution known", INK, "-"),
        ("learned, second run", "ours in virtual time, second run", BLUE, "-"),
        ("learned, from nothing", "ours in virtual time, from nothing", BLUE, ":"),
        ("fixed", "fixed intervals", SOFT, "--"),
    )
    for schedule, label, colour, style in styles:
        points = sorted((row["gets"], row["ratio"]) for row in rows if row["schedule"] == schedule)
        if points:
            panel.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.6)


def _measured(panel: Any, rows: Rows) -> None:
    points = []
    for client in dict.fromkeys(row["client"] for row in rows):
        mine = [row for row in rows if row["client"] == client]
        points.append((*(median(row[name] for row in mine) for name in ("ratio", "gets")), client))
    points.sort(reverse=True)  # so that of two neighbours the upper one's name stands above
    for place, (ratio, gets, client) in enumerate(points):
        ours = client.startswith("batchedit")
        panel.plot(gets, ratio, "o" if ours else "s", color=BLUE if ours else RED, markersize=8)
        panel.annotate(
            client.replace("_", " + "),
            (gets, ratio),
            textcoords="offset points",
            xytext=(9, -13 if place % 2 else 7),
            fontsize=8,
        )


def curve_tables(rows: Rows) -> str:
    """The tables of ``inspection_curve``, one heading deeper."""
    return re.sub(r"^### ", "#### ", markdown(rows), flags=re.MULTILINE).strip()


if __name__ == "__main__":
    hand_over({"rows": run(quick())})
