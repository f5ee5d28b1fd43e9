"""``batchedit cancel``: cancel what is still queued remotely."""

from __future__ import annotations

from pathlib import Path

from ..core.model import State
from ..pool.collecting import cancel as cancel_remote
from .finish import finish
from .host import Host
from .kept_settings import Given
from .session import reopen_session


async def cancel(run_name: str, given: Given, host: Host) -> tuple[Path, int, int]:
    """Cancel what is still queued remotely, and write the results. Returns the run's folder, how many were cancelled, and how
    many were not: they run already, are done, or their state is unknown. Buys nothing and asks no question.

    NotFoundError (66) for no such run, LockedError (75) where a process works on it, TokenError (77) for a refused token.
    """
    async with reopen_session(run_name, given, host, "cancel") as run:
        checkpoint = run.checkpoint
        waiting = checkpoint.read_records_in({State.WAITING, State.CANCELLING, State.UNCOLLECTED})
        async with run.pool() as (pool, _):
            await cancel_remote(pool, waiting)
        finish(run, None)
        cancelled = sum(now.state is State.CANCELLED for now in checkpoint.read_records(w.id for w in waiting))
        return run.folder.path, cancelled, len(waiting) - cancelled
