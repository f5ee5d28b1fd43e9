"""Pictures that stand in a sheet: floating over its cells, or in a cell (Excel's Place in Cell)."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from ..disk import write_whole
from .ooxml import Parts, attribute, local, open_parts

_POINT = 12_700  # English Metric Units, in which drawings are measured
_USUAL_HEIGHT = 15.0  # points of a row that says nothing


class SheetPictures:
    """Row → column → file of a sheet's floating pictures, and the files of rich values by their number.

    Each picture is written to ``folder`` under the digest of its bytes: the same picture is the same file for each command.
    """

    def __init__(self, path: Path, part: str, folder: Path) -> None:
        self.floating: dict[int, dict[int, str]] = {}
        self.rich: dict[int, str] = {}
        self.seconds: list[tuple[int, int]] = []
        """Row and column of each picture that stands in the cell of another one, which is taken."""
        self._folder = folder
        with open_parts(path) as parts:
            for drawing in _related(parts, part, "drawings/"):
                self._take_drawing(parts, drawing, parts.read(part))
            for number, member in enumerate(_rich_members(parts), 1):
                if member and (file := self._keep(parts, member)):
                    self.rich[number] = file

    def _take_drawing(self, parts: Parts, drawing: str, sheet: bytes) -> None:
        related = parts.relations(drawing)
        for anchor in parts.tree(drawing):
            blip = next((one for one in anchor.iter() if local(one.tag) == "blip"), None)
            place = _place(anchor, sheet)
            if blip is None or place is None:
                continue
            file = self._keep(parts, related.get(attribute(blip, "embed"), ""))
            if file and self.floating.setdefault(place[0], {}).setdefault(place[1], file) != file:
                self.seconds.append(place)

    def _keep(self, parts: Parts, member: str) -> str:
        data = parts.read(member) if member else b""
        if not data:
            return ""
        ending = re.sub(r"[^.a-z0-9]", "", posixpath.splitext(member)[1].lower())
        path = self._folder / f"{hashlib.sha256(data).hexdigest()}{ending}"
        if not path.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        return path.as_posix()


def _related(parts: Parts, part: str, folder: str) -> Iterator[str]:
    return (target for target in parts.relations(part).values() if folder in target and target.endswith(".xml"))


def _place(anchor: ET.Element, sheet: bytes) -> tuple[int, int] | None:
    """Row and column, from 0, of the row that holds most of the picture; people drop it a little beside its row."""
    corners = {local(one.tag): {local(piece.tag): piece.text or "" for piece in one} for one in anchor}
    start, end = corners.get("from"), corners.get("to")
    try:
        if start is None:
            return None
        first, column = int(start["row"]), int(start["col"])
        if end is None or not first < int(end["row"]) < first + 50:
            return first, column
        shares = {row: _height(sheet, row) * _POINT for row in range(first, int(end["row"]) + 1)}
        shares[first] -= int(start.get("rowOff") or 0)
        shares[int(end["row"])] = min(shares[int(end["row"])], float(end.get("rowOff") or 0))
    except (KeyError, ValueError):
        return None
    return max(shares, key=lambda row: shares[row]), column


def _height(sheet: bytes, row: int) -> float:
    tag = re.search(rb'<(?:\w+:)?row\b[^>]*\br="%d"[^>]*>' % (row + 1), sheet)
    told = re.search(rb'\bht="(\d{1,4}(?:\.\d+)?)"', tag.group()) if tag else None
    return float(told.group(1)) if told else _USUAL_HEIGHT


def _rich_members(parts: Parts) -> Iterator[str]:
    """The picture of each value metadata in turn, ``""`` for other rich values: metadata → rich value → relation → file."""
    tree = parts.tree("xl/metadata.xml")
    futures = [_index(one) for one in tree.iter() if local(one.tag) == "rvb"]
    values = [one for one in parts.tree("xl/richData/rdrichvalue.xml") if local(one.tag) == "rv"]
    relations = [attribute(one, "id") for one in parts.tree("xl/richData/richValueRel.xml")]
    related = parts.relations("xl/richData/richValueRel.xml")
    for block in (one for table in tree if local(table.tag) == "valueMetadata" for one in table):
        record = next(iter(block), None)
        try:
            value = values[futures[int(record.get("v", "")) if record is not None else -1]]
            yield related.get(relations[int(next(iter(value)).text or "")], "")
        except (IndexError, ValueError, StopIteration):
            yield ""


def _index(element: ET.Element) -> int:
    text = element.get("i", "")
    return int(text) if text.isdigit() else 10**9
