"""Jobs that may have been bought: listing them, and a person's three ways to decide.

Nothing here sends a POST. Adopting a pasted request_id asks the API about it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time

from ..core.errors import UsageError
from ..core.lifecycle import Accepted, Event, Released, WrittenOff, advance, recover
from ..core.model import Problem, Record, State
from ..ledger.sqlite import SqliteCheckpoint
from ..runcomfy.client import Client

BY_HAND = "by hand: batchedit doubt"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One job in doubt and the ``(row, id)`` of the results' lines that want it."""

    record: Record
    rows: tuple[tuple[int, str], ...]


def doubts(checkpoint: SqliteCheckpoint) -> list[Doubt]:
    """All of them, in order of row."""
    records = checkpoint.records("state = 'in_doubt' ORDER BY id")
    rows = checkpoint.rows_of(record.id for record in records)
    found = [Doubt(record, tuple(rows.get(record.id, ()))) for record in records]
    return sorted(found, key=lambda doubt: (doubt.rows[0][0] if doubt.rows else 0, doubt.record.id))


def pick(found: Sequence[Doubt], names: Iterable[str]) -> list[Doubt]:
    """The doubts that ``names`` mean: row numbers, file names where a row has several, or ``all``.

    UsageError names everything that is wrong at once.
    """
    wrong: list[str] = []
    chosen: dict[int, Doubt] = {}
    for name in names:
        if name == "all":
            chosen.update((doubt.record.id, doubt) for doubt in found)
            continue
        hits = [d for d in found if d.record.job.name == name]
        hits = hits or [d for d in found if name.isdigit() and int(name) in {row for row, _ in d.rows}]
        if len(hits) == 1:
            chosen[hits[0].record.id] = hits[0]
        elif hits:
            options = ", ".join(d.record.job.name for d in hits)
            wrong.append(f"row {name} has {len(hits)} jobs in doubt: name one of {options}")
        else:
            wrong.append(f"{name}: no job in doubt")
    if wrong:
        raise UsageError("; ".join(wrong), hint="batchedit doubt RUN lists them")
    return list(chosen.values())


def decide(checkpoint: SqliteCheckpoint, chosen: Iterable[Doubt], *, buy_again: bool) -> int:
    """Release or write off, each with an event. Returns how many."""
    count = 0
    for doubt in chosen:
        event: Event = Released(time(), BY_HAND) if buy_again else WrittenOff(time(), BY_HAND)
        checkpoint.save_now(advance(doubt.record, event), event)
        count += 1
    return count


async def adopt(checkpoint: SqliteCheckpoint, client: Client, pasted: Mapping[str, str]) -> int:
    """ROW → request_id: each is checked with the API and against the run, then all are taken in.

    UsageError, with every reason, if any of them is no request of ours for this model or belongs to another row.
    """
    found = doubts(checkpoint)
    wrong: list[str] = []
    accepted: list[tuple[Doubt, Accepted]] = []
    for name, request_id in pasted.items():
        if name == "all":
            raise UsageError("one request id can't be that of all rows", hint="write ROW=ID for each row")
        doubt = pick(found, [name])[0]
        if any(doubt is other for other, _ in accepted):
            wrong.append(f"row {name} is given two ids")
            continue
        taken = _owner(checkpoint, request_id)
        if taken or any(event.handle.request_id == request_id for _, event in accepted):
            wrong.append(f"{request_id} is already the request of {taken or 'another row'}")
            continue
        answer = await client.identify(request_id)
        if isinstance(answer, Problem):
            wrong.append(f"{request_id} for row {name}: {answer.message}")
        else:
            accepted.append((doubt, Accepted(time(), answer, by=BY_HAND)))
    if wrong:
        raise UsageError("; ".join(wrong), hint="nothing was changed; correct these ids and type it again")
    for doubt, event in accepted:
        checkpoint.save_now(advance(doubt.record, event), event)
    return len(accepted)


def _owner(checkpoint: SqliteCheckpoint, request_id: str) -> str:
    """The name of the job that this request was ever accepted for, also before it was bought anew; empty for none."""
    for _, job, _, name, _, told in checkpoint.events():
        if name == Accepted.__name__ and told["handle"]["request_id"] == request_id:
            return checkpoint.records("id = ?", (job,))[0].job.name
    return ""


def note_crashes(checkpoint: SqliteCheckpoint) -> None:
    """SUBMITTING → IN_DOUBT for what an earlier process left between its intention and the answer."""
    for record in checkpoint.records("state = 'submitting' ORDER BY id"):
        event = recover(record, time())
        if event is not None:
            checkpoint.save_now(advance(record, event), event)


def wanted_doubts(checkpoint: SqliteCheckpoint) -> list[Record]:
    """Jobs in doubt that a row of the manifest still asks for: what ``--on-doubt buy-again`` buys again."""
    return checkpoint.records("state = 'in_doubt' AND wanted = 1 ORDER BY id")


def release(checkpoint: SqliteCheckpoint, records: Iterable[Record]) -> None:
    """IN_DOUBT → PLANNED, by ``--on-doubt buy-again``."""
    for record in records:
        event = Released(time(), "--on-doubt buy-again")
        checkpoint.save_now(advance(record, event), event)


def open_doubts(checkpoint: SqliteCheckpoint) -> int:
    """How many are left."""
    return len(checkpoint.records("state = ?", (State.IN_DOUBT.value,)))
