"""``batchedit redo``: another version of the rejected ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..core.errors import UsageError
from ..core.model import Record, ResultLine
from ..core.shell_commands import format_command
from ..jobs.identity import job_key
from ..ledger.book import Book
from ..manifest.rownames import choose_row_word
from ..planning.plan import to_sheet_line
from ..results.report import Report
from ..review.redo import make_next_version
from ..run_folder import read_form_of_run
from .host import Host
from .kept_settings import Given
from .purchase_order import Order
from .purchase_stages import buy, make_plan_of_run
from .session import reopen_session


async def redo(run_name: str, given: Given, host: Host, *, prompt_add: str = "", use_notes: bool = False) -> Report:
    """Buy another version of exactly the rejected pictures, with the same prompt or an addition to it. Old files stay."""
    async with reopen_session(run_name, given, host, "redo") as run:
        pairs = list_redo_lines(run.checkpoint, prompt_add=prompt_add, use_notes=use_notes)
        planned = run.checkpoint.list_planned_repurchases()
        if not pairs and not planned:
            raise UsageError(
                "nothing is rejected that was not redone already",
                hint=f"reject some with: {format_command('review', run.folder.path)}",
            )
        source_form = read_form_of_run(run.checkpoint, run.folder)
        parts = [("rejected", len(pairs)), ("asked for before", len(planned))]
        plan = replace(
            make_plan_of_run(run),
            parts=[(name, count) for name, count in parts if count],
            examples=[to_sheet_line(line, source_form) for _, line in pairs[:3]],
            row_word=choose_row_word(source_form),
        )
        return await buy(run, plan, Order(planned=planned, repurchases=pairs), new_canary=True)


def list_redo_lines(
    checkpoint: Book, *, prompt_add: str = "", use_notes: bool = False
) -> list[tuple[Record, ResultLine]]:
    """Each rejected job that is not bought again yet, with its next version as a line. Writes nothing.

    ``use_notes`` appends each picture's own note to its prompt, ``prompt_add`` one text to all. After the person's yes the
    pairs go to ``Book.add_repurchases``.
    """
    rejected = checkpoint.find_rejected()
    notes = {job: decision.note for job, decision in checkpoint.decisions.all().items()} if use_notes else {}
    known_jobs = checkpoint.read_known_jobs()
    keys = set(known_jobs.ids)
    names = {name.casefold() for name in checkpoint.list_job_names()}
    name_hashes = checkpoint.read_name_hashes(record.id for record in rejected)
    rows = checkpoint.find_rows(record.id for record in rejected)
    pairs = []
    for record in rejected:
        name_hash = name_hashes[record.id]
        prompt_addition = " ".join(part for part in (notes.get(record.id, "").strip(), prompt_add.strip()) if part)
        key_of = partial(job_key, record.job.model)
        job = make_next_version(
            record.job, known_jobs.version(name_hash) + 1, prompt_addition, key_of=key_of, keys=keys, names=names
        )
        keys.add(job.key)
        names.add(job.name.casefold())
        row, name = rows[record.id][0]
        pairs.append((record, ResultLine(row, name, job, name_hash)))
    return pairs
