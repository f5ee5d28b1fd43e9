"""Those who watch a run: a bar on a terminal, JSON lines in ``run.jsonl`` and on stderr, nobody.

Nothing written here holds the token or a whole prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import orjson
from tqdm import tqdm

from ..core.lifecycle import Accepted, Completed, Event, Saved
from ..core.model import Counts, Money, Record, State, format_usd
from ..ports import Observer

logger = logging.getLogger("batchedit")

STILL_OPEN = (State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the run stands. ``eta`` is seconds until it is over (p50, p90), None before anything is known."""

    counts: Counts
    money: Money
    eta: tuple[float, float] | None = None
    stalled: int = 0
    paused: str = ""


class JsonLines:
    """One JSON object a line for each durable event and each note: ``run.jsonl`` and ``--log-json``."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._broken = False

    def saw(self, record: Record, event: Event) -> None:
        """Write what is worth finding again; looks that found nothing are not."""
        if not event.durable:
            return
        line: dict[str, Any] = {
            "at": event.at,
            "event": type(event).__name__,
            "job": record.id,
            "name": record.job.name,
            "state": record.state,
        }
        if record.handle is not None:
            line["request_id"] = record.handle.request_id
        if record.problem is not None:
            line |= {"kind": record.problem.kind, "problem": record.problem.message, "http": record.problem.http}
        if isinstance(event, Completed):
            line["cost_usd"] = None if event.cost is None else event.cost / 1_000_000
        if isinstance(event, Saved):
            line["files"] = [file.path for file in event.files]
        if isinstance(event, Accepted):
            line["by"] = event.by
        self._write(line)

    def note(self, name: str, message: str, **details: object) -> None:
        """Write something about the run as a whole."""
        self._write({"event": name, "message": message, **details})

    def _write(self, line: dict[str, Any]) -> None:
        if self._broken:
            return
        try:
            self._stream.write(orjson.dumps(line, default=str).decode() + "\n")
            self._stream.flush()
        except OSError as error:
            # A log that can't be written must not come between an intention and its POST: the checkpoint is the truth.
            self._broken = True
            logger.warning("the log can't be written any more: %s", error)


class Logging:
    """The library's observer: the standard ``logging`` package, logger ``batchedit``."""

    def saw(self, record: Record, event: Event) -> None:
        """Each durable event at DEBUG, what went wrong at INFO."""
        if event.durable:
            level = logging.INFO if record.problem else logging.DEBUG
            logger.log(level, "%s: %s", record.job.name, type(event).__name__, extra={"job": record.id})

    def note(self, name: str, message: str, **details: object) -> None:
        """Something about the run as a whole, at WARNING."""
        logger.warning("%s", message, extra={"note": name, **details})


class Tell:
    """Says notes to a person, one line each, through ``say``; each text once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def saw(self, record: Record, event: Event) -> None:
        """Events of single jobs are the bar's business."""

    def note(self, name: str, message: str, **details: object) -> None:  # noqa: ARG002 - the port's signature
        """Say it, unless it was just said."""
        if message not in self._said:
            self._said.add(message)
            self._say(message)


class TellEvents:
    """``--verbose``: one line for each thing that happened to a job."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def saw(self, record: Record, event: Event) -> None:
        """Name, what happened, and the request or the reason."""
        if event.durable:
            why = record.problem.message if record.problem else record.handle.request_id if record.handle else ""
            self._say(f"{record.job.name}: {type(event).__name__.lower()} → {record.state} {why}".rstrip())

    def note(self, name: str, message: str, **details: object) -> None:
        """Said by ``Tell``."""


class Everybody:
    """Several observers as one, and a wall between them and the run.

    Who watches must not be able to break what is watched: a log on a full disk or a terminal that was closed would
    otherwise cut a purchase off between its steps. An observer that fails is left out from there on, and the others hear.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)

    def saw(self, record: Record, event: Event) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.saw(record, event))

    def note(self, name: str, message: str, **details: object) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.note(name, message, **details))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                tell(observer)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not the run's
                self._observers.remove(observer)
                self.note("observer_failed", f"{type(observer).__name__} can't go on: {error}")


class Bar:
    """A tqdm bar of finished jobs with money and an honest ETA. Make it on a terminal only."""

    def __init__(self, total: int, stream: IO[str]) -> None:
        self._bar = tqdm(
            total=total,
            file=stream,
            unit="job",
            dynamic_ncols=True,
            mininterval=0.2,
            bar_format="{percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} {desc}",
        )

    def refresh(self, now: Snapshot) -> None:
        """Show ``now``."""
        self._bar.n = now.counts.of(State.DONE)
        self._bar.set_description_str(_described(now, self._bar.format_dict), refresh=True)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()


def _described(now: Snapshot, shown: Mapping[str, Any]) -> str:
    counts, money = now.counts, now.money
    parts = ["done"]
    ended = (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED)
    parts += [f"{counts.of(state)} {state.replace('_', ' ')}" for state in ended if counts.of(state)]
    parts.append(f"{counts.of(*STILL_OPEN)} in flight")
    parts += [
        f"{format_usd(money.spent)} spent",
        f"{format_usd(money.held - money.in_doubt)} reserved",
        f"{format_usd(money.in_doubt)} in doubt",
        f"{format_usd(money.cancellable)} cancellable",
    ]
    if shown["elapsed"] > 1 and shown["n"] > shown["initial"]:
        parts.append(f"{(shown['n'] - shown['initial']) / shown['elapsed'] * 60:.0f}/min")
    if now.eta is not None:
        parts.append(f"{_minutes(now.eta[0])} left (90 %: {_minutes(now.eta[1])})")
    if now.stalled:
        parts.append(f"{now.stalled} unusually slow")
    if now.paused:
        parts.append(now.paused)
    return " · ".join(parts)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
