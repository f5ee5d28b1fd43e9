"""The state of a run, read from its checkpoint: for the screen, ``report.json`` and the exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.budget import compute_least_cap, may_reserve
from ..core.errors import HIGHER_CAP
from ..core.model import Counts, Money, State
from ..core.money import MICRO, to_json_usd, to_plain_usd
from ..core.shell_commands import format_command, quote_word
from ..core.slowdown import Slowdown
from ..core.write_failures import UNWRITTEN_CODE, WriteFailures
from ..ledger.book import Book
from ..ledger.run_facts import parse_whole_number, read_fact
from ..ledger.values import CommonError, RunSummary
from ..manifest.rownames import describe_row, to_sheet_row
from ..manifest.rows import Form
from ..settings.model import Settings


@dataclass(frozen=True, slots=True)
class RowsError:
    """An error that ``count`` rows share. ``rows`` are the first few of them by name, ``numbers`` the sheet's own."""

    kind: str
    message: str
    count: int
    rows: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CapNeeded:
    """``rest`` is the ``--max-cost`` in micro-dollars, whole cents, that the planned jobs need; None if the run's cap admits
    more, or nothing is planned. ``price`` is the price of a picture in the run's last quote.
    """

    rest: int | None = None
    price: int = 0


NONE_NEEDED = CapNeeded()


@dataclass(frozen=True, slots=True)
class Report:
    """``seconds_median`` and ``seconds_p90``: from submission to result, over finished jobs, None without any.

    ``folder`` is the run's. Of the failed jobs ``moderated`` were refused for their content, and ``written_off`` were written
    off by a person. ``slowed`` is the limit to which the service slowed the run, None without one.
    ``cap_needed`` is the ``--max-cost`` that the planned jobs need, and the price of a picture. ``play``: the sandbox
    replaced the service, and the money is play money.
    ``store`` are the options by which a command finds the store of this run; empty for a run without a store.
    ``rest_waits``: the canary was bought, and the rest waits for a confirmation. ``remarks`` say what a results file can't
    hold. ``write_failures`` are the files that could not be written: more may be added until the folder is closed, so
    ``code`` and ``warnings`` are to be read only then. ``jobs_code`` is the exit code without regard to these files.
    """

    folder: Path
    counts: Counts
    invalid: int
    money: Money
    moderated: int = 0
    written_off: int = 0
    seconds_median: float | None = None
    seconds_p90: float | None = None
    errors: tuple[RowsError, ...] = ()
    halted: str = ""
    hint: str = ""
    jobs_code: int = 0
    slowed: Slowdown | None = None
    cap_needed: CapNeeded = NONE_NEEDED
    play: bool = False
    store: Sequence[str] = ()
    rest_waits: bool = False
    remarks: tuple[str, ...] = ()
    write_failures: WriteFailures = field(default_factory=WriteFailures)
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code. The outcome of the jobs outranks a file that could not be written: that is made again."""
        return self.jobs_code or (UNWRITTEN_CODE if self.write_failures else 0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a results file can't hold, and what the disk refused to write or remove, each a sentence."""
        return (*self.remarks, *self.write_failures.describe())

    def as_json(self) -> dict[str, object]:
        """The shape of ``report.json``: money in dollars."""
        money = self.money
        return {
            "pictures": sum(self.counts.by_state.values()),
            "jobs": {state.value: count for state, count in sorted(self.counts.by_state.items())},
            "invalid_rows": self.invalid,
            "usd": {
                "spent": to_json_usd(money.spent),
                "reserved": to_json_usd(money.reserved),
                "in_doubt": to_json_usd(money.in_doubt),
                "max_cost": None if money.cap is None else to_json_usd(money.cap),
            },
            "seconds": {"median": self.seconds_median, "p90": self.seconds_p90},
            "slowed": None if self.slowed is None else {"message": str(self.slowed), **self.slowed.as_json()},
            "errors": [
                {"kind": e.kind, "message": e.message, "count": e.count, "rows": list(e.numbers)} for e in self.errors
            ],
            "warnings": list(self.warnings),
            "play_money": self.play,
            "stopped": self.halted or None,
            "exit_code": self.code,
            **self.extra,
        }


def choose_exit_code(counts: Counts, money: Money, written_off: int = 0) -> int:
    """For a run that was not stopped: 76 before 75 before 1 before 0. Jobs written off are settled: they fail no run."""
    if money.doubts:
        return 76
    if counts.of(State.UNCOLLECTED, State.PLANNED, State.SUBMITTING, State.WAITING, State.FETCHED, State.CANCELLING):
        return 75
    return 1 if counts.of(State.FAILED, State.CANCELLED) > written_off else 0


def make_report(
    counts: Counts,
    money: Money,
    summary: RunSummary,
    *,
    folder: Path,
    form: Form,
    halted: str = "",
    hint: str = "",
    code: int | None = None,
    slowed: Slowdown | None = None,
    cap_needed: CapNeeded = NONE_NEEDED,
    play: bool = False,
    store: Sequence[str] = (),
    remarks: tuple[str, ...] = (),
    write_failures: WriteFailures | None = None,
) -> Report:
    """``code`` is the halting error's; None asks ``exit_code``. ``form`` is the manifest's, for its row numbers."""
    return Report(
        folder=folder,
        counts=counts,
        invalid=summary.invalid,
        money=money,
        moderated=summary.moderated,
        written_off=summary.written_off,
        seconds_median=summary.seconds_median,
        seconds_p90=summary.seconds_p90,
        errors=tuple(_name_rows(error, form) for error in summary.errors),
        halted=halted,
        hint=hint,
        jobs_code=choose_exit_code(counts, money, summary.written_off) if code is None else code,
        slowed=slowed,
        cap_needed=cap_needed,
        play=play,
        store=store,
        remarks=remarks,
        write_failures=WriteFailures() if write_failures is None else write_failures,
    )


def _name_rows(error: CommonError, form: Form) -> RowsError:
    names = tuple(describe_row(form, row, id_) for row, id_ in error.rows)
    return RowsError(
        error.kind, error.message, error.count, names, tuple(to_sheet_row(form, row) for row, _ in error.rows)
    )


def compute_cap_needed(checkpoint: Book) -> CapNeeded:
    """What the run's cap must be raised to, in micro-dollars, for all that it has to buy, if at all.
    CheckpointCorruptError (74) where the quoted price is no number.
    """
    settings = Settings.load(checkpoint.get("settings") or "{}")
    price = read_fact(checkpoint, ASKED_PRICE, parse_whole_number, settings.price or 0)
    return compute_cap_for_rest(checkpoint.count_to_buy(), checkpoint.money(), price)


def compute_cap_for_rest(left: int, money: Money, price: int) -> CapNeeded:
    """As ``compute_cap_needed``, for ``left`` jobs to buy at ``price`` micro-dollars each."""
    if not left or may_reserve(money, price):
        return CapNeeded(None, price)
    return CapNeeded(_round_up_to_cents(compute_least_cap(left, money, price)), price)


def _round_up_to_cents(micros: int) -> int:
    return -(-micros // CENT) * CENT


def _format_cap_option_for(report: Report, jobs: int) -> list[str]:
    return _format_cap_option(report.money, report.cap_needed.price, jobs)


def format_cap_option(checkpoint: Book, jobs: int) -> list[str]:
    """The words to type for a purchase of ``jobs`` more: ``["--max-cost", "12.30"]``, in dollars, rounded up to a whole cent;
    [] where the run's cap admits them or it has none.
    """
    return _format_cap_option(checkpoint.money(), compute_cap_needed(checkpoint).price, jobs)


def format_cap_option_for_rest(needed: CapNeeded) -> list[str]:
    """As ``format_cap_option``, for what is planned; [] where the run's cap admits more, or nothing is
    planned.
    """
    return [] if needed.rest is None else ["--max-cost", to_plain_usd(needed.rest)]


def _format_cap_option(money: Money, price: int, jobs: int) -> list[str]:
    if money.cap is None or (needed := compute_least_cap(jobs, money, price)) <= money.cap:
        return []
    return ["--max-cost", to_plain_usd(_round_up_to_cents(needed))]


ASKED_PRICE = "asked_price"
"""The fact that holds the price of a picture in the run's last quote, in micro-dollars."""
CENT = MICRO // 100
UNDER_WAY = (State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)


def list_next_commands(report: Report) -> Iterator[tuple[str, str]]:
    """Yield ``(purpose, exact command)`` for what there is to do, the most urgent first. Each command continues this run,
    with its settings.
    """
    counts, run, store = report.counts, report.folder, report.store
    if counts.of(State.PLANNED):
        room = format_cap_option_for_rest(report.cap_needed)
        yield "its --max-cost is reached; to go on" if room else "to go on", format_command("run", run, *room, *store)
    elif counts.of(*UNDER_WAY, State.UNCOLLECTED):
        yield "to collect what was bought", format_command("fetch", run, *store)
    if report.money.doubts:
        yield "to decide about what may have been bought", format_command("doubt", run, *store)
    elif counts.of(State.UNCOLLECTED):
        yield "to give up what can't be collected, or buy it again", format_command("doubt", run, *store)
    if (failed := counts.of(State.FAILED) - report.moderated - report.written_off) > 0:
        yield (
            "to buy the failed ones anew",
            format_command("retry", run, "--failed", *_format_cap_option_for(report, failed), *store),
        )
    if moderated := report.moderated:
        yield (
            "to try the moderated ones again as they are",
            format_command("retry", run, "--moderated", *_format_cap_option_for(report, moderated), *store),
        )
    if cancelled := counts.of(State.CANCELLED):
        yield (
            "to buy the cancelled ones anew",
            format_command("retry", run, "--cancelled", *_format_cap_option_for(report, cancelled), *store),
        )


def list_next_steps(report: Report) -> Iterator[str]:
    """What to do next, a line each: the hint of the error that ended the run, commands, where the pictures are, review."""
    if report.hint and not (report.hint == HIGHER_CAP and report.cap_needed.rest):  # below stands the exact command
        yield report.hint
    if report.write_failures:
        yield f"see to the disk; to write what is missing: {format_command('run', report.folder, *report.store)}"
    yield from (f"{aim}: {command}" for aim, command in list_next_commands(report))
    if report.counts.of(State.DONE):
        results_name = next(
            (name for name in ("results.xlsx", "results.parquet") if (report.folder / name).is_file()), "results.csv"
        )
        pictures, sheet = quote_word(report.folder / "files"), quote_word(report.folder / results_name)
        yield f"the pictures: {pictures}, the enriched manifest: {sheet}"
        yield f"to look at them: {format_command('review', report.folder, *report.store)}"
