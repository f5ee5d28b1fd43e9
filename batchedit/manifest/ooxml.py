"""Reads the XML parts of an .xlsx file: sheets, number formats, links, hidden rows.

python-calamine reads the values, but neither formats nor links. A part that can't be read is left out, so that a broken
style never stops a sheet.
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
from .cell_attributes import RowAttributes, decode_text, parse_column, scan_rows, split_at_rows

MOST_BYTES = 2**30
"""The largest part that is read: a sheet of a million rows takes some 500 MB; a zip bomb takes more."""

_BLOCK = 2**20

READ_ERRORS = (*ZIP_DAMAGE, OSError)

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
    """The members of a zip file by name, whatever its case and slashes."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.names = {name.replace("\\", "/").lstrip("/").lower(): name for name in file.namelist()}

    def read_part(self, name: str) -> bytes:
        """The bytes of the part ``name``, whatever its case; ``b""`` if it is missing, damaged or too large."""
        member = self.names.get(name.lstrip("/").lower())
        if member is None:
            return b""
        try:
            if self._file.getinfo(member).file_size > MOST_BYTES:
                return b""
            return self._file.read(member)
        except READ_ERRORS:
            return b""

    def read_blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of the part in blocks of a megabyte, up to where it is damaged."""
        member = self.names.get(name.lstrip("/").lower())
        if member is None:
            return
        with suppress(*READ_ERRORS), self._file.open(member) as file:
            for _ in range(MOST_BYTES // _BLOCK):
                block = file.read(_BLOCK)
                if not block:
                    return
                yield block

    def read_tree(self, name: str) -> ET.Element:
        """The part as a tree; an empty element if it is missing or not XML."""
        try:
            return ET.fromstring(self.read_part(name))  # noqa: S314 - expat refuses entity bombs since 2.4.1
        except (ET.ParseError, ValueError, LookupError):
            return ET.Element("missing")

    def read_relations(self, name: str) -> dict[str, str]:
        """Relation id → target of the part ``name``: the name of a part, or an external address unchanged."""
        folder, base = posixpath.split(name)
        targets: dict[str, str] = {}
        for relation in self.read_tree(f"{folder}/_rels/{base}.rels"):
            target = relation.get("Target", "")
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            targets[relation.get("Id", "")] = target
        return targets


def strip_namespace(tag: str) -> str:
    """An element's or attribute's name without its namespace, which differs in the strict variant of the format."""
    return tag.rpartition("}")[2]


def find_attribute(element: ET.Element, name: str) -> str:
    """The value of an attribute by its local name, ``""`` if it is missing."""
    return next((value for key, value in element.items() if strip_namespace(key) == name), "")


@dataclass(frozen=True, slots=True)
class SheetPart:
    """A worksheet: its title, whether it is visible, and the zip member that holds it."""

    title: str
    visible: bool
    part: str


class WorkbookMarkup:
    """The sheets of a workbook and the attributes of their cells; empty where the file has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open_parts() as parts:
            self._book = next(iter(_find_targets(parts, "", "officedocument")), "xl/workbook.xml")
            self.sheets = tuple(_list_sheets(parts, self._book))
            self._formats = _read_formats(parts, self._book)
        self._links_by_part: dict[str, dict[int, dict[int, str]]] = {}

    def find_part(self, title: str) -> str:
        return next((sheet.part for sheet in self.sheets if sheet.title == title), "")

    def read_rows(self, title: str) -> Iterator[RowAttributes]:
        """Yield the rows of a sheet that have attributes, in order."""
        part = self.find_part(title)
        if part not in self._links_by_part:
            with self._open_parts() as parts:
                self._links_by_part[part] = _read_hyperlinks(parts, part)
        with self._open_parts() as parts:
            yield from scan_rows(split_at_rows(parts.read_blocks(part)), self._formats, self._links_by_part[part])

    def _open_parts(self) -> _OpenParts:
        return _OpenParts(self._path)


class _OpenParts:
    """A context manager of the file's parts; without members if it is not a readable zip file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Parts:
        self._file: zipfile.ZipFile | None = None
        try:
            self._file = zipfile.ZipFile(self._path)
            return Parts(self._file)
        except READ_ERRORS:
            return _NoParts()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class _NoParts(Parts):
    def __init__(self) -> None:
        self.names = {}


def open_parts(path: Path) -> _OpenParts:
    """A context manager of the parts of the workbook ``path``."""
    return _OpenParts(path)


def _find_targets(parts: Parts, name: str, kind: str) -> Iterator[str]:
    folder, base = posixpath.split(name)
    targets_by_id = parts.read_relations(name) if name else parts.read_relations("")
    for relation in parts.read_tree(f"{folder}/_rels/{base}.rels".lstrip("/")):
        if relation.get("Type", "").lower().endswith(f"/{kind}"):
            yield targets_by_id.get(relation.get("Id", ""), "")


def _list_sheets(parts: Parts, book: str) -> Iterator[SheetPart]:
    targets_by_id = parts.read_relations(book)
    for element in parts.read_tree(book).iter():
        if strip_namespace(element.tag) != "sheet" or not element.get("name"):
            continue
        target = targets_by_id.get(find_attribute(element, "id"), "")
        visible = element.get("state", "visible") == "visible"
        yield SheetPart(element.get("name", ""), visible, target)


def _read_formats(parts: Parts, book: str) -> list[str]:
    """The number format of each style, by the style's index."""
    style = next(_find_targets(parts, book, "styles"), "xl/styles.xml")
    custom_formats: dict[str, str] = {}
    formats: list[str] = []
    for element in parts.read_tree(style).iter():
        match strip_namespace(element.tag):
            case "numFmt":
                custom_formats[element.get("numFmtId", "")] = element.get("formatCode", "")
            case "cellXfs":
                styles = [xf for xf in element if strip_namespace(xf.tag) == "xf"]
                formats = [_find_format_code(xf.get("numFmtId", "0"), custom_formats) for xf in styles]
    return formats


def _find_format_code(number: str, custom_formats: dict[str, str]) -> str:
    if number in custom_formats:
        return custom_formats[number]
    return _BUILTIN.get(int(number), "General") if number.isdigit() else "General"


_LINKS = re.compile(rb"<(?:\w+:)?hyperlink\b[^>]*>")


def _read_hyperlinks(parts: Parts, part: str) -> dict[int, dict[int, str]]:
    """Row → column → address of the cells with a link to the web."""
    addresses = {
        key: to for key, to in parts.read_relations(part).items() if to.lower().startswith(("http://", "https://"))
    }
    links: dict[int, dict[int, str]] = {}
    if not addresses:
        return links  # links stand at the end of the part, so this spares reading that far
    for tag in (
        tag
        for block in split_at_rows(parts.read_blocks(part))
        if b"hyperlink" in block
        for tag in _LINKS.findall(block)
    ):
        attributes = {
            name.decode().rpartition(":")[2]: decode_text(value)
            for name, value in re.findall(rb'([\w:]+)\s*=\s*["\']([^"\']*)["\']', tag)
        }
        cell = re.match(r"([A-Z]{1,3})(\d{1,8})", attributes.get("ref", ""))
        address = addresses.get(attributes.get("id", ""), "")
        if cell and address:
            column = parse_column(cell.group(1).encode())
            anchor = attributes.get("location", "")
            links.setdefault(int(cell.group(2)) - 1, {})[column] = f"{address}#{anchor}" if anchor else address
    return links
