"""The state that survives the process: jobs, money, counts, the fault plan. It is written to the journal and replayed.

Every change goes through a method here that first writes it to the journal (if there is one) and then makes it; a later
server reads the lines and makes the same changes in the same order. Nothing is drawn again: run times, outcomes and prices
are in the lines, and since the schedule is arithmetic on the times of accepts and cancels (see `job_clock.py`), it is the
same again. The time between two servers counts like any other: the jobs go on.

Options may differ from one start to the next. Slots and queue apply from their start on; a price applies to the jobs that
were accepted at it; the same seed and faults continue the plan (its ordinals, its clock, and a plan that was set over
HTTP), others start a new one. Of the calls that change nothing (polls above all) kill -9 may lose the last second's
count, and the number of polls of each single job is not kept.
"""

from pathlib import Path
from typing import Any

from batchedit.sandbox.faults import Injector, parse_fault
from batchedit.sandbox.job_clock import Job, JobClock, Order, State
from batchedit.sandbox.journal import Journal, StateError
from batchedit.sandbox.ledger import Ledger
from batchedit.sandbox.money import Account
from batchedit.sandbox.uploads import Uploads

_COUNT_INTERVAL = 1.0  # seconds between two lines that only count


class Memory:
    """The state of the account, its changes, live or replayed, and their lines. Times are Unix seconds."""

    def __init__(self, journal: Journal | None, balance: int | None) -> None:
        self.ledger = Ledger()
        self.account = Account(balance)
        self.job_clock = JobClock(None, 0.0, self._settle_ended)
        self.injector = Injector((), 0, 0.0)
        self.uploads = Uploads(Path(f"{journal.path}.d") if journal else None)
        self._journal = journal
        self._options: tuple[int, list[str]] | None = None  # seed and faults of the last start
        self._written_totals: dict[str, int] = {}  # the totals in the journal
        self._written_lengths = (0, 0)  # numbers of leaks and bugs in the journal
        self._counted_at = 0.0
        if journal is not None:
            self._replay_all(journal)

    def start(self, now: float, slots: int | None, queue: float, seed: int, faults: list[str]) -> None:
        """Start a server with these options."""
        options = {"slots": slots, "queue": queue, "seed": seed, "faults": faults}
        self._write({"event": "start", "at": now, **options})
        self._start(now, slots, queue, seed, faults)
        self.job_clock.advance(now)

    def replace_plan(self, now: float, seed: int, faults: list[str]) -> None:
        """Set another fault plan; ValueError leaves the old one."""
        injector = _make_injector(now, seed, faults)
        self._write({"event": "plan", "at": now, "seed": seed, "faults": faults})
        self._set_injector(injector)

    def accept(self, order: Order, now: float) -> Job:
        request = {"id": order.request_id, "ordinal": order.ordinal, "model": order.model_id, "prompt": order.prompt}
        inputs = {
            "size": order.size,
            "images": order.images,
            "digest": order.digest,
            "inputs": _strip_data_uris(order.inputs),
        }
        terms = {"seconds": order.seconds, "fate": order.fate, "price": order.price, "actual": order.actual}
        terms["outputs"] = order.outputs
        self._write({"event": "accept", "at": now, **request, **inputs, **terms})
        return self._accept(order, now)

    def cancel(self, job: Job, now: float) -> bool:
        """Cancel a queued job; False if it is not queued (any more)."""
        self.job_clock.advance(now)
        if job.state is not State.QUEUED:
            return False
        self._write({"event": "cancel", "at": now, "id": job.order.request_id})
        return self.job_clock.cancel(job, now)

    def deliver(self, job: Job) -> None:
        """Record that the answer with its id was sent."""
        if not job.delivered:
            self._write({"event": "delivered", "id": job.order.request_id})
            job.delivered = True

    def serve(self, job: Job) -> None:
        """Count a picture of it that is sent."""
        self._write({"event": "served", "id": job.order.request_id})
        job.served += 1

    def expire(self, job: Job) -> None:
        """End its links; the next ones are of a new generation."""
        self._write({"event": "expired", "id": job.order.request_id})
        job.generation += 1

    def count(self, now: float, *, at_once: bool) -> None:
        """Write the totals of calls, at once or if the last time is a while ago."""
        if at_once or now - self._counted_at >= _COUNT_INTERVAL:
            self._counted_at = now
            self._write()

    def close(self) -> None:
        if self._journal is not None:
            self._write()
            self._journal.close()

    def _write(self, *events: dict[str, Any]) -> None:
        """Write the events, and before them the counts that changed since the last time."""
        if self._journal is None:
            return
        totals, (leaks, bugs) = self._count_totals(), self._written_lengths
        changes = {
            "totals": dict(totals.items() - self._written_totals.items()),
            "leaks": self.ledger.token_leaks[leaks:],
            "bugs": self.ledger.bugs[bugs:],
        }
        counts = {name: change for name, change in changes.items() if change}
        if counts or events:
            self._journal.write(*([{"event": "counts", **counts}] if counts else []), *events)
        self._written_totals, self._written_lengths = totals, (len(self.ledger.token_leaks), len(self.ledger.bugs))

    def _count_totals(self) -> dict[str, int]:
        return {
            **{f"calls/{call}": count for call, count in self.ledger.calls.items()},
            **{f"seen/{place}": count for place, count in self.injector.call_counts.items()},
            **{
                f"answers/{call}/{answer}": count
                for call, counts in self.ledger.answers.items()
                for answer, count in counts.items()
            },
        }

    # Replay.

    def _replay_all(self, journal: Journal) -> None:
        for number, event in enumerate(journal.events, 1):
            try:
                self._replay(event)
            except (LookupError, TypeError, ValueError, AttributeError) as reason:
                raise StateError(f"state {journal.path}: line {number} is damaged: {reason!r}") from reason
        journal.events.clear()
        self._written_totals, self._written_lengths = (
            self._count_totals(),
            (len(self.ledger.token_leaks), len(self.ledger.bugs)),
        )

    def _replay(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "start":
                self._start(event["at"], event["slots"], event["queue"], event["seed"], event["faults"])
            case "plan":
                self._set_injector(_make_injector(event["at"], event["seed"], event["faults"]))
            case "accept":
                order = _read_order(event)
                for image in order.images:
                    self.uploads.restore(image)
                self._accept(order, event["at"])
            case "counts":
                self._restore_counts(event)
            case _:
                self._replay_for_job(event, self.ledger.jobs[event["id"]])

    def _replay_for_job(self, event: dict[str, Any], job: Job) -> None:
        match event["event"]:
            case "cancel":
                if not self.job_clock.cancel(job, event["at"]):
                    raise ValueError("it cancels a job that was not queued")
            case "delivered":
                job.delivered = True
            case "served":
                job.served += 1
            case "expired":
                job.generation += 1
            case other:
                raise ValueError(f"unknown event {other!r}")

    def _restore_counts(self, event: dict[str, Any]) -> None:
        for name, count in event.get("totals", {}).items():
            kind, key, *answer = name.split("/", 2)
            if kind == "answers":
                self.ledger.answers[key][answer[0]] = count
            else:
                (self.ledger.calls if kind == "calls" else self.injector.call_counts)[key] = count
        self.ledger.token_leaks += event.get("leaks", [])
        self.ledger.bugs += event.get("bugs", [])

    # The changes, live and replayed.

    def _start(self, at: float, slots: int | None, queue: float, seed: int, faults: list[str]) -> None:
        self.job_clock.change(slots, queue, at)
        if self._options != (seed, faults):
            self._options = (seed, faults)
            self._set_injector(_make_injector(at, seed, faults))

    def _set_injector(self, injector: Injector) -> None:
        self.injector = injector
        self._written_totals = {
            name: count for name, count in self._written_totals.items() if not name.startswith("seen/")
        }

    def _accept(self, order: Order, at: float) -> Job:
        self.account.reserve(order.price)
        job = self.job_clock.accept(order, at)
        self.ledger.jobs[order.request_id] = job
        return job

    def _settle_ended(self, job: Job) -> None:
        """Only a picture costs: cancelled and failed jobs are refunded."""
        self.account.settle(job.order.price, job.order.actual if job.state is State.DONE else 0)


def _make_injector(at: float, seed: int, faults: list[str]) -> Injector:
    return Injector(tuple(map(parse_fault, faults)), seed, at)


def _read_order(event: dict[str, Any]) -> Order:
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


def _strip_data_uris(value: Any) -> Any:
    """Inputs without the bytes of data URIs in further fields: these are not drawn, and `digest` covers them."""
    if isinstance(value, dict):
        return {name: _strip_data_uris(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_strip_data_uris(item) for item in value]
    return f"{value[:64]}…" if isinstance(value, str) and value.startswith("data:") and len(value) > 64 else value
