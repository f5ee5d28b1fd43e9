"""What the person reads: a plan, a report, and lists of rows with what is wrong in them. Text in, no decisions."""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from ..commands.purchase import CanaryReport
from ..commands.run import DoubtReport
from ..core.model import InvalidLine, State, format_usd
from ..planning.intake import Plan
from ..results.report import Report, next_steps

SHOWN_ROWS = 20


def number(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def plan_text(what: Plan, *, examples: bool = True) -> str:
    """The plan: what would be bought, what it would cost, what is wrong and what looks odd."""
    lines = [f"{what.source}: {number(what.rows, 'row')}, {what.model}"] if what.rows else [what.source]
    lines += [f"  {name:<16}{value}" for name, value in _facts(what)]
    if examples:
        lines += _examples(what)
    lines += [f"  note: {note}" for note in what.notes]
    lines += [f"  careful: {warning}" for warning in what.warnings]
    if what.invalid:
        lines += ["", *problem_table(what.invalid, what.invalid_rows)]
    return "\n".join(lines)


def _facts(what: Plan) -> Iterator[tuple[str, str]]:
    if what.matrix and what.rows:
        product = " × ".join(f"{count} {name}" for name, count in what.matrix)
        usable = what.rows - what.invalid_rows
        yield "matrix", f"{number(usable, 'row')} × {product} = {number(what.lines, 'picture')}"
    yield "pictures", _since_last_time(what)
    yield "to buy", number(what.to_buy, "picture")
    if what.again:
        yield "in doubt", f"{number(what.again, 'picture')} of these, bought again: --on-doubt buy-again"
    if what.twins:
        yield "twins", f"{number(what.twins, 'row')} with the same inputs as an earlier one: bought once, shown on each"
    if what.beyond:
        yield "beyond --limit", number(what.beyond, "picture")
    if what.invalid_rows:
        yield "invalid", number(what.invalid_rows, "row")
    if what.price:
        yield (
            "price",
            f"{format_usd(what.price)} a picture ({what.price_source}), {format_usd(what.estimate)} for what is new",
        )
    else:
        yield "price", "unknown (say it with --price USD to see the sum)"
    if what.max_cost is not None:
        yield "at most", f"{format_usd(what.max_cost)} (--max-cost)"
    yield "results in", f"{what.folder}/"


def _since_last_time(what: Plan) -> str:
    """``3 new, 1 edited (row 17: prompt), 996 done``."""
    parts = []
    new = what.to_buy - what.left - what.edited
    if new or not (what.left or what.edited or what.reused):
        parts.append(f"{new:,} new")
    if what.edited:
        parts.append(f"{what.edited:,} edited ({_edits(what)})" if what.edits else f"{what.edited:,} edited")
    if what.left:
        parts.append(f"{what.left:,} not bought yet")
    if done := what.reused - sum(what.others.values()):
        parts.append(f"{done:,} done")
    parts += [f"{count:,} {state.replace('_', ' ')}" for state, count in what.others.items()]
    return ", ".join(parts)


def _edits(what: Plan) -> str:
    shown = [f"row {edit.row}: {', '.join(edit.fields)}" for edit in what.edits[:5]]
    return "; ".join(shown) + ("; …" if what.edited > len(shown) else "")


def _examples(what: Plan) -> Iterator[str]:
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    for line in what.examples:
        prompt = orjson.loads(line.job.inputs).get("prompt", "")
        text = textwrap.shorten(str(prompt), width=4 * width, placeholder=" …")
        head = f"  row {line.row}: "
        yield textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head))


def problem_table(invalid: Sequence[InvalidLine], total: int) -> list[str]:
    """Row, column and what is wrong, for the first rows; and how many more there are."""
    found = [
        (f"row {line.row}", p.column, _what(p.column, p.value, p.reason)) for line in invalid for p in line.problems
    ]
    shown = found[:SHOWN_ROWS]
    wide = [max((len(row[i]) for row in shown), default=0) for i in (0, 1)]
    lines = [f"  {row:<{wide[0]}}  {column:<{wide[1]}}  {text}".rstrip() for row, column, text in shown]
    told = len({line.row for line in invalid} & {int(row[4:]) for row, _, _ in shown})
    if total > told:
        lines.append(f"  … and {number(total - told, 'more row')}")
    return lines


def _what(column: str, value: Any, reason: str) -> str:
    return f"{value!r} {reason}" if column and value not in (None, "") else reason


def report_text(report: Report, folder: object, again: str) -> str:
    """The summary after a run, and for ``status``. ``again`` is the command to type to go on."""
    counts = report.counts
    words = [f"{counts.of(State.DONE):,} done"]
    ended = (State.FAILED, State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    words += [f"{counts.of(state):,} {state.replace('_', ' ')}" for state in ended if counts.of(state)]
    under_way = counts.of(State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)
    if under_way:
        words.append(f"{under_way:,} under way")
    if counts.of(State.PLANNED):
        words.append(f"{counts.of(State.PLANNED):,} not bought yet")
    if report.invalid:
        words.append(number(report.invalid, "invalid row"))
    lines = [f"{folder}: {', '.join(words)}", f"  money     {_money(report)}"]
    if report.seconds_median is not None:
        p90 = f", nine in ten within {report.seconds_p90:g} s" if report.seconds_p90 is not None else ""
        lines.append(f"  time      {report.seconds_median:g} s a picture{p90}")
    for error in report.errors:
        rows = ", ".join(map(str, error.rows)) + (", …" if error.count > len(error.rows) else "")
        lines.append(f"  {error.count:>5,} × {error.kind}: {error.message} (row {rows})")
    if report.halted:
        lines.append(f"  stopped   {report.halted}")
    lines += [f"  → {step}" for step in next_steps(report, folder, again)]
    return "\n".join(lines)


def canary_text(canary: CanaryReport) -> str:
    """What the first few came to, and what that means for the rest."""
    lines = [f"canary: {canary.done} of {canary.jobs} done, {format_usd(canary.cost)} spent"]
    if canary.failed or canary.in_doubt:
        lines[0] += f", {canary.failed} failed, {canary.in_doubt} in doubt"
    if canary.seconds:
        middle = statistics.median(canary.seconds)
        lines.append(f"  took      {middle:.0f} s each (median), {max(canary.seconds):.0f} s at most")
        rest = canary.remaining * statistics.fmean(canary.seconds) / max(1, min(canary.at_once, canary.remaining))
        lines.append(
            f"  the rest  {number(canary.remaining, 'picture')}: about {format_usd(canary.remaining * canary.price)}"
            f" and {rest / 60:.0f} minutes"
        )
    lines += [f"  picture   {file}" for file in canary.files[:SHOWN_ROWS]]
    lines += [f"  problem   {problem}" for problem in canary.problems[:SHOWN_ROWS]]
    return "\n".join(lines)


def doubt_text(report: DoubtReport, run: str) -> str:
    """Each job in doubt: row, time, what was seen, what it may have cost; and the three ways to decide."""
    lines: list[str] = []
    for count, done in (
        (report.adopted, "adopted: the next run or fetch collects"),
        (report.released, "to be bought again by the next run"),
        (report.written_off, "written off"),
    ):
        if count:
            lines.append(f"{number(count, 'job')} {done}")
    if not report.open:
        return "\n".join([*lines, "nothing is in doubt"])
    lines.append(
        f"{number(len(report.open), 'job')} may have been bought; nobody can find out, so none is bought again"
    )
    for doubt in report.open:
        record = doubt.record
        rows = ", ".join(f"row {row} ({name})" for row, name in doubt.rows) or "no row any more"
        at = dt.datetime.fromtimestamp(record.submitted_at or 0).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        cost = format_usd(record.held) if record.held else "price unknown"
        seen = record.problem.message if record.problem else ""
        lines.append(f"  {rows}  {record.job.name}  {at}  {cost}  {seen}")
    run = shlex.quote(run)
    lines += [
        f"  → it was bought, and you found its id: batchedit doubt {run} --request-id ROW=ID",
        f"  → buy it again all the same:           batchedit doubt {run} --buy-again ROW  (or all)",
        f"  → give it up:                          batchedit doubt {run} --write-off ROW  (or all)",
    ]
    return "\n".join(lines)


def _money(report: Report) -> str:
    """All four sums, always: a missing one would be taken for nothing to worry about."""
    money = report.money
    parts = [
        f"{format_usd(money.spent)} spent",
        f"{format_usd(money.held - money.in_doubt)} reserved",
        f"{format_usd(money.in_doubt)} in doubt",
        f"{format_usd(money.cancellable)} cancellable",
    ]
    if money.cap is not None:
        parts.append(f"at most {format_usd(money.cap)}")
    return ", ".join(parts)
