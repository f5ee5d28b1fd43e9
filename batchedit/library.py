"""The library: the same runs as those of the command line, from Python.

    result = batchedit.run("manifests/spring.csv", prompt="an ad for {title}", out="outputs/spring")
    frame = batchedit.run(dataframe, out="outputs/frame").results

Heavy modules are imported when they are used. Money is ``Decimal`` US dollars throughout.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from .core.errors import UsageError
from .core.model import Counts, State
from .core.money import to_decimal_usd
from .settings.model import Settings
from .settings.program import Options, settings_from_options

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pandas as pd

    from .commands.quote_to_confirm import Quote
    from .core.model import Money
    from .core.steps import ProgressCallback
    from .planning.plan import Plan
    from .ports import Observer, Snapshot, Stop
    from .results.report import Report


@dataclass(frozen=True, slots=True)
class RunMoney:
    """US dollars. ``max_cost`` is the cap that the run has, None without one."""

    spent: Decimal
    reserved: Decimal
    in_doubt: Decimal
    max_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, given to ``on_progress`` about once a second. Counts are pictures.

    ``seconds_left`` is the median of the estimate, None before there is one. ``waits_for`` says why nothing is bought at the
    moment, ``slowed`` what the service limits the run to; both are "" otherwise.
    """

    total: int
    done: int
    under_way: int
    failed: int
    in_doubt: int
    money: RunMoney
    seconds_left: float | None
    waits_for: str
    slowed: str


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What ``run`` would do. ``problems`` are (row, id, column, what is wrong); rows have the sheet's own numbers.

    ``price`` is one picture's, ``estimate`` that of all ``to_buy``; both are 0 where the price is unknown. ``balance`` is the
    account's, None where the service does not report it.
    """

    folder: Path
    rows: int
    to_buy: int
    reused: int
    invalid_rows: int
    problems: tuple[tuple[int, str, str, str], ...]
    price: Decimal
    price_source: str
    estimate: Decimal
    max_cost: Decimal | None
    balance: Decimal | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RunResult:
    """How a run stands or ended. ``code`` is the command's exit code, ``folder`` where everything lies."""

    folder: Path
    _report: Report
    _frame: pd.DataFrame | None = None

    @property
    def code(self) -> int:
        """0: every row is done; otherwise as the command's exit codes."""
        return self._report.code

    @property
    def ok(self) -> bool:
        """Is every row done?"""
        return self.code == 0

    @property
    def counts(self) -> Counts:
        """Jobs by state."""
        return self._report.counts

    @property
    def done(self) -> int:
        """How many pictures are on disk."""
        return self._report.counts.of(State.DONE)

    @property
    def money(self) -> RunMoney:
        """US dollars spent, reserved and in doubt."""
        return _to_run_money(self._report.money)

    @property
    def play_money(self) -> bool:
        """Was nothing really bought, since a sandbox of this person's stood in for the service?"""
        return self._report.play

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a results file can't hold, and which files are missing; each is a sentence."""
        return self._report.warnings

    @property
    def results(self) -> pd.DataFrame:
        """The enriched manifest: the given rows as they were, and the ``result_`` columns after them."""
        from .commands.kept_settings import load_kept_settings  # noqa: PLC0415
        from .commands.play_money import is_play  # noqa: PLC0415
        from .ledger.opening import open_for_reading  # noqa: PLC0415 - pandas is loaded only for those who ask
        from .manifest.read import manifest_from_frame  # noqa: PLC0415
        from .results.files import read_outcomes  # noqa: PLC0415
        from .results.tables import build_results_frame  # noqa: PLC0415
        from .run_folder import RunFolder, open_snapshot  # noqa: PLC0415

        folder = RunFolder(self.folder)
        with open_for_reading(folder.checkpoint) as checkpoint:
            outcomes = read_outcomes(checkpoint, play=is_play(checkpoint))
            if self._frame is not None:
                return build_results_frame(manifest_from_frame(self._frame), outcomes)
            manifest = open_snapshot(checkpoint, folder, load_kept_settings(checkpoint, folder, {}))
            return build_results_frame(manifest, outcomes)


async def arun(
    manifest: str | Path | pd.DataFrame,
    *,
    out: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    observer: Observer | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> RunResult:
    """Buy what is missing, collect it, write the results; call it again to go on.

    ``manifest`` is a file or a DataFrame (which needs ``out``). ``options`` are those of ``Options``. ``price`` and
    ``max_cost`` are US dollars; ``max_cost="none"`` lifts the cap that the run has. It never asks: what is missing is bought.
    Bad rows raise ManifestError, a missing token TokenError, and so on as in ``batchedit.core.errors``; what happened to
    single rows is in the result. ``on_progress`` is called about once a second; ``observer`` sees each event of each job,
    and notes.
    """
    from .commands.run import run as run_manifest  # noqa: PLC0415
    from .commands.trust import keep_typed  # noqa: PLC0415 - as above

    settings = _build_settings(options, out)
    host = _Host(observer, os.environ if environ is None else environ, on_progress)
    if warning := keep_typed(host.environ, options.get("base_url"), settings.allow_hosts):
        host.warn(warning.removeprefix("warning: "))
    frame: pd.DataFrame | None = None
    if isinstance(manifest, str | Path):
        source = Path(manifest)
    else:
        frame, source = manifest, _spool(manifest, _require_out_folder(out))
        for warning in _describe_odd_column_names(frame.columns):
            host.warn(warning)
    report = await run_manifest(source, settings, host)
    return RunResult(report.folder, report, frame)


def run(
    manifest: str | Path | pd.DataFrame,
    *,
    out: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    observer: Observer | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> RunResult:
    """``arun`` for a program without an event loop. UsageError where one is running already."""
    import anyio  # noqa: PLC0415 - as above

    _refuse_in_a_loop("arun")
    return anyio.run(
        lambda: arun(manifest, out=out, on_progress=on_progress, observer=observer, environ=environ, **options)
    )


async def aplan(
    manifest: str | Path | pd.DataFrame,
    *,
    out: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> PlanResult:
    """What ``run`` would do with ``manifest``, and what it costs. It buys nothing. Errors as of ``arun``."""
    from .commands.plan import plan as plan_manifest  # noqa: PLC0415 - as above

    settings = _build_settings(options, out)
    host = _Host(None, os.environ if environ is None else environ, None)
    if isinstance(manifest, str | Path):
        return _to_plan_result(await plan_manifest(Path(manifest), settings, host))
    folder = _require_out_folder(out)
    with TemporaryDirectory(prefix="batchedit-") as scratch:
        source = _spool(manifest, Path(scratch))
        settings = replace(settings, image_root=(*settings.image_root, str(folder)))  # where ``run`` would put it
        return _to_plan_result(await plan_manifest(source, settings, host))


def plan(
    manifest: str | Path | pd.DataFrame,
    *,
    out: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> PlanResult:
    """``aplan`` for a program without an event loop. UsageError where one is running already."""
    import anyio  # noqa: PLC0415 - as above

    _refuse_in_a_loop("aplan")
    return anyio.run(lambda: aplan(manifest, out=out, environ=environ, **options))


def status(run: str | Path) -> RunResult:
    """How the run stands whose folder, name or sheet ``run`` is; also while it goes on. NotFoundError if there is none."""
    from .commands.status import status as read_status  # noqa: PLC0415 - as above

    folder, report = read_status(str(run), {})
    return RunResult(folder.path, report)


def _refuse_in_a_loop(instead: str) -> None:
    import asyncio  # noqa: PLC0415 - as above

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "an event loop is running here already, as in a notebook", hint=f"await batchedit.{instead}(…) instead"
    )


def _to_run_money(money: Money) -> RunMoney:
    cap = None if money.cap is None else to_decimal_usd(money.cap)
    return RunMoney(to_decimal_usd(money.spent), to_decimal_usd(money.reserved), to_decimal_usd(money.in_doubt), cap)


def _to_progress(total: int, snapshot: Snapshot) -> Progress:
    return Progress(
        total=total,
        done=snapshot.counts.of(State.DONE),
        under_way=snapshot.counts.of(State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED),
        failed=snapshot.counts.of(State.FAILED, State.CANCELLED),
        in_doubt=snapshot.counts.of(State.IN_DOUBT),
        money=_to_run_money(snapshot.money),
        seconds_left=snapshot.eta[0] if snapshot.eta else None,
        waits_for=snapshot.paused,
        slowed=str(snapshot.slowed) if snapshot.slowed else "",
    )


def _to_plan_result(plan: Plan) -> PlanResult:
    return PlanResult(
        folder=plan.folder,
        rows=plan.rows,
        to_buy=plan.to_buy,
        reused=plan.reused,
        invalid_rows=plan.invalid_rows,
        problems=tuple(
            (line.row, line.id, problem.column, problem.reason) for line in plan.invalid for problem in line.problems
        ),
        price=to_decimal_usd(plan.price),
        price_source=plan.price_source,
        estimate=to_decimal_usd(plan.estimate),
        max_cost=None if plan.max_cost is None else to_decimal_usd(plan.max_cost),
        balance=None if plan.balance is None else to_decimal_usd(plan.balance),
        warnings=plan.every_warning,
        notes=tuple(plan.notes),
    )


def _build_settings(options: Mapping[str, Any], out: str | Path | None) -> Settings:
    from .commands.wiring import make_purchase_limits  # noqa: PLC0415 - as above

    settings = replace(settings_from_options(options), out=None if out is None else str(out))
    make_purchase_limits(settings)
    return settings


def _describe_odd_column_names(columns: Iterable[object]) -> Iterator[str]:
    """A warning if some column names are not text, such as a year or a date: options, prompts and files need text."""
    odd_columns = [column for column in columns if not isinstance(column, str)]
    if odd_columns:
        examples = ", ".join(repr(str(column)) for column in odd_columns[:5]) + (", …" if len(odd_columns) > 5 else "")
        subject = (
            "a column has a name that is"
            if len(odd_columns) == 1
            else f"{len(odd_columns):,} columns have names that are"
        )
        yield f"{subject} no text; in prompts, options and files it reads {examples}, and the frame of the results keeps it"


def _require_out_folder(out: str | Path | None) -> Path:
    if out is None:
        raise UsageError("a DataFrame has no name: say where the run is to live with out=")
    return Path(out)


def _spool(frame: pd.DataFrame, folder: Path) -> Path:
    """The frame as a JSONL manifest in the run's folder, so that the run can be taken up without it."""
    from .disk import replace_atomically  # noqa: PLC0415 - as above
    from .manifest.cells import to_json_text  # noqa: PLC0415
    from .manifest.read import Row, manifest_from_frame  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "frame.jsonl"
    with replace_atomically(path) as part, part.open("w", encoding="utf-8") as file:
        next_line = 1
        for row in manifest_from_frame(frame).rows():
            if isinstance(row, Row):
                # an empty row keeps its line, or the rows after it would get its number
                file.write("\n" * (row.number - next_line))
                file.write(to_json_text(row.cells) + "\n")
                next_line = row.number + 1
    return path


class _Host:
    """``commands.host.Host`` for a program: it asks nothing, and notes go to ``logging``."""

    def __init__(
        self, observer: Observer | None, environ: Mapping[str, str], on_progress: Callable[[Progress], None] | None
    ) -> None:
        from .ports import Stop  # noqa: PLC0415 - as above

        self.environ = environ
        self.stop: Stop = Stop()
        self._observer = observer
        self._warned: set[str] = set()
        self._on_progress = on_progress

    def observers(self) -> Sequence[Observer]:
        from .commands.observers import Logging  # noqa: PLC0415 - as above

        return [Logging(), *([self._observer] if self._observer is not None else [])]

    def say(self, text: str) -> None:
        """Print nothing: notes reach the observers."""

    def warn(self, text: str) -> None:
        """To ``logging``, each text once."""
        if text not in self._warned:
            self._warned.add(text)
            logging.getLogger("batchedit").warning("%s", text)

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """No steps: ``on_progress`` gets the pool's progress only."""
        from .core.steps import no_steps  # noqa: PLC0415 - as above

        return no_steps(what)

    async def confirm(self, quote: Quote) -> None:
        """Calling ``run`` confirms the purchase, as ``--yes`` does, unless something turned out worse than it was quoted."""
        from .commands.quote_to_confirm import find_objection  # noqa: PLC0415 - as above

        if (error := find_objection(quote)) is not None:
            raise error

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        """An error in the caller's function ends the calls of it, not the purchase of what is under way."""
        on_progress = self._on_progress
        if on_progress is None:
            return None
        has_failed = False

        def report_progress(snapshot: Snapshot) -> None:
            nonlocal has_failed
            try:
                if not has_failed:
                    on_progress(_to_progress(total, snapshot))
            except Exception:
                has_failed = True
                logging.getLogger("batchedit").exception("on_progress failed; it is not called again")

        return report_progress
