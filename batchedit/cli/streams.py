"""The one place where text leaves for the screen: nothing in it moves the cursor, and nothing that fails there ends a run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from typing import IO, Any

from ..core.visible import visible


class EnduringStream:
    """A text stream that shows control characters as their numbers, and whose writes never raise.

    What a sheet, a service or a file name says is among what is written here, and must not steer the terminal: an escape
    sequence in a prompt could write its own question above ours. Line ends stay; where data is put into a line,
    ``core.visible.one_line`` keeps it there. What may move the cursor is written by ``draw``.

    A closed terminal (EIO), a closed pipe (EPIPE) and a full disk (ENOSPC) must not cut a purchase off, nor change the
    exit code. The first failure leads the stream's descriptor to the null device, so that what is still in its buffer
    and what the interpreter flushes at its end go there too.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            # click writes to the bytes below where the encoding is ASCII or the screen is a Windows console: around us.
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text`` as it may be shown, or drop it once the stream has failed."""
        self.draw(visible(text))
        return len(text)

    def draw(self, text: str) -> int:
        """Write ``text`` as it is: for what this program itself draws, and no data."""
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


class BarStream:
    """The same stream for a tqdm bar, which goes back to the start of its line and does nothing else to the cursor."""

    def __init__(self, stream: EnduringStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``; of the controls only the line end and the way back to the line's start are obeyed."""
        self._stream.draw(visible(text, keep="\n\r"))
        return len(text)


def bar_stream() -> IO[str]:
    """Where a bar is drawn: stderr. What is put into the bar must be ``one_line`` before."""
    stream: Any = sys.stderr
    return BarStream(stream) if isinstance(stream, EnduringStream) else stream  # type: ignore[return-value]


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
