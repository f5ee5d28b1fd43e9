"""What became of a manifest since the last run: which rows are new, which were edited and where, which stayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..core.model import JobKey, Line
from ..jobs.identity import without_paths

TOLD = 200
"""So many edits are looked at one by one; beyond, a row in the place of an older one counts as edited."""

Rows = Callable[[str], Iterable[tuple[Any, ...]]]
"""Runs a query on the checkpoint."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A row that was edited, and the inputs that are others than before."""

    row: int
    fields: tuple[str, ...]


def told_apart(found: Sequence[Line], wants: Callable[[JobKey], bool], rows: Rows) -> list[Edit]:
    """Those of ``found`` that are edits: a job in the place of one that no row asks for any more.

    Where the older job is still wanted it only moved, as when a row was put in above; the line is new then.
    """
    older = _older({line.slot: line.job.version for line in found}, rows)
    edits = []
    for line in found:
        key, inputs = older.get(line.slot, (None, ""))
        if key is not None and not wants(key):
            edits.append(Edit(line.row, changed_fields(inputs, line.job.inputs)))
    return edits


def _older(versions: dict[int, int], rows: Rows) -> dict[int, tuple[JobKey, str]]:
    """For each slot the newest job below the given version, from the index on slots."""
    best: dict[int, tuple[int, int]] = {}
    slots = ",".join(map(str, versions))
    query = f"SELECT id, slot, version FROM jobs WHERE slot IN ({slots})"  # noqa: S608 - our own numbers
    for job, slot, version in rows(query):
        if best.get(slot, (0, 0))[0] < version < versions[slot]:
            best[slot] = version, job
    ids = ",".join(str(job) for _, job in best.values())
    query = f"SELECT id, key, inputs FROM jobs WHERE id IN ({ids})"  # noqa: S608 - numbers from our own table
    told = {job: (JobKey(key), inputs) for job, key, inputs in rows(query)}
    return {slot: told[job] for slot, (_, job) in best.items()}


def changed_fields(before: str, after: str) -> tuple[str, ...]:
    """The inputs in which two jobs differ; a local picture by its content."""
    old, new = without_paths(orjson.loads(before)), without_paths(orjson.loads(after))
    return tuple(name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name))
