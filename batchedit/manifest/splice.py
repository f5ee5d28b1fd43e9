"""Replaces texts in cells of a workbook and keeps every other byte of its sheet: formulas keep the values that Excel
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
from .cell_attributes import parse_column
from .ooxml import MOST_BYTES, WorkbookMarkup
from .workbook import format_cell_address

Texts = Mapping[int, Mapping[int, str]]
"""Row → column → text, both from 0."""


class NotReplacedError(Exception):
    """The workbook has no such sheet or row, its sheet is not UTF-8, or a part of it is damaged or larger than MOST_BYTES."""


def replace_cells(source: Path, target: BinaryIO, title: str, texts: Texts) -> None:
    """Write a copy of the workbook ``source`` with ``texts`` in its sheet ``title``; replaced cells lose their links.

    NotReplacedError if that can't be done; then the content of ``target`` is not a workbook.
    """
    part = WorkbookMarkup(source).find_part(title).lower()
    done = False
    try:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.infolist():
                if member.file_size > MOST_BYTES:
                    raise NotReplacedError(f"{member.filename} is too large")
                content = old.read(member)
                if member.filename.replace("\\", "/").lstrip("/").lower() == part:
                    content, done = _splice(content, texts), True
                new.writestr(member, content)
    except (*ZIP_DAMAGE, expat.ExpatError, ValueError, LookupError) as error:
        raise NotReplacedError(str(error)) from error
    if not done:
        raise NotReplacedError(title)


def _splice(xml: bytes, texts: Texts) -> bytes:
    xml.decode("utf-8")
    pieces, position = [], 0
    for begin, end, replacement in sorted(_SpliceFinder(xml, texts).find_splices()):
        pieces += [xml[position:begin], replacement]
        position = end
    return b"".join([*pieces, xml[position:]])


class _SpliceFinder:
    """Finds the splices of a sheet's XML: begin, end and the replacement, in bytes."""

    def __init__(self, xml: bytes, texts: Texts) -> None:
        self._xml = xml
        self._remaining = {row: dict(cells) for row, cells in texts.items() if cells}
        self._names = {format_cell_address(row, column) for row, cells in texts.items() for column in cells}
        self._splices: list[tuple[int, int, bytes]] = []
        self._row = self._column = -1
        self._open = True
        """False if the row's element is an empty one, ``<row r="3"/>``."""
        self._cell: tuple[int, str, str] | None = None
        """Of the cell that is being replaced: where it begins, its tag and its style."""
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._handle_start
        self._parser.EndElementHandler = self._handle_end

    def find_splices(self) -> list[tuple[int, int, bytes]]:
        self._parser.Parse(self._xml, True)
        if self._remaining:
            raise NotReplacedError(f"there is no row {min(self._remaining) + 1}")
        return self._splices

    def _handle_start(self, tag: str, attributes: dict[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        match tag.rpartition(":")[2]:
            case "row":
                self._row, self._column = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1, -1
                self._open = not self._is_empty(begin)
            case "c":
                letters = re.match("[A-Z]+", attributes.get("r", ""))
                self._column = parse_column(letters.group().encode()) if letters else self._column + 1
                self._add_up_to(self._column, begin, tag)
                if self._column in self._remaining.get(self._row, {}):
                    self._cell = begin, tag, attributes.get("s", "")
            case "hyperlink" if attributes.get("ref") in self._names:
                self._splices.append((begin, self._find_tag_end(begin), b""))

    def _handle_end(self, tag: str) -> None:
        end = self._parser.CurrentByteIndex
        match tag.rpartition(":")[2]:
            case "c" if self._cell is not None:
                begin, tag, style = self._cell
                text = self._remaining[self._row].pop(self._column)
                tag_end = self._find_tag_end(begin if self._is_empty(begin) else end)
                self._splices.append((begin, tag_end, self._build_cell(self._column, tag, style, text)))
                self._cell = None
            case "row":
                self._add_up_to(_AFTER_LAST_COLUMN, end, f"{tag.removesuffix('row')}c")
                self._remaining.pop(self._row, None)

    def _add_up_to(self, column: int, position: int, tag: str) -> None:
        """Add the cells that the row lacks before the one in ``column``."""
        remaining = self._remaining.get(self._row, {})
        for missing in sorted(candidate for candidate in remaining if candidate < column):
            if not self._open:
                raise NotReplacedError(f"row {self._row + 1} has no cells")
            self._splices.append((position, position, self._build_cell(missing, tag, "", remaining.pop(missing))))

    def _find_tag_end(self, at: int) -> int:
        return self._xml.index(b">", at) + 1

    def _is_empty(self, begin: int) -> bool:
        """True for an empty element, ``<c r="B3"/>``. Expat reports its end where the next token begins."""
        return self._xml.startswith(b"/", self._find_tag_end(begin) - 2)

    def _build_cell(self, column: int, tag: str, style: str, text: str) -> bytes:
        prefix, style_attribute = tag.removesuffix("c"), f' s="{style}"' if style else ""
        inner = f'<{prefix}is><{prefix}t xml:space="preserve">{_escape_text(text)}</{prefix}t></{prefix}is>'
        return f'<{tag} r="{format_cell_address(self._row, column)}"{style_attribute} t="inlineStr">{inner}</{tag}>'.encode()


def _escape_text(text: str) -> str:
    """Escape characters that XML can't hold as ``_x000B_`` (ECMA-376 part 1, 22.9.2.19), and text that looks like that."""
    return escape(_UNENCODABLE.sub(lambda match: f"_x{ord(match.group()):04X}_", text))


_AFTER_LAST_COLUMN = 1 << 30
_UNENCODABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9A-Fa-f]{4}_)")
