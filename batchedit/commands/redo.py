"""``batchedit redo``: another version of the rejected ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..core.errors import UsageError
from ..core.model import Record, ResultLine
from ..core.typed import to_type
from ..jobs.identity import job_key
from ..ledger.book import Book
from ..manifest.rownames import row_word
from ..planning.plan import shown_line
from ..results.report import Report
from ..review.redo import make_next_version
from ..run_folder import form_of_run
from .host import Host
from .kept_settings import Given
from .order import Order
from .purchase import buy, plan_of_run
from .session import again


async def redo(run_name: str, given: Given, host: Host, *, prompt_add: str = "", use_notes: bool = False) -> Report:
    """Another version of exactly the rejected ones: the same prompt, or with an addition. Old files stay."""
    async with again(run_name, given, host, "redo") as run:
        pairs = redo_lines(run.checkpoint, prompt_add=prompt_add, use_notes=use_notes)
        before = run.checkpoint.redone_and_planned()
        if not pairs and not before:
            raise UsageError(
                "nothing is rejected that was not redone already",
                hint=f"reject some with: {to_type('review', run.folder.path)}",
            )
        form = form_of_run(run.checkpoint, run.folder)
        parts = [("rejected", len(pairs)), ("asked for before", len(before))]
        what = replace(
            plan_of_run(run),
            parts=[(name, count) for name, count in parts if count],
            examples=[shown_line(line, form) for _, line in pairs[:3]],
            row_word=row_word(form),
        )
        return await buy(run, what, Order(planned=before, redone=pairs), new_canary=True)


def redo_lines(checkpoint: Book, *, prompt_add: str = "", use_notes: bool = False) -> list[tuple[Record, ResultLine]]:
    """For each rejected job, not bought again yet, its next version as a line. Writes nothing.

    ``use_notes`` puts each one's own note behind its prompt, ``prompt_add`` one text behind all. Give the pairs to
    ``Book.add_repurchases`` once the person has said yes.
    """
    again = checkpoint.rejected()
    notes = {job: mark.note for job, mark in checkpoint.decisions.all().items()} if use_notes else {}
    known = checkpoint.known_jobs()
    keys = set(known.ids)
    names = {name.casefold() for name in checkpoint.job_names()}
    slots = checkpoint.slots_of(record.id for record in again)
    rows = checkpoint.rows_of(record.id for record in again)
    pairs = []
    for record in again:
        slot = slots[record.id]
        addition = " ".join(part for part in (notes.get(record.id, "").strip(), prompt_add.strip()) if part)
        key_of = partial(job_key, record.job.model)
        job = make_next_version(record.job, known.version(slot) + 1, addition, key_of=key_of, keys=keys, names=names)
        keys.add(job.key)
        names.add(job.name.casefold())
        row, name = rows[record.id][0]
        pairs.append((record, ResultLine(row, name, job, slot)))
    return pairs
