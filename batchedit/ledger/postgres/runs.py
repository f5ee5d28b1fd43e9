"""The runs of a store, each summed up in a few numbers: for a list of them, without copies in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.model import Counts, Money
from ..values import RunSummary
from .bought_from import BoughtFrom
from .changes import to_counts, to_money
from .schema import SCHEMA
from .store import open_store

_SELECT_RUNS = f"""
    SELECT id, name, model, service, coalesce(halted, ''), {SCHEMA}.standing(id),
        (SELECT value FROM {SCHEMA}.fact WHERE fact.run = run.id AND fact.name = 'source'),
        (SELECT value FROM {SCHEMA}.fact WHERE fact.run = run.id AND fact.name = 'asked_price'),
        extract(epoch FROM coalesce(
            (SELECT written_at FROM {SCHEMA}.event WHERE event.run = run.id ORDER BY tx DESC LIMIT 1), made_at))::float8,
        (SELECT count(*) FROM {SCHEMA}.line WHERE line.run = run.id AND job IS NULL AND problems NOT LIKE '[["left out",%%'),
        (SELECT count(*) FROM {SCHEMA}.job WHERE job.run = run.id AND state = 'failed' AND wanted AND kind = 'moderated'),
        (SELECT count(*) FROM {SCHEMA}.job WHERE job.run = run.id AND state = 'failed' AND wanted
            AND kind IN ('written_off', 'lost')),
        ARRAY(SELECT DISTINCT worker.name FROM {SCHEMA}.job JOIN {SCHEMA}.worker ON worker.id = job.worker
            WHERE job.run = run.id AND NOT gone AND lease_until > clock_timestamp() ORDER BY 1)
    FROM {SCHEMA}.run ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class RunOfStore:
    """A run of a store. ``workers`` are those that have jobs of it now, ``halted`` is why nothing is bought in it any more,
    "" if it is not halted. ``price`` is that of a picture in its last quote, in micro-dollars. ``used_at`` is in epoch
    seconds by the store's clock.
    """

    name: str
    model: str
    service: BoughtFrom
    halted: str
    source: str
    price: int
    used_at: float
    counts: Counts
    money: Money
    digest: RunSummary
    workers: Sequence[str]


def read_store_runs(url: str) -> list[RunOfStore]:
    """All runs of the store at ``url``, in the order of their creation."""
    with open_store(url) as connection:
        rows = connection.execute(_SELECT_RUNS.encode(), ()).fetchall()
    return [
        RunOfStore(
            name,
            model,
            BoughtFrom.load(service),
            halted,
            source or "",
            int(price or 0),
            used_at,
            to_counts(standing),
            to_money(standing, believes=False, earlier=0),
            RunSummary(invalid=invalid, moderated=moderated, written_off=off),
            workers,
        )
        for _, name, model, service, halted, standing, source, price, used_at, invalid, moderated, off, workers in rows
    ]
