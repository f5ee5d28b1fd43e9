"""File names that Windows, macOS and S3 accept, from a template over a row's cells.

A name is a path below ``files/`` without its ending. ``/`` in the template makes folders, ``/`` in a cell never does.
Cells are cut at 100 bytes and parts at 150, with a digest in place of what was cut. That leaves room for ``-v12``,
``-2``, an ending and ``.part`` within every file system's 255.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from pathvalidate import sanitize_filename

from ..core.errors import UsageError
from ..manifest.cells import to_cell_text
from ..manifest.nearest import find_nearest, join_names
from .prompt import split_template

DEFAULT = "{id}-{size}-{variant}"
FIELDS = ("row", "id", "size", "variant", "version", "n", "date")

_CELL_BYTES, _PART_BYTES = 100, 150
_SAFE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 _.,()&+-]{0,78}[A-Za-z0-9_)])?").fullmatch
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:\.|$)", re.IGNORECASE).match
_RESERVED_HEADS = frozenset({"con", "prn", "aux", "nul", "com", "lpt"})
"""Beginnings of all reserved names: most names are ruled out by them without the regular expression."""
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def to_safe_name(value: str) -> str:
    """``value`` as a part of a file name: no slash, no invisible character, nothing that a file system refuses."""
    if _SAFE_NAME(value):
        return value
    value = _UNSEEN.sub(" ", unicodedata.normalize("NFC", value))
    value = re.sub(r"\s+", " ", re.sub(r"[\\/:*?\"<>|]", "_", value)).strip(" .")
    return _cut(value, _CELL_BYTES)


def _cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8. If it is longer, its end is replaced by a digest of the whole."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    digest = blake2b(raw, digest_size=4).hexdigest()
    return raw[: limit - 9].decode(errors="ignore").rstrip(" .") + "-" + digest


def _sanitize_part(text: str) -> str:
    if _SAFE_NAME(text) and not _is_reserved(text):
        return text
    text = str(sanitize_filename(text, replacement_text="_", platform="universal")).strip(" ")
    text = "_" + text.lstrip(".") if text.startswith(".") or not text else text.rstrip(".")
    return _cut(f"_{text}" if _is_reserved(text) else text, _PART_BYTES)


def _is_reserved(name: str) -> bool:
    return name[:3].lower() in _RESERVED_HEADS and _RESERVED(name) is not None


def to_size_piece(size: str) -> str:
    """``1:1`` as ``1x1``."""
    return to_safe_name(re.sub(r"(?<=\d):(?=\d)", "x", size))


class Namer:
    """A compiled template over ``columns``. ``versioned``: it holds ``{version}``. ``default``: no template was given."""

    def __init__(
        self,
        template: str | None,
        columns: tuple[str, ...],
        *,
        date: str = "",
        over: tuple[str, ...] = (),
        sized: bool = True,
    ) -> None:
        """``date`` fills ``{date}``; the default name has the columns ``over``, and the size if the model is ``sized``.

        UsageError for a name that is neither a column nor one of ``FIELDS``, and for a path out of the run's folder.
        """
        self.default = template is None
        between = "".join(f"-{{{column}}}" for column in over)
        default = DEFAULT.replace("{id}", "{id}" + between).replace("-{size}", "-{size}" if sized else "")
        text = template if template is not None else default
        if text.startswith("/") or any(part in {"", ".", ".."} for part in text.split("/")):
            raise UsageError(f"--name {text!r} is no path below the run's folder", hint="Such as {Vendor}/{id}-{size}.")
        self._literals, names = split_template(text, "--name")
        self._pieces = [_make_piece(name, columns, date) for name in names]
        self.versioned = "version" in names
        self.columns = tuple(name for name in names if name in columns and name not in FIELDS)
        self._fast = self.default and not over
        self._tails: dict[tuple[str, int], str] = {}

    def render(
        self, cells: dict[str, Any], row: int, id_: str, size: str, variant: int, n: int, version: str = ""
    ) -> str:
        """The name for one job. ``n`` counts jobs from 1; ``version`` is ``""`` for the name that an edit keeps."""
        if self._fast:
            head = to_safe_name(id_) or f"row{row}"
            name = head + (self._tails.get((size, variant)) or self._make_tail(size, variant))
            return f"_{name}" if _is_reserved(name) else name
        fields = {"row": row, "id": id_, "size": size, "variant": variant, "n": n, "version": version}
        text = self._literals[0]
        for literal, piece in zip(self._literals[1:], self._pieces, strict=True):
            text += piece(fields, cells) + literal
        return "/".join(map(_sanitize_part, text.split("/")))

    def _make_tail(self, size: str, variant: int) -> str:
        tail = f"-{to_size_piece(size)}-{variant}" if size else f"-{variant}"
        return self._tails.setdefault((size, variant), tail)


Piece = Callable[[dict[str, Any], dict[str, Any]], str]


def _make_piece(name: str, columns: tuple[str, ...], date: str) -> Piece:
    word, _, spec = name.partition(":")
    if name in columns and name not in FIELDS:
        return lambda _, cells: to_safe_name(to_cell_text(cells.get(name)))
    if word == "date":
        return lambda _fields, _cells: to_safe_name(date)
    if word == "size":
        return lambda fields, _: to_size_piece(fields["size"])
    if word == "id":
        return lambda fields, _: to_safe_name(fields["id"]) or f"row{fields['row']}"
    if word in FIELDS:
        if spec and not re.fullmatch(r"0?\d?d?", spec):
            raise UsageError(f"--name: {{{name}}} is no way to write a number", hint=f"Such as {{{word}:03}}.")
        return lambda fields, _: format(fields[word], spec) if fields[word] != "" else ""
    suggestion = find_nearest(name, [*FIELDS, *columns])
    raise UsageError(
        f"--name has {{{name}}}, which is no column",
        hint=(f"Did you mean {{{suggestion}}}? " if suggestion else "")
        + f"Beside the columns there are {join_names(FIELDS, 'and')}.",
    )
