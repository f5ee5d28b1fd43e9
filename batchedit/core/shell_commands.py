r"""Commands as a person can type them: the one place that quotes words for a shell.

``to_type("run", Path("outputs/m"))`` is ``batchedit run outputs/m``. A word with blanks, quotes or umlauts stands in single
quotes; one with a control character, a bidi mark or a byte that is no text stands in ``$'…'`` with its numbers, which bash,
zsh, ksh and POSIX 2024 read as the very same bytes, and which no terminal obeys.
"""

from __future__ import annotations

import shlex
from collections import deque

from .safe_text import to_one_line

_MAY_FOLLOW = frozenset(("", " ", ",", ";", ".", ")"))
"""What may follow a command in a line."""
_printed_commands: deque[str] = deque(maxlen=1000)
"""The last commands that this program printed. Text that looks like a command and is not among them may come from a sheet or
a service."""


def format_command(verb: str, *arguments: object) -> str:
    """``batchedit VERB WORDS``, each word quoted. A path that begins with a dash is written so that it is no option."""
    return remember_command(" ".join(["batchedit", verb, *map(quote_word, arguments)]))


def remember_command(command: str) -> str:
    """Returns ``command``, which this program prints for a person to type; ``find_command_at`` finds it from now on."""
    _printed_commands.append(command)
    return command


def find_command_at(line: str, start: int) -> str:
    """The remembered command that ``line`` has at ``start``, the longest of several; "" where there is none."""
    matches = [
        command
        for command in list(_printed_commands)
        if line.startswith(command, start) and line[start + len(command) :][:1] in _MAY_FOLLOW
    ]
    return max(matches, key=len, default="")


def quote_word(word: object) -> str:
    """One word for the shell, as shown on the screen: nothing in it is read as an option, a variable or a pattern."""
    text = str(word)
    if hasattr(word, "__fspath__") and text.startswith("-"):
        text = f"./{text}"
    return shlex.quote(text) if to_one_line(text) == text else _quote_by_number(text)


def _quote_by_number(text: str) -> str:
    letters = (letter if _is_safe_letter(letter) else _escape_bytes(letter) for letter in text)
    return f"$'{''.join(letters)}'"


def _is_safe_letter(letter: str) -> bool:
    return letter not in "\\'" and to_one_line(letter) == letter


def _escape_bytes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
