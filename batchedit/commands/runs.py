"""``batchedit runs``: every run of this person, its state, and the next command. Each is only read, never written to."""

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
from ..core.shell_commands import format_command, quote_word
from ..disk import is_plain_file
from ..ledger.book import Book
from ..ledger.lock import find_holder
from ..ledger.opening import open_for_reading
from ..ledger.postgres.url import build_store_option, hide_password
from ..ledger.register import CHECKPOINT, Entry, Register
from ..ledger.run_facts import parse_whole_number, read_fact
from ..manifest.rows import Form, FormKind
from ..results.report import (
    UNDER_WAY,
    Report,
    compute_cap_for_rest,
    compute_cap_needed,
    list_next_commands,
    make_report,
)
from ..run_folder import RunFolder, has_never_begun, shorten_path
from ..settings.model import SANDBOX
from .play_money import is_play
from .store import need_psycopg
from .store_options import build_store_words

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
class ListedRun:
    """A run in the list. ``folder`` is as a person types it here, ``source`` the manifest's path, "" if unknown.

    ``why``: the process that works on it, what ended the last one, or why it can't be read. ``to_buy`` counts the jobs it
    would buy, ``left`` those it leaves to other runs. ``used_at`` is epoch seconds, 0 if unknown. ``aim`` says what
    ``command``, the next one to type, is for; a damaged run has no command.
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


def list_runs(register: Register) -> list[ListedRun]:
    """The runs in the register, and those beside one of them or in ``outputs/``, the one used last first.

    A run that is gone is left out. A damaged one is listed as such and raises nothing.
    """
    entries = {entry.folder: entry for entry in register.list_entries()}
    runs = [_list_run(folder, entries.get(folder, Entry(folder))) for folder in register.list_folders(Path("outputs"))]
    return sorted(runs, key=lambda run: -run.used_at)


def list_store_runs(url: str) -> list[ListedRun]:
    """The runs of the store at ``url``, the one used last first. ``folder`` is where its copy on this machine would be."""
    need_psycopg()
    from ..ledger.postgres.runs import read_store_runs  # noqa: PLC0415 - psycopg takes its time

    store = build_store_option(hide_password(url), os.environ)
    return [_list_store_run(run, store) for run in sorted(read_store_runs(url), key=lambda run: -run.used_at)]


def _list_store_run(run: RunOfStore, store: Sequence[str]) -> ListedRun:
    needed_cap = compute_cap_for_rest(run.counts.of(State.PLANNED), run.money, run.price)
    report = make_report(
        run.counts, run.money, run.digest, folder=Path(run.name), form=_NO_ROWS, cap_needed=needed_cap, store=store
    )
    entry = ListedRun(
        Path("outputs") / run.name,
        _classify_report(report) if sum(run.counts.by_state.values()) else EMPTY,
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
        aim, command = "to see how it goes", format_command("status", run.name, *store)
        return replace(entry, state=RUNNING, why=", ".join(run.workers), aim=aim, command=command)
    if run.halted:
        aim = "once it is clear which server or backup the store is"
        return replace(entry, aim=aim, command=format_command("store", "lift", run.name, *store))
    aim, command = next(list_next_commands(report), ("", ""))
    if not command and run.counts.of(State.DONE):
        aim, command = "to look through the pictures", format_command("gallery", run.name, *store)
    return replace(entry, aim=aim, command=command)


def _list_run(folder: Path, entry: Entry) -> ListedRun:
    shown_folder = shorten_path(folder)
    listed = ListedRun(
        shown_folder, UNREADABLE, source=entry.source, service=entry.service, model=entry.model, used_at=entry.used_at
    )
    try:
        with open_for_reading(folder / CHECKPOINT) as checkpoint:
            return _describe_run(checkpoint, RunFolder(folder), listed)
    except (CheckpointCorruptError, KeptSettingsError) as error:
        return replace(listed, state=DAMAGED, why=str(error), aim=error.hint)
    except BatcheditError as error:
        return replace(listed, why=str(error), aim=error.hint)
    except _DAMAGED_CELL_ERRORS as error:
        return replace(listed, state=DAMAGED, why=f"its checkpoint can't be read ({error!r})", aim=_RESTORE)


_DAMAGED_CELL_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError)
"""The errors of reading a value of the wrong type."""
_RESTORE = "restore it from a backup: it knows what was bought. Do not delete it"


_NO_ROWS = Form(FormKind.FRAME)
"""No row is named here."""


def _describe_run(checkpoint: Book, folder: RunFolder, entry: ListedRun) -> ListedRun:
    process = find_holder(folder.path)
    needed_cap, digest = compute_cap_needed(checkpoint), checkpoint.summarise()
    report = make_report(
        checkpoint.counts(),
        checkpoint.money(),
        digest,
        folder=entry.folder,
        form=_NO_ROWS,
        cap_needed=needed_cap,
        store=(store := build_store_words(checkpoint)),
    )
    entry = replace(
        entry,
        state=_find_state(report, folder),
        source=checkpoint.get("source") or entry.source,
        service=checkpoint.get("service") or entry.service,
        model=checkpoint.get("model") or entry.model,
        counts=report.counts,
        to_buy=checkpoint.count_to_buy(),
        left=sum(checkpoint.count_left_to_others().values()),
        money=report.money,
        play=is_play(checkpoint),
        used_at=max(entry.used_at, checkpoint.find_last_event_time()),
    )
    if process:
        command = format_command("status", entry.folder, *store)
        return replace(entry, state=RUNNING, why=process, aim="to see how it goes", command=command)
    why = "" if entry.state in {DONE, FAILURES} else _explain_stop(checkpoint, folder)
    aim, command = next(_list_next_commands(entry, report), ("", ""))
    return replace(entry, why=why, aim=aim, command=command)


def _find_state(report: Report, folder: RunFolder) -> str:
    """In the order of the exit codes: 76 before 75 before 1 before 0."""
    counts = report.counts
    if not sum(counts.by_state.values()) and has_never_begun(folder):
        return EMPTY
    return _classify_report(report)


def _classify_report(report: Report) -> str:
    counts = report.counts
    if report.money.doubts:
        return IN_DOUBT
    if counts.of(State.PLANNED, *UNDER_WAY):
        return UNFINISHED
    if counts.of(State.UNCOLLECTED):
        return UNCOLLECTED
    return FAILURES if counts.of(State.FAILED, State.CANCELLED) > report.written_off else DONE


def _list_next_commands(entry: ListedRun, report: Report) -> Iterator[tuple[str, str]]:
    """Each next command with its aim, the most urgent first."""
    if entry.state == EMPTY:
        aim = "nothing was ever bought in it; to start it"
        if Path(entry.source).is_file():
            yield aim, format_command("run", Path(entry.source), "--out", entry.folder)
        else:
            yield f"{aim}, run its manifest with --out {quote_word(entry.folder)}", ""
        return
    yield from list_next_commands(report)
    if report.counts.of(State.DONE):
        yield "to look through the pictures", format_command("gallery", entry.folder, *report.store)


def _explain_stop(checkpoint: Book, folder: RunFolder) -> str:
    """What ended its last process before all was done; "" if nothing did, or it is unknown."""
    # A process that ends in order writes down the last event before its results. Reused jobs become DONE before the
    # question, and a no to it leaves the results as they are.
    written = read_fact(checkpoint, "results_written", lambda text: parse_whole_number(text.partition("/")[0]), 0)
    if checkpoint.has_moved_since(written):
        return KILLED
    try:
        report = orjson.loads(folder.report.read_bytes()) if is_plain_file(folder.report, folder.path) else {}
    except (OSError, ValueError):
        return ""
    stopped = report.get("stopped") if isinstance(report, dict) else None
    return stopped if isinstance(stopped, str) else ""
