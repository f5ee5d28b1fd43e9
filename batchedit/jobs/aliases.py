"""Keys of jobs that were bought under older rules of identity, reckoned anew, so that none of them is bought again.

A job keeps the key that it was bought under. Where today's rules give the same inputs another key (a link whose signature
counted then), the checkpoint keeps that one beside it, as an alias. It is reckoned once, when a run is opened to be written
to; whoever only reads an older run reckons it in passing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..core.model import JobKey
from ..ledger.book import Book
from .identity import RULES, job_key

RULES_META = "identity_rules"


def find_aliases(checkpoint: Book) -> Mapping[JobKey, int]:
    """Today's key → job id, for the jobs whose own key is another one."""
    if checkpoint.get(RULES_META) == RULES:
        return checkpoint.aliases()
    found: dict[JobKey, int] = {}
    for job in checkpoint.signed_jobs():
        now = job_key(checkpoint.model, json.loads(job.inputs), job.variant, job.revision)
        if now != job.key:
            found[now] = job.id
    return found


def keep_aliases(checkpoint: Book) -> None:
    """Write the aliases of an older run down, once."""
    if checkpoint.get(RULES_META) == RULES:
        return
    checkpoint.keep_aliases(find_aliases(checkpoint), {RULES_META: RULES})
