"""Observers of a run: messages for a person, JSON lines in ``run.jsonl`` and on stderr, the ``logging`` package.

Nothing written here holds the token or a whole prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import IO, Any

import orjson

from ..core.events import Accepted, Completed, Event, Saved
from ..core.model import Record
from ..core.money import to_json_usd
from ..core.safe_text import escape_json_controls, to_one_line
from ..ports import Observer

logger = logging.getLogger("batchedit")


class JsonLines:
    """One JSON object a line for each durable event and each note: ``run.jsonl`` and ``--log-json``.

    Each begins with ``at`` (ISO 8601, UTC, milliseconds), ``run`` (the run's id, where one is in hand) and ``event``.
    ``rows`` returns the fields about the rows that a job is for, by its id; ``clock`` gives epoch seconds,
    ``on_failure`` gets the error after which nothing more is written.
    """

    def __init__(
        self,
        stream: IO[str],
        rows: Callable[[int], Mapping[str, Any]] = lambda _: {},
        run: str = "",
        clock: Callable[[], float] = time,
        on_failure: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._on_failure = on_failure
        self.rows = rows
        self.run = run
        self._broken = False

    def saw(self, record: Record, event: Event) -> None:
        """Write each durable event; polls without a result are not written."""
        if not event.durable:
            return
        line: dict[str, Any] = {
            "job": record.id,
            "name": record.job.name,
            **self.rows(record.id),
            "state": record.state,
        }
        if record.handle is not None:
            line["request_id"] = record.handle.request_id
        if record.problem is not None:
            line |= {"kind": record.problem.kind, "problem": record.problem.message, "http": record.problem.http}
        if isinstance(event, Completed):
            line["cost_usd"] = None if event.cost is None else to_json_usd(event.cost)
        if isinstance(event, Saved):
            line["files"] = [file.path for file in event.files]
        if isinstance(event, Accepted):
            line["by"] = event.by
        self._write(event.at, type(event).__name__, line)

    def note(self, name: str, message: str, **details: object) -> None:
        """Write something about the run as a whole."""
        self._write(self._clock(), name, {"message": message, **details})

    def _write(self, at: float, event: str, details: dict[str, Any]) -> None:
        if self._broken:
            return
        line = {"at": format_timestamp(at), **({"run": self.run} if self.run else {}), "event": event, **details}
        try:
            self._stream.write(escape_json_controls(orjson.dumps(line, default=str).decode()) + "\n")
            try:
                self._stream.flush()
            except OSError:
                self._stream.flush()  # it still holds the line: a disk that failed once may take it now
        except OSError as error:
            # A log that can't be written must not come between an intention and its POST: the checkpoint is the truth.
            self._broken = True
            self._on_failure(error)
            logger.warning("the log can't be written any more: %s", error)


def format_timestamp(at: float) -> str:
    """Epoch seconds as ``2026-11-26T23:43:23.512Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


FOR_LOGS = frozenset({"started", "ended"})
"""Notes that are not shown at the terminal."""


class Logging:
    """The library's observer: the standard ``logging`` package, logger ``batchedit``."""

    def saw(self, record: Record, event: Event) -> None:
        """Each durable event at DEBUG, what went wrong at INFO."""
        if event.durable:
            level = logging.INFO if record.problem else logging.DEBUG
            logger.log(level, "%s: %s", record.job.name, type(event).__name__, extra={"job": record.id})

    def note(self, name: str, message: str, **details: object) -> None:
        """Something about the run as a whole, at WARNING: it may need a person. Its start and end, at INFO."""
        level = logging.INFO if name in FOR_LOGS else logging.WARNING
        logger.log(level, "%s", message, extra={"note": name, **details})


_LONG = frozenset({"waiting", "breaker_open"})
"""Notes of what may make the run wait for long."""


class NoteObserver:
    """Passes notes to a person through ``say``, one line each and each text once. What makes the run wait for long goes
    through ``insist``, which also prints where only errors are printed.
    """

    def __init__(self, say: Callable[[str], None], insist: Callable[[str], None] | None = None) -> None:
        self._say, self._insist = say, insist or say
        self._said: set[str] = set()

    def saw(self, record: Record, event: Event) -> None:
        """Events of single jobs are shown by the progress bar."""

    def note(self, name: str, message: str, **details: object) -> None:  # noqa: ARG002 - the port's signature
        """Say it, unless it was just said."""
        if name not in FOR_LOGS and message not in self._said:
            self._said.add(message)
            (self._insist if name in _LONG else self._say)(to_one_line(message))


class EventObserver:
    """``--verbose``: one line for each event of a job."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def saw(self, record: Record, event: Event) -> None:
        """Name, what happened, and the request or the reason."""
        if event.durable:
            detail = record.problem.message if record.problem else record.handle.request_id if record.handle else ""
            self._say(
                to_one_line(f"{record.job.name}: {type(event).__name__.lower()} → {record.state} {detail}".rstrip())
            )

    def note(self, name: str, message: str, **details: object) -> None:
        """Said by ``NoteObserver``."""


class ObserverGroup:
    """Several observers as one, isolated from the run.

    An observer must not be able to break the run: a log on a full disk or a closed terminal would otherwise cut a purchase
    off between its steps. An observer that fails is removed, and the others are told.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)

    def saw(self, record: Record, event: Event) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.saw(record, event))

    def note(self, name: str, message: str, **details: object) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.note(name, message, **details))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not the run's
                self._observers.remove(observer)
                self.note(
                    "observer_failed", f"the run goes on, but a part of what it shows or logs has stopped: {error}"
                )
