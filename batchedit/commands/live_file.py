"""``live.json``: how a run stands, written by its own process every two seconds, for those who watch from elsewhere.

It is written whole under another name first, so that nobody reads half of it. Whether the process lives is not in it: that
is asked of the run's lock. A disk that refuses costs nothing but this account, which the end of the command tells.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

import orjson

from ..core.events import Event, Saved
from ..core.model import Counts, Money, Record, State
from ..core.unwritten import WriteFailures
from ..core.visible import to_one_line
from ..disk import create, is_plain_file
from ..pool.buying import UNSENT
from ..pool.switch import PAUSED
from ..ports import Snapshot
from ..results.report import Report

NAME = "live.json"
FORMAT = 1
WRITE_SECONDS = 2.0
LAST_PICTURES = 12


class LiveFile:
    """One process's account of its run; an observer of it. ``doing`` is the command's name. ``write_failures`` hears what the disk
    refuses of it.
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
        self._pictures = deque(_last_pictures(self._path), maxlen=LAST_PICTURES)
        self._last_word: dict[str, Any] | None = None
        self._written = -WRITE_SECONDS
        self._write()

    # --- what it hears ---

    def saw(self, record: Record, event: Event) -> None:
        """The last pictures, and the last trouble that the service or the network told of."""
        if isinstance(event, Saved):
            for file in event.files:
                self._pictures.append({"job": record.id, "name": record.job.name, "file": file.path, "at": event.at})
        elif (problem := record.problem) and event.durable and not problem.message.startswith(UNSENT):
            self._last_word = {"kind": problem.kind, "message": problem.message, "http": problem.http, "at": event.at}

    def note(self, name: str, message: str, **details: object) -> None:
        """What is noted about the run as a whole is in its log."""

    def refresh(self, now: Snapshot) -> None:
        """The pool's numbers: written if the last time is long enough ago."""
        if monotonic() - self._written >= WRITE_SECONDS:
            self.show(now)

    def show(self, now: Snapshot) -> None:
        """The pool's numbers, at once."""
        self._about |= {
            "phase": "going",
            **numbers(now.counts, now.money),
            "seconds_left": None if now.eta is None else {"half": now.eta[0], "nine_in_ten": now.eta[1]},
            "unusually_slow": now.stalled,
            "paused": now.paused,
            "slowed": str(now.slowed) if now.slowed is not None else "",
        }
        self._write()

    def awake(self, *, kept: bool) -> None:
        """Is the machine kept from sleeping?"""
        self._about["awake"] = kept

    def pause(self, *, paused: bool) -> None:
        """A person wished that nothing be bought, or that buying go on."""
        self._about |= {"wished_pause": paused, "paused": PAUSED if paused else ""}
        self._write()

    def ended(self, report: Report, *, rest_waits: bool) -> None:
        """The process's last word: its numbers, its exit code and what ended it early."""
        self._about |= {"phase": "ended", **numbers(report.counts, report.money), "code": report.code}
        self._about |= {"stopped": report.halted, "hint": report.hint, "ended_at": time()}
        self._about |= {"seconds_left": None, "paused": "", "wished_pause": False, "rest_waits": rest_waits}
        self._write()

    def mend(self) -> None:
        """Write again what could not be written."""
        if self._refused:
            self._write()

    def close(self) -> None:
        """A process that ends without a report (a no to its question) ends too."""
        if self._about["phase"] != "ended":
            self._about |= {"phase": "ended", "ended_at": time()}
            self._write()
        self.mend()

    def _write(self) -> None:
        self._written = monotonic()
        told = {**self._about, "at": time(), "last_pictures": list(self._pictures), "last_word": self._last_word}
        part = self._path.with_name(f"{NAME}.part")
        try:
            with create(part) as file:
                file.write(orjson.dumps(told))
            part.replace(self._path)
        except OSError as error:
            self._refused = True
            self._write_failures.add(self._path, error)
            with suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self._refused = False
            self._write_failures.remove(self._path)


def _last_pictures(path: Path) -> list[dict[str, Any]]:
    """Those of the process before: whoever watches goes on seeing them while this one has none of its own."""
    pictures: list[dict[str, Any]] = read_live(path.parent).get("last_pictures", [])
    return pictures


def numbers(counts: Counts, money: Money) -> dict[str, Any]:
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


def iso(at: float | None) -> str | None:
    """Epoch seconds as UTC, to the second; None stays None."""
    return None if not at else datetime.fromtimestamp(int(at), UTC).isoformat()


def read_live(folder: Path) -> dict[str, Any]:
    """What the last process wrote; nothing where it is missing, damaged or of another format.

    A folder that came from somebody else may hold anything: numbers are numbers, and each text is one line to be shown.
    """
    path = folder / NAME
    try:
        told = orjson.loads(path.read_bytes()) if is_plain_file(path, folder) else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict) or told.get("format") != FORMAT or not _is_plausible(told):
        return {}
    states = {state.value for state in State}
    told |= {name: _shown(told[name]) for name in _TEXTS if name in told}
    if "jobs" in told:
        told["jobs"] = {state: count for state, count in (told["jobs"] or {}).items() if state in states}
    told["last_word"] = _word(told.get("last_word") or {})
    told["last_pictures"] = [_picture(one) for one in told.get("last_pictures") or [] if _is_picture(one)]
    return told


def _shown(text: object) -> str:
    return to_one_line(text)[:_LONGEST]


def _word(told: dict[str, Any]) -> dict[str, Any] | None:
    if not told:
        return None
    http = told.get("http") if type(told.get("http")) is int else None
    kind, message = (_shown(told.get(name) or "") for name in ("kind", "message"))
    return {"kind": kind, "message": message, "http": http, "at": told.get("at")}


def _is_picture(told: dict[str, Any]) -> bool:
    return type(told.get("job")) is int and all(isinstance(told.get(name), str) for name in ("name", "file"))


def _picture(told: dict[str, Any]) -> dict[str, Any]:
    return {"job": told["job"], "name": _shown(told["name"]), "file": told["file"], "at": told.get("at")}


_LONGEST = 1000
"""Characters of a text: a service's message has some hundred."""
_TIMES = ("started_at", "at", "ended_at")
_TEXTS = ("host", "doing", "phase", "paused", "slowed", "stopped", "hint")
_LARGEST = 2.0**53
_LAST_TIME = 2.0**37
"""Epoch seconds: beyond the year 6000."""


def _is_plausible(told: dict[str, Any]) -> bool:
    """Can a run's process have written this?"""
    jobs, money, left = (told.get(name) or {} for name in ("jobs", "money", "seconds_left"))
    word, pictures = told.get("last_word") or {}, told.get("last_pictures") or []
    if not isinstance(pictures, list) or not all(isinstance(one, dict) for one in (jobs, money, left, word, *pictures)):
        return False
    cap, code = money.get("cap") or 0, told.get("code") or 0
    numbers = (*jobs.values(), *left.values(), *(money[name] for name in money if name != "cap"), cap, code)
    times = (*(told.get(name) or 0 for name in _TIMES), *(one.get("at") or 0 for one in (word, *pictures)))
    return (
        all(_is_number(value, _LARGEST) for value in (*numbers, told.get("unusually_slow", 0)))
        and all(_is_number(value, _LAST_TIME) for value in times)
        and (not left or {"half", "nine_in_ten"} <= left.keys())
        and all(isinstance(told.get(name, ""), str) for name in _TEXTS)
    )


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < most
