"""What a command would buy, collected before the question: nothing of it is begun.

``run`` buys what is planned, ``retry`` what failed, ``redo`` what was rejected, ``doubt --buy-again`` and
``--on-doubt buy-again`` what may have been bought before. Each is a part of one order, so that one question counts them all.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from time import time
from typing import TypeVar

from ..core.approved_purchases import BUY_AGAIN
from ..core.errors import StoppedError
from ..core.events import Event, Released, RetryAsked
from ..core.lifecycle import advance
from ..core.model import Record, ResultLine
from ..ledger.book import Book

T = TypeVar("T")
Pair = tuple[Record, ResultLine]
"""A rejected job, and the line of the one that is to be bought in its place."""


@dataclass(frozen=True)
class Order:
    """Purchases, in the order in which they are made.

    ``planned`` are ids of jobs that need nothing but the yes. ``retried`` failed or were cancelled, ``redone`` were
    rejected, ``released`` are in doubt or uncollected and bought again by approval of ``by``. ``begin`` writes the events
    that make these purchases, after the yes.
    """

    planned: Sequence[int] = ()
    retried: Sequence[Record] = ()
    repurchases: Sequence[Pair] = ()
    released: Sequence[Record] = ()
    by: str = BUY_AGAIN

    def __len__(self) -> int:
        return len(self.planned) + len(self.retried) + len(self.repurchases) + len(self.released)

    def split(self, places: Collection[int]) -> tuple[Order, Order]:
        """The purchases at ``places`` (from 0, over all parts), and the others."""
        chosen_places, offset = frozenset(places), 0

        def split_part(part: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
            nonlocal offset
            part_range = range(offset, offset + len(part))
            offset = part_range.stop
            chosen = [part[index - part_range.start] for index in sorted(chosen_places) if index in part_range]
            return chosen, [item for index, item in zip(part_range, part, strict=True) if index not in chosen_places]

        planned, retried = split_part(self.planned), split_part(self.retried)
        repurchases, released = split_part(self.repurchases), split_part(self.released)
        chosen = Order(planned[0], retried[0], repurchases[0], released[0], self.by)
        return chosen, Order(planned[1], retried[1], repurchases[1], released[1], self.by)

    def split_off(self, jobs: Collection[int]) -> tuple[Order, Order]:
        """The planned ones among ``jobs``, and all the others."""
        return self.split([index for index, job in enumerate(self.planned) if job in jobs])

    def begin(self, checkpoint: Book) -> array[int]:
        """Make all of them planned. Returns their ids.

        StoppedError, and nothing is begun, if one of them is in another state than when it was asked about.
        """
        current = {r.id: r for r in checkpoint.read_records(r.id for r in (*self.retried, *self.released))}
        for record in (*self.retried, *self.released):
            if current[record.id].state is not record.state:
                raise StoppedError(
                    f"{record.job.name} was {record.state} when it was asked about and is {current[record.id].state} now",
                    hint="the same command asks anew",
                )
        for record in self.retried:
            _save(checkpoint, current[record.id], RetryAsked(time()))
        for record in self.released:
            _save(checkpoint, current[record.id], Released(time(), self.by))
        repurchased = checkpoint.add_repurchases(self.repurchases) if self.repurchases else []
        job_ids = array("q", self.planned)
        job_ids.extend(record.id for record in self.retried)
        job_ids.extend(repurchased)
        job_ids.extend(record.id for record in self.released)
        return job_ids

    def digest(self) -> str:
        """A text that stands for exactly these purchases."""
        digest = hashlib.sha256(array("q", self.planned).tobytes())
        for label, keys in (
            (b"retry", [_identify_purchase(record) for record in self.retried]),
            (b"redo", [line.job.key for _, line in self.repurchases]),
            (b"released", [_identify_purchase(record) for record in self.released]),
        ):
            digest.update(label)
            digest.update(b"".join(keys))
        return digest.hexdigest()


def _identify_purchase(record: Record) -> bytes:
    """Key and serial: a job that failed, was bought again and failed again is another purchase, which needs another yes."""
    return record.job.key + record.serial.to_bytes(8, "big")


def order_everything_planned(checkpoint: Book) -> Order:
    """What ``run`` buys."""
    return Order(planned=checkpoint.list_planned_ids())


def order_still_planned(checkpoint: Book, jobs: Iterable[int]) -> Order:
    """Those of ``jobs`` that have not been bought."""
    wanted = frozenset(jobs)
    return Order(planned=array("q", (job for job in checkpoint.list_planned_ids() if job in wanted)))


def _save(checkpoint: Book, record: Record, event: Event) -> None:
    checkpoint.save_now(advance(record, event), event)
