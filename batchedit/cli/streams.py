"""Output that never ends a run: what can't be encoded is replaced, a stream that can't be written to is given up."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from typing import IO, Any


class EnduringStream:
    """A text stream whose writes never raise.

    A closed terminal (EIO), a closed pipe (EPIPE) and a full disk (ENOSPC) must not cut a purchase off, nor change the
    exit code. The first failure leads the stream's descriptor to the null device, so that what is still in its buffer
    and what the interpreter flushes at its end go there too.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``, or drop it once the stream has failed."""
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """``write`` each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered, or drop it once the stream has failed."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, self._stream.fileno())
        finally:
            os.close(null)


def make_streams_endure() -> None:
    """Put EnduringStream around stdout and stderr. Letters that their encoding lacks are written as ``?``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # None under pythonw; a test's StringIO never fails
            continue
        stream.reconfigure(errors="replace")
        setattr(sys, name, EnduringStream(stream))


def flush_streams() -> None:
    """Write out what is buffered while a failure can still be caught: the interpreter's own flush would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
