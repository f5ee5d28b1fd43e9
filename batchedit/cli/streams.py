"""All text for the screen passes here: it can't move the cursor, lines are broken between words only, and a failing write
never ends a run.
"""

from __future__ import annotations

import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import IO, Any

from ..core.safe_text import escape_controls
from ..core.shell_commands import find_command_at


class EnduringStream:
    """A text stream that shows control characters as their numbers, and whose writes never raise.

    Text from sheets, services and file names is written here and must not steer the terminal: an escape sequence in a prompt
    could write its own question above ours. Line ends stay; where data is put into a line, ``core.safe_text.to_one_line``
    keeps it there. What may move the cursor is written by ``draw``.

    A closed terminal (EIO), a closed pipe (EPIPE) and a full disk (ENOSPC) must not cut a purchase off, nor change the
    exit code. The first failure redirects the stream's descriptor to the null device, so that what is still in its buffer
    and what the interpreter flushes at its end go there too.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            # click writes to the bytes below, past this class, where the encoding is ASCII or the screen a Windows console.
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text`` as it may be shown, whole lines of it, or drop it once the stream has failed."""
        self.draw(fold(escape_controls(text), get_terminal_columns(self._stream)))
        return len(text)

    def draw(self, text: str) -> int:
        """Write ``text`` unchanged: for what this program itself draws, never for data."""
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
    """An EnduringStream that breaks no line: for a tqdm bar, whose carriage return is the only control that it passes on, and
    for what programs read.
    """

    def __init__(self, stream: EnduringStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``; of the control characters only line end and carriage return take effect."""
        self._stream.draw(escape_controls(text, keep="\n\r"))
        return len(text)


def get_bar_stream() -> IO[str]:
    """The stream that bars are drawn on: stderr. Data in a bar must pass ``to_one_line`` before."""
    return keep_lines_whole(sys.stderr)


def get_terminal_columns(stream: IO[str]) -> int:
    """The width of the terminal that ``stream`` writes to; 0 if it is no terminal, or its width is unknown."""
    try:
        if not stream.isatty():
            return 0
        columns = os.environ.get("COLUMNS", "")
        return int(columns) if columns.isdecimal() else os.get_terminal_size(stream.fileno()).columns
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
"""The start of a line that its further lines are indented by: ``  money     ``, ``  → ``."""


def fold(text: str, columns: int) -> str:
    """``text`` with its lines broken between words where they are longer than ``columns``; 0: they are not broken.

    A path stays whole, and so does a command to type in a hint: the terminal breaks them, so that they are copied from it as
    one line. Only what ``core.shell_commands`` has made is a command. Any other text is broken, also one that looks like a
    command: it may come from a sheet, its name or the service. Its further lines begin with ``| ``, so that none of them can
    look like a question of ours.
    """
    if not columns or (text.isascii() and len(text) <= columns):
        return text
    return "\n".join(
        line if _measure_width(line) <= columns else _fold_line(line, columns) for line in text.split("\n")
    )


def _fold_line(line: str, columns: int) -> str:
    label = _LABEL.match(line)
    label_end = label.end() if label else 0
    indent_width = len(line) - len(line.lstrip())
    indent = f"{' ' * (max(4, label_end if indent_width < label_end <= columns // 2 else indent_width + 2) - 2)}| "
    lines, position, is_hint, is_full = [line[:label_end]], label_end, _HINT.match(line), False
    while match := _PIECE.search(line, position):
        command = find_command_at(line, match.start()) if is_hint else ""
        gap, piece_text = line[position : match.start()], command or match[0]
        position = match.start() + len(piece_text)
        if not is_full and (_measure_width(lines[-1] + gap + piece_text) <= columns or not lines[-1].strip()):
            lines[-1] += gap + piece_text
        elif command:
            lines.append(f"{' ' * len(indent)}{piece_text}")
        elif _measure_width(piece_text) > columns and " " in piece_text:  # quoted prose
            for part in piece_text.split(" "):
                if not is_full and _measure_width(f"{lines[-1]}{gap}{part}") <= columns:
                    lines[-1] += gap + part
                else:
                    lines.append(indent + part)
                gap, is_full = " ", False
        else:
            lines.append(indent + piece_text)
        # the terminal breaks a long command: what follows on its line would begin a line there
        is_full = bool(command) and _measure_width(lines[-1]) > columns
    lines[-1] += line[position:]
    return "\n".join(lines)


def _measure_width(text: str) -> int:
    """How many columns ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def clear_last_lines(lines: int) -> None:
    """Clear the last ``lines`` lines on the terminal of stdout and put the cursor at their start."""
    if lines:
        stream: Any = sys.stdout
        draw = stream.draw if isinstance(stream, EnduringStream) else stream.write
        draw(f"\x1b[{lines}F\x1b[J")


def keep_lines_whole(stream: Any) -> IO[str]:
    """``stream`` for what programs read: it breaks no line."""
    return BarStream(stream) if isinstance(stream, EnduringStream) else stream  # type: ignore[return-value]


def make_streams_endure() -> None:
    """Put EnduringStream around stdout and stderr. Characters that their encoding lacks are written as ``?``."""
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
