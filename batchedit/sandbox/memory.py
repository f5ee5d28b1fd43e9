"""What must not be lost when the process is: jobs, money, counts, the fault plan. Written down, and brought back.

Every change goes through a method here that first writes it to the journal (if there is one) and then makes it; a later
server reads the lines and makes the same changes in the same order. Nothing is rolled anew: run times, fates and prices
stand in the lines, and since the schedule is arithmetic on the times of accepts and cancels (see `job_clock.py`), it
comes out the same, with the time the server was away counted like any other: the service went on working.

Options may differ from one start to the next. Slots and queue hold from their start on; a price holds for the jobs that
were accepted at it; the same seed and faults carry the plan on (its ordinals, its clock, and a plan that was laid over
HTTP), others lay a new one. Of the calls that change nothing (polls above all) kill -9 may lose the last second's
count, and how often each single job was polled is not kept at all.
"""

from pathlib import Path
from typing import Any

from batchedit.sandbox.job_clock import Clockwork, Job, Order, State
from batchedit.sandbox.faults import Injector, parse_fault
from batchedit.sandbox.journal import Journal, StateError
from batchedit.sandbox.ledger import Ledger
from batchedit.sandbox.money import Account
from batchedit.sandbox.uploads import Uploads

_SELDOM = 1.0  # seconds between two lines that only count


class Memory:
    """The account: what changes it, live or recalled, and the lines that tell. Times are Unix seconds."""

    def __init__(self, journal: Journal | None, balance: int | None) -> None:
        self.ledger = Ledger()
        self.till = Account(balance)
        self.clockwork = Clockwork(None, 0.0, self._ended)
        self.injector = Injector((), 0, 0.0)
        self.uploads = Uploads(Path(f"{journal.path}.d") if journal else None)
        self._journal = journal
        self._options: tuple[int, list[str]] | None = None  # seed and faults of the last start
        self._written: dict[str, int] = {}  # totals as the journal has them
        self._told = (0, 0)  # leaks and bugs it has
        self._counted_at = 0.0
        if journal is not None:
            self._recall_all(journal)

    def start(self, now: float, slots: int | None, queue: float, seed: int, faults: list[str]) -> None:
        """A server begins, with these options."""
        told = {"slots": slots, "queue": queue, "seed": seed, "faults": faults}
        self._write({"event": "start", "at": now, **told})
        self._start(now, slots, queue, seed, faults)
        self.clockwork.advance(now)

    def plan(self, now: float, seed: int, faults: list[str]) -> None:
        """Another fault plan; ValueError leaves the old one in force."""
        injector = _injector(now, seed, faults)
        self._write({"event": "plan", "at": now, "seed": seed, "faults": faults})
        self._lay(injector)

    def accept(self, order: Order, now: float) -> Job:
        told = {"id": order.request_id, "ordinal": order.ordinal, "model": order.model_id, "prompt": order.prompt}
        kept = {"size": order.size, "images": order.images, "digest": order.digest, "inputs": _slim(order.inputs)}
        rest = {"seconds": order.seconds, "fate": order.fate, "price": order.price, "actual": order.actual}
        rest["outputs"] = order.outputs
        self._write({"event": "accept", "at": now, **told, **kept, **rest})
        return self._accept(order, now)

    def cancel(self, job: Job, now: float) -> bool:
        """False if it is not queued (any more)."""
        self.clockwork.advance(now)
        if job.state is not State.QUEUED:
            return False
        self._write({"event": "cancel", "at": now, "id": job.order.request_id})
        return self.clockwork.cancel(job, now)

    def deliver(self, job: Job) -> None:
        """The answer that carried its id went out."""
        if not job.delivered:
            self._write({"event": "delivered", "id": job.order.request_id})
            job.delivered = True

    def serve(self, job: Job) -> None:
        """One of its pictures goes out."""
        self._write({"event": "served", "id": job.order.request_id})
        job.served += 1

    def expire(self, job: Job) -> None:
        """Its links are dead; the next ones are of a new generation."""
        self._write({"event": "expired", "id": job.order.request_id})
        job.generation += 1

    def count(self, now: float, *, at_once: bool) -> None:
        """Calls were counted in the ledger: write the totals down, at once or when the last time is a while ago."""
        if at_once or now - self._counted_at >= _SELDOM:
            self._counted_at = now
            self._write()

    def close(self) -> None:
        if self._journal is not None:
            self._write()
            self._journal.close()

    def _write(self, *events: dict[str, Any]) -> None:
        """The events, and before them whatever has been counted since the last time."""
        if self._journal is None:
            return
        totals, (leaks, bugs) = self._totals(), self._told
        fresh = {
            "totals": dict(totals.items() - self._written.items()),
            "leaks": self.ledger.token_leaks[leaks:],
            "bugs": self.ledger.bugs[bugs:],
        }
        counts = {name: news for name, news in fresh.items() if news}
        if counts or events:
            self._journal.write(*([{"event": "counts", **counts}] if counts else []), *events)
        self._written, self._told = totals, (len(self.ledger.token_leaks), len(self.ledger.bugs))

    def _totals(self) -> dict[str, int]:
        return {
            **{f"calls/{call}": count for call, count in self.ledger.calls.items()},
            **{f"seen/{place}": count for place, count in self.injector.seen.items()},
            **{
                f"answers/{call}/{answer}": count
                for call, counts in self.ledger.answers.items()
                for answer, count in counts.items()
            },
        }

    # Back again.

    def _recall_all(self, journal: Journal) -> None:
        for number, event in enumerate(journal.events, 1):
            try:
                self._recall(event)
            except (LookupError, TypeError, ValueError, AttributeError) as reason:
                raise StateError(f"state {journal.path}: line {number} is damaged: {reason!r}") from reason
        journal.events.clear()
        self._written, self._told = self._totals(), (len(self.ledger.token_leaks), len(self.ledger.bugs))

    def _recall(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "start":
                self._start(event["at"], event["slots"], event["queue"], event["seed"], event["faults"])
            case "plan":
                self._lay(_injector(event["at"], event["seed"], event["faults"]))
            case "accept":
                order = _order(event)
                for image in order.images:
                    self.uploads.recall(image)
                self._accept(order, event["at"])
            case "counts":
                self._recount(event)
            case _:
                self._of_job(event, self.ledger.jobs[event["id"]])

    def _of_job(self, event: dict[str, Any], job: Job) -> None:
        match event["event"]:
            case "cancel":
                if not self.clockwork.cancel(job, event["at"]):
                    raise ValueError("it cancels a job that was not queued")
            case "delivered":
                job.delivered = True
            case "served":
                job.served += 1
            case "expired":
                job.generation += 1
            case other:
                raise ValueError(f"unknown event {other!r}")

    def _recount(self, event: dict[str, Any]) -> None:
        for name, count in event.get("totals", {}).items():
            kind, what, *answer = name.split("/", 2)
            if kind == "answers":
                self.ledger.answers[what][answer[0]] = count
            else:
                (self.ledger.calls if kind == "calls" else self.injector.seen)[what] = count
        self.ledger.token_leaks += event.get("leaks", [])
        self.ledger.bugs += event.get("bugs", [])

    # The changes themselves, the same for both.

    def _start(self, at: float, slots: int | None, queue: float, seed: int, faults: list[str]) -> None:
        self.clockwork.change(slots, queue, at)
        if self._options != (seed, faults):
            self._options = (seed, faults)
            self._lay(_injector(at, seed, faults))

    def _lay(self, injector: Injector) -> None:
        self.injector = injector
        self._written = {name: count for name, count in self._written.items() if not name.startswith("seen/")}

    def _accept(self, order: Order, at: float) -> Job:
        self.till.reserve(order.price)
        job = self.clockwork.accept(order, at)
        self.ledger.jobs[order.request_id] = job
        return job

    def _ended(self, job: Job) -> None:
        """Only a picture costs: cancelled and failed jobs are refunded."""
        self.till.settle(job.order.price, job.order.actual if job.state is State.DONE else 0)


def _injector(at: float, seed: int, faults: list[str]) -> Injector:
    return Injector(tuple(map(parse_fault, faults)), seed, at)


def _order(event: dict[str, Any]) -> Order:
    return Order(
        request_id=event["id"],
        ordinal=event["ordinal"],
        model_id=event["model"],
        prompt=event["prompt"],
        size=event["size"],
        images=tuple(event["images"]),
        digest=event["digest"],
        seconds=event["seconds"],
        fate=event["fate"],
        inputs=event["inputs"],
        price=event["price"],
        actual=event["actual"],
        outputs=event.get("outputs", 1),
    )


def _slim(value: Any) -> Any:
    """Inputs without the bytes of data URIs in further fields: nothing is drawn from those, and `digest` knows them."""
    if isinstance(value, dict):
        return {name: _slim(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_slim(one) for one in value]
    return f"{value[:64]}…" if isinstance(value, str) and value.startswith("data:") and len(value) > 64 else value
