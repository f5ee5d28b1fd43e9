"""Changes of a manifest since the last run: which rows are new, which were edited and where, which are unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from ..core.model import JobKey, ResultLine
from ..jobs.identity import reduce_to_identity
from ..ledger.book import Book


@dataclass(frozen=True, slots=True)
class Edit:
    """A row that was edited, its id, and the inputs that changed."""

    row: int
    fields: tuple[str, ...]
    id: str = ""


def find_edits(lines: Sequence[ResultLine], is_requested: Callable[[JobKey], bool], checkpoint: Book) -> list[Edit]:
    """The edits among ``lines``: jobs in the place of a job that no row asks for any more.

    If the older job is still wanted, it only moved, as when a row was inserted above; the line is new then.
    """
    previous = checkpoint.find_predecessors({line.name_hash: line.job.version for line in lines})
    edits = []
    for line in lines:
        key, inputs = previous.get(line.name_hash, (None, ""))
        if key is not None and not is_requested(key):
            edits.append(Edit(line.row, find_changed_fields(inputs, line.job.inputs), line.id))
    return edits


def find_changed_fields(before: str, after: str) -> tuple[str, ...]:
    """The inputs in which two jobs differ. Local pictures are compared by content."""
    old, new = reduce_to_identity(orjson.loads(before)), reduce_to_identity(orjson.loads(after))
    return tuple(name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name))
