"""The parts of an .xlsx file that tell how its cells look: sheets, number formats, links, hidden rows.

Values are read by python-calamine; it tells neither formats nor links. Everything here is a hint about a value: what
can't be read is left out, so a broken style never stops a sheet.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from ..disk import ZIP_DAMAGE
from .cell_attributes import LookOfRow, by_rows, column_of, scan, text_of

MOST_BYTES = 2**30
"""A part is read up to this size: a sheet of a million rows takes some 500 MB; a zip bomb takes more."""

_BLOCK = 2**20

DAMAGE = (*ZIP_DAMAGE, OSError)

_BUILTIN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    5: '"$"#,##0;("$"#,##0)', 6: '"$"#,##0;("$"#,##0)', 7: '"$"#,##0.00;("$"#,##0.00)', 8: '"$"#,##0.00;("$"#,##0.00)',
    14: "mm-dd-yy", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "m/d/yy h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 41: '#,##0;(#,##0);"-"', 42: '"$"#,##0;("$"#,##0);"$-"', 43: '#,##0.00;(#,##0.00);"-"',
    44: '"$"#,##0.00;("$"#,##0.00);"$-"', 45: "mm:ss", 46: "[h]:mm:ss", 47: "mmss.0", 48: "##0.0E+0",
}  # fmt: skip
"""Formats that a file names by number alone (ECMA-376 part 1, 18.8.30)."""


class Parts:
    """The members of a zip file by name, whatever its capitals and slashes. ``read`` gives ``b""`` for what is damaged."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.names = {name.replace("\\", "/").lstrip("/").lower(): name for name in file.namelist()}

    def read(self, name: str) -> bytes:
        """The bytes of the part ``name``, whatever the case of its name; none where there is no such part."""
        member = self.names.get(name.lstrip("/").lower())
        if member is None:
            return b""
        try:
            if self._file.getinfo(member).file_size > MOST_BYTES:
                return b""
            return self._file.read(member)
        except DAMAGE:
            return b""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The same by blocks of a megabyte, up to where it is damaged."""
        member = self.names.get(name.lstrip("/").lower())
        if member is None:
            return
        with suppress(*DAMAGE), self._file.open(member) as file:
            for _ in range(MOST_BYTES // _BLOCK):
                block = file.read(_BLOCK)
                if not block:
                    return
                yield block

    def tree(self, name: str) -> ET.Element:
        """The part as a tree; an empty element if it is missing or no XML."""
        try:
            return ET.fromstring(self.read(name))  # noqa: S314 - expat refuses entity bombs since 2.4.1
        except (ET.ParseError, ValueError, LookupError):
            return ET.Element("missing")

    def relations(self, name: str) -> dict[str, str]:
        """Relation id → target of the part ``name``: a part's name, or an address as it stands."""
        folder, base = posixpath.split(name)
        found: dict[str, str] = {}
        for one in self.tree(f"{folder}/_rels/{base}.rels"):
            target = one.get("Target", "")
            if one.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            found[one.get("Id", "")] = target
        return found


def local(tag: str) -> str:
    """An element's or attribute's name without its namespace: the strict variant of the format has others."""
    return tag.rpartition("}")[2]


def attribute(element: ET.Element, name: str) -> str:
    """An attribute by its local name, ``""`` if it is missing."""
    return next((value for key, value in element.items() if local(key) == name), "")


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A worksheet: its title, whether a person sees it, and the zip member that holds it."""

    title: str
    visible: bool
    part: str


class Look:
    """How a workbook's cells look. Every method gives nothing where the file does not tell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._parts() as parts:
            self._book = next(iter(_targets(parts, "", "officedocument")), "xl/workbook.xml")
            self.sheets = tuple(_sheets(parts, self._book))
            self._formats = _formats(parts, self._book)
        self._linked: dict[str, dict[int, dict[int, str]]] = {}

    def part_of(self, title: str) -> str:
        return next((sheet.part for sheet in self.sheets if sheet.title == title), "")

    def rows(self, title: str) -> Iterator[LookOfRow]:
        """The rows of a sheet about which there is something to tell, in order."""
        part = self.part_of(title)
        if part not in self._linked:
            with self._parts() as parts:
                self._linked[part] = _hyperlinks(parts, part)
        with self._parts() as parts:
            yield from scan(by_rows(parts.blocks(part)), self._formats, self._linked[part])

    def _parts(self) -> _Opened:
        return _Opened(self._path)


class _Opened:
    """The file's parts for a ``with``; none where it is no zip file that can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Parts:
        self._file: zipfile.ZipFile | None = None
        try:
            self._file = zipfile.ZipFile(self._path)
            return Parts(self._file)
        except DAMAGE:
            return _NoParts()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class _NoParts(Parts):
    def __init__(self) -> None:
        self.names = {}


def open_parts(path: Path) -> _Opened:
    """The parts of the workbook in ``path``, for a ``with``."""
    return _Opened(path)


def _targets(parts: Parts, name: str, kind: str) -> Iterator[str]:
    folder, base = posixpath.split(name)
    related = parts.relations(name) if name else parts.relations("")
    for one in parts.tree(f"{folder}/_rels/{base}.rels".lstrip("/")):
        if one.get("Type", "").lower().endswith(f"/{kind}"):
            yield related.get(one.get("Id", ""), "")


def _sheets(parts: Parts, book: str) -> Iterator[SheetPart]:
    related = parts.relations(book)
    for element in parts.tree(book).iter():
        if local(element.tag) != "sheet" or not element.get("name"):
            continue
        target = related.get(attribute(element, "id"), "")
        visible = element.get("state", "visible") == "visible"
        yield SheetPart(element.get("name", ""), visible, target)


def _formats(parts: Parts, book: str) -> list[str]:
    """The number format of each style, by the style's index."""
    style = next(_targets(parts, book, "styles"), "xl/styles.xml")
    own: dict[str, str] = {}
    found: list[str] = []
    for element in parts.tree(style).iter():
        match local(element.tag):
            case "numFmt":
                own[element.get("numFmtId", "")] = element.get("formatCode", "")
            case "cellXfs":
                found = [_code(xf.get("numFmtId", "0"), own) for xf in element if local(xf.tag) == "xf"]
    return found


def _code(number: str, own: dict[str, str]) -> str:
    if number in own:
        return own[number]
    return _BUILTIN.get(int(number), "General") if number.isdigit() else "General"


_LINKS = re.compile(rb"<(?:\w+:)?hyperlink\b[^>]*>")


def _hyperlinks(parts: Parts, part: str) -> dict[int, dict[int, str]]:
    """Row → column → address of the cells that have a link to the web behind them."""
    related = {key: to for key, to in parts.relations(part).items() if to.lower().startswith(("http://", "https://"))}
    found: dict[int, dict[int, str]] = {}
    if not related:
        return found  # links stand at the end of the part: what it takes to read that far is spared
    for tag in (tag for block in by_rows(parts.blocks(part)) if b"hyperlink" in block for tag in _LINKS.findall(block)):
        told = {
            name.decode().rpartition(":")[2]: text_of(value)
            for name, value in re.findall(rb'([\w:]+)\s*=\s*["\']([^"\']*)["\']', tag)
        }
        place = re.match(r"([A-Z]{1,3})(\d{1,8})", told.get("ref", ""))
        address = related.get(told.get("id", ""), "")
        if place and address:
            column = column_of(place.group(1).encode())
            mark = told.get("location", "")
            found.setdefault(int(place.group(2)) - 1, {})[column] = f"{address}#{mark}" if mark else address
    return found
