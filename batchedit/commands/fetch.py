"""``batchedit fetch``: collect and download what was bought. Never a POST that buys."""

from __future__ import annotations

from ..results.report import Report
from .host import Host
from .kept_settings import Given
from .purchase_stages import collect
from .session import reopen_session


async def fetch(run_name: str, given: Given, host: Host) -> Report:
    """Collect and download what was bought. Never a POST that buys."""
    async with reopen_session(run_name, given, host, "fetch") as run:
        return await collect(run)
