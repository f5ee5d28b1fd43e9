"""Jobs in doubt and uncollected jobs: a person decides about them.

Nothing here sends a POST: buying again is an order of ``purchase.buy`` like any other. Before a pasted request_id is adopted
the API is asked about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time

from ..core.actions import recover
from ..core.errors import KnownRequestError, UsageError
from ..core.events import Accepted, WrittenOff
from ..core.lifecycle import advance
from ..core.model import Problem, Record, State
from ..core.plurals_and_durations import pluralize
from ..ledger.book import Book, Checkpoint
from ..manifest.rownames import choose_row_word, find_row_id, to_sheet_row
from ..manifest.rows import Form
from ..runcomfy.client import Client
from ..runcomfy.ids import parse_request_id

BY_HAND = "by hand (doubt)"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One job in doubt or uncollected, the ``(row, id)`` of the results' lines that want it, and the reply to its POST where
    that holds no id. Rows are the sheet's own; ``word`` is what they count.
    """

    record: Record
    rows: tuple[tuple[int, str], ...]
    reply: str = ""
    word: str = "row"

    @property
    def is_uncollected(self) -> bool:
        """True if it was surely bought and could not be collected; else it may have been bought."""
        return self.record.state is State.UNCOLLECTED


def list_doubts(checkpoint: Book, form: Form) -> list[Doubt]:
    """All doubts in order of row. ``form`` is that of the run's manifest."""
    records = checkpoint.read_records_in({State.IN_DOUBT, State.UNCOLLECTED})
    rows = checkpoint.find_rows(record.id for record in records)
    replies = checkpoint.read_lost_replies()
    doubts = [
        Doubt(
            record,
            _to_sheet_rows(rows.get(record.id, ()), form),
            replies.get(record.job.key, ""),
            choose_row_word(form),
        )
        for record in records
    ]
    return sorted(doubts, key=lambda doubt: (doubt.rows[0][0] if doubt.rows else 0, doubt.record.id))


def _to_sheet_rows(rows: Iterable[tuple[int, str]], form: Form) -> tuple[tuple[int, str], ...]:
    return tuple((to_sheet_row(form, row), find_row_id(form, row, id_)) for row, id_ in rows)


def pick_doubts(doubts: Sequence[Doubt], names: Iterable[str], hint: str = "") -> list[Doubt]:
    """The doubts that ``names`` mean: row numbers, file names where a row has several, or ``all``.

    UsageError names all that is wrong at once; ``hint`` says how to see which there are.
    """
    problems: list[str] = []
    chosen: dict[int, Doubt] = {}
    for name in names:
        if name == "all":
            chosen.update((doubt.record.id, doubt) for doubt in doubts)
            continue
        matches = [d for d in doubts if d.record.job.name == name]
        matches = matches or [d for d in doubts if name.isdigit() and int(name) in {row for row, _ in d.rows}]
        if len(matches) == 1:
            chosen[matches[0].record.id] = matches[0]
        elif matches:
            options = ", ".join(d.record.job.name for d in matches)
            problems.append(
                f"{matches[0].word} {name} has {pluralize(len(matches), 'such job')}: name one of {options}"
            )
        else:
            problems.append(f"{name}: no job in doubt or uncollected")
    if problems:
        raise UsageError("; ".join(problems), hint=hint)
    return list(chosen.values())


def pick_to_buy(doubts: Sequence[Doubt], names: Iterable[str], hint: str = "") -> list[Doubt]:
    """``pick_doubts``, and UsageError for a job that no row asks for: no row would get its picture."""
    chosen = pick_doubts(doubts, names, hint)
    if unwanted := [doubt.record.job.name for doubt in chosen if not doubt.rows]:
        raise UsageError(
            f"no row asks for {', '.join(unwanted)} any more, so nothing is bought again",
            hint="name the rows to buy again; --write-off gives the others up",
        )
    return chosen


def explain_quarantine(early: Mapping[int, float]) -> str:
    """The message about doubts that can't be bought again yet; ``early`` as from ``Book.list_quarantined``."""
    seconds = math.ceil(max(early.values()))
    return (
        f"the POST of {len(early):,} in doubt may still be on its way, for another {seconds} s, as its worker was not "
        "heard of any more"
    )


def check_quarantine(checkpoint: Book, chosen: Iterable[Doubt]) -> None:
    """UsageError (64) if one of them can't be bought again yet. Call it before the person is asked."""
    waiting = checkpoint.list_quarantined()
    if early := {d.record.id: waiting[d.record.id] for d in chosen if d.record.id in waiting}:
        raise UsageError(explain_quarantine(early), hint="nothing was bought; the same command when that time is over")


def write_off(checkpoint: Book, chosen: Iterable[Doubt]) -> int:
    """Write off each with an event. Returns how many."""
    count = 0
    for doubt in chosen:
        event = WrittenOff(time(), BY_HAND)
        checkpoint.save_now(advance(doubt.record, event), event)
        count += 1
    return count


_CORRECT_HINT = "nothing was changed; correct these ids and type it again"


async def adopt(checkpoint: Book, client: Client, pasted: Mapping[str, str], form: Form, hint: str = "") -> int:
    """ROW → request_id: each is checked with the API and against the run, then all are taken in.

    UsageError, with every reason, if any of them is no request of ours for this model or belongs to another row.
    """
    in_doubt = [doubt for doubt in list_doubts(checkpoint, form) if not doubt.is_uncollected]  # whose id is known
    problems: list[str] = []
    accepted: list[tuple[Doubt, Accepted]] = []
    for name, text in pasted.items():
        request_id = parse_request_id(text) or text  # compared as it would be stored
        if name == "all":
            raise UsageError("one request id can't be that of all rows", hint="write ROW=ID for each row")
        doubt = pick_doubts(in_doubt, [name], hint)[0]
        if any(doubt is other for other, _ in accepted):
            problems.append(f"row {name} is given two ids")
            continue
        owner = checkpoint.find_owner(request_id)
        if owner or any(event.handle.request_id == request_id for _, event in accepted):
            problems.append(f"{request_id} is already the request of {owner or 'another row'}")
            continue
        answer = await client.identify(request_id)
        if isinstance(answer, Problem):
            problems.append(f"{request_id} for row {name}: {answer.message}")
        else:
            accepted.append((doubt, Accepted(time(), answer, by=BY_HAND)))
    if problems:
        raise UsageError("; ".join(problems), hint=_CORRECT_HINT)
    try:
        checkpoint.save_all([(advance(doubt.record, event), event) for doubt, event in accepted])
    except KnownRequestError as error:  # taken in by another process since it was compared
        raise UsageError(str(error), hint=_CORRECT_HINT) from None
    return len(accepted)


def note_crashes(checkpoint: Checkpoint) -> None:
    """SUBMITTING → IN_DOUBT for what an earlier process left between its intention and the answer.

    In a shared run such a job may be one that another worker is sending just now: there the leases tell who is dead.
    """
    if checkpoint.shared:
        return
    for record in checkpoint.read_records_in({State.SUBMITTING}):
        event = recover(record, time())
        if event is not None:
            checkpoint.save_now(advance(record, event), event)


def list_wanted_doubts(checkpoint: Book) -> list[Record]:
    """Jobs in doubt that a row of the manifest still asks for: what ``--on-doubt buy-again`` buys again."""
    return checkpoint.read_records_in({State.IN_DOUBT}, wanted=True)
