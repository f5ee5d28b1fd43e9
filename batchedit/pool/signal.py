"""A signal that can be given again and again: whoever waits when it is given goes on."""

from __future__ import annotations

import anyio


class Signal:
    """An ``anyio.Event`` that is made anew each time it is set."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    @property
    def next(self) -> anyio.Event:
        """What is set when the signal is given next: taken before a question whose answer the signal may overtake."""
        return self._next

    def give(self) -> None:
        """Wake all who wait at the moment."""
        self._next.set()
        self._next = anyio.Event()

    async def wait(self) -> None:
        """Until the signal is given next."""
        await self._next.wait()
