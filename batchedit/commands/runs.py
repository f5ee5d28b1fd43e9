"""``batchedit runs``: every run of this person, how it stands, and what to type next. Each is only read, never written to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ..core.errors import BatcheditError, CheckpointCorruptError, KeptSettingsError
from ..core.model import Counts, Money, State
from ..core.money import to_json_usd
from ..core.typed import quoted, to_type
from ..disk import is_plain_file
from ..ledger.book import Book
from ..ledger.facts import read_fact, whole
from ..ledger.lock import holder
from ..ledger.opening import reading
from ..ledger.postgres.url import blotted, words_for
from ..ledger.register import CHECKPOINT, Entry, Register
from ..manifest.rows import Form, FormKind
from ..results.report import (
    UNDER_WAY,
    Report,
    compute_cap_for_rest,
    compute_cap_needed,
    list_next_commands,
    make_report,
)
from ..run_folder import RunFolder, near, never_began
from ..settings.model import SANDBOX
from .play import is_play
from .store import need_psycopg
from .store_words import store_words

if TYPE_CHECKING:
    from ..ledger.postgres.runs import RunOfStore

RUNNING = "running"
DAMAGED = "damaged"
UNREADABLE = "unreadable"
EMPTY = "empty"
IN_DOUBT = "in doubt"
UNFINISHED = "not finished"
UNCOLLECTED = "uncollected"
FAILURES = "done but for failures"
DONE = "done"

KILLED = "its last process ended before it wrote its results: it was killed, or the machine went down"


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in the list. ``folder`` is as one would type it here, ``source`` the manifest's path, "" where nobody knows it.

    ``why``: the process that works on it, what ended the last one, or why it can't be read. ``to_buy`` counts the jobs it
    would buy, ``left`` those it leaves to other runs. ``used_at`` is epoch seconds, 0 if unknown. ``aim`` says what
    ``command`` is for, which is to be typed next; a damaged run has no command.
    """

    folder: Path
    state: str
    why: str = ""
    source: str = ""
    service: str = ""
    model: str = ""
    counts: Counts = field(default_factory=lambda: Counts({}))
    to_buy: int = 0
    left: int = 0
    money: Money = field(default_factory=Money)
    play: bool = False
    used_at: float = 0.0
    aim: str = ""
    command: str = ""

    def as_json(self) -> dict[str, object]:
        """Money in dollars, ``used_at`` in UTC."""
        readable = self.state not in {DAMAGED, UNREADABLE}
        usd = {"spent": to_json_usd(self.money.spent), "in_doubt": to_json_usd(self.money.in_doubt)}
        return {
            "name": self.folder.name,
            "folder": str(self.folder.absolute()),
            "source": self.source or None,
            "service": self.service or None,
            "play_money": self.play,
            "model": self.model or None,
            "state": self.state.replace(" ", "_"),
            "why": self.why or None,
            "jobs": {state.value: count for state, count in sorted(self.counts.by_state.items())} if readable else None,
            "to_buy": self.to_buy if readable else None,
            "left_to_other_runs": self.left if readable else None,
            "usd": usd if readable else None,
            "used_at": datetime.fromtimestamp(int(self.used_at), UTC).isoformat() if self.used_at else None,
            "next": {"aim": self.aim or None, "command": self.command or None},
        }


def list_runs(register: Register) -> list[Listed]:
    """The runs that the register knows or that lie beside one of them or in ``outputs/``, the one used last first.

    A run that is gone is left out. A damaged one is listed as such, and raises nothing.
    """
    known = {entry.folder: entry for entry in register.entries()}
    found = [_listed(folder, known.get(folder, Entry(folder))) for folder in register.folders(Path("outputs"))]
    return sorted(found, key=lambda run: -run.used_at)


def list_store_runs(url: str) -> list[Listed]:
    """The runs of the store at ``url``, the one used last first. ``folder`` is where a copy of it would be here."""
    need_psycopg()
    from ..ledger.postgres.runs import runs  # noqa: PLC0415 - psycopg takes its time

    store = words_for(blotted(url), os.environ)
    return [_of_store(run, store) for run in sorted(runs(url), key=lambda run: -run.used_at)]


def _of_store(run: RunOfStore, store: Sequence[str]) -> Listed:
    needed = compute_cap_for_rest(run.counts.of(State.PLANNED), run.money, run.price)
    report = make_report(
        run.counts, run.money, run.digest, folder=Path(run.name), form=_NO_ROWS, cap_needed=needed, store=store
    )
    told = Listed(
        Path("outputs") / run.name,
        _standing(report) if sum(run.counts.by_state.values()) else EMPTY,
        run.halted,
        source=run.source,
        service=run.service.address,
        model=run.model,
        counts=run.counts,
        to_buy=run.counts.of(State.PLANNED),
        money=run.money,
        play=run.service.own_sandbox or run.service.address == SANDBOX,
        used_at=run.used_at,
    )
    if run.workers:
        aim, command = "to see how it goes", to_type("status", run.name, *store)
        return replace(told, state=RUNNING, why=", ".join(run.workers), aim=aim, command=command)
    if run.halted:
        aim = "once it is clear which server or backup the store is"
        return replace(told, aim=aim, command=to_type("store", "lift", run.name, *store))
    aim, command = next(list_next_commands(report), ("", ""))
    if not command and run.counts.of(State.DONE):
        aim, command = "to look through the pictures", to_type("gallery", run.name, *store)
    return replace(told, aim=aim, command=command)


def _listed(folder: Path, entry: Entry) -> Listed:
    here = near(folder)
    told = Listed(
        here, UNREADABLE, source=entry.source, service=entry.service, model=entry.model, used_at=entry.used_at
    )
    try:
        with reading(folder / CHECKPOINT) as checkpoint:
            return _of(checkpoint, RunFolder(folder), told)
    except (CheckpointCorruptError, KeptSettingsError) as error:
        return replace(told, state=DAMAGED, why=str(error), aim=error.hint)
    except BatcheditError as error:
        return replace(told, why=str(error), aim=error.hint)
    except _OF_A_DAMAGED_CELL as error:
        return replace(told, state=DAMAGED, why=f"its checkpoint can't be read ({error!r})", aim=_RESTORE)


_OF_A_DAMAGED_CELL = (OSError, ValueError, TypeError, KeyError, AttributeError)
"""What a reader raises for a value that is not of its kind."""
_RESTORE = "restore it from a backup: it knows what was bought. Do not delete it"


_NO_ROWS = Form(FormKind.FRAME)
"""No row is named here."""


def _of(checkpoint: Book, folder: RunFolder, told: Listed) -> Listed:
    process = holder(folder.path)
    needed, found = compute_cap_needed(checkpoint), checkpoint.digest()
    report = make_report(
        checkpoint.counts(),
        checkpoint.money(),
        found,
        folder=told.folder,
        form=_NO_ROWS,
        cap_needed=needed,
        store=(store := store_words(checkpoint)),
    )
    told = replace(
        told,
        state=_state(report, folder),
        source=checkpoint.get("source") or told.source,
        service=checkpoint.get("service") or told.service,
        model=checkpoint.get("model") or told.model,
        counts=report.counts,
        to_buy=checkpoint.to_buy(),
        left=sum(checkpoint.left_to_others().values()),
        money=report.money,
        play=is_play(checkpoint),
        used_at=max(told.used_at, checkpoint.last_event_at()),
    )
    if process:
        command = to_type("status", told.folder, *store)
        return replace(told, state=RUNNING, why=process, aim="to see how it goes", command=command)
    why = "" if told.state in {DONE, FAILURES} else _stopped(checkpoint, folder)
    aim, command = next(_next(told, report), ("", ""))
    return replace(told, why=why, aim=aim, command=command)


def _state(report: Report, folder: RunFolder) -> str:
    """In the order of the exit codes: 76 before 75 before 1 before 0."""
    counts = report.counts
    if not sum(counts.by_state.values()) and never_began(folder):
        return EMPTY
    return _standing(report)


def _standing(report: Report) -> str:
    counts = report.counts
    if report.money.doubts:
        return IN_DOUBT
    if counts.of(State.PLANNED, *UNDER_WAY):
        return UNFINISHED
    if counts.of(State.UNCOLLECTED):
        return UNCOLLECTED
    return FAILURES if counts.of(State.FAILED, State.CANCELLED) > report.written_off else DONE


def _next(told: Listed, report: Report) -> Iterator[tuple[str, str]]:
    """What to type, the most urgent first."""
    if told.state == EMPTY:
        nothing = "nothing was ever bought in it; to start it"
        if Path(told.source).is_file():
            yield nothing, to_type("run", Path(told.source), "--out", told.folder)
        else:
            yield f"{nothing}, run its manifest with --out {quoted(told.folder)}", ""
        return
    yield from list_next_commands(report)
    if report.counts.of(State.DONE):
        yield "to look through the pictures", to_type("gallery", told.folder, *report.store)


def _stopped(checkpoint: Book, folder: RunFolder) -> str:
    """What ended its last process before all was done; "" if nothing did, or nobody knows."""
    # A process that ends in order notes which event its results were written after. What is reused is made DONE before
    # the question, and a no to it leaves the results as they are.
    written = read_fact(checkpoint, "results_written", lambda text: whole(text.partition("/")[0]), 0)
    if checkpoint.moved_since(written):
        return KILLED
    try:
        told = orjson.loads(folder.report.read_bytes()) if is_plain_file(folder.report, folder.path) else {}
    except (OSError, ValueError):
        return ""
    stopped = told.get("stopped") if isinstance(told, dict) else None
    return stopped if isinstance(stopped, str) else ""
