"""Events read back from the log, also those that an earlier edition wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from ..core import events
from ..core.events import CancelConfirmed, Errored, Event, Gone
from ..core.model import Handle, Kind, Output, Problem, SavedFile, State

_EVENTS: dict[str, Any] = {event.__name__: event for event in get_args(events.Event)}


def read_event(name: str, told: Mapping[str, Any], state: str) -> Event:
    """The event ``name`` with the fields ``told``, which led to ``state``.

    Raises ValueError, TypeError or LookupError for what no edition has written.
    """
    name, told = _as_meant(name, told, state)
    kind = _EVENTS[name]
    values = {f.name: _READ.get(f.name, _same)(told[f.name]) for f in fields(kind) if f.name in told}
    event: Event = kind(**values)
    return event


def _as_meant(name: str, told: Mapping[str, Any], state: str) -> tuple[str, Mapping[str, Any]]:
    """What an event of the first edition did, in today's words.

    It failed a job for a request that was not known, and took every cancelled job for one that cost nothing.
    """
    if name == Gone.__name__ and state == State.FAILED:
        return Errored.__name__, told
    if name == CancelConfirmed.__name__ and state == State.CANCELLED and "cost" not in told:
        return name, {**told, "cost": 0}
    return name, told


def _same(value: Any) -> Any:
    return value


def _problem(told: dict[str, Any] | None) -> Problem | None:
    return None if told is None else Problem(**{**told, "kind": Kind(told["kind"])})


_READ: dict[str, Callable[[Any], Any]] = {
    "handle": lambda told: Handle(**told),
    "problem": _problem,
    "outputs": lambda told: tuple(Output(**output) for output in told),
    "files": lambda told: tuple(SavedFile(**file) for file in told),
}
