"""The program as a library: the same run as the command's, from Python.

    report = batchedit.run("manifests/spring.csv", prompt="an ad for {title}", out="outputs/spring")
    frame = batchedit.run(dataframe, out="outputs/frame").results

Everything heavy is imported when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.errors import StoppedError, UsageError
from .core.model import Counts, Money, State, parse_usd
from .settings.model import Settings

if TYPE_CHECKING:
    import pandas as pd

    from .commands.observers import Snapshot
    from .commands.purchase import CanaryReport
    from .planning.intake import Plan
    from .planning.survey import Stop
    from .ports import Observer
    from .results.report import Report

_MONEY = frozenset({"price", "max_cost"})


@dataclass(frozen=True)
class RunResult:
    """How a run ended. ``code`` is the command's exit code, ``folder`` where everything lies."""

    folder: Path
    report: Report
    _frame: pd.DataFrame | None = None

    @property
    def code(self) -> int:
        """0: every row is done; otherwise as the command's exit codes."""
        return self.report.code

    @property
    def ok(self) -> bool:
        """Is every row done?"""
        return self.code == 0

    @property
    def counts(self) -> Counts:
        """Jobs by state."""
        return self.report.counts

    @property
    def done(self) -> int:
        """How many pictures are on disk."""
        return self.report.counts.of(State.DONE)

    @property
    def money(self) -> Money:
        """Micro-dollars spent, reserved and in doubt."""
        return self.report.money

    @property
    def results(self) -> pd.DataFrame:
        """The enriched manifest: the given rows as they were, and the ``result_`` columns behind them."""
        from .commands.run import kept_settings  # noqa: PLC0415
        from .ledger.opening import open_checkpoint  # noqa: PLC0415 - pandas is loaded only for those who ask
        from .manifest.read import manifest_from_frame  # noqa: PLC0415
        from .planning.intake import open_source  # noqa: PLC0415
        from .results.tables import results_frame  # noqa: PLC0415
        from .run_folder import RunFolder  # noqa: PLC0415

        folder = RunFolder(self.folder)
        checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
        try:
            if self._frame is not None:
                return results_frame(manifest_from_frame(self._frame), checkpoint.outcomes())
            snapshot = folder.snapshot()
            assert snapshot is not None  # a run that ended has taken its manifest in
            manifest = open_source(snapshot, kept_settings(checkpoint, {}), snapshot.name)
            return results_frame(manifest, checkpoint.outcomes())
        finally:
            checkpoint.close()


async def arun(
    manifest: str | Path | pd.DataFrame,
    *,
    out: str | Path | None = None,
    observer: Observer | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> RunResult:
    """Buy what is missing, collect it, write the results; call it again to go on.

    ``manifest`` is a file or a DataFrame (which needs ``out``). ``options`` are the command line's, with ``_`` for
    ``-``: ``prompt``, ``map`` and ``set`` as dicts, ``sizes`` as a sequence, ``price`` and ``max_cost`` in US dollars,
    ``concurrency``, ``sandbox``, … It never asks: what is missing is bought. Bad rows raise ManifestError, a missing
    token TokenError, and so on as in ``batchedit.core.errors``; what happened to single rows is in the result.
    """
    from .commands.run import run as run_manifest  # noqa: PLC0415
    from .run_folder import folder_for  # noqa: PLC0415 - as above

    settings = _settings(options, out)
    host = _Host(observer, os.environ if environ is None else environ)
    frame: pd.DataFrame | None = None
    if isinstance(manifest, str | Path):
        source = Path(manifest)
    else:
        if out is None:
            raise UsageError("a DataFrame has no name: say where the run is to live with out=")
        frame, source = manifest, _spool(manifest, Path(out))
    report = await run_manifest(source, settings, host)
    return RunResult(folder_for(source, settings.out).path, report, frame)


def run(manifest: str | Path | pd.DataFrame, *, out: str | Path | None = None, **options: Any) -> RunResult:
    """``arun`` for a program without an event loop."""
    import anyio  # noqa: PLC0415 - as above

    return anyio.run(lambda: arun(manifest, out=out, **options))


def _settings(options: Mapping[str, Any], out: str | Path | None) -> Settings:
    known = {f.name for f in fields(Settings)}
    if wrong := sorted(set(options) - known):
        raise UsageError(f"there is no option {', '.join(wrong)}", hint=f"there are: {', '.join(sorted(known))}")
    values = dict(options)
    for name in _MONEY & values.keys():
        if values[name] is not None:
            values[name] = parse_usd(str(values[name]))
    for name in ("sizes", "fill_down", "allow_hosts"):
        if name in values:
            values[name] = tuple(values[name])
    if values.get("concurrency") == "auto":
        values["concurrency"] = 0
    return replace(Settings(**values), out=None if out is None else str(out))


def _spool(frame: pd.DataFrame, folder: Path) -> Path:
    """The frame as a JSONL manifest in the run's folder, so that the run can be taken up without it."""
    from .manifest.cells import json_text  # noqa: PLC0415 - as above
    from .manifest.read import Row, manifest_from_frame  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "frame.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in manifest_from_frame(frame).rows():
            if isinstance(row, Row):
                file.write(json_text(row.cells) + "\n")
    return path


class _Host:
    """``execution.Host`` for a program: nobody to ask, notes go to ``logging``."""

    def __init__(self, observer: Observer | None, environ: Mapping[str, str]) -> None:
        from .planning.survey import Stop  # noqa: PLC0415 - as above

        self.environ = environ
        self.stop: Stop = Stop()
        self._observer = observer

    def observers(self) -> Sequence[Observer]:
        from .commands.observers import Logging  # noqa: PLC0415 - as above

        return [Logging(), *([self._observer] if self._observer is not None else [])]

    def say(self, text: str) -> None:
        """Notes reach the observers; a program needs no sentences."""

    async def confirm(self, what: Plan) -> None:
        """Calling ``run`` is the yes."""

    async def confirm_rest(self, canary: CanaryReport) -> None:
        """As the command with ``--yes``: go on only if none of the canary failed."""
        if canary.done < canary.jobs:
            raise StoppedError(f"{canary.jobs - canary.done} of the {canary.jobs} canary pictures did not come out")

    def watch(self, total: int) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        """Nobody looks at a bar."""
        return None
