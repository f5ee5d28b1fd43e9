"""Reads a worksheet's attributes of cells beside their values: number formats, hidden rows, links, errors, pictures.

The part is read in blocks (a few megabytes in memory, 64 at most), and only cells with such an attribute are parsed. A
damaged file can give wrong attributes, but never wrong values.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape

_MAX_PREFIX = 32  # of an element's name: `x:row`
_MAX_BLOCKS = 64  # blocks: a row that is longer is cut
_ONE_BLANK = bytes.maketrans(
    b"\t\r\n", b"   "
)  # one separator between attributes, so that the pattern begins with a literal
_DEFAULT_FORMATS = {"", "General", "GENERAL", "general", "@"}
_TAG = re.compile(rb"<(?:\w+:)?(row|c)\b([^>]*)>")
_ATTRIBUTE = re.compile(rb'\b(r|s|t|vm|hidden)\s*=\s*["\']([^"\']*)["\']')
_ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
_PLAIN_TYPES = {b"s", b"inlineStr", b"str", b"b"}
_CELL_CONTENT = re.compile(
    rb"\s*(<(?:\w+:)?f\b[^>]*?(?:/>|>(.*?)</(?:\w+:)?f>))?\s*(?:<(?:\w+:)?v>(.*?)</(?:\w+:)?v>)?", re.DOTALL
)
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_ADDRESS = re.compile(r'(?:HYPERLINK|IMAGE)(?:"{1,2})?\s*[,(]\s*"{1,2}(https?://[^"]+)"', re.IGNORECASE)


@dataclass(slots=True)
class RowAttributes:
    """The attributes of a row beside its values, by column. Rows and columns count from 0."""

    row: int
    hidden: bool = False
    formats: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    rich: dict[int, int] = field(default_factory=dict)
    uncomputed: list[int] = field(default_factory=list)

    def has_any(self) -> bool:
        return bool(self.hidden or self.formats or self.errors or self.links or self.rich or self.uncomputed)


def scan_rows(blocks: Iterable[bytes], formats: list[str], links: dict[int, dict[int, str]]) -> Iterator[RowAttributes]:
    """Yield the rows of a worksheet that have attributes, in order.

    ``blocks`` are the part's bytes, each block beginning at a row (see ``split_at_rows``); ``formats`` is the number format
    of each style; ``links`` is row → column → address of the links, which stand at the end of the part.
    """
    pending_rows = sorted(links, reverse=True)
    for attributes in _scan_cells(blocks, formats):
        while pending_rows and pending_rows[-1] < attributes.row:
            yield RowAttributes(pending_rows[-1], links=links[pending_rows.pop()])
        if pending_rows and pending_rows[-1] == attributes.row:
            attributes.links.update(links[pending_rows.pop()])
        if attributes.has_any():
            yield attributes
    while pending_rows:
        yield RowAttributes(pending_rows[-1], links=links[pending_rows.pop()])


def _scan_cells(blocks: Iterable[bytes], formats: list[str]) -> Iterator[RowAttributes]:
    codes_by_style = {str(index).encode(): code for index, code in enumerate(formats) if code not in _DEFAULT_FORMATS}
    pattern = _build_pattern(codes_by_style)
    last_row = 0
    row_attributes = RowAttributes(-1)
    for block in (block.translate(_ONE_BLANK) for block in blocks):
        positions = _PositionTracker(block, last_row)
        for offset, formula in _find_tags(block, pattern):
            tag = _TAG.match(block, offset)
            if tag is None:
                continue
            tag_attributes = dict(_ATTRIBUTE.findall(tag.group(2)))
            row, column = positions.locate(tag, tag_attributes.get(b"r", b""))
            if row != row_attributes.row:
                yield row_attributes
                row_attributes = RowAttributes(row)
            if tag.group(1) == b"row":
                row_attributes.hidden = tag_attributes.get(b"hidden") in {b"1", b"true"}
                continue
            content = _CELL_CONTENT.match(block, tag.end()) if formula or tag_attributes.get(b"t") == b"e" else None
            if formula:
                _take_formula(row_attributes, column, content, tag_attributes.get(b"t", b""))
            if formula or tag_attributes.get(b"t") not in _PLAIN_TYPES:
                value = content.group(3) if content else None
                _take_cell(
                    row_attributes,
                    column,
                    tag_attributes,
                    codes_by_style.get(tag_attributes.get(b"s", b""), ""),
                    value or b"",
                )
        last_row = positions.find_last_row()
    yield row_attributes


def _build_pattern(style_numbers: Iterable[bytes]) -> re.Pattern[bytes]:
    """The pattern of the attributes that are read. Begun with a literal, not a class, it takes a third of the time."""
    styles = b"|".join(style_numbers)
    kinds = [rb"t\s*=\s*[\"']e[\"']", rb"vm\s*=", rb"hidden\s*=\s*[\"'](?:1|true)"]
    return re.compile(rb"[ ](?:" + b"|".join([rb"s\s*=\s*[\"'](?:%s)[\"']" % styles] * bool(styles) + kinds) + rb")")


def _find_tags(block: bytes, pattern: re.Pattern[bytes]) -> list[tuple[int, bool]]:
    """The offsets of the tags with such attributes, in order, each once; True for a cell with a formula."""
    tags = {block.rfind(b"<", 0, match.start()): False for match in pattern.finditer(block)}
    if b"<f" in block or b":f" in block:
        for match in _FORMULA.finditer(block):
            tags[block.rfind(b"<", 0, match.start())] = True
        return sorted(tags.items())
    return list(tags.items())


class _PositionTracker:
    """Finds row and column of a block's tags. A tag without a reference is counted from the tags before it."""

    def __init__(self, block: bytes, rows_before: int) -> None:
        """``rows_before`` is the number, from 1, of the last row of the block before."""
        self._block, self._counted_to, self._row, self._column = block, 0, rows_before, -1

    def locate(self, tag: re.Match[bytes], ref: bytes) -> tuple[int, int]:
        """Row and column, both from 0; the column is -1 for the tag of a row."""
        letters = ref.rstrip(b"0123456789")
        if number := ref[len(letters) :]:
            return _parse_number(number, 1) - 1, parse_column(letters)
        self._count_tags(tag.end())
        return self._row - 1, self._column

    def find_last_row(self) -> int:
        """The number, from 1, of the block's last row."""
        last = max(self._block.rfind(b"<row"), self._block.rfind(b":row "))
        tag = _ROW.search(self._block, max(0, last - _MAX_PREFIX))
        row_number = dict(_ATTRIBUTE.findall(tag.group(1))).get(b"r", b"") if tag else b""
        if not row_number:
            self._count_tags(len(self._block))
        return _parse_number(row_number, self._row)

    def _count_tags(self, end: int) -> None:
        for tag in _TAG.finditer(self._block, self._counted_to, end):
            reference = dict(_ATTRIBUTE.findall(tag.group(2))).get(b"r", b"")
            if tag.group(1) == b"row":
                self._row, self._column = _parse_number(reference, self._row + 1), -1
            else:
                letters = reference.rstrip(b"0123456789")
                self._column = parse_column(letters) if letters else self._column + 1
        self._counted_to = end


def _take_cell(
    row_attributes: RowAttributes, column: int, tag_attributes: dict[bytes, bytes], code: str, value: bytes
) -> None:
    if tag_attributes.get(b"t") == b"e":
        row_attributes.errors[column] = decode_text(value)
    if b"vm" in tag_attributes:
        row_attributes.rich[column] = _parse_number(tag_attributes[b"vm"], 0)
    if code:
        row_attributes.formats[column] = code


def _take_formula(row_attributes: RowAttributes, column: int, content: re.Match[bytes] | None, kind: bytes) -> None:
    if content is None or content.group(1) is None:
        return
    if not content.group(3) and not (kind == b"str" and content.group(3) is not None):  # a computed text may be empty
        row_attributes.uncomputed.append(column)
    if address := _ADDRESS.search(decode_text(content.group(2) or b"")):
        row_attributes.links[column] = address.group(1)


def split_at_rows(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that begin at a row, but for the first; UTF-16 is converted to UTF-8."""
    pending: list[bytes] = []
    start = b""
    for block in _as_utf8(blocks):
        if not start and (match := _ROW.search(block)):
            start = match.group().partition(b"row")[0] + b"row"
        cut = block.rfind(start) if start else -1
        if cut < 0 and len(pending) < _MAX_BLOCKS:
            pending.append(block)
            continue
        yield b"".join([*pending, block[: max(0, cut)]])
        pending = [block[max(0, cut) :]]
    yield b"".join(pending)


def _as_utf8(blocks: Iterable[bytes]) -> Iterator[bytes]:
    decode: Callable[[bytes], str] | None = None
    for number, block in enumerate(blocks):
        if not number and block[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            decode = codecs.getincrementaldecoder("utf-16")(errors="replace").decode
        yield decode(block).encode(errors="replace") if decode else block


def parse_column(letters: bytes) -> int:
    """``C`` → 2; -1 for none."""
    number = 0
    for letter in letters:
        number = number * 26 + (letter & 0x1F)
    return number - 1


def decode_text(data: bytes) -> str:
    """The bytes of a part as text, with its entities resolved."""
    return unescape(data.decode(errors="replace"))


def _parse_number(text: bytes, default: int) -> int:
    return int(text) if text.isdigit() and len(text) < 9 else default
