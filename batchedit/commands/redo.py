"""The rejected ones as new lines: what ``batchedit redo`` buys."""

from __future__ import annotations

from functools import partial

from ..core.model import Line, Record
from ..jobs.identity import job_key
from ..ledger.decisions import Marks
from ..ledger.intake import known_jobs
from ..ledger.repurchases import rejected
from ..ledger.sqlite import SqliteCheckpoint
from ..review.redo import job_again


def redo_lines(
    checkpoint: SqliteCheckpoint, *, prompt_add: str = "", use_notes: bool = False
) -> list[tuple[Record, Line]]:
    """For each rejected job, not bought again yet, its next version as a line. Writes nothing.

    ``use_notes`` puts each one's own note behind its prompt, ``prompt_add`` one text behind all. Give the pairs to
    ``checkpoint.redone.take_in_again`` once the person has said yes.
    """
    again = rejected(checkpoint)
    notes = {job: mark.note for job, mark in Marks(checkpoint).all().items()} if use_notes else {}
    known = known_jobs(checkpoint)
    keys = set(known.ids)
    names = {name.casefold() for (name,) in checkpoint.rows("SELECT name FROM jobs")}
    slots: dict[int, int] = dict(checkpoint.rows("SELECT id, slot FROM jobs"))
    rows = checkpoint.rows_of(record.id for record in again)
    pairs = []
    for record in again:
        slot = slots[record.id]
        addition = " ".join(part for part in (notes.get(record.id, "").strip(), prompt_add.strip()) if part)
        key_of = partial(job_key, record.job.model)
        job = job_again(record.job, known.version(slot) + 1, addition, key_of=key_of, keys=keys, names=names)
        keys.add(job.key)
        names.add(job.name.casefold())
        row, name = rows[record.id][0]
        pairs.append((record, Line(row, name, job, slot)))
    return pairs
