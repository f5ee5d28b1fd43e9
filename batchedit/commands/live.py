"""How a run stands right now, for whoever watches from another process: the page, ``status --watch``, a program."""

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
from .live_file import iso, numbers, read_live

BUYING = frozenset({"run", "retry", "redo", "fetch", "doubt"})
"""What a process that holds a run's lock may be doing, where that is the run itself."""
KILLED = "its process ended without a word: it was killed, or the machine went down"
_HOLDER = re.compile(r"pid (\d+) on (.*) \((.*)\)").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """How a run stands. Money is micro-dollars, times are epoch seconds (None: unknown).

    ``state``
        ``going``    a process holds the run's lock and works
        ``paused``   the same, and it buys nothing because a person wished so
        ``busy``     another command has the lock for a moment (``gallery``, ``cancel``, …)
        ``stopped``  nobody works on it and something is left to do; ``stopped`` says what ended the last process
        ``canary``   nobody works on it: the first few were bought, and the rest waits for a yes of its own
        ``finished`` nobody works on it and nothing is left to buy or to collect
    ``process``, ``pid``, ``host``, ``doing``, ``started_at``: who works on it here, and since when; 0 and "" if nobody does.
    ``workers``: how many do elsewhere, where it is a run of a store that was asked.
    ``jobs`` counts wanted jobs by state. ``seconds_left`` until it is over: as likely sooner as later, and with nine
    chances in ten. ``waiting`` says why no purchase goes out at the moment, ``slowed`` what the service keeps it to.
    ``last_pictures`` are ``{job, name, file, at}``, the newest last; ``file`` is below the run's folder. ``last_word`` is
    the last trouble that the service told of: ``{kind, message, http, at}``. ``code`` is the exit code of the last process.
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
        """Does a process work on it?"""
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
            "started_at": iso(self.started_at),
            "written_at": iso(self.written_at),
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
            "last_word": _dated(self.last_word) if self.last_word else None,
            "last_pictures": [_dated(picture) for picture in self.last_pictures],
            "awake": self.awake,
        }


def _dated(told: Mapping[str, Any]) -> dict[str, Any]:
    return {**told, "at": iso(told.get("at"))}


def live(run: str, out: str | None = None, environ: Mapping[str, str] = environment) -> LiveState:
    """How ``run`` (its folder, name or sheet) stands. Cheap enough for once a second: reads one small file, asks the lock.

    NotFoundError (66) if there is no such run; CheckpointError (74) where it can't be read.
    """
    return live_in(find_run(run, out, environ), environ)


def live_in(folder: RunFolder, environ: Mapping[str, str] = environment, *, store: str | None = None) -> LiveState:
    """The same for a run's folder. Where no process works in it the ``store`` at this address is asked who works on the run
    elsewhere; 64, 69, 74 or 77 where it can't be. Not about a run that the folder has to itself: one of the store may have
    its name.
    """
    process, told = find_holder(folder.path), read_live(folder.path)
    found = _HOLDER(process)
    pid, host, doing = (int(found[1]), found[2], found[3]) if found else (0, "", "")
    of_this = bool(process) and told.get("pid") == pid and told.get("host") == host
    if process and not (of_this and "jobs" in told):
        told = {**(told if of_this else {}), **_numbers_of(folder)}
    elif not process and (told.get("phase") != "ended" or "jobs" not in told):
        killed = KILLED if told and told.get("phase") != "ended" else ""
        told = {**told, **_numbers_of(folder), "stopped": killed, "seconds_left": None, "paused": ""}
    if not process and told.get("hint") and not _is_believed(folder, environ):
        told = {**told, "hint": ""}
    workers = 0
    if store is not None and not process and _is_copy(folder):
        workers, now = _working_at(store, folder)
        told = {**told, **(_OF_A_PROCESS if workers else {}), **now}
    state = _alive_state(doing, told, known=found is None or of_this) if process else _resting_state(told)
    if workers:
        state = "going"
    return _state_of(folder, state, told, process=process, pid=pid, host=host, doing=doing, workers=workers)


_OF_A_PROCESS: Mapping[str, Any] = {
    "started_at": None,
    "seconds_left": None,
    "paused": "",
    "slowed": "",
    "awake": False,
}
"""What the last process here said of itself, where others work on the run now."""


def _working_at(store: str, folder: RunFolder) -> tuple[int, dict[str, Any]]:
    """How many workers, and the store's own numbers: the copy here may be behind."""
    from ..ledger.postgres.store import count_workers  # noqa: PLC0415 - psycopg takes its time

    workers, totals = count_workers(store, folder.path.resolve().name)
    return workers, {} if totals is None or not workers else numbers(*totals)


def _alive_state(doing: str, told: Mapping[str, Any], *, known: bool) -> str:
    if doing and doing not in BUYING:
        return "busy"
    return "paused" if known and told.get("wished_pause") else "going"


def _resting_state(told: Mapping[str, Any]) -> str:
    jobs = told.get("jobs", {})
    left = sum(jobs.get(state.value, 0) for state in (State.PLANNED, State.UNCOLLECTED, *UNDER_WAY))
    if left and told.get("rest_waits"):
        return "canary"
    return "stopped" if left else "finished"


def _state_of(folder: RunFolder, state: str, told: Mapping[str, Any], **process: Any) -> LiveState:
    money, left, alive = told.get("money", {}), told.get("seconds_left"), bool(process["process"] or process["workers"])
    return LiveState(
        folder=folder.path,
        state=state,
        **process,
        started_at=told.get("started_at"),
        written_at=told.get("at"),
        jobs=told.get("jobs", {}),
        spent=money.get("spent", 0),
        reserved=money.get("reserved", 0),
        in_doubt=money.get("in_doubt", 0),
        cap=money.get("cap"),
        seconds_left=(left["half"], left["nine_in_ten"]) if left else None,
        unusually_slow=told.get("unusually_slow", 0) if alive else 0,
        waiting=told.get("paused", "") if alive else "",
        slowed=told.get("slowed", ""),
        stopped="" if process["process"] or state == "finished" else told.get("stopped", ""),
        hint="" if alive else told.get("hint", ""),
        code=None if alive else told.get("code"),
        last_word=told.get("last_word"),
        last_pictures=told.get("last_pictures", ()),
        awake=alive and bool(told.get("awake")),
    )


def _is_believed(folder: RunFolder, environ: Mapping[str, str]) -> bool:
    """Does its last process say what to do? A run that somebody else made gives this person no commands."""
    if not folder.checkpoint.exists():
        return False
    with open_for_reading(folder.checkpoint) as checkpoint:
        return is_mine(checkpoint, folder.path, environ)


def _is_copy(folder: RunFolder) -> bool:
    if not folder.checkpoint.exists():
        return False
    with open_for_reading(folder.checkpoint) as checkpoint:
        return bool(checkpoint.get("store"))


def _numbers_of(folder: RunFolder) -> dict[str, Any]:
    """The checkpoint's own: it is the truth wherever no process writes a younger picture of it."""
    if not folder.checkpoint.exists():
        return {}
    with open_for_reading(folder.checkpoint) as checkpoint:
        return numbers(checkpoint.counts(), checkpoint.money())
