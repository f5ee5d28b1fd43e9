"""The text that is printed: plans, questions, reports, and tables of rows with their problems. It decides nothing."""

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
from ..commands.decide_doubts import Doubt
from ..commands.doubt import DoubtReport
from ..commands.quote_to_confirm import Quote
from ..commands.runs import RUNNING, ListedRun
from ..core.model import InvalidLine, State
from ..core.money import format_sums, format_usd, label_play, label_sums
from ..core.plurals_and_durations import format_duration, pluralize
from ..core.safe_text import as_lines, to_one_line
from ..core.shell_commands import format_command
from ..manifest.rownames import format_row_label
from ..planning.other_runs import describe_left, describe_reused
from ..planning.plan import Plan
from ..results.report import UNDER_WAY, Report, list_next_steps
from ..run_folder import shorten_path

SHOWN_ROWS = 20
"""How many rows, files or problems a list shows at most."""


def format_plan(plan: Plan, *, examples: bool = True) -> str:
    """The plan: what would be bought, what it would cost, notes, warnings and invalid rows."""
    lines = [f"{plan.source}: {pluralize(plan.rows, 'row')}, {plan.model}"] if plan.rows else [plan.source]
    lines += [f"  {name:<16}{value}" for name, value in _list_facts(plan)]
    if examples:
        lines += _format_examples(plan)
    lines += [f"  note: {note}" for note in plan.notes]
    lines += [f"  warning: {warning}" for warning in plan.every_warning]
    if plan.invalid:
        lines += ["", *format_problem_table(plan.invalid, plan.invalid_rows, plan.row_word)]
    return as_lines(lines)


def _list_facts(plan: Plan) -> Iterator[tuple[str, str]]:
    usable = plan.rows - plan.invalid_rows - sum(plan.left_out.values())
    if plan.matrix and usable:
        product_text = " × ".join(f"{count} {name}" for name, count in plan.matrix)
        yield "matrix", f"{pluralize(usable, 'row')} × {product_text} = {pluralize(plan.lines, 'picture')}"
    if not plan.parts and (counts_text := _format_picture_counts(plan)):
        yield "pictures", counts_text
    yield from (("reused", line) for line in describe_reused(plan.other_runs))
    yield from (("not bought", line) for line in describe_left(plan.other_runs.left))
    origin_text = f"from {pluralize(plan.inputs, 'picture')} of the sheet: " if plan.inputs else ""
    yield (
        "to buy",
        (origin_text + _format_purchase(plan.to_buy, plan) if plan.to_buy else "nothing") + _format_parts(plan),
    )
    if plan.again:
        yield "in doubt", f"{pluralize(plan.again, 'picture')} of these, bought again: --on-doubt buy-again"
    if plan.twins:
        yield (
            "twins",
            f"{pluralize(plan.twins, 'row')} with the same inputs as an earlier one: bought once, shown on each",
        )
    if plan.beyond:
        yield "beyond --limit", pluralize(plan.beyond, "picture")
    if plan.left_out:
        left_out_text = "; ".join(
            f"{pluralize(count, 'row')}: {why.removeprefix('is ')}" for why, count in plan.left_out.items()
        )
        yield "left out", left_out_text
    if plan.invalid_rows:
        yield "invalid", pluralize(plan.invalid_rows, "row")
    if plan.to_buy:
        yield "price", _format_price(plan)
    if cap_text := _format_cap(plan):
        yield "at most", cap_text
    yield "results in", f"{plan.folder}/"


def _format_price(plan: Plan) -> str:
    play = label_play(plan.play)
    if plan.price:
        price_text = f"{format_usd(plan.price)} {_format_priced_unit(plan)} ({plan.price_source})"
        return f"{price_text}, {format_usd(plan.estimate)} for what is new{play}"
    if plan.other_price:
        return f"{plan.other_price}{play} (the catalogue); what a picture costs is unknown: --price USD shows the sum"
    return "unknown: no catalogue names it; --price USD shows the sum"


def _format_priced_unit(plan: Plan) -> str:
    return "a picture" if plan.outputs == 1 else f"a job of up to {pluralize(plan.outputs, 'picture')}"


def _format_parts(plan: Plan) -> str:
    """``: 5 failed, 2 moderated; 1 written off not included``."""
    parts_text = ", ".join(f"{count:,} {name}" for name, count in plan.parts if count)
    excluded_text = ", ".join(f"{count:,} {name}" for name, count in plan.not_meant if count)
    return "".join(
        (f": {parts_text}" if parts_text else "", f"; {excluded_text} not included" if excluded_text else "")
    )


def _format_cap(plan: Plan) -> str:
    """The cap once this is confirmed, and the previous one if it differs; empty where there is none and was none."""
    is_given_now, previous_cap = plan.max_cost_given is not None, plan.max_cost_before
    previous_text = (
        f"; it was {format_usd(previous_cap)}" if previous_cap is not None and previous_cap != plan.max_cost else ""
    )
    if plan.max_cost is None:
        return f"no limit (--max-cost none{previous_text})" if previous_text else ""
    source_text = f"this run's --max-cost {format_usd(plan.max_cost)[1:]}; --max-cost none lifts it"
    if is_given_now:
        source_text = f"--max-cost{previous_text}"
    return f"{format_usd(plan.max_cost)} ({source_text}){label_play(plan.play)}"


def _format_picture_counts(plan: Plan) -> str:
    """``3 new, 1 edited (row 17: prompt), 996 done``."""
    parts = []
    new_count = plan.to_buy - plan.left - plan.edited
    if new_count:
        parts.append(f"{new_count:,} new")
    if plan.edited:
        parts.append(f"{plan.edited:,} edited ({_format_edits(plan)})" if plan.edits else f"{plan.edited:,} edited")
    if plan.left:
        parts.append(f"{plan.left:,} not bought yet")
    if done_count := plan.reused - sum(plan.others.values()):
        parts.append(f"{done_count:,} done")
    parts += [f"{count:,} {state.replace('_', ' ')}" for state, count in plan.others.items()]
    if reused_count := plan.other_runs.done.total():
        parts.append(f"{reused_count:,} of other runs")
    if left_count := plan.other_runs.left.total():
        parts.append(f"{left_count:,} left to other runs")
    return ", ".join(parts)


def _format_edits(plan: Plan) -> str:
    edit_texts = [
        f"{format_row_label(plan.row_word, edit.row, edit.id)}: {', '.join(edit.fields)}" for edit in plan.edits[:5]
    ]
    return "; ".join(edit_texts) + ("; …" if plan.edited > len(edit_texts) else "")


def format_quote(quote: Quote) -> str:
    """The text above a question: the plan for the first question; later the canary, also that of an earlier command, or the
    price that rose.
    """
    if quote.canary is not None:
        canary_text = format_canary(quote.canary, quote.plan.folder, play=quote.plan.play)
        return canary_text if quote.price_before else f"{format_plan(quote.plan)}\n{canary_text}"
    if quote.rose:
        new_price, old_price = format_usd(quote.price), format_usd(quote.price_before)
        return f"a picture was charged {new_price}, not {old_price} as it was quoted{label_play(quote.plan.play)}"
    return format_plan(quote.plan)


def _format_purchase(count: int, plan: Plan) -> str:
    if plan.outputs == 1:
        return pluralize(count, "picture")
    return f"{pluralize(count, 'job')} of up to {pluralize(plan.outputs, 'picture')} each"


def format_question(quote: Quote) -> str:
    """The question itself. It names everything that a yes allows until the next question."""
    play = label_play(quote.plan.play)
    price_text = f" for about {format_usd(quote.estimate)}{play}" if quote.price else ""
    purchase_text = _format_purchase(quote.count, quote.plan)
    if quote.rest:
        purchase_text = f"{quote.count:,} first"
    elif quote.price_before:
        purchase_text = f"the other {quote.count:,}"
    sentences = [f"Buy {purchase_text}{price_text}?"]
    if quote.rest:
        sentences.append(f"You are asked again before the other {quote.rest:,}.")
    if quote.times > 1:
        most_text = f" and {format_usd(quote.at_most * quote.price)}{play}" if quote.price else ""
        sentences.append(
            f"Where an answer is lost it is bought once more: at most {quote.at_most:,} purchases{most_text}."
        )
    return " ".join(sentences)


def _format_examples(plan: Plan) -> Iterator[str]:
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    for example in plan.examples:
        prompt = orjson.loads(example.job.inputs).get("prompt", "")
        text = textwrap.shorten(to_one_line(" ".join(str(prompt).split())), width=4 * width, placeholder=" …")
        label = f"  {format_row_label(plan.row_word, example.row, example.id)}: "
        yield from textwrap.wrap(text, width, initial_indent=label, subsequent_indent=" " * len(label))


def format_problem_table(invalid: Sequence[InvalidLine], total: int, row_word: str = "row") -> list[str]:
    """Row, column and problem of the first rows, and how many more there are."""
    problems = [
        (
            line.row,
            format_row_label(row_word, line.row, line.id),
            problem.column,
            _describe_problem(problem.column, problem.value, problem.reason),
        )
        for line in invalid
        for problem in line.problems
    ]
    table_rows = [cells for _, *cells in problems[:SHOWN_ROWS]]
    widths = [max((len(row[i]) for row in table_rows), default=0) for i in (0, 1)]
    lines = [f"  {row:<{widths[0]}}  {column:<{widths[1]}}  {text}".rstrip() for row, column, text in table_rows]
    shown_rows = len({row for row, *_ in problems[:SHOWN_ROWS]})
    if total > shown_rows:
        lines.append(f"  … and {pluralize(total - shown_rows, 'more row')}")
    return lines


def _describe_problem(column: str, cell: Any, reason: str) -> str:
    return f"{cell!r} {reason}" if column and cell not in (None, "") else reason


def format_report(report: Report, *, going: bool = False) -> str:
    """The summary after a run, and for ``status``. ``going``: a process works on it, so no next step is shown."""
    counts = report.counts
    parts = [f"{counts.of(State.DONE):,} done"]
    failed = counts.of(State.FAILED) - report.moderated - report.written_off
    ended_counts = [(failed, "failed"), (report.moderated, "moderated"), (report.written_off, "written off")]
    other_states = (State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    ended_counts += [(counts.of(state), state.replace("_", " ")) for state in other_states]
    parts += [f"{count:,} {name}" for count, name in ended_counts if count]
    under_way = counts.of(State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)
    if under_way:
        parts.append(f"{under_way:,} under way")
    if counts.of(State.PLANNED):
        parts.append(f"{counts.of(State.PLANNED):,} not bought yet")
    if report.invalid:
        parts.append(pluralize(report.invalid, "invalid row"))
    lines = [f"{report.folder}: {', '.join(parts)}", f"  money     {_format_money(report)}"]
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
        lines += [f"  → {step}" for step in list_next_steps(report)]
    return as_lines(lines)


def format_runs(runs: Sequence[ListedRun]) -> str:
    """Each run: its name, state, money, when it was last used, and what to type next."""
    if not runs:
        return (
            "there is no run yet; a sheet begins one\n"
            f"  → sheets to try it with, for play money: {format_command('template', '--examples')}\n"
            f"  → a sheet to fill in, its columns explained: {format_command('template')}\n"
            f"  → how to run yours, and how to try it first with nothing bought: {format_command('run', '--help')}"
        )
    return "\n\n".join(as_lines(_format_run(run)) for run in runs)


def _format_run(run: ListedRun) -> Iterator[str]:
    yield f"{run.folder.name} ({run.folder}): {run.state}"
    play = label_play(run.play)
    if job_counts := _format_job_counts(run):
        yield f"  jobs      {job_counts}"
        yield f"  money     {format_sums(run.money.spent, (run.money.in_doubt, 'in doubt'))}{play}"
    if run.used_at:
        yield f"  last used {dt.datetime.fromtimestamp(run.used_at).astimezone():%Y-%m-%d %H:%M}"
    if run.why:
        label = "process" if run.state == RUNNING else "stopped" if job_counts else "problem"
        yield f"  {label:<10}{run.why.removeprefix('stopped, ')}"
    if run.aim:
        yield f"  → {run.aim}: {run.command}" if run.command else f"  → {run.aim}"


def _format_job_counts(run: ListedRun) -> str:
    """``3 done, 1 in doubt, 5 to buy``; empty where there is none."""
    ended_states = (State.DONE, State.FAILED, State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    counts = [(run.counts.of(state), state.replace("_", " ")) for state in ended_states]
    counts += [(run.counts.of(*UNDER_WAY), "under way"), (run.to_buy, "to buy"), (run.left, "left to other runs")]
    return ", ".join(f"{count:,} {name}" for count, name in counts if count)


def format_canary(canary: CanaryReport, run: Path, *, play: bool = False) -> str:
    """The results of the canary of ``run``, where to look at its pictures, and an estimate for the rest."""
    lines = [f"canary: {canary.done} of {canary.jobs} done, {format_usd(canary.cost)} spent{label_play(play)}"]
    lines[0] += f", {canary.failed} failed" if canary.failed else ""
    lines[0] += f", {canary.in_doubt} in doubt" if canary.in_doubt else ""
    if canary.seconds:
        median = statistics.median(canary.seconds)
        lines.append(f"  took      {median:.0f} s each (median), {max(canary.seconds):.0f} s at most")
        rest_seconds = (
            canary.remaining * statistics.fmean(canary.seconds) / max(1, min(canary.at_once, canary.remaining))
        )
        lines.append(
            f"  the rest  {pluralize(canary.remaining, 'picture')}: about {format_usd(canary.remaining * canary.price)}"
            f"{label_play(play)}"
            f" and {format_duration(max(1, rest_seconds))}"
        )
    lines += [f"  picture   {file}" for file in canary.files[:SHOWN_ROWS]]
    if canary.files:
        lines.append(
            f"  look      {run}/files, or as a page, from another terminal: {format_command('gallery', shorten_path(run))}"
        )
    lines += [f"  problem   {label_sums(problem, play=play)}" for problem in canary.problems[:SHOWN_ROWS]]
    return as_lines(lines)


def format_doubt_report(report: DoubtReport) -> str:
    """Each job in doubt or uncollected: row, time, problem, what it (may have) cost; and the commands that decide."""
    lines: list[str] = []
    for count, outcome in (
        (report.adopted, "adopted: the next run or fetch collects"),
        (report.written_off, "written off"),
    ):
        if count:
            lines.append(f"{pluralize(count, 'job')} {outcome}")
    if not report.open:
        collect_lines = (
            [f"  → to collect: {format_command('fetch', report.folder, *report.store)}"] if report.adopted else []
        )
        return as_lines([*lines, "nothing is in doubt or uncollected", *collect_lines])
    uncollected = [doubt for doubt in report.open if doubt.is_uncollected]
    in_doubt = [doubt for doubt in report.open if not doubt.is_uncollected]
    if in_doubt:
        lines.append(
            f"{pluralize(len(in_doubt), 'job')} may have been bought; nobody can find out, so none is bought again"
        )
        lines += [line for doubt in in_doubt for line in _format_doubt(doubt, play=report.play)]
    if uncollected:
        verb_text = "was bought and is" if len(uncollected) == 1 else "were bought and are"
        lines.append(
            f"{pluralize(len(uncollected), 'job')} {verb_text} not collected; each run and fetch asks for them again"
        )
        lines += [line for doubt in uncollected for line in _format_doubt(doubt, play=report.play)]
    lines += [f"  → {aim}: {command}" for aim, command in _list_doubt_commands(report, in_doubt, uncollected)]
    if in_doubt:
        lines.append(f"  → it was bought, and you found its id: {_format_adopt_command(report, in_doubt[0])}")
    return as_lines(lines)


def _list_doubt_commands(
    report: DoubtReport, in_doubt: Sequence[Doubt], uncollected: Sequence[Doubt]
) -> Iterator[tuple[str, str]]:
    """``(purpose, exact command)``; a decision on one job is shown for the first job."""
    run, more_text = report.folder, " (or more of these, or all)" if len(report.open) > 1 else ""
    if uncollected or report.adopted:
        yield "ask for what is not collected once more", format_command("fetch", run, *report.store)
    for doubt in [doubt for doubt in (*in_doubt, *uncollected) if doubt.rows][:1]:
        yield (
            f"buy {_name_row(doubt)} again all the same{more_text}",
            format_command("doubt", run, "--buy-again", _name_for_command(doubt, report), *report.room, *report.store),
        )
    for doubt in [*in_doubt, *uncollected][:1]:
        yield (
            f"give {_name_row(doubt)} up{more_text}",
            format_command("doubt", run, "--write-off", _name_for_command(doubt, report), *report.store),
        )


def _format_adopt_command(report: DoubtReport, doubt: Doubt) -> str:
    """The command that adopts the job, with ``ID`` in place of the id, which is not known here."""
    return format_command(
        "doubt", report.folder, "--request-id", f"{_name_for_command(doubt, report)}=ID", *report.store
    )


def _name_row(doubt: Doubt) -> str:
    return f"{doubt.word} {doubt.rows[0][0]}" if doubt.rows else doubt.record.job.name


def _name_for_command(doubt: Doubt, report: DoubtReport) -> str:
    """The argument of ``batchedit doubt`` for this job alone: its row; its file's name where that row has several open jobs,
    or no row asks for it.
    """
    rows = {row for row, _ in doubt.rows}
    is_ambiguous = any(other is not doubt and rows & {row for row, _ in other.rows} for other in report.open)
    return doubt.record.job.name if is_ambiguous or not rows else str(doubt.rows[0][0])


def _format_doubt(doubt: Doubt, *, play: bool) -> Iterator[str]:
    record = doubt.record
    rows = ", ".join(format_row_label(doubt.word, row, name) for row, name in doubt.rows) or "no row any more"
    submitted_at = dt.datetime.fromtimestamp(record.submitted_at or 0).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    micros = record.reserved or record.cost or 0
    cost_text = f"{format_usd(micros)}{label_play(play)}" if micros else "price unknown"
    message = label_sums(record.problem.message, play=play) if record.problem else ""
    yield f"  {rows}  {record.job.name}  {submitted_at}  {cost_text}  {message}"
    if doubt.reply:
        yield f"      the service's answer: {' '.join(doubt.reply.split())}"


def _format_money(report: Report) -> str:
    money = report.money
    amounts = (
        (money.reserved - money.in_doubt, "reserved"),
        (money.in_doubt, "in doubt"),
        (money.cancellable, "cancellable"),
    )
    cap_text = "" if money.cap is None else f", at most {format_usd(money.cap)}"
    return f"{format_sums(money.spent, *amounts)}{cap_text}{label_play(report.play)}"
