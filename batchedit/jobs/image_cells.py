"""Picture cells: links, data URIs and local files, one or several in a cell, always read into a list.

A local picture is identified by its content: the same bytes under another name are the same job, and a replaced file is a
new one. Its bytes are read for the digest and not kept; they are read again when they are sent.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..core.digests import make_digest_set
from ..core.hosts import is_loopback
from ..core.limits import MAX_FILE_BYTES, MAX_REQUEST_BYTES, MAX_URI_BYTES, format_mb, uri_size
from ..core.plurals_and_durations import pluralize
from ..core.shell_commands import quote_word
from ..images.formats import SHRINKABLE, detect_media_type
from ..images.verify import NotAMediaFileError, check_picture
from ..manifest.rownames import RowExamples
from ..manifest.rows import Linked, truncate_text
from .identity import FILE, SHA256
from .links import (
    describe_page,
    explain_unusable,
    find_wrapped_links,
    has_odd_ending,
    is_plain_host,
    name_character,
    split_links,
    to_direct_link,
)
from .local_files import MissingFiles, OtherFolder, list_candidates
from .picture_rules import Rule

_LINK = re.compile(r"https://[^\s/?#|<>\"]+\.?[^\s|<>\"]*", re.IGNORECASE).fullmatch
_USUAL_LINK = re.compile(
    r"https://([A-Za-z0-9.-]+)/[A-Za-z0-9./_%~+=&,@-]*\.(?:jpe?g|JPE?G|png|PNG|webp|WEBP)(?:\?[A-Za-z0-9._%~+=&,-]*)?"
).fullmatch
"""Links that need no further check if their host is plain: no port, nothing to decode, no second link inside, a picture's
ending. Most links match, so most rows of a large sheet cost one match.
"""
_PLAIN_HTTP = re.compile(r"http://(\[[0-9a-f:]+\]|[a-z0-9.]+)(?::\d{1,5})?/[^\s|<>\"]*", re.IGNORECASE).fullmatch
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE).fullmatch
_SEVERAL = re.compile(r"\s+\|\s+|\s*(?:[,;|]|<br\s*/?>)?\s*[\r\n]+\s*", re.IGNORECASE)
_RAW = re.compile(
    r"\.(?:3fr|arw|cr[23w]|dcr|dng|erf|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|raw|rw[2l]|sr[2fw]|x3f)", re.IGNORECASE
).fullmatch
"""Endings of cameras' raw files. Many of these files begin like a TIFF."""


NO_SELECTION = "no_selection"
"""Magento's word for a product without a picture."""


class CellError(ValueError):
    """A cell can't be what its field needs. The text says why and follows the column's name and value."""


def split_cell(cell: Any) -> list[str]:
    """The pictures named in one cell: a JSON array, or one a line, or set apart by `` | ``. CellError for neither."""
    if isinstance(cell, str):
        text = cell.strip()
        if text.casefold() == NO_SELECTION:
            return []
        if not text.startswith("[") or find_wrapped_links(text):
            return [link for piece in _SEVERAL.split(text) if piece for link in _split_piece(piece)]
        try:
            cell = json.loads(text)
        except ValueError as error:
            raise CellError(
                f'begins like a JSON list but is none ({error}); write ["https://…", "https://…"]'
            ) from None
    if not isinstance(cell, list) or not all(isinstance(item, str) for item in cell):
        raise CellError("is no list of picture links")
    return [item.strip() for item in cell if item.strip()]


def _split_piece(piece: str) -> list[str]:
    if piece[:4].lower() != "http":
        return find_wrapped_links(piece) or [piece]
    try:
        return split_links(piece) or [piece]
    except ValueError as error:
        raise CellError(str(error)) from None


@dataclass(slots=True)
class Pages:
    """Links that probably lead to no picture, and the rows that they stand in."""

    links: int = 0
    rows: RowExamples = field(default_factory=RowExamples)


class Pictures:
    """Reads picture cells. ``roots`` are the folders below which local files are read; without any they are refused.

    A sheet may come from another person, and the files that its cells name are uploaded. So the real location of a file,
    after ``..`` and symbolic links, decides. ``own`` is the program's folder of pictures from workbooks. Their names are the
    digests of their bytes, so a cell can only name one that its writer has.
    ``shrinks``: a local picture that is too large is re-encoded when it is sent, not refused here. ``loopback``: links
    to this machine may be plain http, as a sandbox's are. ``fetched``: link → path, for links whose picture is on this disk
    already. It is a local picture then.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        own: Path | None = None,
        shrinks: bool = True,
        loopback: bool = False,
        fetched: Mapping[str, Path] | None = None,
    ) -> None:
        self._fetched = fetched or {}
        self._roots = tuple(roots)
        self._allowed = [real for folder in (*roots, *([own] if own else [])) if (real := _resolve(folder))]
        self._shrinks = shrinks
        self._loopback = loopback
        self.has_local = False  # any local picture so far
        self.large = make_digest_set()  # local pictures that will be re-encoded
        self.cells_of_several = 0  # cells with more than one picture
        self.row, self.id = 0, ""  # of the current row, set by the caller
        self.pictures_in_row = 0  # set to 0 by the caller for each row
        self.mended_links = Counter[str]()  # share links turned into direct ones, by the store's name
        self.probable_pages = dict[str, Pages]()  # links that probably lead to no picture, by what they lead to
        self.beyond_rules = dict[
            str, RowExamples
        ]()  # rows with a local picture that breaks a rule of the model, by the rule
        self._missing = MissingFiles()
        self._plain_hosts = dict[str, bool]()
        self._rules: Sequence[Rule] = ()  # of the field whose cell is read now

    def make_reader(self, rules: Sequence[Rule]) -> Callable[[Any], list[Any]]:
        """``read`` for a field of the model with these rules for its pictures."""
        return (lambda cell: self.read(cell, rules)) if rules else self.read

    def read(self, cell: Any, rules: Sequence[Rule] = ()) -> list[Any]:
        """Links and data URIs as text, local files as ``{"$file", "$sha256"}``. CellError for anything else. A local picture
        that breaks a rule of the model is counted in ``beyond_rules``.
        """
        self._rules = rules
        if type(cell) is str and not self._fetched:
            match = _USUAL_LINK(cell)
            if (match and self._plain_hosts.get(match[1])) or (_LINK(cell) and self._is_plain(cell)):
                self.pictures_in_row += 1
                return [cell]
        if type(cell) is Linked and not cell.strip().lower().startswith("http"):
            cell = cell.link
        sizes: list[int] = []
        read_item = self._read_fetched_or_item if self._fetched else self._read_item
        pictures = [read_item(item, sizes) for item in split_cell(cell)]
        self.cells_of_several += len(pictures) > 1
        self.pictures_in_row += len(pictures)
        if sum(sizes) > MAX_REQUEST_BYTES and not self._shrinks:
            raise CellError(
                f"holds {pluralize(len(sizes), 'local picture')} of {format_mb(sum(sizes))} as they are sent, and the "
                "service takes 64 MiB a request; leave --no-shrink out to have them re-encoded"
            )
        return pictures

    def _read_item(self, item: str, sizes: list[int]) -> Any:
        if _LINK(item):
            return item if self._is_plain(item) else self._read_link(item)
        if _DATA(item):
            if len(item) > MAX_URI_BYTES:
                raise CellError(f"is a data URI of {format_mb(len(item))}; the service takes 6 MiB")
            return item
        if self._loopback and (match := _PLAIN_HTTP(item)) and is_loopback(match[1]):
            return item
        if problem := _explain_bad_link(item):
            raise CellError(problem)
        if not self._roots:
            raise CellError("is no link; the service fetches pictures from public https:// links")
        self.has_local = True
        return self._read_local(item, sizes)

    def _is_plain(self, link: str) -> bool:
        """True if ``link`` needs no further check, as nearly all do. Each host is checked once."""
        if not link.isascii() or "\\" in link or link.find("://", 8) > 0 or has_odd_ending(link):
            return False
        host = link[8:].partition("/")[0]
        if (is_plain := self._plain_hosts.get(host)) is None:
            is_plain = self._plain_hosts[host] = is_plain_host(host)
        return is_plain

    def _read_link(self, item: str) -> str:
        if problem := explain_unusable(item):
            raise CellError(problem)
        item, store = to_direct_link(item)
        if store:
            self.mended_links[store] += 1
        elif page := describe_page(item):
            entry = self.probable_pages.setdefault(page, Pages())
            entry.links += 1
            entry.rows.add(self.row, self.id)
        return item

    def _read_fetched_or_item(self, item: str, sizes: list[int]) -> Any:
        if (path := self._fetched.get(item)) is None:
            return self._read_item(item, sizes)
        self.has_local = True
        return self._read_picture(path, sizes)

    def _read_local(self, item: str, sizes: list[int]) -> dict[str, str]:
        path = self._find_file(unquote(item[7:]) if item.lower().startswith("file://") else item)
        if _RAW(path.suffix):
            raise CellError(
                f"is a camera's raw file ({path.suffix.lower()}); export it as JPEG or PNG and name that one"
            )
        return self._read_picture(path, sizes)

    def _find_file(self, text: str) -> Path:
        """The file that ``text`` names, below the first root that has it. CellError for none, or one outside the roots."""
        is_folder, outside = False, None
        for path in (path for root in self._roots for path in list_candidates(root, text)):
            try:
                if path.is_file():
                    real = path.resolve()
                    if any(real.is_relative_to(allowed) for allowed in self._allowed):
                        return path
                    outside = outside or real
                is_folder = is_folder or path.is_dir()
            except (OSError, ValueError, RuntimeError):
                continue  # too long for the system, or with a NUL: no file
        if outside is not None:
            raise CellError(
                "lies outside the sheet's folder, and nothing of it was read; if it is meant to be sent, add to the command: "
                f"--image-root {quote_word(outside.parent)}"
            )
        if is_folder:
            raise CellError("is a folder; name one picture in it")
        self._missing.add(self.row, self.id, text)
        raise CellError(
            f"is neither an https:// link nor a file in {' or '.join(truncate_text(r, 80) for r in self._roots)}"
        )

    @property
    def missing_file_rows(self) -> RowExamples:
        """Rows so far that name a missing file."""
        return self._missing.rows

    def find_other_folder(self) -> OtherFolder | None:
        """A folder below the roots that has files which are missing where the cells say."""
        return self._missing.find_other_folder(self._roots)

    def _read_picture(self, path: Path, sizes: list[int]) -> dict[str, str]:
        try:
            stat = path.stat()
            facts = _read_facts(str(path), stat.st_size, stat.st_mtime_ns)
        except NotAMediaFileError as error:
            raise CellError(str(error)) from None
        except (OSError, ValueError) as error:
            raise CellError(f"can't be read: {getattr(error, 'strerror', None) or error}") from None
        if facts is None:
            raise CellError("is a file, but no picture (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC)")
        sizes.append(uri_size(stat.st_size))
        if stat.st_size > MAX_FILE_BYTES:
            self._note_too_large(stat.st_size, facts)  # re-encoded: it has another size and other pixels then
        else:
            for rule in self._rules:
                if not rule.allows(stat.st_size, facts.width, facts.height):
                    self.beyond_rules.setdefault(rule.describe(), RowExamples()).add(self.row, self.id)
        return {FILE: path.as_posix(), SHA256: facts.sha256}

    def _note_too_large(self, size: int, facts: _PictureFacts) -> None:
        limit = f"{format_mb(MAX_FILE_BYTES)} (6 MiB as sent)"
        problem = f"is {format_mb(size)}; the service takes a local picture of up to {limit}"
        if not facts.shrinkable:
            raise CellError(f"{problem}, and only JPEG, PNG and WebP can be re-encoded: save it as one of these")
        if not self._shrinks:
            raise CellError(f"{problem}; leave --no-shrink out to have it re-encoded")
        self.large.add(bytes.fromhex(facts.sha256)[:16])


def _explain_bad_link(item: str) -> str:  # noqa: PLR0911 - one return a mistake
    lowered = item.lower()
    if item and not item[0].isprintable() and lowered[1:].startswith("http"):
        return f"begins with an invisible character ({name_character(item[0])}); type the link anew, or delete it"
    if lowered.startswith("http://"):
        return "begins with http://; the service fetches https:// links only"
    if lowered.startswith(("https//", "http//")):
        word, _, rest = item.partition("//")
        return f"has no colon behind {word.lower()}; write https://{truncate_text(rest, 40)}"
    if lowered.startswith("//"):
        return f"has no https: in front; write https:{truncate_text(item, 40)}"
    if lowered.startswith("https:"):
        return "is no complete link" if " " not in item else "has a space in the link; write %20 for it"
    if lowered.startswith("data:"):
        return "is no data URI of a picture (data:image/png;base64,…)"
    scheme = re.match(r"([a-z][a-z0-9+.-]+)://", lowered)
    if scheme and scheme.group(1) != "file":
        return f"begins with {scheme.group()}, which the service can't fetch; it needs an https:// link"
    if lowered.startswith("www."):
        return f"has no https:// in front; write https://{truncate_text(item, 40)}"
    return ""


def _resolve(path: Path) -> Path | None:
    """The real path of ``path``; None where symbolic links form a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return None


@dataclass(frozen=True, slots=True)
class _PictureFacts:
    """A picture's hex digest, its pixels, and whether ``images.shrink`` can re-encode it."""

    sha256: str
    shrinkable: bool
    width: int
    height: int


@lru_cache(maxsize=65_536)
def _read_facts(path: str, _size: int, _mtime_ns: int) -> _PictureFacts | None:
    """None if the file is no picture, NotAMediaFileError if it is a broken one. Size and time identify the content."""
    with Path(path).open("rb") as file:
        head = file.read(32)
        media = detect_media_type(head)
        if media is None:
            return None
        width, height = check_picture(Path(path))
        file.seek(0)
        return _PictureFacts(file_digest(file, "sha256").hexdigest(), media in SHRINKABLE, width, height)
