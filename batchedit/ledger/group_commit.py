"""Group commit: callers that arrive while a commit is under way share the next one.

Durability costs one fsync a commit, however many changes it holds. So a change is not committed at once: it joins the batch
that is collected during the commit under way. The first caller of a batch waits for its turn and commits all of it in a
thread, one commit at a time; the others wait for that commit. Each caller returns when its own change is on disk, and not
before.

A cancelled caller still waits: the outcome of a commit must be known, or a purchase would be known only in part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from ..core.errors import BatcheditError
from ..core.events import Event
from ..core.model import Record


@dataclass
class Change:
    """The record after a change, and the event that causes it. ``error`` is why it was not written, None if it was.

    ``bought``: the event records a purchase that has happened, so the cap is not checked.
    """

    record: Record
    event: Event
    bought: bool = False
    error: BatcheditError | None = None


@dataclass
class _Batch:
    changes: list[Change] = field(default_factory=list)
    is_over: anyio.Event = field(default_factory=anyio.Event)


class GroupCommit:
    """``commit`` writes several changes in one commit, blocking, and sets ``error`` in each that it refuses.

    ``as_batchedit_error`` converts what ``commit`` raises: then none of them is on disk.
    """

    def __init__(
        self, commit: Callable[[list[Change]], None], as_batchedit_error: Callable[[BaseException], BatcheditError]
    ) -> None:
        self._commit = commit
        self._as_ours = as_batchedit_error
        self._turn: anyio.Lock | None = None
        self._gathering: _Batch | None = None

    async def save(self, change: Change) -> None:
        """Write ``change``; it is on disk when this returns. Raises its ``error``."""
        with anyio.CancelScope(shield=True):
            if self._gathering is None:
                batch = self._gathering = _Batch([change])
                await self._lead(batch)
            else:
                batch = self._gathering
                batch.changes.append(change)
                await batch.is_over.wait()
        if change.error is not None:
            raise change.error

    async def _lead(self, batch: _Batch) -> None:
        if self._turn is None:  # created inside the event loop that it belongs to
            self._turn = anyio.Lock()
        try:
            async with self._turn:
                self._gathering = None  # callers from here on share the next commit
                await anyio.to_thread.run_sync(self._commit, batch.changes)
        except BaseException as error:
            for change in batch.changes:  # all callers of this commit must fail, whatever ended it
                change.error = change.error or self._as_ours(error)
            if not isinstance(error, Exception):
                raise
        finally:
            batch.is_over.set()
