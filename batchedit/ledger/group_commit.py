"""Many callers, one commit: whoever comes while a commit is under way shares the next one.

Durability costs one fsync a commit, however many changes it holds. So a change is not committed at once: it joins the batch
that gathers behind the commit under way. The first of a batch waits for its turn and commits all of it in a thread, one
commit at a time; the others wait for that one. Each caller returns when its own change is on disk, and not before.

A cancelled caller still waits: what becomes of a commit must be known, or a purchase could be half believed.
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
    """A record as it is to be, and the event that makes it so. ``error`` is why it was not written, None if it was.

    ``bought``: the event tells of a purchase that has happened, so the cap has no say in it.
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
    """``commit`` writes several changes in one commit, blocking, and leaves in each what was wrong with it.

    ``as_batchedit_error`` makes a BatcheditError of what ``commit`` raises: then none of them is on disk.
    """

    def __init__(
        self, commit: Callable[[list[Change]], None], as_batchedit_error: Callable[[BaseException], BatcheditError]
    ) -> None:
        self._commit = commit
        self._as_ours = as_batchedit_error
        self._turn: anyio.Lock | None = None
        self._gathering: _Batch | None = None

    async def save(self, change: Change) -> None:
        """``change`` is on disk when this returns. Raises what was wrong with it."""
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
        if self._turn is None:  # made inside the event loop that it belongs to
            self._turn = anyio.Lock()
        try:
            async with self._turn:
                self._gathering = None  # whoever comes from here on shares the next commit
                await anyio.to_thread.run_sync(self._commit, batch.changes)
        except BaseException as error:
            for change in batch.changes:  # those who share this commit must not take it for done, whatever ended it
                change.error = change.error or self._as_ours(error)
            if not isinstance(error, Exception):
                raise
        finally:
            batch.is_over.set()
