"""``live.json``: the state of a run, written by its own process every two seconds, for other processes to read.

It is written whole under another name and renamed, so that no reader sees half of it. It does not say whether the process
lives: the run's lock does. A failed write stops nothing; the end of the command reports it.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

import orjson

from ..core.events import Event, Saved
from ..core.model import Counts, Money, Record, State
from ..core.safe_text import to_one_line
from ..core.write_failures import WriteFailures
from ..disk import create, is_plain_file
from ..pool.buying import UNSENT
from ..pool.stop_rule import PAUSED
from ..ports import Snapshot
from ..results.report import Report
from .clock import to_utc_text

NAME = "live.json"
FORMAT = 1
WRITE_SECONDS = 2.0
LAST_PICTURES = 12


class LiveFile:
    """Writes the state of the run of this process; an observer of it. ``doing`` is the command's name. ``write_failures``
    collects failed writes.
    """

    def __init__(self, folder: Path, doing: str, write_failures: WriteFailures | None = None) -> None:
        self._path = folder / NAME
        self._write_failures = WriteFailures() if write_failures is None else write_failures
        self._refused = False
        self._about: dict[str, Any] = {
            "format": FORMAT,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "doing": doing,
            "started_at": time(),
            "phase": "starting",
            "awake": False,
        }
        self._pictures = deque(_read_last_pictures(self._path), maxlen=LAST_PICTURES)
        self._last_word: dict[str, Any] | None = None
        self._written = -WRITE_SECONDS
        self._write()

    # --- as an observer, and what the command reports ---

    def saw(self, record: Record, event: Event) -> None:
        """Keep the last pictures, and the last problem of the service or the network."""
        if isinstance(event, Saved):
            for file in event.files:
                self._pictures.append({"job": record.id, "name": record.job.name, "file": file.path, "at": event.at})
        elif (problem := record.problem) and event.durable and not problem.message.startswith(UNSENT):
            self._last_word = {"kind": problem.kind, "message": problem.message, "http": problem.http, "at": event.at}

    def note(self, name: str, message: str, **details: object) -> None:
        """Does nothing: notes about the run as a whole are in its log."""

    def refresh(self, now: Snapshot) -> None:
        """Write the pool's numbers if the last write is WRITE_SECONDS old."""
        if monotonic() - self._written >= WRITE_SECONDS:
            self.show(now)

    def show(self, now: Snapshot) -> None:
        """Write the pool's numbers at once."""
        self._about |= {
            "phase": "going",
            **totals_as_json(now.counts, now.money),
            "seconds_left": None if now.eta is None else {"half": now.eta[0], "nine_in_ten": now.eta[1]},
            "unusually_slow": now.stalled,
            "paused": now.paused,
            "slowed": str(now.slowed) if now.slowed is not None else "",
        }
        self._write()

    def set_awake(self, *, kept: bool) -> None:
        """Note whether the machine is kept from sleeping."""
        self._about["awake"] = kept

    def pause(self, *, paused: bool) -> None:
        """Write that a person paused buying, or that buying goes on."""
        self._about |= {"wished_pause": paused, "paused": PAUSED if paused else ""}
        self._write()

    def write_end(self, report: Report, *, rest_waits: bool) -> None:
        """Write the end of the process: its numbers, its exit code and what ended it early."""
        self._about |= {"phase": "ended", **totals_as_json(report.counts, report.money), "code": report.code}
        self._about |= {"stopped": report.halted, "hint": report.hint, "ended_at": time()}
        self._about |= {"seconds_left": None, "paused": "", "wished_pause": False, "rest_waits": rest_waits}
        self._write()

    def retry_write(self) -> None:
        """Write again if the last write failed."""
        if self._refused:
            self._write()

    def close(self) -> None:
        """Write the end also of a process that has no report (a no to its question)."""
        if self._about["phase"] != "ended":
            self._about |= {"phase": "ended", "ended_at": time()}
            self._write()
        self.retry_write()

    def _write(self) -> None:
        self._written = monotonic()
        values = {**self._about, "at": time(), "last_pictures": list(self._pictures), "last_word": self._last_word}
        part = self._path.with_name(f"{NAME}.part")
        try:
            with create(part) as file:
                file.write(orjson.dumps(values))
            part.replace(self._path)
        except OSError as error:
            self._refused = True
            self._write_failures.add(self._path, error)
            with suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self._refused = False
            self._write_failures.remove(self._path)


def _read_last_pictures(path: Path) -> list[dict[str, Any]]:
    """Those of the process before: they are shown until this one has pictures of its own."""
    pictures: list[dict[str, Any]] = read_live(path.parent).get("last_pictures", [])
    return pictures


def totals_as_json(counts: Counts, money: Money) -> dict[str, Any]:
    """Jobs by state, and money in micro-dollars."""
    return {
        "jobs": {state.value: count for state, count in sorted(counts.by_state.items())},
        "money": {
            "spent": money.spent,
            "reserved": money.reserved - money.in_doubt,
            "in_doubt": money.in_doubt,
            "cap": money.cap,
        },
    }


def format_utc(at: float | None) -> str | None:
    """Epoch seconds as UTC, to the second; None stays None."""
    return to_utc_text(at) if at else None


def read_live(folder: Path) -> dict[str, Any]:
    """What the last process wrote; empty where it is missing, damaged or of another format.

    A folder from another person may hold anything: numbers are checked, and each text is made one line that can be shown.
    """
    path = folder / NAME
    try:
        values = orjson.loads(path.read_bytes()) if is_plain_file(path, folder) else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict) or values.get("format") != FORMAT or not _is_plausible(values):
        return {}
    states = {state.value for state in State}
    values |= {name: _clean_text(values[name]) for name in _TEXTS if name in values}
    if "jobs" in values:
        values["jobs"] = {state: count for state, count in (values["jobs"] or {}).items() if state in states}
    values["last_word"] = _clean_last_word(values.get("last_word") or {})
    values["last_pictures"] = [
        _clean_picture(picture) for picture in values.get("last_pictures") or [] if _is_picture(picture)
    ]
    return values


def _clean_text(text: object) -> str:
    return to_one_line(text)[:_MAX_CHARACTERS]


def _clean_last_word(values: dict[str, Any]) -> dict[str, Any] | None:
    if not values:
        return None
    http = values.get("http") if type(values.get("http")) is int else None
    kind, message = (_clean_text(values.get(name) or "") for name in ("kind", "message"))
    return {"kind": kind, "message": message, "http": http, "at": values.get("at")}


def _is_picture(values: dict[str, Any]) -> bool:
    return type(values.get("job")) is int and all(isinstance(values.get(name), str) for name in ("name", "file"))


def _clean_picture(values: dict[str, Any]) -> dict[str, Any]:
    return {"job": values["job"], "name": _clean_text(values["name"]), "file": values["file"], "at": values.get("at")}


_MAX_CHARACTERS = 1000
"""Characters that are kept of a text: a service's message has some hundred."""
_TIMES = ("started_at", "at", "ended_at")
_TEXTS = ("host", "doing", "phase", "paused", "slowed", "stopped", "hint")
_MAX_NUMBER = 2.0**53
_MAX_TIME = 2.0**37
"""Epoch seconds: beyond the year 6000."""


def _is_plausible(values: dict[str, Any]) -> bool:
    """True if a run's process can have written this."""
    jobs, money, left = (values.get(name) or {} for name in ("jobs", "money", "seconds_left"))
    word, pictures = values.get("last_word") or {}, values.get("last_pictures") or []
    if not isinstance(pictures, list) or not all(
        isinstance(part, dict) for part in (jobs, money, left, word, *pictures)
    ):
        return False
    cap, code = money.get("cap") or 0, values.get("code") or 0
    amounts = (*jobs.values(), *left.values(), *(money[name] for name in money if name != "cap"), cap, code)
    times = (*(values.get(name) or 0 for name in _TIMES), *(part.get("at") or 0 for part in (word, *pictures)))
    return (
        all(_is_number(value, _MAX_NUMBER) for value in (*amounts, values.get("unusually_slow", 0)))
        and all(_is_number(value, _MAX_TIME) for value in times)
        and (not left or {"half", "nine_in_ten"} <= left.keys())
        and all(isinstance(values.get(name, ""), str) for name in _TEXTS)
    )


def _is_number(value: object, limit: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < limit
