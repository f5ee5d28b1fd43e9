"""What must hold after every command, as a witness tells it who has the sandbox's ledger and the runs' books."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.property.books import Books
from tests.support.offline import Ended, Trouble, World


class Witness:
    """``books`` are those of every run, by folder; ``fresh`` counts, by prompt, the ``--fresh`` that bought it.
    ``joined``: two processes have worked on one run at once.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.books: dict[Path, Books] = {}
        self.fresh: Counter[str] = Counter()
        self.joined = False

    def broken(self, ended: Ended, before: dict[Path, Books], words: set[str], trouble: Trouble, *, buys: bool) -> str:
        """The first promise that is broken; "" for none."""
        self.joined = self.joined or ended.joined
        if "--fresh" in words:
            self.fresh.update({job.order.prompt: 1 for job in ended.made})
        return (
            self.more_than_asked(ended, buys)
            or self.bought_twice()
            or self.an_id_is_lost(ended)
            or self.an_id_stays_outside(ended, before, trouble)
            or self.decided_by_nobody(before, words)
            or self.the_audit_finds()
            or self.over_the_cap(before)
        )

    def more_than_asked(self, ended: Ended, buys: bool) -> str:
        allowed: Counter[str] = Counter()
        for folder, quote in ended.asked:
            jobs = self.books[folder].prompts
            order = quote.order
            ids = [*order.planned, *(r.id for r in (*order.retried, *order.released))]
            again = [line.job.inputs.split('"prompt":"')[1].split('"')[0] for _, line in order.repurchases]
            for prompt in (*(jobs[job] for job in ids), *again):
                allowed[prompt] += quote.times
        over = Counter(job.order.prompt for job in ended.made) - allowed
        return f"bought and not asked: {over}" if over or (ended.made and not buys) else ""

    def bought_twice(self) -> str:
        live: Counter[tuple[str, str]] = Counter()
        self.world.advance()
        for request_id, job in self.world.service.ledger.jobs.items():
            if job.state not in {"failed", "cancelled"}:
                live[self.world.tokens[request_id], job.order.prompt] += 1
        for (_, prompt), count in live.items():
            decided = sum(books.decided[prompt] for books in self.books.values()) + self.fresh[prompt]
            if count > 1 + decided:
                return f"{prompt} has {count} live purchases, and people decided on {decided} more than one"
        return ""

    def an_id_is_lost(self, ended: Ended) -> str:
        known = set().union(*(books.known for books in self.books.values()))
        for job in ended.made:
            was_heard = job.order.request_id in ended.heard and ended.code is not None
            if was_heard and job.order.request_id not in known and job.order.request_id not in ended.err:
                return f"the id of {job.order.prompt} was told and is lost"
        jobs = self.world.service.ledger.jobs
        unknown = Counter(job.order.prompt for request_id, job in jobs.items() if request_id not in known)
        unclear = sum((books.unclear for books in self.books.values()), Counter[str]())
        return f"bought, and neither known nor in doubt: {unknown - unclear}" if unknown - unclear else ""

    def an_id_stays_outside(self, ended: Ended, before: dict[Path, Books], trouble: Trouble) -> str:
        """Whoever goes on in a run takes in first what a failing disk left beside its checkpoint."""
        if ended.code is None or trouble.full:
            return ""
        for folder, was in before.items():
            left = was.beside - self.books[folder].inside
            if left and self.books[folder].last > was.last:
                return f"{folder}: {left} were in accepted.jsonl, and the run went on without them"
        return ""

    def the_audit_finds(self) -> str:
        """Whoever was overtaken while a POST was on its way has an id that no job can take: that is told, and no fault."""
        for where, books in self.books.items():
            for what in books.findings:
                if not (self.joined and what.startswith("it was bought as ")):
                    return f"{where}: {what}"
        return ""

    def decided_by_nobody(self, before: dict[Path, Books], words: set[str]) -> str:
        for folder, books in self.books.items():
            more = books.decisions - (before[folder].decisions if folder in before else Counter())
            if more["Released"] and not words & {"--buy-again", "--on-doubt=buy-again"}:
                return f"{folder}: nobody said to buy again"
            if more["WrittenOff"] and "--write-off" not in words:
                return f"{folder}: nobody wrote anything off"
        return ""

    def over_the_cap(self, before: dict[Path, Books]) -> str:
        for folder, books in self.books.items():
            if books.cap is None or books is before.get(folder):
                continue
            was = before[folder].used - books.cap if folder in before else 0
            surprise = books.surprise - (before[folder].surprise if folder in before else 0)
            if books.used - books.cap > max(0, was) + surprise:
                return f"{folder}: {books.used} of {books.cap}, surprised by {surprise}"
        return ""
