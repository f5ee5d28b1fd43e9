"""``batchedit retry``: buy failed and cancelled jobs anew, those that a person means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..core.errors import UsageError
from ..core.model import Kind, Record, State
from ..core.typed import to_type
from ..ledger.book import Book
from ..manifest.rownames import row_index, sheet_row
from ..results.report import Report, compute_cap_needed, format_cap_option, format_cap_option_for_rest
from ..run_folder import form_of_run
from .host import Host
from .kept_settings import Given
from .order import Order
from .purchase import buy, plan_of_run
from .session import Session, again
from .store_words import store_words

NAMED_ROWS = 10
"""So many rows that were written off are named for the command that buys them: a line on the screen holds no more."""
FAILED, CANCELLED, MODERATED, WRITTEN_OFF = "failed", "cancelled", "moderated", "written off"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed behind ``batchedit retry``. With none of the first three, failed and cancelled ones are meant.

    Moderated ones are refused again as a rule, and cost each time: they need ``moderated``. What a person wrote off needs
    its row named. ``match`` is a part of the error's text. ``rows`` are the sheet's own as they are typed; ``choose`` takes
    their indices.
    """

    failed: bool = False
    cancelled: bool = False
    moderated: bool = False
    match: str | None = None
    rows: Sequence[int] = ()

    def kinds(self) -> frozenset[str]:
        """What is meant, by kind."""
        named = {FAILED: self.failed, CANCELLED: self.cancelled, MODERATED: self.moderated}
        found = {kind for kind, wanted in named.items() if wanted} or {FAILED, CANCELLED}
        return frozenset(found | ({WRITTEN_OFF} if self.rows and FAILED in found else set()))

    def words(self, kind: str, rows_written_off: Sequence[int]) -> list[str | int]:
        """What to type behind ``retry RUN`` for those of ``kind`` that match as well."""
        rows = rows_written_off if kind == WRITTEN_OFF else self.rows
        return self._typed([] if kind == WRITTEN_OFF else [kind], rows)

    def typed(self) -> list[str | int]:
        """What to type behind ``retry RUN`` for this very wish."""
        flags = {FAILED: self.failed, CANCELLED: self.cancelled, MODERATED: self.moderated}
        return self._typed([kind for kind, wanted in flags.items() if wanted], self.rows)

    def _typed(self, kinds: Sequence[str], rows: Sequence[int]) -> list[str | int]:
        match = ["--match", self.match] if self.match is not None else []
        return [*(f"--{kind}" for kind in kinds), *(word for row in rows for word in ("--row", row)), *match]


@dataclass(frozen=True, slots=True)
class Choice:
    """``records`` are to be bought anew; ``planned`` were asked for by an earlier retry and are not bought yet.

    ``parts`` counts both by kind; ``left_out`` counts those that match and are not meant, by kind;
    ``rows_written_off`` are the rows of the first of them that were written off, which need their row named.
    """

    records: Sequence[Record]
    planned: Sequence[Record]
    parts: Sequence[tuple[str, int]]
    left_out: Sequence[tuple[str, int]]
    rows_written_off: Sequence[int] = ()


def kind_of(record: Record) -> str:
    """Why a failed or cancelled job is one, as far as it matters for buying it anew."""
    if record.state is State.CANCELLED:
        return CANCELLED
    if record.written_off:
        return WRITTEN_OFF
    return MODERATED if record.problem is not None and record.problem.kind is Kind.MODERATED else FAILED


async def retry(run_name: str, given: Given, host: Host, wish: Wish) -> Report:
    """Buy failed and cancelled jobs anew, those that ``wish`` means. New purchases, priced and asked about as such."""
    async with again(run_name, given, host, "retry") as run:
        form = form_of_run(run.checkpoint, run.folder)
        chosen = choose(run.checkpoint, replace(wish, rows=[row_index(form, row) for row in wish.rows]))
        if not chosen.parts:
            off = [sheet_row(form, row) for row in chosen.rows_written_off]
            raise _nothing_to_retry(run, replace(chosen, rows_written_off=off), wish)
        order = Order(planned=[record.id for record in chosen.planned], retried=chosen.records)
        what = replace(plan_of_run(run), parts=chosen.parts, not_meant=chosen.left_out)
        return await buy(run, what, order, new_canary=True)


def choose(checkpoint: Book, wish: Wish) -> Choice:
    """Those of the run's jobs that ``wish`` means. Only jobs that a row still asks for."""
    candidates = checkpoint.records_in({State.FAILED, State.CANCELLED}, wanted=True)
    before = [] if wish.match else checkpoint.retried_and_planned()
    rows = checkpoint.rows_of(record.id for record in (*candidates, *before))

    def is_here(record: Record) -> bool:
        return not wish.rows or any(row in wish.rows for row, _ in rows.get(record.id, ()))

    found = [record for record in candidates if is_here(record) and _matches(record, wish.match)]
    chosen = [record for record in found if kind_of(record) in wish.kinds()]
    planned = [record for record in before if is_here(record)]
    left_out = [record for record in found if kind_of(record) not in wish.kinds()]
    parts = [*_by_kind(chosen), *([("asked for before", len(planned))] if planned else [])]
    off = [row for record in left_out if kind_of(record) == WRITTEN_OFF for row, _ in rows.get(record.id, ())[:1]]
    return Choice(chosen, planned, parts, _by_kind(left_out), list(dict.fromkeys(off))[:NAMED_ROWS])


def _matches(record: Record, text: str | None) -> bool:
    told = f"{record.problem.kind} {record.problem.message}" if record.problem else ""
    return text is None or text.lower() in told.lower()


def _by_kind(records: Sequence[Record]) -> list[tuple[str, int]]:
    kinds = [kind_of(record) for record in records]
    return [(kind, kinds.count(kind)) for kind in (FAILED, CANCELLED, MODERATED, WRITTEN_OFF) if kind in kinds]


def _nothing_to_retry(run: Session, chosen: Choice, wish: Wish) -> UsageError:
    folder, checkpoint, store = run.folder, run.checkpoint, store_words(run.checkpoint)
    if chosen.left_out:
        told = ", ".join(f"{count:,} {kind}" for kind, count in chosen.left_out)
        ways = [
            f"  → to buy the {kind} ones anew: {_to_retry(run, wish.words(kind, chosen.rows_written_off), count)}"
            for kind, count in chosen.left_out
        ]
        return UsageError(f"nothing else than {told} matches", details=ways)
    if checkpoint.counts().of(State.PLANNED):
        room = format_cap_option_for_rest(compute_cap_needed(checkpoint))
        what, command = "what is not bought yet", to_type("run", folder.path, *room, *store)
    else:
        what, command = "how the run stands", to_type("status", folder.path, *store)
    return UsageError("no failed or cancelled job matches", hint=f"{what}: {command}")


def _to_retry(run: Session, words: Sequence[str | int], jobs: int) -> str:
    return to_type(
        "retry", run.folder.path, *words, *format_cap_option(run.checkpoint, jobs), *store_words(run.checkpoint)
    )
