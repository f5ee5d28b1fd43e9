"""Current keys of jobs that were bought under older rules of identity, so that none of them is bought again.

A job keeps the key that it was bought under. Where the current rules give the same inputs another key (a link whose
signature counted then), the checkpoint keeps that key as an alias. The aliases are computed once, when a run is opened for
writing. A reader of an older run computes them each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..core.model import JobKey
from ..ledger.book import Book
from .identity import RULES, job_key

RULES_META = "identity_rules"


def find_aliases(checkpoint: Book) -> Mapping[JobKey, int]:
    """Current key → job id, for the jobs whose own key differs from it."""
    if checkpoint.get(RULES_META) == RULES:
        return checkpoint.read_aliases()
    aliases: dict[JobKey, int] = {}
    for job in checkpoint.list_signed_jobs():
        current_key = job_key(checkpoint.model, json.loads(job.inputs), job.variant, job.revision)
        if current_key != job.key:
            aliases[current_key] = job.id
    return aliases


def keep_aliases(checkpoint: Book) -> None:
    """Store the aliases of an older run, once."""
    if checkpoint.get(RULES_META) == RULES:
        return
    checkpoint.keep_aliases(find_aliases(checkpoint), {RULES_META: RULES})
