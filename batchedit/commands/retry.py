"""``batchedit retry``: buy failed and cancelled jobs again, those that a person selects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.errors import UsageError
from ..core.model import Kind, Record, State
from ..core.shell_commands import format_command
from ..ledger.book import Book
from ..manifest.rownames import to_row_index, to_sheet_row
from ..results.report import Report, compute_cap_needed, format_cap_option, format_cap_option_for_rest
from ..run_folder import read_form_of_run
from .host import Host
from .kept_settings import Given
from .purchase_order import Order
from .purchase_stages import buy, make_plan_of_run
from .session import Session, reopen_session
from .store_options import build_store_words

MAX_NAMED_ROWS = 10
"""The most written-off rows that are named for the command that buys them: a line on the screen holds no more."""
FAILED, CANCELLED, MODERATED, WRITTEN_OFF = "failed", "cancelled", "moderated", "written off"


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """The options of ``batchedit retry``. With none of the first three, failed and cancelled jobs are selected.

    Moderated ones are refused again as a rule, and cost each time: they need ``moderated``. What a person wrote off needs
    its row named. ``match`` is a part of the error's text. ``rows`` are the sheet's own numbers, as typed; ``choose_retries``
    takes their indices.
    """

    failed: bool = False
    cancelled: bool = False
    moderated: bool = False
    match: str | None = None
    rows: Sequence[int] = ()

    def list_kinds(self) -> frozenset[str]:
        """The selected kinds."""
        flags = {FAILED: self.failed, CANCELLED: self.cancelled, MODERATED: self.moderated}
        kinds = {kind for kind, is_asked in flags.items() if is_asked} or {FAILED, CANCELLED}
        return frozenset(kinds | ({WRITTEN_OFF} if self.rows and FAILED in kinds else set()))

    def format_flags_for(self, kind: str, rows_written_off: Sequence[int]) -> list[str | int]:
        """The words to type after ``retry RUN`` for those of ``kind`` that match as well."""
        rows = rows_written_off if kind == WRITTEN_OFF else self.rows
        return self._join_flags([] if kind == WRITTEN_OFF else [kind], rows)

    def format_flags(self) -> list[str | int]:
        """The words to type after ``retry RUN`` for this request."""
        flags = {FAILED: self.failed, CANCELLED: self.cancelled, MODERATED: self.moderated}
        return self._join_flags([kind for kind, wanted in flags.items() if wanted], self.rows)

    def _join_flags(self, kinds: Sequence[str], rows: Sequence[int]) -> list[str | int]:
        match = ["--match", self.match] if self.match is not None else []
        return [*(f"--{kind}" for kind in kinds), *(word for row in rows for word in ("--row", row)), *match]


@dataclass(frozen=True, slots=True)
class RetryChoice:
    """``records`` are to be bought again; ``planned`` were requested by an earlier retry and are not bought yet.

    ``parts`` counts both by kind; ``left_out`` counts those that match and are not selected, by kind;
    ``rows_written_off`` are the rows of the first of them that were written off, which need their row named.
    """

    records: Sequence[Record]
    planned: Sequence[Record]
    parts: Sequence[tuple[str, int]]
    left_out: Sequence[tuple[str, int]]
    rows_written_off: Sequence[int] = ()


def classify_failure(record: Record) -> str:
    """The kind of a failed or cancelled job, as far as a retry distinguishes it."""
    if record.state is State.CANCELLED:
        return CANCELLED
    if record.written_off:
        return WRITTEN_OFF
    return MODERATED if record.problem is not None and record.problem.kind is Kind.MODERATED else FAILED


async def retry(run_name: str, given: Given, host: Host, request: RetryRequest) -> Report:
    """Buy the failed and cancelled jobs that ``request`` selects. These are new purchases, priced and asked about as such."""
    async with reopen_session(run_name, given, host, "retry") as run:
        form = read_form_of_run(run.checkpoint, run.folder)
        choice = choose_retries(
            run.checkpoint, replace(request, rows=[to_row_index(form, row) for row in request.rows])
        )
        if not choice.parts:
            written_off = [to_sheet_row(form, row) for row in choice.rows_written_off]
            raise _explain_nothing_to_retry(run, replace(choice, rows_written_off=written_off), request)
        order = Order(planned=[record.id for record in choice.planned], retried=choice.records)
        plan = replace(make_plan_of_run(run), parts=choice.parts, not_meant=choice.left_out)
        return await buy(run, plan, order, new_canary=True)


def choose_retries(checkpoint: Book, request: RetryRequest) -> RetryChoice:
    """The jobs of the run that ``request`` selects. Only jobs that a row still asks for."""
    candidates = checkpoint.read_records_in({State.FAILED, State.CANCELLED}, wanted=True)
    planned_before = [] if request.match else checkpoint.list_planned_retries()
    rows = checkpoint.find_rows(record.id for record in (*candidates, *planned_before))

    def is_on_asked_row(record: Record) -> bool:
        return not request.rows or any(row in request.rows for row, _ in rows.get(record.id, ()))

    matching = [record for record in candidates if is_on_asked_row(record) and _matches(record, request.match)]
    chosen = [record for record in matching if classify_failure(record) in request.list_kinds()]
    planned = [record for record in planned_before if is_on_asked_row(record)]
    left_out = [record for record in matching if classify_failure(record) not in request.list_kinds()]
    parts = [*_count_by_kind(chosen), *([("asked for before", len(planned))] if planned else [])]
    off_rows = [
        row for record in left_out if classify_failure(record) == WRITTEN_OFF for row, _ in rows.get(record.id, ())[:1]
    ]
    return RetryChoice(chosen, planned, parts, _count_by_kind(left_out), list(dict.fromkeys(off_rows))[:MAX_NAMED_ROWS])


def _matches(record: Record, text: str | None) -> bool:
    problem_text = f"{record.problem.kind} {record.problem.message}" if record.problem else ""
    return text is None or text.lower() in problem_text.lower()


def _count_by_kind(records: Sequence[Record]) -> list[tuple[str, int]]:
    kinds = [classify_failure(record) for record in records]
    return [(kind, kinds.count(kind)) for kind in (FAILED, CANCELLED, MODERATED, WRITTEN_OFF) if kind in kinds]


def _explain_nothing_to_retry(run: Session, choice: RetryChoice, request: RetryRequest) -> UsageError:
    folder, checkpoint, store = run.folder, run.checkpoint, build_store_words(run.checkpoint)
    if choice.left_out:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in choice.left_out)
        rows = choice.rows_written_off
        details = [
            f"  → to buy the {kind} ones anew: {_format_retry_command(run, request.format_flags_for(kind, rows), count)}"
            for kind, count in choice.left_out
        ]
        return UsageError(f"nothing else than {counts} matches", details=details)
    if checkpoint.counts().of(State.PLANNED):
        room = format_cap_option_for_rest(compute_cap_needed(checkpoint))
        aim, command = "what is not bought yet", format_command("run", folder.path, *room, *store)
    else:
        aim, command = "how the run stands", format_command("status", folder.path, *store)
    return UsageError("no failed or cancelled job matches", hint=f"{aim}: {command}")


def _format_retry_command(run: Session, words: Sequence[str | int], jobs: int) -> str:
    room, store = format_cap_option(run.checkpoint, jobs), build_store_words(run.checkpoint)
    return format_command("retry", run.folder.path, *words, *room, *store)
