"""Large files, and the memory in which the system keeps what it wrote: nobody reads it soon, and a night's pictures or
a million lines would push everything else out of it.

It saves our own time too: a page that is given back is taken again for the next file, and one never touched before
costs a virtual machine several microseconds (``benchmarks/LOG.md``). Where the system has no such call (macOS,
Windows), nothing is given back.
"""

from __future__ import annotations

import io
import os
from typing import Any

STRETCH = 16 * 2**20
"""Bytes that ``Steady`` writes between two syncs."""


def forget(handle: int) -> None:
    """Tell the system that what the open file ``handle`` has on disk needs no place in memory any more [posix_fadvise]."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


class Steady(io.FileIO):
    """A new file that goes to disk as it grows and takes up no more than STRETCH bytes of the system's memory."""

    _since = 0

    def write(self, data: Any, /) -> int:
        """As FileIO's. OSError where the disk fails, now or at an earlier byte."""
        written = super().write(data)
        self._since += written
        if self._since >= STRETCH:
            self._since = 0
            os.fsync(self.fileno())
            forget(self.fileno())
        return written
