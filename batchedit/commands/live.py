"""The state of a run right now, as seen from another process: by the page, ``status --watch`` or a program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import environ as environment
from pathlib import Path
from typing import Any

from ..core.model import State
from ..core.money import to_json_usd
from ..ledger.lock import find_holder
from ..ledger.opening import open_for_reading
from ..ledger.register import is_mine
from ..results.report import UNDER_WAY
from ..run_folder import RunFolder, find_run
from .live_file import format_utc, read_live, totals_as_json

BUYING = frozenset({"run", "retry", "redo", "fetch", "doubt"})
"""The commands that work on the run itself. Any other that holds its lock only makes it ``busy``."""
KILLED = "its process ended without a word: it was killed, or the machine went down"
_HOLDER = re.compile(r"pid (\d+) on (.*) \((.*)\)").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """How a run stands. Money is micro-dollars, times are epoch seconds (None: unknown).

    ``state``
        ``going``    a process holds the run's lock and works
        ``paused``   the same, and it buys nothing because a person paused it
        ``busy``     another command has the lock for a moment (``gallery``, ``cancel``, …)
        ``stopped``  no process works on it and something is left to do; ``stopped`` says what ended the last process
        ``canary``   no process works on it: the first few were bought, and the rest waits for a yes of its own
        ``finished`` no process works on it and nothing is left to buy or to collect
    ``process``, ``pid``, ``host``, ``doing``, ``started_at``: the process here and its start; 0 and "" without one.
    ``workers``: how many work on it elsewhere, where it is a run of a store that was asked.
    ``jobs`` counts wanted jobs by state. ``seconds_left`` until it is over: as likely sooner as later, and with nine
    chances in ten. ``waiting`` says why no purchase goes out at the moment, ``slowed`` how the service limits the run.
    ``last_pictures`` are ``{job, name, file, at}``, the newest last; ``file`` is below the run's folder. ``last_word`` is
    the last problem that the service reported: ``{kind, message, http, at}``. ``code`` is the last process's exit code.
    ``awake``: the machine is kept from sleeping. ``written_at`` is when these numbers held.
    """

    folder: Path
    state: str
    process: str = ""
    pid: int = 0
    host: str = ""
    doing: str = ""
    workers: int = 0
    started_at: float | None = None
    written_at: float | None = None
    jobs: Mapping[str, int] = field(default_factory=dict)
    spent: int = 0
    reserved: int = 0
    in_doubt: int = 0
    cap: int | None = None
    seconds_left: tuple[float, float] | None = None
    unusually_slow: int = 0
    waiting: str = ""
    slowed: str = ""
    stopped: str = ""
    hint: str = ""
    code: int | None = None
    last_word: Mapping[str, Any] | None = None
    last_pictures: Sequence[Mapping[str, Any]] = ()
    awake: bool = False

    @property
    def alive(self) -> bool:
        """True if a process works on the run."""
        return bool(self.process or self.workers)

    def of(self, *states: State) -> int:
        """Jobs in any of ``states``."""
        return sum(self.jobs.get(state.value, 0) for state in states)

    def as_json(self) -> dict[str, Any]:
        """For a page or a program: money in dollars, times in UTC, seconds as numbers."""
        left = self.seconds_left
        return {
            "folder": str(self.folder.absolute()),
            "name": self.folder.absolute().name,
            "state": self.state,
            "process": {"pid": self.pid, "host": self.host, "doing": self.doing} if self.process else None,
            "workers": self.workers,
            "started_at": format_utc(self.started_at),
            "written_at": format_utc(self.written_at),
            "jobs": dict(self.jobs),
            "done": self.of(State.DONE),
            "under_way": self.of(*UNDER_WAY),
            "left": self.of(State.PLANNED),
            "failed": self.of(State.FAILED),
            "in_doubt": self.of(State.IN_DOUBT),
            "total": sum(self.jobs.values()),
            "usd": {
                "spent": to_json_usd(self.spent),
                "reserved": to_json_usd(self.reserved),
                "in_doubt": to_json_usd(self.in_doubt),
                "cap": None if self.cap is None else to_json_usd(self.cap),
            },
            "seconds_left": None if left is None else {"half": round(left[0]), "nine_in_ten": round(left[1])},
            "unusually_slow": self.unusually_slow,
            "waiting": self.waiting or None,
            "slowed": self.slowed or None,
            "stopped": self.stopped or None,
            "hint": self.hint or None,
            "code": self.code,
            "last_word": _with_utc(self.last_word) if self.last_word else None,
            "last_pictures": [_with_utc(picture) for picture in self.last_pictures],
            "awake": self.awake,
        }


def _with_utc(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "at": format_utc(values.get("at"))}


def find_live_state(run: str, out: str | None = None, environ: Mapping[str, str] = environment) -> LiveState:
    """The state of ``run`` (its folder, name or sheet). Cheap enough for once a second: reads one small file and the lock.

    NotFoundError (66) if there is no such run; CheckpointError (74) where it can't be read.
    """
    return read_live_state(find_run(run, out, environ), environ)


def read_live_state(
    folder: RunFolder, environ: Mapping[str, str] = environment, *, store: str | None = None
) -> LiveState:
    """The same for a run's folder. Where no process works in it, the ``store`` at this address is asked how many workers the
    run has elsewhere; raises 64, 69, 74 or 77 where that fails. A run of the folder alone is not asked about: the store may
    have another one of its name.
    """
    process, values = find_holder(folder.path), read_live(folder.path)
    match = _HOLDER(process)
    pid, host, doing = (int(match[1]), match[2], match[3]) if match else (0, "", "")
    is_own_file = bool(process) and values.get("pid") == pid and values.get("host") == host
    if process and not (is_own_file and "jobs" in values):
        values = {**(values if is_own_file else {}), **_read_totals(folder)}
    elif not process and (values.get("phase") != "ended" or "jobs" not in values):
        stopped = KILLED if values and values.get("phase") != "ended" else ""
        values = {**values, **_read_totals(folder), "stopped": stopped, "seconds_left": None, "paused": ""}
    if not process and values.get("hint") and not _is_believed(folder, environ):
        values = {**values, "hint": ""}
    workers = 0
    if store is not None and not process and _is_copy(folder):
        workers, totals = _count_workers(store, folder)
        values = {**values, **(_NO_PROCESS if workers else {}), **totals}
    state = (
        _name_working_state(doing, values, is_known=match is None or is_own_file)
        if process
        else _name_resting_state(values)
    )
    if workers:
        state = "going"
    return _build_state(folder, state, values, process=process, pid=pid, host=host, doing=doing, workers=workers)


_NO_PROCESS: Mapping[str, Any] = {
    "started_at": None,
    "seconds_left": None,
    "paused": "",
    "slowed": "",
    "awake": False,
}
"""Replaces what the last process here wrote of itself, where workers elsewhere have the run now."""


def _count_workers(store: str, folder: RunFolder) -> tuple[int, dict[str, Any]]:
    """The number of workers, and the store's totals: those of the copy here may be older."""
    from ..ledger.postgres.store import count_workers  # noqa: PLC0415 - psycopg takes its time

    workers, totals = count_workers(store, folder.path.resolve().name)
    return workers, {} if totals is None or not workers else totals_as_json(*totals)


def _name_working_state(doing: str, values: Mapping[str, Any], *, is_known: bool) -> str:
    if doing and doing not in BUYING:
        return "busy"
    return "paused" if is_known and values.get("wished_pause") else "going"


def _name_resting_state(values: Mapping[str, Any]) -> str:
    jobs = values.get("jobs", {})
    left = sum(jobs.get(state.value, 0) for state in (State.PLANNED, State.UNCOLLECTED, *UNDER_WAY))
    if left and values.get("rest_waits"):
        return "canary"
    return "stopped" if left else "finished"


def _build_state(folder: RunFolder, state: str, values: Mapping[str, Any], **process: Any) -> LiveState:
    money, left, is_alive = (
        values.get("money", {}),
        values.get("seconds_left"),
        bool(process["process"] or process["workers"]),
    )
    return LiveState(
        folder=folder.path,
        state=state,
        **process,
        started_at=values.get("started_at"),
        written_at=values.get("at"),
        jobs=values.get("jobs", {}),
        spent=money.get("spent", 0),
        reserved=money.get("reserved", 0),
        in_doubt=money.get("in_doubt", 0),
        cap=money.get("cap"),
        seconds_left=(left["half"], left["nine_in_ten"]) if left else None,
        unusually_slow=values.get("unusually_slow", 0) if is_alive else 0,
        waiting=values.get("paused", "") if is_alive else "",
        slowed=values.get("slowed", ""),
        stopped="" if process["process"] or state == "finished" else values.get("stopped", ""),
        hint="" if is_alive else values.get("hint", ""),
        code=None if is_alive else values.get("code"),
        last_word=values.get("last_word"),
        last_pictures=values.get("last_pictures", ()),
        awake=is_alive and bool(values.get("awake")),
    )


def _is_believed(folder: RunFolder, environ: Mapping[str, str]) -> bool:
    """True if the hint of its last process may be shown: a run that another person made gives no commands to type."""
    if not folder.checkpoint.exists():
        return False
    with open_for_reading(folder.checkpoint) as checkpoint:
        return is_mine(checkpoint, folder.path, environ)


def _is_copy(folder: RunFolder) -> bool:
    if not folder.checkpoint.exists():
        return False
    with open_for_reading(folder.checkpoint) as checkpoint:
        return bool(checkpoint.get("store"))


def _read_totals(folder: RunFolder) -> dict[str, Any]:
    """The checkpoint's totals: they hold wherever no process writes newer ones."""
    if not folder.checkpoint.exists():
        return {}
    with open_for_reading(folder.checkpoint) as checkpoint:
        return totals_as_json(checkpoint.counts(), checkpoint.money())
