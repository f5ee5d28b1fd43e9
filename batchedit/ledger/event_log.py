"""Reads events back from the log, also those that an earlier edition wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from ..core import events
from ..core.events import CancelConfirmed, Errored, Event, Gone
from ..core.model import Handle, Kind, Output, Problem, SavedFile, State

_EVENTS: dict[str, Any] = {event.__name__: event for event in get_args(events.Event)}


def read_event(name: str, data: Mapping[str, Any], state: str) -> Event:
    """The event ``name`` with the fields ``data``, which led to ``state``.

    Raises ValueError, TypeError or LookupError for what no edition has written.
    """
    name, data = _convert_first_edition(name, data, state)
    kind = _EVENTS[name]
    values = {f.name: _READERS.get(f.name, _keep)(data[f.name]) for f in fields(kind) if f.name in data}
    event: Event = kind(**values)
    return event


def _convert_first_edition(name: str, data: Mapping[str, Any], state: str) -> tuple[str, Mapping[str, Any]]:
    """An event of the first edition as today's event with the same effect.

    That edition failed a job for a request that was not known, and took every cancelled job for one that cost nothing.
    """
    if name == Gone.__name__ and state == State.FAILED:
        return Errored.__name__, data
    if name == CancelConfirmed.__name__ and state == State.CANCELLED and "cost" not in data:
        return name, {**data, "cost": 0}
    return name, data


def _keep(value: Any) -> Any:
    return value


def _read_problem(data: dict[str, Any] | None) -> Problem | None:
    return None if data is None else Problem(**{**data, "kind": Kind(data["kind"])})


_READERS: dict[str, Callable[[Any], Any]] = {
    "handle": lambda data: Handle(**data),
    "problem": _read_problem,
    "outputs": lambda data: tuple(Output(**output) for output in data),
    "files": lambda data: tuple(SavedFile(**file) for file in data),
}
