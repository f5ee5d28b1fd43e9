"""Detects the form of a file: compression, format, encoding, delimiter, line end. It guesses as little as possible.

The whole file is checked for UTF-8 once (0.2 µs a row): the first ``é`` of a Windows export may stand in row 10,000.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from ..core.errors import ManifestError, UsageError
from ..core.shell_commands import format_command, quote_word
from .containers import check_compound, check_zip
from .rows import Form, FormKind, truncate_text
from .wordlike import is_wordlike

SAMPLE = 1 << 16
_ASCII = bytes(range(128))
_BROKEN = re.compile("[\udc80-\udcff]")  # a byte that is not UTF-8, as "surrogateescape" decodes it
_ODD_WORD = re.compile(r"[^\s,;|\"]*[^\x00-\x7f\s][^\s,;|\"]*")
_COMMON_NAMES = {f"cp{page}": f"windows-{page}" for page in range(1250, 1259)}
_BLOCK = 1 << 16  # bytes: as text still below the size that malloc maps anew each time
_FOLLOWING_BLOCKS = 15  # blocks after the first one that is not UTF-8 that are used for guessing the encoding, too
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, with whose mark it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KINDS = {
    ".csv": FormKind.CSV,
    ".tsv": FormKind.CSV,
    ".tab": FormKind.CSV,
    ".jsonl": FormKind.JSONL,
    ".ndjson": FormKind.JSONL,
    ".jsonlines": FormKind.JSONL,
    ".xlsx": FormKind.XLSX,
    ".xlsm": FormKind.XLSX,
    ".parquet": FormKind.PARQUET,
    ".pq": FormKind.PARQUET,
}
_WEB_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|script)[\s>]", re.IGNORECASE).match
_XML = re.compile(rb"<(?:\?xml|rss|feed|!--)[\s>]", re.IGNORECASE).match
_BLANKS = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_OBJECT = re.compile(rb'\{\0?\s*\0?"').match  # also if the file is called .csv: no column name begins so
_FOREIGN = {
    ".xls": "an old Excel workbook (.xls)",
    ".xlsb": "a binary Excel workbook (.xlsb)",
    ".ods": "a LibreOffice sheet (.ods)",
    ".fods": "a flat LibreOffice sheet (.fods)",
    ".numbers": "a file of Apple Numbers",
    ".gsheet": "a link to a Google sheet",
}
_DELIMITERS = (",", ";", "\t", "|")
_FALLBACKS = ("cp1252", "mac_roman", "cp850", "koi8_r", "cp1251", "cp1250")
"""Tried in this order if the likeliest encoding does not give words."""
_LEGACY = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "cp949", "mac_roman")


def open_bytes(path: Path, compression: str) -> BinaryIO:
    """The file's bytes, decompressed."""
    return cast("BinaryIO", gzip.open(path, "rb")) if compression == "gzip" else path.open("rb")


def open_text(path: Path, form: Form, *, newline: str) -> TextIO:
    """The file as text after its byte order mark. Bytes that are not text become lone surrogates, so none is lost."""
    errors = "strict" if form.encoding.startswith("utf-16") else "surrogateescape"
    file = io.TextIOWrapper(open_bytes(path, form.compression), encoding=form.encoding, errors=errors, newline=newline)
    try:
        if form.bom:
            file.read(1)
    except BaseException:
        file.close()
        raise
    return file


def sniff_kind(path: Path, name: str) -> Form:
    """Format and compression, by the first bytes if these are unmistakable, else by the file's name."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    with path.open("rb") as file:
        head = file.read(4)
    compression = "gzip" if head.startswith(b"\x1f\x8b") else ""
    with open_bytes(path, compression) as file:
        head = file.read(4096)
    if not head:
        raise ManifestError(f"{name} is empty", hint="A manifest begins with a line of column names.")
    suffix = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if head.startswith(b"PK\x03\x04") and not compression:
        check_zip(path, name)
        kind = FormKind.XLSX
    elif head.startswith(b"\xd0\xcf\x11\xe0") and not compression:
        check_compound(path, name)
        kind = FormKind.XLSX
    elif head.startswith(b"PAR1"):
        kind = FormKind.PARQUET
    elif suffix in _FOREIGN and (content := _describe_content(head)):
        raise ManifestError(
            f"{name} is {content} under the name of a workbook, as shops and warehouses export it",
            hint="Open it in Excel or LibreOffice, and save it as .xlsx.",
        )
    elif suffix in _FOREIGN or head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0")):
        raise ManifestError(
            f"{name} is {_FOREIGN.get(suffix, 'a packed file')}, and not a whole one",
            hint="Open it where it was made, and save it as .xlsx or .csv.",
        )
    else:
        kind = _sniff_text_kind(suffix, head, path, name)
    return Form(kind, compression=compression, delimiter="\t" if suffix in {".tsv", ".tab"} else "")


def _describe_content(head: bytes) -> str:
    """The kind of text in a file that has the suffix of a workbook; ``""`` if it is not known."""
    start = head.lstrip(_BLANKS)
    if _WEB_PAGE(start) or start[:6].lower() == b"<table":
        return "a web page with a table in it"
    if _XML(start):
        return "a table in XML (Excel 2003, or LibreOffice's flat form)"
    return ""


def _sniff_text_kind(suffix: str, head: bytes, path: Path, name: str) -> FormKind:
    kind = _KINDS.get(suffix)
    if kind in {FormKind.XLSX, FormKind.PARQUET}:
        raise ManifestError(f"{name} is not a whole {suffix} file", hint="Save it again, or give the original file.")
    start = head.lstrip(_BLANKS)
    if _WEB_PAGE(start):
        raise ManifestError(
            f"{name} is a web page, not a table: a download without a login gives such a file",
            hint="open the sheet where it lives, and save it anew as .csv or .xlsx",
        )
    if _XML(start):
        raise ManifestError(
            f"{name} is XML, not a table",
            hint=f"A feed of products becomes a sheet by: {format_command('init', path)}",
        )
    if kind is not FormKind.CSV and start.startswith(b"["):
        raise ManifestError(
            f"{name} is one JSON list", hint=f"Write one object a line: jq -c '.[]' {quote_word(name)} > manifest.jsonl"
        )
    if start.startswith(b"{") and (kind is None or _OBJECT(start)):
        return FormKind.JSONL
    return kind or FormKind.CSV


def choose_ending(name: str, form: Form) -> str:
    """The suffixes for a copy of the file ``name``: its own if they fit its form, else those of the form."""
    suffix = next((suffix.lower() for suffix in reversed(Path(name).suffixes) if suffix.lower() != ".gz"), "")
    own_ending = (
        suffix if _KINDS.get(suffix, FormKind.CSV if suffix == ".txt" else None) is form.kind else f".{form.kind}"
    )
    return own_ending + (".gz" if form.compression else "")


def sniff_encoding(path: Path, form: Form, encoding: str | None, name: str) -> tuple[Form, str]:
    """``form`` with its encoding, and a note ("" if nothing was guessed). UsageError for an unknown ``encoding``."""
    with open_bytes(path, form.compression) as file:
        head = file.read(SAMPLE)
    bom, bom_codec = next(((bom, codec) for bom, codec in _BOMS if head.startswith(bom)), (b"", ""))
    if encoding:
        codec = _find_codec(encoding, bom_codec)
        is_ascii = codec != "utf-8" or _is_ascii(path, form)
        return replace(form, encoding=codec, bom=bool(bom) and codec == bom_codec, ascii=is_ascii), ""
    if bom:
        return replace(form, encoding=bom_codec, bom=True), ""
    if b"\0" in head and (codec := _guess_utf16(head)):
        return replace(
            form, encoding=codec
        ), f"read as {codec.upper()}: every second byte is empty (--encoding overrides)"
    if head.count(b"\0") > max(8, len(head) // 20):
        raise ManifestError(f"{name} is not a table of text", hint="Give a CSV, TSV, JSONL, XLSX or Parquet file.")
    odd_block = None if form.kind is FormKind.JSONL else _find_odd_block(path, form)  # JSON is UTF-8 by definition
    if odd_block is None:
        return replace(form, ascii=_is_ascii(path, form)), ""
    if _is_mostly_utf8(path, form):
        return replace(form, ascii=False), ""
    codec = _guess_legacy(odd_block)
    word = _find_odd_word(odd_block, codec)
    note = f"read as {_COMMON_NAMES.get(codec, codec)}: {word!r} (the text is not UTF-8; --encoding says another)"
    return replace(form, encoding=codec, guessed=True), note


def _find_codec(encoding: str, bom_codec: str) -> str:
    try:
        codec = codecs.lookup(encoding)
    except LookupError:
        raise UsageError(f"there is no encoding {encoding!r}", hint="Try utf-8, utf-16 or cp1252.") from None
    if not codec._is_text_encoding:  # noqa: SLF001 - nothing else tells that rot13 or zip is no encoding of text
        raise UsageError(f"{encoding!r} is not an encoding of text", hint="Try utf-8, utf-16 or cp1252.")
    name = codec.name.removesuffix("-sig")
    if name in {"utf-16", "utf-32"}:
        return bom_codec if bom_codec.startswith(name) else f"{name}-le"
    return name


def _guess_utf16(head: bytes) -> str:
    half = max(1, len(head) // 2)
    odd, even = head[1::2].count(0) / half, head[::2].count(0) / half
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else ""


def _read_blocks(path: Path, form: Form) -> Iterator[bytes]:
    with open_bytes(path, form.compression) as file:
        while block := file.read(_BLOCK):
            yield block


def _find_odd_block(path: Path, form: Form) -> bytes | None:
    """The file from the first block on that is not UTF-8, a megabyte at most; None if all of it is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    blocks, block = _read_blocks(path, form), b""
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return block + b"".join(itertools.islice(blocks, _FOLLOWING_BLOCKS))
    return None


def _is_mostly_utf8(path: Path, form: Form) -> bool:
    """True if at least half of the bytes beyond ASCII make whole UTF-8 letters, or the file merely ends within one.

    In text of another encoding next to none do. Such a file is UTF-8 with some damage: only the damaged rows are invalid,
    while reading it in another encoding would change every row, and rubbish would be bought for all of them.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    beyond = broken = 0
    block = b""
    for block in _read_blocks(path, form):
        beyond += len(block.translate(None, _ASCII))
        broken += len(_BROKEN.findall(decoder.decode(block)))
    cut = len(_BROKEN.findall(decoder.decode(b"", final=True)))
    if cut and not broken and (cut > 1 or beyond > cut or block[-1:] < b"\xe0"):
        return True
    return 2 * (broken + cut) <= beyond


def _find_odd_word(block: bytes, codec: str) -> str:
    """The first word of ``block`` with a letter beyond ASCII, by which a person can judge the guess."""
    found = _ODD_WORD.search(block.decode(codec, errors="replace"))
    return truncate_text(found.group(), 40) if found else ""


def _is_ascii(path: Path, form: Form) -> bool:
    return all(block.isascii() for block in _read_blocks(path, form))


def _guess_legacy(block: bytes) -> str:
    """The likeliest encoding that gives words for ``block``; one that gives no words, such as ``fÅr``, only if none does."""
    sample = b"\n".join(line for line in block.splitlines() if not line.isascii())[:SAMPLE]
    first = _guess_likely(sample)
    if len(sample.translate(None, _ASCII)) < 2 or is_wordlike(sample, first):
        return first
    return next((codec for codec in _FALLBACKS if is_wordlike(sample, codec)), first)


def _guess_likely(sample: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - a slow import that only legacy encodings need

    if len(sample.translate(None, bytes(range(128)))) < 4:
        return "cp1252"  # too little to guess from: what Excel writes in Western Europe and America
    matches = list(from_bytes(sample, cp_isolation=list(_LEGACY)))
    if not matches:
        return "cp1252"
    # Western and central European text often fit both ways, and the library then names the central one first.
    fits = [match for match in matches if match.chaos <= matches[0].chaos]
    if any("cp1252" in match.could_be_from_charset for match in fits):
        return "cp1252"
    return matches[0].encoding


def sniff_layout(path: Path, form: Form, delimiter: str | None) -> Form:
    """``form`` with its line end and, for CSV, its delimiter."""
    with open_text(path, form, newline="") as file:
        sample = file.read(SAMPLE)
    line_end = re.search(r"\r\n|\n|\r", sample)
    newline = line_end.group() if line_end else "\n"
    if form.kind is FormKind.JSONL:
        return replace(form, newline="\r\n" if newline == "\r\n" else "\n", delimiter=",")
    if delimiter is not None:
        delimiter = "\t" if delimiter in {"\\t", "tab"} else delimiter
        if len(delimiter) != 1 or delimiter in '"\r\n ':
            raise UsageError(
                f"--delimiter takes one character, not {delimiter!r}", hint="For a tab write --delimiter tab."
            )
        return replace(form, newline=newline, delimiter=delimiter)
    announced = re.match(r'"?sep=([^"\r\n])"?[\r\n]', sample, re.IGNORECASE)
    if announced:
        return replace(form, newline=newline, delimiter=announced.group(1))
    return replace(form, newline=newline, delimiter=form.delimiter or sniff_delimiter(sample))


def sniff_delimiter(sample: str) -> str:
    """The delimiter that splits the first records into the header's number of cells; a comma if none splits them."""
    scores = {delimiter: _score_delimiter(sample, delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: scores[delimiter])


def _score_delimiter(sample: str, delimiter: str) -> tuple[bool, float, int]:
    records: list[list[str]] = []
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True)
    try:
        records.extend(itertools.islice(reader, 60))
    except csv.Error:
        pass  # the end of the sample or a broken row: the rows before it count
    else:
        if len(sample) >= SAMPLE and len(records) > 1:
            records.pop()
    widths = [len(record) for record in records if record]
    if not widths or widths[0] < 2:
        return False, 0.0, 0
    return True, widths.count(widths[0]) / len(widths), widths[0]
