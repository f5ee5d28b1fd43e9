"""What happened, as the server saw it, for tests: counts and facts, no decisions."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from batchedit.sandbox.job_clock import Job, JobClock, State
from batchedit.sandbox.money import Account, to_usd
from batchedit.sandbox.wire import Reply


@dataclass(slots=True)
class Ledger:
    """Counters by kind of call, and every accepted job."""

    jobs: dict[str, Job] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    answers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    token_leaks: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)  #: errors of the sandbox itself, which nothing else would show

    def count(self, call: str, reply: Reply) -> None:
        """Count a call, by the HTTP status of its answer or by the name of the fault that replaced it."""
        self.answers[call][reply.note or str(reply.status)] += 1

    def record_leak(self, where: str) -> None:
        """Record that a token was sent where none belongs."""
        self.token_leaks.append(where)

    def find_duplicate_groups(self) -> list[list[Job]]:
        groups: defaultdict[str, list[Job]] = defaultdict(list)
        for job in self.jobs.values():
            groups[job.order.digest].append(job)
        return [group for group in groups.values() if len(group) > 1]


def build_report(ledger: Ledger, job_clock: JobClock, account: Account, *, full: bool) -> dict[str, Any]:
    """The ledger as JSON."""
    jobs, calls, groups = ledger.jobs.values(), ledger.calls, ledger.find_duplicate_groups()
    states = Counter(job.state for job in jobs)
    facts: dict[str, Any] = {
        "submits_seen": calls["submit"],
        "accepted": len(jobs),
        "answers_lost": sum(not job.delivered for job in jobs),
        "duplicates": sum(len(group) - 1 for group in groups),
        "live_duplicates": sum(max(0, _count_live(group) - 1) for group in groups),
        "duplicate_groups": [_describe_group(group) for group in groups],
        "in_flight": job_clock.in_flight,
        "max_in_flight": job_clock.max_in_flight,
        "max_queue": job_clock.max_queue,
        "states": {state.value: states[state] for state in State},
        "cancelled": states[State.CANCELLED],
        "polled": calls["status"] + calls["result"],
        "status_polls": calls["status"],
        "result_polls": calls["result"],
        "cancels_seen": calls["cancel"],
        "served": sum(job.served for job in jobs),
        "file_calls": calls["file"],
        "sample_gets": calls["sample"],
        "sample_heads": calls["sample_head"],
        "answers": {call: dict(counts) for call, counts in ledger.answers.items()},
        "token_leaks": list(ledger.token_leaks),
        "bugs": list(ledger.bugs),
        "charged_usd": to_usd(account.charged),
        "reserved_usd": to_usd(account.reserved),
        "balance_usd": None if account.balance is None else to_usd(account.compute_available() or 0),
    }
    if full:
        facts["requests"] = [_describe_job(job) for job in jobs]
    return facts


def _count_live(group: list[Job]) -> int:
    """Count the jobs that were, or will be, paid for: not cancelled, not failed."""
    return sum(job.state not in {State.CANCELLED, State.FAILED} for job in group)


def _describe_group(group: list[Job]) -> dict[str, Any]:
    first = group[0].order
    ids = [job.order.request_id for job in group]
    return {"digest": first.digest, "prompt": first.prompt, "count": len(group), "request_ids": ids}


def _describe_job(job: Job) -> dict[str, Any]:
    order = job.order
    return {
        "request_id": order.request_id,
        "ordinal": order.ordinal,
        "model_id": order.model_id,
        "prompt": order.prompt,
        "size": order.size,
        "images": list(order.images),
        "digest": order.digest,
        "state": job.state.value,
        "fate": order.fate,
        "seconds": order.seconds,
        "accepted_at": job.accepted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "polls": job.polls,
        "served": job.served,
        "delivered": job.delivered,
    }
