"""The canary: a few pictures that are bought first, so that a person sees what the rest would come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from ..core.model import State
from ..ledger.book import Book
from ..ledger.run_facts import parse_whole_numbers, read_fact
from .purchase_order import Order

_FACT = "canary"


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What the first few came to. Money is in micro-dollars; ``seconds`` has for each finished job the time from submission
    to result.

    ``remaining`` pictures are still to be bought, ``at_once`` of them at the same time.
    """

    jobs: int
    done: int
    failed: int
    in_doubt: int
    cost: int
    seconds: tuple[float, ...]
    files: tuple[str, ...]
    remaining: int
    price: int
    at_once: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Canary:
    """``first`` is bought before ``rest``. ``ids`` are the jobs of an earlier canary, those of ``first`` among them; empty
    for a new one, whose jobs get their ids when they are begun.
    """

    first: Order
    rest: Order
    ids: tuple[int, ...] = ()


def choose_canary(checkpoint: Book, order: Order, count: int, *, fresh: bool) -> Canary:
    """Pick ``count`` purchases of ``order`` at even distances, or the canary of last time: the same command after a no shows
    the same pictures again and buys no others.

    It is a new canary with ``fresh``, where the manifest no longer asks for one of the old one's jobs, and where other runs
    have bought them all. ``first`` is empty where ``count`` is 0, or where it would hold the whole order.
    """
    if not count:
        return Canary(Order(), order)
    earlier = () if fresh else _read_kept_jobs(checkpoint, count)
    if earlier:
        return Canary(*order.split_off(frozenset(earlier)), earlier)
    if count >= len(order):
        return Canary(Order(), order)
    step = (len(order) - 1) / max(1, count - 1)
    return Canary(*order.split({round(index * step) for index in range(count)}))


def store_canary(checkpoint: Book, ids: Sequence[int]) -> None:
    """Store which jobs make the canary, before any of them is bought."""
    checkpoint.put(_FACT, orjson.dumps(list(ids)).decode())


def _read_kept_jobs(checkpoint: Book, count: int) -> tuple[int, ...]:
    jobs: tuple[int, ...] = read_fact(checkpoint, _FACT, parse_whole_numbers, ())
    if len(jobs) < count or not all(checkpoint.is_wanted(job) for job in jobs):
        return ()
    # What another run has bought meanwhile proves nothing about this one.
    return tuple(record.id for record in checkpoint.read_records(jobs) if not record.reused)


def build_canary_report(
    checkpoint: Book, folder: Path, ids: Sequence[int], *, remaining: int, price: int, at_once: int
) -> CanaryReport:
    """How the canary's jobs stand. ``price`` is micro-dollars for each of the ``remaining`` ones."""
    records = checkpoint.read_records(ids)
    done = [record for record in records if record.state is State.DONE]
    return CanaryReport(
        jobs=len(records),
        done=len(done),
        failed=sum(record.state in {State.FAILED, State.CANCELLED} for record in records),
        in_doubt=sum(record.state is State.IN_DOUBT for record in records),
        cost=sum(record.spent for record in records),
        seconds=tuple((r.finished_at or 0) - (r.submitted_at or 0) for r in done),
        files=tuple(str(folder / file.path) for r in done for file in r.files),
        remaining=remaining,
        price=price,
        at_once=at_once,
        problems=tuple(r.problem.message for r in records if r.problem is not None),
    )
