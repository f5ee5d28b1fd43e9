"""What the person reads: a plan, a report, and lists of rows with what is wrong in them. Text in, no decisions."""

from __future__ import annotations

import datetime as dt
import shutil
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from ..commands.canary import CanaryReport
from ..commands.doubt import DoubtReport
from ..commands.doubts import Doubt
from ..commands.quote import Quote
from ..commands.runs import RUNNING, Listed
from ..core.model import InvalidLine, State
from ..core.money import format_usd, label_play, label_sums, sums
from ..core.typed import to_type
from ..core.visible import as_lines, one_line
from ..core.words import minutes, number
from ..manifest.rownames import named_row
from ..planning.other_runs import left_lines, reused_lines
from ..planning.plan import Plan
from ..results.report import UNDER_WAY, Report, next_steps
from ..run_folder import near

SHOWN_ROWS = 20
"""Behind every sum of a run whose service is the sandbox."""


def plan_text(what: Plan, *, examples: bool = True) -> str:
    """The plan: what would be bought, what it would cost, what is wrong and what looks odd."""
    lines = [f"{what.source}: {number(what.rows, 'row')}, {what.model}"] if what.rows else [what.source]
    lines += [f"  {name:<16}{value}" for name, value in _facts(what)]
    if examples:
        lines += _examples(what)
    lines += [f"  note: {note}" for note in what.notes]
    lines += [f"  warning: {warning}" for warning in what.every_warning]
    if what.invalid:
        lines += ["", *problem_table(what.invalid, what.invalid_rows, what.row_word)]
    return as_lines(lines)


def _facts(what: Plan) -> Iterator[tuple[str, str]]:
    usable = what.rows - what.invalid_rows - sum(what.left_out.values())
    if what.matrix and usable:
        product = " × ".join(f"{count} {name}" for name, count in what.matrix)
        yield "matrix", f"{number(usable, 'row')} × {product} = {number(what.lines, 'picture')}"
    if not what.parts and (pictures := _since_last_time(what)):
        yield "pictures", pictures
    yield from (("reused", line) for line in reused_lines(what.other_runs))
    yield from (("not bought", line) for line in left_lines(what.other_runs.left))
    made_from = f"from {number(what.inputs, 'picture')} of the sheet: " if what.inputs else ""
    yield "to buy", (made_from + _bought(what.to_buy, what) if what.to_buy else "nothing") + _parts(what)
    if what.again:
        yield "in doubt", f"{number(what.again, 'picture')} of these, bought again: --on-doubt buy-again"
    if what.twins:
        yield "twins", f"{number(what.twins, 'row')} with the same inputs as an earlier one: bought once, shown on each"
    if what.beyond:
        yield "beyond --limit", number(what.beyond, "picture")
    if what.left_out:
        told = "; ".join(f"{number(count, 'row')}: {why.removeprefix('is ')}" for why, count in what.left_out.items())
        yield "left out", told
    if what.invalid_rows:
        yield "invalid", number(what.invalid_rows, "row")
    if what.to_buy:
        yield "price", _price(what)
    if cap := _cap(what):
        yield "at most", cap
    yield "results in", f"{what.folder}/"


def _price(what: Plan) -> str:
    play = label_play(what.play)
    if what.price:
        each = f"{format_usd(what.price)} {_priced_unit(what)} ({what.price_source})"
        return f"{each}, {format_usd(what.estimate)} for what is new{play}"
    if what.other_price:
        return f"{what.other_price}{play} (the catalogue); what a picture costs is unknown: --price USD shows the sum"
    return "unknown: no catalogue names it; --price USD shows the sum"


def _priced_unit(what: Plan) -> str:
    return "a picture" if what.outputs == 1 else f"a job of up to {number(what.outputs, 'picture')}"


def _parts(what: Plan) -> str:
    """``: 5 failed, 2 moderated; 1 written off not included``."""
    parts = ", ".join(f"{count:,} {name}" for name, count in what.parts if count)
    left_out = ", ".join(f"{count:,} {name}" for name, count in what.not_meant if count)
    return "".join((f": {parts}" if parts else "", f"; {left_out} not included" if left_out else ""))


def _cap(what: Plan) -> str:
    """The cap after a yes, and the one before if it is another; empty where there is none and was none."""
    given, before = what.max_cost_given is not None, what.max_cost_before
    was = f"; it was {format_usd(before)}" if before is not None and before != what.max_cost else ""
    if what.max_cost is None:
        return f"no limit (--max-cost none{was})" if was else ""
    kept = f"this run's --max-cost {format_usd(what.max_cost)[1:]}; --max-cost none lifts it"
    return f"{format_usd(what.max_cost)} ({f'--max-cost{was}' if given else kept}){label_play(what.play)}"


def _since_last_time(what: Plan) -> str:
    """``3 new, 1 edited (row 17: prompt), 996 done``."""
    parts = []
    new = what.to_buy - what.left - what.edited
    if new:
        parts.append(f"{new:,} new")
    if what.edited:
        parts.append(f"{what.edited:,} edited ({_edits(what)})" if what.edits else f"{what.edited:,} edited")
    if what.left:
        parts.append(f"{what.left:,} not bought yet")
    if done := what.reused - sum(what.others.values()):
        parts.append(f"{done:,} done")
    parts += [f"{count:,} {state.replace('_', ' ')}" for state, count in what.others.items()]
    if reused := what.other_runs.done.total():
        parts.append(f"{reused:,} of other runs")
    if left := what.other_runs.left.total():
        parts.append(f"{left:,} left to other runs")
    return ", ".join(parts)


def _edits(what: Plan) -> str:
    shown = [f"{named_row(what.row_word, edit.row, edit.id)}: {', '.join(edit.fields)}" for edit in what.edits[:5]]
    return "; ".join(shown) + ("; …" if what.edited > len(shown) else "")


def quote_text(quote: Quote) -> str:
    """What stands above a question: the plan for the first one, then what has become of the last answer, or of the canary of
    an earlier command.
    """
    if quote.canary is not None:
        tested = canary_text(quote.canary, quote.what.folder, play=quote.what.play)
        return tested if quote.price_before else f"{plan_text(quote.what)}\n{tested}"
    if quote.rose:
        now, before = format_usd(quote.price), format_usd(quote.price_before)
        return f"a picture was charged {now}, not {before} as it was quoted{label_play(quote.what.play)}"
    return plan_text(quote.what)


def _bought(count: int, what: Plan) -> str:
    if what.outputs == 1:
        return number(count, "picture")
    return f"{number(count, 'job')} of up to {number(what.outputs, 'picture')} each"


def question(quote: Quote) -> str:
    """The question itself. It names everything that a yes allows, until the next question."""
    play = label_play(quote.what.play)
    price = f" for about {format_usd(quote.estimate)}{play}" if quote.price else ""
    what = _bought(quote.count, quote.what)
    if quote.rest:
        what = f"{quote.count:,} first"
    elif quote.price_before:
        what = f"the other {quote.count:,}"
    words = [f"Buy {what}{price}?"]
    if quote.rest:
        words.append(f"You are asked again before the other {quote.rest:,}.")
    if quote.times > 1:
        most = f" and {format_usd(quote.at_most * quote.price)}{play}" if quote.price else ""
        words.append(f"Where an answer is lost it is bought once more: at most {quote.at_most:,} purchases{most}.")
    return " ".join(words)


def _examples(what: Plan) -> Iterator[str]:
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    for line in what.examples:
        prompt = orjson.loads(line.job.inputs).get("prompt", "")
        text = textwrap.shorten(one_line(" ".join(str(prompt).split())), width=4 * width, placeholder=" …")
        head = f"  {named_row(what.row_word, line.row, line.id)}: "
        yield from textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * len(head))


def problem_table(invalid: Sequence[InvalidLine], total: int, word: str = "row") -> list[str]:
    """Row, column and what is wrong, for the first rows; and how many more there are."""
    found = [
        (line.row, named_row(word, line.row, line.id), p.column, _what(p.column, p.value, p.reason))
        for line in invalid
        for p in line.problems
    ]
    shown = [cells for _, *cells in found[:SHOWN_ROWS]]
    wide = [max((len(row[i]) for row in shown), default=0) for i in (0, 1)]
    lines = [f"  {row:<{wide[0]}}  {column:<{wide[1]}}  {text}".rstrip() for row, column, text in shown]
    told = len({row for row, *_ in found[:SHOWN_ROWS]})
    if total > told:
        lines.append(f"  … and {number(total - told, 'more row')}")
    return lines


def _what(column: str, value: Any, reason: str) -> str:
    return f"{value!r} {reason}" if column and value not in (None, "") else reason


def report_text(report: Report, *, going: bool = False) -> str:
    """The summary after a run, and for ``status``. ``going``: a process works on it, so there is nothing to type."""
    counts = report.counts
    words = [f"{counts.of(State.DONE):,} done"]
    failed = counts.of(State.FAILED) - report.moderated - report.written_off
    ended = [(failed, "failed"), (report.moderated, "moderated"), (report.written_off, "written off")]
    other = (State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    ended += [(counts.of(state), state.replace("_", " ")) for state in other]
    words += [f"{count:,} {name}" for count, name in ended if count]
    under_way = counts.of(State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)
    if under_way:
        words.append(f"{under_way:,} under way")
    if counts.of(State.PLANNED):
        words.append(f"{counts.of(State.PLANNED):,} not bought yet")
    if report.invalid:
        words.append(number(report.invalid, "invalid row"))
    lines = [f"{report.folder}: {', '.join(words)}", f"  money     {_money(report)}"]
    if report.seconds_median is not None:
        p90 = f", nine in ten within {report.seconds_p90:g} s" if report.seconds_p90 is not None else ""
        lines.append(f"  time      {report.seconds_median:g} s a picture{p90}")
    if report.slowed is not None:
        lines.append(f"  {report.slowed}")
    for error in report.errors:
        rows = ", ".join(error.rows) + (", …" if error.count > len(error.rows) else "")
        lines.append(f"  {error.count:>5,} × {error.kind}: {error.message}: {rows}")
    if report.halted:
        lines.append(f"  stopped   {report.halted.removeprefix('stopped, ')}")
    lines += [f"  warning: {warning}" for warning in report.warnings]
    if not going:
        lines += [f"  → {step}" for step in next_steps(report)]
    return as_lines(lines)


def runs_text(runs: Sequence[Listed]) -> str:
    """Each run: its name, how it stands, its money, when it was last used, and what to type next."""
    if not runs:
        return (
            "there is no run yet; a sheet begins one\n"
            f"  → sheets to try it with, for play money: {to_type('template', '--examples')}\n"
            f"  → a sheet to fill in, its columns explained: {to_type('template')}\n"
            f"  → how to run yours, and how to try it first with nothing bought: {to_type('run', '--help')}"
        )
    return "\n\n".join(as_lines(_run_lines(run)) for run in runs)


def _run_lines(run: Listed) -> Iterator[str]:
    yield f"{run.folder.name} ({run.folder}): {run.state}"
    play = label_play(run.play)
    if jobs := _jobs(run):
        yield f"  jobs      {jobs}"
        yield f"  money     {sums(run.money.spent, (run.money.in_doubt, 'in doubt'))}{play}"
    if run.used_at:
        yield f"  last used {dt.datetime.fromtimestamp(run.used_at).astimezone():%Y-%m-%d %H:%M}"
    if run.why:
        what = "process" if run.state == RUNNING else "stopped" if jobs else "problem"
        yield f"  {what:<10}{run.why.removeprefix('stopped, ')}"
    if run.aim:
        yield f"  → {run.aim}: {run.command}" if run.command else f"  → {run.aim}"


def _jobs(run: Listed) -> str:
    """``3 done, 1 in doubt, 5 to buy``; empty where there is none."""
    ended = (State.DONE, State.FAILED, State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    words = [(run.counts.of(state), state.replace("_", " ")) for state in ended]
    words += [(run.counts.of(*UNDER_WAY), "under way"), (run.to_buy, "to buy"), (run.left, "left to other runs")]
    return ", ".join(f"{count:,} {name}" for count, name in words if count)


def canary_text(canary: CanaryReport, run: Path, *, play: bool = False) -> str:
    """What the first few of ``run`` came to, where to look at them, and what that means for the rest."""
    lines = [f"canary: {canary.done} of {canary.jobs} done, {format_usd(canary.cost)} spent{label_play(play)}"]
    lines[0] += f", {canary.failed} failed" if canary.failed else ""
    lines[0] += f", {canary.in_doubt} in doubt" if canary.in_doubt else ""
    if canary.seconds:
        middle = statistics.median(canary.seconds)
        lines.append(f"  took      {middle:.0f} s each (median), {max(canary.seconds):.0f} s at most")
        rest = canary.remaining * statistics.fmean(canary.seconds) / max(1, min(canary.at_once, canary.remaining))
        lines.append(
            f"  the rest  {number(canary.remaining, 'picture')}: about {format_usd(canary.remaining * canary.price)}"
            f"{label_play(play)}"
            f" and {minutes(max(1, rest))}"
        )
    lines += [f"  picture   {file}" for file in canary.files[:SHOWN_ROWS]]
    if canary.files:
        lines.append(f"  look      {run}/files, or as a page, from another terminal: {to_type('gallery', near(run))}")
    lines += [f"  problem   {label_sums(problem, play=play)}" for problem in canary.problems[:SHOWN_ROWS]]
    return as_lines(lines)


def doubt_text(report: DoubtReport) -> str:
    """Each job in doubt or uncollected: row, time, what was seen, what it (may have) cost; and the ways to decide."""
    lines: list[str] = []
    for count, done in (
        (report.adopted, "adopted: the next run or fetch collects"),
        (report.written_off, "written off"),
    ):
        if count:
            lines.append(f"{number(count, 'job')} {done}")
    if not report.open:
        collect = [f"  → to collect: {to_type('fetch', report.folder, *report.store)}"] if report.adopted else []
        return as_lines([*lines, "nothing is in doubt or uncollected", *collect])
    uncollected = [doubt for doubt in report.open if doubt.is_uncollected]
    in_doubt = [doubt for doubt in report.open if not doubt.is_uncollected]
    if in_doubt:
        lines.append(
            f"{number(len(in_doubt), 'job')} may have been bought; nobody can find out, so none is bought again"
        )
        lines += [line for doubt in in_doubt for line in _doubt_lines(doubt, play=report.play)]
    if uncollected:
        were = "was bought and is" if len(uncollected) == 1 else "were bought and are"
        lines.append(f"{number(len(uncollected), 'job')} {were} not collected; each run and fetch asks for them again")
        lines += [line for doubt in uncollected for line in _doubt_lines(doubt, play=report.play)]
    lines += [f"  → {aim}: {command}" for aim, command in _doubt_commands(report, in_doubt, uncollected)]
    if in_doubt:
        lines.append(f"  → it was bought, and you found its id: {_adopting(report, in_doubt[0])}")
    return as_lines(lines)


def _doubt_commands(
    report: DoubtReport, in_doubt: Sequence[Doubt], uncollected: Sequence[Doubt]
) -> Iterator[tuple[str, str]]:
    """``(what for, the exact command)``: of a decision on one job, for the first of them."""
    run, more = report.folder, " (or more of these, or all)" if len(report.open) > 1 else ""
    if uncollected or report.adopted:
        yield "ask for what is not collected once more", to_type("fetch", run, *report.store)
    for doubt in [doubt for doubt in (*in_doubt, *uncollected) if doubt.rows][:1]:
        yield (
            f"buy {_called(doubt)} again all the same{more}",
            to_type("doubt", run, "--buy-again", _name(doubt, report), *report.room, *report.store),
        )
    for doubt in [*in_doubt, *uncollected][:1]:
        yield (
            f"give {_called(doubt)} up{more}",
            to_type("doubt", run, "--write-off", _name(doubt, report), *report.store),
        )


def _adopting(report: DoubtReport, doubt: Doubt) -> str:
    """With ``ID`` for the id, which nobody knows here."""
    return to_type("doubt", report.folder, "--request-id", f"{_name(doubt, report)}=ID", *report.store)


def _called(doubt: Doubt) -> str:
    return f"{doubt.word} {doubt.rows[0][0]}" if doubt.rows else doubt.record.job.name


def _name(doubt: Doubt, report: DoubtReport) -> str:
    """What ``doubt`` takes for this job alone: its row, or its file's name where the row has several or none asks for it."""
    rows = {row for row, _ in doubt.rows}
    shared = any(other is not doubt and rows & {row for row, _ in other.rows} for other in report.open)
    return doubt.record.job.name if shared or not rows else str(doubt.rows[0][0])


def _doubt_lines(doubt: Doubt, *, play: bool) -> Iterator[str]:
    record = doubt.record
    rows = ", ".join(named_row(doubt.word, row, name) for row, name in doubt.rows) or "no row any more"
    at = dt.datetime.fromtimestamp(record.submitted_at or 0).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    paid = record.reserved or record.cost or 0
    cost = f"{format_usd(paid)}{label_play(play)}" if paid else "price unknown"
    seen = label_sums(record.problem.message, play=play) if record.problem else ""
    yield f"  {rows}  {record.job.name}  {at}  {cost}  {seen}"
    if doubt.reply:
        yield f"      the service's answer: {' '.join(doubt.reply.split())}"


def _money(report: Report) -> str:
    money = report.money
    held = (
        (money.reserved - money.in_doubt, "reserved"),
        (money.in_doubt, "in doubt"),
        (money.cancellable, "cancellable"),
    )
    cap = "" if money.cap is None else f", at most {format_usd(money.cap)}"
    return f"{sums(money.spent, *held)}{cap}{label_play(report.play)}"
