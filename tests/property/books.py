"""A run's books as a witness reads them: from its checkpoint, and from nothing that the program keeps in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson

from batchedit.commands.audit_replay import prove as audit
from batchedit.core.model import Record, State
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.rescue_file import ID_NOT_TAKEN_IN, TAKING, read_kept_ids
from batchedit.run_folder import RunFolder, read_form_of_run


@dataclass
class Books:
    """``prompts`` and ``states`` of the jobs, prompts by id. ``known``: request ids. ``unclear``: by prompt, how many POSTs
    nobody knows the end of, or did not at first. ``doubtful``: row and prompt of what is in doubt. ``decided``: by prompt,
    how many further purchases people decided on. ``used``: micro-dollars spent and held, ``surprise``: by how much pictures
    came dearer than was put aside. ``beside``: ids that a disk that failed left in ``accepted.jsonl``, ``inside``: those that
    the checkpoint has, with a job or as one that none could take. ``last``: the number of its latest event.
    """

    stamp: bytes
    prompts: dict[int, str] = field(default_factory=dict)
    states: set[State] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    unclear: Counter[str] = field(default_factory=Counter)
    doubtful: dict[int, str] = field(default_factory=dict)
    doubtful_rows: list[int] = field(default_factory=list)
    decided: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    cap: int | None = None
    used: int = 0
    surprise: int = 0
    beside: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)
    last: int = 0


def read_books(folder: Path, before: Books | None) -> Books | None:
    """``before`` where nothing was written since; None where a kill left no checkpoint that can be read."""
    files = [folder / "checkpoint.sqlite", folder / "checkpoint.sqlite-wal", folder / "accepted.jsonl"]
    files += sorted(folder.glob(f"{TAKING}*"))
    stamp = sha256(
        b"|".join(file.read_bytes() for file in files if file.exists())
    ).digest()  # a clock's tick is too coarse
    if before is not None and before.stamp == stamp:
        return before
    books = Books(stamp)
    checkpoint = open_checkpoint(folder / "checkpoint.sqlite", read_only=True)
    try:
        records = checkpoint.records("id > 0 ORDER BY id")
        books.prompts = {record.id: _prompt(record) for record in records}
        rows = checkpoint.find_rows(books.prompts)
        for record in records:
            _enter(books, record, [row for row, _ in rows.get(record.id, ())])
        books.inside = {one for (one,) in checkpoint.rows("SELECT request_id FROM requests")}
        books.inside |= {
            details["handle"]["request_id"]
            for _, name, details in checkpoint.list_run_events()
            if name == ID_NOT_TAKEN_IN
        }
        books.beside = {event.handle.request_id for _, _, event, *_ in read_kept_ids(folder)}
        books.known = books.inside | books.beside
        ((books.last,),) = checkpoint.rows("SELECT coalesce(max(seq), 0) FROM events")
        reserved: dict[int, int] = {}
        for job, name, data in checkpoint.rows(
            "SELECT job, name, data FROM events WHERE name IN "
            "('Reserved', 'Lost', 'Released', 'WrittenOff', 'Completed', 'Errored', "
            "'Priced', 'CancelConfirmed') ORDER BY seq"
        ):
            details = orjson.loads(data)
            if name == "Reserved":
                reserved[job] = details["price"]
            elif name == "Lost":
                books.unclear[books.prompts[job]] += 1
            elif name in {"Released", "WrittenOff"}:
                books.decisions[name] += 1
                books.decided[books.prompts[job]] += 1
            elif details.get("cost") is not None:
                books.surprise += max(0, details["cost"] - reserved.get(job, 0))
                reserved[job] = max(details["cost"], reserved.get(job, 0))
        money = checkpoint.money()
        books.cap, books.used = checkpoint.cap, money.spent + money.reserved
        books.findings = [
            finding.problem
            for finding in audit(checkpoint, folder, read_form_of_run(checkpoint, RunFolder(folder))).findings
        ]
    finally:
        checkpoint.close()
    return books


def _enter(books: Books, record: Record, rows: list[int]) -> None:
    prompt = books.prompts[record.id]
    books.states.add(record.state)
    if record.state is State.SUBMITTING:
        books.unclear[prompt] += 1
    if record.state in {State.IN_DOUBT, State.UNCOLLECTED}:
        books.doubtful_rows += rows
    if record.state is State.IN_DOUBT:
        books.doubtful.update(dict.fromkeys(rows, prompt))
    if record.job.revision:
        books.decided[prompt] += 1


def _prompt(record: Record) -> str:
    return str(orjson.loads(record.job.inputs)["prompt"])
