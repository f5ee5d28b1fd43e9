"""A signal that can be given repeatedly: it wakes all tasks that wait when it is given."""

from __future__ import annotations

import anyio


class Signal:
    """An ``anyio.Event`` that is replaced by a new one each time it is set."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    @property
    def next(self) -> anyio.Event:
        """The event that is set when the signal is given next. Take it before reading a state that may change meanwhile."""
        return self._next

    def give(self) -> None:
        """Wake all tasks that wait now."""
        self._next.set()
        self._next = anyio.Event()

    async def wait(self) -> None:
        """Wait until the signal is given next."""
        await self._next.wait()
