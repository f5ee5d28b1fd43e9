"""The purchases that a person has approved. Each purchase is taken from here first, so nothing is bought unasked."""

from __future__ import annotations

from collections.abc import Iterable

BUY_AGAIN = "--on-doubt buy-again"
"""Who approved that a purchase whose answer was lost is made again."""


class Approval:
    """The jobs that may be bought, by id, and at which price.

    ``price`` is micro-dollars a job, as shown to the person; 0 where no price was known, and then any price is covered.
    ``times`` is how often each job may be bought: twice where a purchase whose answer was lost is to be made again, and the
    question said so. A job takes one byte, because one question may be about a million of them.
    """

    def __init__(self, jobs: Iterable[int], *, price: int = 0, times: int = 1) -> None:
        self.price = price
        self._again = times > 1
        self._left = bytearray()
        for job in jobs:
            if job >= len(self._left):
                self._left.extend(bytes(job + 1 - len(self._left)))
            self._left[job] = times

    @property
    def asked(self) -> bool:
        """May anything be bought at all?"""
        return bool(self._left)

    def may_buy_job(self, job: int) -> bool:
        """May this job be bought?"""
        return job < len(self._left) and self._left[job] > 0

    def may_buy_job_again(self, job: int) -> bool:
        """May this job be bought once more, now that the answer to its purchase is lost?"""
        return self._again and self.may_buy_job(job)

    def may_cost(self, price: int) -> bool:
        """Was this price, or a higher one, approved?"""
        return not self.price or price <= self.price

    def take(self, job: int) -> None:
        """A purchase of this job begins. ValueError if it may not."""
        if not self.may_buy_job(job):
            raise ValueError(f"job {job} was never asked about")
        self._left[job] -= 1

    def give_back(self, job: int) -> None:
        """The purchase that was taken was surely not made."""
        self._left[job] += 1


class StoreApproval(Approval):
    """The store keeps which jobs are approved and hands out no others; only the price is checked here."""

    @property
    def asked(self) -> bool:
        """May anything be bought at all?"""
        return True

    def may_buy_job(self, job: int) -> bool:  # noqa: ARG002 - the store was asked when it gave the job out
        """May this job be bought?"""
        return True

    def take(self, job: int) -> None:
        """The store counts."""

    def give_back(self, job: int) -> None:
        """The store counts."""
