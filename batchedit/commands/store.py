"""``batchedit store``: the shared ledger. psycopg is imported only where one is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from ..core.budget import GivenCap, choose_cap
from ..core.errors import BatcheditError, UsageError
from ..ledger.account import hash_token
from ..runcomfy.token import find_token
from ..settings.extras import to_install


@dataclass(frozen=True, slots=True)
class StoreInitResult:
    """What ``store init`` did, as lines for a person, and what could be lost with the store."""

    lines: Sequence[str]
    risks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of a store. ``since`` and ``heard`` are epoch seconds by the store's clock; ``in_flight`` counts its jobs,
    ``sending`` those of them that it is buying just now. ``state`` is ``working``, ``silent`` (its lease is over, and its
    jobs are not adopted yet) or ``gone``.
    """

    id: int
    name: str
    state: str
    since: float
    heard: float
    in_flight: int
    sending: int


def list_workers(url: str) -> list[Worker]:
    """The workers of the store, and those that ended within a day."""
    need_psycopg()
    from ..ledger.postgres import store  # noqa: PLC0415

    return [
        Worker(
            worker.id,
            worker.name,
            "gone" if worker.gone else "working" if worker.lease else "silent",
            worker.since,
            worker.heard,
            worker.jobs,
            worker.sending,
        )
        for worker in store.list_workers(url)
    ]


def need_psycopg() -> None:
    """UsageError (64) where the extra is not installed."""
    if find_spec("psycopg") is None:
        raise UsageError("a shared ledger needs psycopg", hint=to_install("store"))


def init(url: str, *, accept_loss: bool) -> StoreInitResult:
    """Make the store at ``url``, or bring it to this version."""
    need_psycopg()
    from ..ledger.postgres import store  # noqa: PLC0415

    result = store.init(url, accept_loss=accept_loss)
    outcome = {0: "is made"}.get(result.before) or (
        "is there already" if result.before == result.after else f"had version {result.before}"
    )
    lines = [f"the store {result.where} {outcome}; its version is {result.after}", *result.durable.lines]
    return StoreInitResult(lines, result.durable.risks)


def update_limits(
    url: str, environ: Mapping[str, str], *, max_cost: GivenCap = None, in_flight: GivenCap = None
) -> tuple[int | None, int | None]:
    """The cap of all runs of the token that is set here, in micro-dollars, and how many jobs they may have under way at once;
    None for no limit. A given limit is set first: ``"none"`` removes it.
    """
    need_psycopg()
    from ..ledger.postgres import limits as store_limits  # noqa: PLC0415

    account = hash_token(find_token(environ, Path.home()).value)
    current = store_limits.read_limits(url, account)
    requested = store_limits.Limits(choose_cap(max_cost, current.max_cost), choose_cap(in_flight, current.in_flight))
    if requested != current:
        store_limits.set_limits(url, account, requested)
    return requested.max_cost, requested.in_flight


def lift(url: str, run: str) -> str:
    """Allow purchases in the store's run of this name again. Returns why it was halted; "" if it was not."""
    need_psycopg()
    from ..ledger.postgres import store  # noqa: PLC0415

    return store.lift(url, run)


def is_first_to_tell(url: str, run: str, channel: str, state: Any) -> bool:
    """Write down that ``channel`` was last told ``state``, any JSON value, of the run. False where that is written already,
    by this worker or another.
    """
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    return store.is_first_to_tell(url, run, _digest(channel.encode()), _digest(orjson.dumps(state)))


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def has_other_workers(url: str) -> bool:
    """Is there a worker in the store that may still buy? False where it can't be asked."""
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    try:
        return store.has_other_workers(url)
    except BatcheditError:
        return False
