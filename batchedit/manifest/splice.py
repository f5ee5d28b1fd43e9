"""Other texts in cells of a workbook, and every other byte of its sheet as it was: formulas keep the values that Excel
computed, and pictures, styles, comments and other sheets stay, which no library for workbooks keeps.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat
from xml.sax.saxutils import escape

from ..disk import ZIP_DAMAGE
from .cell_attributes import column_of
from .ooxml import MOST_BYTES, Look
from .workbook import place_of

Texts = Mapping[int, Mapping[int, str]]
"""Row → column → text, both from 0."""


class NotReplacedError(Exception):
    """The workbook has no such sheet or row, its sheet is not UTF-8, or a part of it is damaged or larger than MOST_BYTES."""


def replace_cells(source: Path, target: BinaryIO, title: str, texts: Texts) -> None:
    """A copy of the workbook ``source`` with ``texts`` in its sheet ``title``; a cell that is replaced has no link any more.

    NotReplacedError where that can't be done; what ``target`` has by then is no workbook.
    """
    part = Look(source).part_of(title).lower()
    done = False
    try:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.infolist():
                if member.file_size > MOST_BYTES:
                    raise NotReplacedError(f"{member.filename} is too large")
                content = old.read(member)
                if member.filename.replace("\\", "/").lstrip("/").lower() == part:
                    content, done = _spliced(content, texts), True
                new.writestr(member, content)
    except (*ZIP_DAMAGE, expat.ExpatError, ValueError, LookupError) as error:
        raise NotReplacedError(str(error)) from error
    if not done:
        raise NotReplacedError(title)


def _spliced(xml: bytes, texts: Texts) -> bytes:
    xml.decode("utf-8")
    pieces, at = [], 0
    for begin, end, put in sorted(_Places(xml, texts).found()):
        pieces += [xml[at:begin], put]
        at = end
    return b"".join([*pieces, xml[at:]])


class _Places:
    """Where in the sheet's XML something else is to stand: begin, end and what, in bytes."""

    def __init__(self, xml: bytes, texts: Texts) -> None:
        self._xml = xml
        self._left = {row: dict(cells) for row, cells in texts.items() if cells}
        self._names = {place_of(row, column) for row, cells in texts.items() for column in cells}
        self._splices: list[tuple[int, int, bytes]] = []
        self._row = self._column = -1
        self._open = True
        """The row's element is not an empty one."""
        self._cell: tuple[int, str, str] | None = None
        """Of a cell that is replaced: where it begins, its tag and its style."""
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def found(self) -> list[tuple[int, int, bytes]]:
        self._parser.Parse(self._xml, True)
        if self._left:
            raise NotReplacedError(f"there is no row {min(self._left) + 1}")
        return self._splices

    def _start(self, tag: str, told: dict[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        match tag.rpartition(":")[2]:
            case "row":
                self._row, self._column = int(told["r"]) - 1 if "r" in told else self._row + 1, -1
                self._open = not self._is_empty(begin)
            case "c":
                letters = re.match("[A-Z]+", told.get("r", ""))
                self._column = column_of(letters.group().encode()) if letters else self._column + 1
                self._add_up_to(self._column, begin, tag)
                if self._column in self._left.get(self._row, {}):
                    self._cell = begin, tag, told.get("s", "")
            case "hyperlink" if told.get("ref") in self._names:
                self._splices.append((begin, self._behind(begin), b""))

    def _end(self, tag: str) -> None:
        end = self._parser.CurrentByteIndex
        match tag.rpartition(":")[2]:
            case "c" if self._cell is not None:
                begin, tag, style = self._cell
                text = self._left[self._row].pop(self._column)
                behind = self._behind(begin if self._is_empty(begin) else end)
                self._splices.append((begin, behind, self._written(self._column, tag, style, text)))
                self._cell = None
            case "row":
                self._add_up_to(_BEHIND_ALL, end, f"{tag.removesuffix('row')}c")
                self._left.pop(self._row, None)

    def _add_up_to(self, column: int, at: int, tag: str) -> None:
        """Cells that the row lacks, in front of the one in ``column``."""
        left = self._left.get(self._row, {})
        for lacking in sorted(one for one in left if one < column):
            if not self._open:
                raise NotReplacedError(f"row {self._row + 1} has no cells")
            self._splices.append((at, at, self._written(lacking, tag, "", left.pop(lacking))))

    def _behind(self, at: int) -> int:
        return self._xml.index(b">", at) + 1

    def _is_empty(self, begin: int) -> bool:
        """Is the element an empty one, ``<c r="B3"/>``? Of such a one expat says that it ends where the next thing begins."""
        return self._xml.startswith(b"/", self._behind(begin) - 2)

    def _written(self, column: int, tag: str, style: str, text: str) -> bytes:
        prefix, look = tag.removesuffix("c"), f' s="{style}"' if style else ""
        inner = f'<{prefix}is><{prefix}t xml:space="preserve">{_escaped(text)}</{prefix}t></{prefix}is>'
        return f'<{tag} r="{place_of(self._row, column)}"{look} t="inlineStr">{inner}</{tag}>'.encode()


def _escaped(text: str) -> str:
    """As ECMA-376 part 1, 22.9.2.19 writes what XML can't hold: ``_x000B_``; and what looks like that already."""
    return escape(_UNFIT.sub(lambda found: f"_x{ord(found.group()):04X}_", text))


_BEHIND_ALL = 1 << 30
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9A-Fa-f]{4}_)")
