"""The one place where text leaves for the screen: nothing in it moves the cursor, no line is broken within a word, and
nothing that fails there ends a run.
"""

from __future__ import annotations

import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import IO, Any

from ..core.typed import find_command_at
from ..core.visible import escape_controls


class EnduringStream:
    """A text stream that shows control characters as their numbers, and whose writes never raise.

    What a sheet, a service or a file name says is among what is written here, and must not steer the terminal: an escape
    sequence in a prompt could write its own question above ours. Line ends stay; where data is put into a line,
    ``core.visible.to_one_line`` keeps it there. What may move the cursor is written by ``draw``.

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
        """Write ``text`` as it may be shown, whole lines of it, or drop it once the stream has failed."""
        self.draw(fold(escape_controls(text), columns_of(self._stream)))
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
    """The same stream for a tqdm bar, which goes back to the start of its line and does nothing else to the cursor, and for
    what programs read: its lines stay as long as they are.
    """

    def __init__(self, stream: EnduringStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``; of the controls only the line end and the way back to the line's start are obeyed."""
        self._stream.draw(escape_controls(text, keep="\n\r"))
        return len(text)


def bar_stream() -> IO[str]:
    """Where a bar is drawn: stderr. What is put into the bar must be ``to_one_line`` before."""
    return whole_lines(sys.stderr)


def columns_of(stream: IO[str]) -> int:
    """How wide the terminal is that ``stream`` writes to; 0 if it is none, or does not say."""
    try:
        if not stream.isatty():
            return 0
        told = os.environ.get("COLUMNS", "")
        return int(told) if told.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # closed, or without a descriptor
        return 0


_PIECE = re.compile(
    r"""\(play\ money\)\S*
    | (?:--[a-z][a-z-]*\ )?(?:                         # an option, with its value
      [^\s'"]*(?<![^\s=(])'[^']*'\S*                  # quoted, such as a path with a blank in it
    | [^\s'"]*(?<![^\s=(])"[^"]*"\S*
    | \S+)""",
    re.VERBOSE,
)
_HINT = re.compile(r" *→ ")
_LABEL = re.compile(r" *(?:→ |[^\s:]+(?: [^\s:]+){0,3}:? {2,})?")
"""What a line begins with and further lines of it stand behind: ``  money     ``, ``  → ``."""


def fold(text: str, columns: int) -> str:
    """``text`` with its lines broken between words where they are longer than ``columns``; 0: they stay.

    A path stays whole, and so does a command to type in a hint: the terminal breaks them, and what is copied from it is one
    line of its own. A command is what ``core.typed`` has made. Any other text is broken, also one that looks like a command,
    wherever it stands: a sheet, its name or the service may have said it.
    What goes on of that stands behind ``| ``: none of it begins a line, so none of it looks like a question of ours.
    """
    if not columns or (text.isascii() and len(text) <= columns):
        return text
    return "\n".join(line if _width(line) <= columns else _folded(line, columns) for line in text.split("\n"))


def _folded(line: str, columns: int) -> str:
    label = _LABEL.match(line)
    head = label.end() if label else 0
    spaces = len(line) - len(line.lstrip())
    indent = f"{' ' * (max(4, head if spaces < head <= columns // 2 else spaces + 2) - 2)}| "
    lines, at, is_hint, is_full = [line[:head]], head, _HINT.match(line), False
    while piece := _PIECE.search(line, at):
        typed = find_command_at(line, piece.start()) if is_hint else ""
        blank, word = line[at : piece.start()], typed or piece[0]
        at = piece.start() + len(word)
        if not is_full and (_width(lines[-1] + blank + word) <= columns or not lines[-1].strip()):
            lines[-1] += blank + word
        elif typed:
            lines.append(f"{' ' * len(indent)}{word}")
        elif _width(word) > columns and " " in word:  # quoted prose
            for part in word.split(" "):
                if not is_full and _width(f"{lines[-1]}{blank}{part}") <= columns:
                    lines[-1] += blank + part
                else:
                    lines.append(indent + part)
                blank, is_full = " ", False
        else:
            lines.append(indent + word)
        is_full = bool(typed) and _width(lines[-1]) > columns  # the terminal breaks it: what follows would begin a line
    lines[-1] += line[at:]
    return "\n".join(lines)


def _width(text: str) -> int:
    """How many places ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def go_back(lines: int) -> None:
    """On the terminal of stdout, go back to the start of the last ``lines`` lines and clear them."""
    if lines:
        stream: Any = sys.stdout
        draw = stream.draw if isinstance(stream, EnduringStream) else stream.write
        draw(f"\x1b[{lines}F\x1b[J")


def whole_lines(stream: Any) -> IO[str]:
    """``stream`` for what programs read: no line is broken."""
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
