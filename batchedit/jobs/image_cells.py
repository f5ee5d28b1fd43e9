"""Picture cells: links, data URIs and local files, one or several in a cell, always read into a list.

A local picture is known by its content: the same bytes under another name are the same job, and a replaced file is a
new one. Its bytes are read for the digest and forgotten; whoever sends it reads it again.
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

from ..core.hosts import is_loopback
from ..core.limits import MAX_FILE_BYTES, MAX_REQUEST_BYTES, MAX_URI_BYTES, format_mb, uri_size
from ..core.typed import quote_word
from ..core.words import pluralize
from ..images.formats import SHRINKABLE, media_type
from ..images.verify import NotAMediaFileError, check_picture
from ..manifest.digests import DigestSet
from ..manifest.rownames import Rows
from ..manifest.rows import Linked, shown
from .identity import FILE, SHA256
from .links import (
    direct,
    has_odd_ending,
    is_plain_host,
    kind_of_page,
    name_of,
    several_links,
    why_unusable,
    wrapped_links,
)
from .local_files import MissingFiles, OtherFolder, candidates
from .picture_rules import Rule

_LINK = re.compile(r"https://[^\s/?#|<>\"]+\.?[^\s|<>\"]*", re.IGNORECASE).fullmatch
_USUAL = re.compile(
    r"https://([A-Za-z0-9.-]+)/[A-Za-z0-9./_%~+=&,@-]*\.(?:jpe?g|JPE?G|png|PNG|webp|WEBP)(?:\?[A-Za-z0-9._%~+=&,-]*)?"
).fullmatch
"""Links that are plain wherever their host is: no port, nothing to decode, no second link inside, a picture's ending. Most
are so, and a row of a large sheet should cost no more than this one look.
"""
_PLAIN_HTTP = re.compile(r"http://(\[[0-9a-f:]+\]|[a-z0-9.]+)(?::\d{1,5})?/[^\s|<>\"]*", re.IGNORECASE).fullmatch
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE).fullmatch
_SEVERAL = re.compile(r"\s+\|\s+|\s*(?:[,;|]|<br\s*/?>)?\s*[\r\n]+\s*", re.IGNORECASE)
_RAW = re.compile(
    r"\.(?:3fr|arw|cr[23w]|dcr|dng|erf|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|raw|rw[2l]|sr[2fw]|x3f)", re.IGNORECASE
).fullmatch
"""Endings of what cameras write; many begin like a TIFF."""


NO_SELECTION = "no_selection"
"""What Magento writes where a product has no picture."""


class CellError(ValueError):
    """A cell can't be what its field needs; the text says why, to be read behind the column's name and value."""


def split_cell(cell: Any) -> list[str]:
    """The pictures named in one cell: a JSON array, or one a line, or set apart by `` | ``. CellError for neither."""
    if isinstance(cell, str):
        text = cell.strip()
        if text.casefold() == NO_SELECTION:
            return []
        if not text.startswith("[") or wrapped_links(text):
            return [one for piece in _SEVERAL.split(text) if piece for one in _links_in(piece)]
        try:
            cell = json.loads(text)
        except ValueError as error:
            raise CellError(
                f'begins like a JSON list but is none ({error}); write ["https://…", "https://…"]'
            ) from None
    if not isinstance(cell, list) or not all(isinstance(item, str) for item in cell):
        raise CellError("is no list of picture links")
    return [item.strip() for item in cell if item.strip()]


def _links_in(piece: str) -> list[str]:
    if piece[:4].lower() != "http":
        return wrapped_links(piece) or [piece]
    try:
        return several_links(piece) or [piece]
    except ValueError as error:
        raise CellError(str(error)) from None


@dataclass(slots=True)
class Pages:
    """Links that probably lead to no picture, and the rows that they stand in."""

    links: int = 0
    rows: Rows = field(default_factory=Rows)


class Pictures:
    """Reads picture cells. ``roots`` are the folders below which local files are read; without any they are refused.

    A sheet may come from somebody else, and what a cell names is uploaded: where a file really lies, after ``..`` and
    symbolic links, decides. ``own`` is the program's folder of pictures that it took out of workbooks; their names are the
    digests of their bytes, so that no cell names one that its writer does not have.
    ``shrinks``: a local picture that is too large is re-encoded when it is sent, not refused here. ``loopback``: links
    to this machine may be plain http, as a sandbox's are. ``fetched``: links whose picture is on this disk already, and
    where; it is a local picture then.
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
        self._allowed = [real for folder in (*roots, *([own] if own else [])) if (real := _real(folder))]
        self._shrinks = shrinks
        self._loopback = loopback
        self.local = False  # whether any local picture was seen
        self.large = DigestSet(16)  # those that will be re-encoded
        self.together = 0  # cells with more than one picture
        self.row, self.id = 0, ""  # of the cells that are read now, as the caller knows them
        self.in_row = 0  # pictures in that row so far; the caller begins each row with 0
        self.mended = Counter[str]()  # share links turned into direct ones, by the store's name
        self.pages = dict[str, Pages]()  # links that probably lead to no picture, by what they lead to
        self.beyond = dict[str, Rows]()  # rows with a local picture that breaks a rule of the model, by the rule
        self._missing = MissingFiles()
        self._plain_hosts = dict[str, bool]()
        self._rules: Sequence[Rule] = ()  # of the field whose cell is read now

    def reader(self, rules: Sequence[Rule]) -> Callable[[Any], list[Any]]:
        """As ``read``, for a field of the model with such rules for its pictures."""
        return (lambda cell: self.read(cell, rules)) if rules else self.read

    def read(self, cell: Any, rules: Sequence[Rule] = ()) -> list[Any]:
        """Links and data URIs as text, local files as ``{"$file", "$sha256"}``. CellError for what is no picture. A
        local one that breaks a rule of the model is noted in ``beyond``.
        """
        self._rules = rules
        if type(cell) is str and not self._fetched:
            usual = _USUAL(cell)
            if (usual and self._plain_hosts.get(usual[1])) or (_LINK(cell) and self._is_plain(cell)):
                self.in_row += 1
                return [cell]
        if type(cell) is Linked and not cell.strip().lower().startswith("http"):
            cell = cell.link
        sizes: list[int] = []
        read = self._fetched_or_one if self._fetched else self._one
        found = [read(item, sizes) for item in split_cell(cell)]
        self.together += len(found) > 1
        self.in_row += len(found)
        if sum(sizes) > MAX_REQUEST_BYTES and not self._shrinks:
            raise CellError(
                f"holds {pluralize(len(sizes), 'local picture')} of {format_mb(sum(sizes))} as they are sent, and the "
                "service takes 64 MiB a request; leave --no-shrink out to have them re-encoded"
            )
        return found

    def _one(self, item: str, sizes: list[int]) -> Any:
        if _LINK(item):
            return item if self._is_plain(item) else self._link(item)
        if _DATA(item):
            if len(item) > MAX_URI_BYTES:
                raise CellError(f"is a data URI of {format_mb(len(item))}; the service takes 6 MiB")
            return item
        if self._loopback and (plain := _PLAIN_HTTP(item)) and is_loopback(plain[1]):
            return item
        if problem := _bad_link(item):
            raise CellError(problem)
        if not self._roots:
            raise CellError("is no link; the service fetches pictures from public https:// links")
        self.local = True
        return self._local(item, sizes)

    def _is_plain(self, link: str) -> bool:
        """Is there nothing to say about ``link``? Nearly all are so, and a host is judged once."""
        if not link.isascii() or "\\" in link or link.find("://", 8) > 0 or has_odd_ending(link):
            return False
        host = link[8:].partition("/")[0]
        if (plain := self._plain_hosts.get(host)) is None:
            plain = self._plain_hosts[host] = is_plain_host(host)
        return plain

    def _link(self, item: str) -> str:
        if problem := why_unusable(item):
            raise CellError(problem)
        item, store = direct(item)
        if store:
            self.mended[store] += 1
        elif page := kind_of_page(item):
            found = self.pages.setdefault(page, Pages())
            found.links += 1
            found.rows.add(self.row, self.id)
        return item

    def _fetched_or_one(self, item: str, sizes: list[int]) -> Any:
        if (path := self._fetched.get(item)) is None:
            return self._one(item, sizes)
        self.local = True
        return self._picture(path, sizes)

    def _local(self, item: str, sizes: list[int]) -> dict[str, str]:
        path = self._find(unquote(item[7:]) if item.lower().startswith("file://") else item)
        if _RAW(path.suffix):
            raise CellError(
                f"is a camera's raw file ({path.suffix.lower()}); export it as JPEG or PNG and name that one"
            )
        return self._picture(path, sizes)

    def _find(self, text: str) -> Path:
        """The file that ``text`` names, below the first root that has one. CellError for none, or one that lies elsewhere."""
        folder, outside = False, None
        for path in (path for root in self._roots for path in candidates(root, text)):
            try:
                if path.is_file():
                    real = path.resolve()
                    if any(real.is_relative_to(allowed) for allowed in self._allowed):
                        return path
                    outside = outside or real
                folder = folder or path.is_dir()
            except (OSError, ValueError, RuntimeError):
                continue  # too long for the system, a NUL: no file either
        if outside is not None:
            raise CellError(
                "lies outside the sheet's folder, and nothing of it was read; if it is meant to be sent, add to the command: "
                f"--image-root {quote_word(outside.parent)}"
            )
        if folder:
            raise CellError("is a folder; name one picture in it")
        self._missing.add(self.row, self.id, text)
        raise CellError(f"is neither an https:// link nor a file in {' or '.join(shown(r, 80) for r in self._roots)}")

    @property
    def paths(self) -> Rows:
        """Rows so far that name a file which is not there."""
        return self._missing.rows

    def other_folder(self) -> OtherFolder | None:
        """A folder below the roots that has files which are not where the cells say."""
        return self._missing.other_folder(self._roots)

    def _picture(self, path: Path, sizes: list[int]) -> dict[str, str]:
        try:
            facts = path.stat()
            seen = _seen(str(path), facts.st_size, facts.st_mtime_ns)
        except NotAMediaFileError as error:
            raise CellError(str(error)) from None
        except (OSError, ValueError) as error:
            raise CellError(f"can't be read: {getattr(error, 'strerror', None) or error}") from None
        if seen is None:
            raise CellError("is a file, but no picture (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC)")
        sizes.append(uri_size(facts.st_size))
        if facts.st_size > MAX_FILE_BYTES:
            self._too_large(facts.st_size, seen)  # re-encoded: it has another size and other pixels then
        else:
            for rule in self._rules:
                if not rule.allows(facts.st_size, seen.width, seen.height):
                    self.beyond.setdefault(rule.words(), Rows()).add(self.row, self.id)
        return {FILE: path.as_posix(), SHA256: seen.sha256}

    def _too_large(self, size: int, seen: _Seen) -> None:
        told = (
            f"is {format_mb(size)}; the service takes a local picture of up to {format_mb(MAX_FILE_BYTES)} (6 MiB as sent)"
        )
        if not seen.shrinkable:
            raise CellError(f"{told}, and only JPEG, PNG and WebP can be re-encoded: save it as one of these")
        if not self._shrinks:
            raise CellError(f"{told}; leave --no-shrink out to have it re-encoded")
        self.large.add(bytes.fromhex(seen.sha256)[:16])


def _bad_link(item: str) -> str:  # noqa: PLR0911 - one return a mistake
    low = item.lower()
    if item and not item[0].isprintable() and low[1:].startswith("http"):
        return f"begins with an invisible character ({name_of(item[0])}); type the link anew, or delete it"
    if low.startswith("http://"):
        return "begins with http://; the service fetches https:// links only"
    if low.startswith(("https//", "http//")):
        word, _, rest = item.partition("//")
        return f"has no colon behind {word.lower()}; write https://{shown(rest, 40)}"
    if low.startswith("//"):
        return f"has no https: in front; write https:{shown(item, 40)}"
    if low.startswith("https:"):
        return "is no complete link" if " " not in item else "has a space in the link; write %20 for it"
    if low.startswith("data:"):
        return "is no data URI of a picture (data:image/png;base64,…)"
    scheme = re.match(r"([a-z][a-z0-9+.-]+)://", low)
    if scheme and scheme.group(1) != "file":
        return f"begins with {scheme.group()}, which the service can't fetch; it needs an https:// link"
    if low.startswith("www."):
        return f"has no https:// in front; write https://{shown(item, 40)}"
    return ""


def _real(path: Path) -> Path | None:
    """Where ``path`` lies after every ``..`` and symbolic link; None where the links go round in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture's content: the hex digest of its bytes, whether ``pictures.shrink`` can re-encode it, its pixels."""

    sha256: str
    shrinkable: bool
    width: int
    height: int


@lru_cache(maxsize=65_536)
def _seen(path: str, _size: int, _mtime_ns: int) -> _Seen | None:
    """None if the file is no picture, NotAMediaFileError if it is a broken one. Size and time stand for the content."""
    with Path(path).open("rb") as file:
        head = file.read(32)
        media = media_type(head)
        if media is None:
            return None
        width, height = check_picture(Path(path))
        file.seek(0)
        return _Seen(file_digest(file, "sha256").hexdigest(), media in SHRINKABLE, width, height)
