"""Reads the pictures in a sheet: floating over its cells, or in a cell (Excel's Place in Cell)."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from ..disk import write_atomically
from .ooxml import Parts, find_attribute, open_parts, strip_namespace

_POINT = 12_700  # English Metric Units a point; drawings are measured in these
_DEFAULT_HEIGHT = 15.0  # points, of a row without a height of its own


class SheetPictures:
    """The pictures of a sheet: ``floating`` is row → column → file, ``rich`` the files of rich values by their number.

    Each picture is written to ``folder`` under the digest of its bytes, so that it is the same file for each command.
    """

    def __init__(self, path: Path, part: str, folder: Path) -> None:
        self.floating: dict[int, dict[int, str]] = {}
        self.rich: dict[int, str] = {}
        self.covered: list[tuple[int, int]] = []
        """Row and column of each picture in a cell that has another picture, which is used instead."""
        self._folder = folder
        with open_parts(path) as parts:
            for drawing in _list_related(parts, part, "drawings/"):
                self._take_drawing(parts, drawing, parts.read_part(part))
            for number, member in enumerate(_list_rich_members(parts), 1):
                if member and (file := self._save_picture(parts, member)):
                    self.rich[number] = file

    def _take_drawing(self, parts: Parts, drawing: str, sheet: bytes) -> None:
        targets = parts.read_relations(drawing)
        for anchor in parts.read_tree(drawing):
            blip = next((element for element in anchor.iter() if strip_namespace(element.tag) == "blip"), None)
            cell = _locate_anchor(anchor, sheet)
            if blip is None or cell is None:
                continue
            file = self._save_picture(parts, targets.get(find_attribute(blip, "embed"), ""))
            if file and self.floating.setdefault(cell[0], {}).setdefault(cell[1], file) != file:
                self.covered.append(cell)

    def _save_picture(self, parts: Parts, member: str) -> str:
        data = parts.read_part(member) if member else b""
        if not data:
            return ""
        ending = re.sub(r"[^.a-z0-9]", "", posixpath.splitext(member)[1].lower())
        path = self._folder / f"{hashlib.sha256(data).hexdigest()}{ending}"
        if not path.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        return path.as_posix()


def _list_related(parts: Parts, part: str, folder: str) -> Iterator[str]:
    return (target for target in parts.read_relations(part).values() if folder in target and target.endswith(".xml"))


def _locate_anchor(anchor: ET.Element, sheet: bytes) -> tuple[int, int] | None:
    """Row and column, from 0, of the row that holds most of the picture: people often place it a little off its row."""
    corners = {
        strip_namespace(element.tag): {strip_namespace(piece.tag): piece.text or "" for piece in element}
        for element in anchor
    }
    start, end = corners.get("from"), corners.get("to")
    try:
        if start is None:
            return None
        first, column = int(start["row"]), int(start["col"])
        if end is None or not first < int(end["row"]) < first + 50:
            return first, column
        shares = {row: _read_row_height(sheet, row) * _POINT for row in range(first, int(end["row"]) + 1)}
        shares[first] -= int(start.get("rowOff") or 0)
        shares[int(end["row"])] = min(shares[int(end["row"])], float(end.get("rowOff") or 0))
    except (KeyError, ValueError):
        return None
    return max(shares, key=lambda row: shares[row]), column


def _read_row_height(sheet: bytes, row: int) -> float:
    tag = re.search(rb'<(?:\w+:)?row\b[^>]*\br="%d"[^>]*>' % (row + 1), sheet)
    height = re.search(rb'\bht="(\d{1,4}(?:\.\d+)?)"', tag.group()) if tag else None
    return float(height.group(1)) if height else _DEFAULT_HEIGHT


def _list_rich_members(parts: Parts) -> Iterator[str]:
    """The picture of each value metadata in order, ``""`` for other rich values: metadata → rich value → relation → file."""
    tree = parts.read_tree("xl/metadata.xml")
    value_indexes = [_read_index(element) for element in tree.iter() if strip_namespace(element.tag) == "rvb"]
    values = [
        element for element in parts.read_tree("xl/richData/rdrichvalue.xml") if strip_namespace(element.tag) == "rv"
    ]
    relations = [find_attribute(element, "id") for element in parts.read_tree("xl/richData/richValueRel.xml")]
    targets = parts.read_relations("xl/richData/richValueRel.xml")
    for block in (element for table in tree if strip_namespace(table.tag) == "valueMetadata" for element in table):
        record = next(iter(block), None)
        try:
            value = values[value_indexes[int(record.get("v", "")) if record is not None else -1]]
            yield targets.get(relations[int(next(iter(value)).text or "")], "")
        except (IndexError, ValueError, StopIteration):
            yield ""


def _read_index(element: ET.Element) -> int:
    text = element.get("i", "")
    return int(text) if text.isdigit() else 10**9
