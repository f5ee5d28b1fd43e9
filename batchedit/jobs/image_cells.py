"""Picture cells: links, data URIs and local files, one or several in a cell, always read into a list.

A local picture is known by its content: the same bytes under another name are the same job, and a replaced file is a
new one. Its bytes are read for the digest and forgotten; whoever sends it reads it again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..core.limits import FILE_MOST, REQUEST_MOST, URI_MOST, megabytes, uri_size
from ..manifest.digests import DigestSet
from ..manifest.rows import shown
from .identity import FILE, SHA256

_LINK = re.compile(r"https://[^\s/?#|<>\"]+\.?[^\s|<>\"]*", re.IGNORECASE).fullmatch
_LOOPBACK = re.compile(
    r"http://(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?/[^\s|<>\"]*", re.IGNORECASE
).fullmatch
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE).fullmatch
_SEVERAL = re.compile(r"\s+\|\s+|\s*[\r\n]+\s*")
_MAGIC = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|....ftyp(?:avif|heic|heix|mif1)", re.DOTALL
).match
_SHRINKABLE = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL).match


class CellError(ValueError):
    """A cell can't be what its field needs; the text says why, to be read behind the column's name and value."""


def split_cell(cell: Any) -> list[str]:
    """The pictures named in one cell: a JSON array, or one a line, or set apart by `` | ``. CellError for neither."""
    if isinstance(cell, str):
        text = cell.strip()
        if not text.startswith("["):
            return [piece for piece in _SEVERAL.split(text) if piece]
        try:
            cell = json.loads(text)
        except ValueError as error:
            raise CellError(
                f'begins like a JSON list but is none ({error}); write ["https://…", "https://…"]'
            ) from None
    if not isinstance(cell, list) or not all(isinstance(item, str) for item in cell):
        raise CellError("is no list of picture links")
    return [item.strip() for item in cell if item.strip()]


class Pictures:
    """Reads picture cells. ``root`` is where relative paths begin; None refuses local files.

    ``shrinks``: a local picture that is too large is re-encoded when it is sent, not refused here. ``loopback``: links
    to this machine may be plain http, as a sandbox's are.
    """

    def __init__(self, root: Path | None, *, shrinks: bool = True, loopback: bool = False) -> None:
        self._root = root
        self._shrinks = shrinks
        self._loopback = loopback
        self.local = False  # whether any local picture was seen
        self.large = DigestSet(16)  # those that will be re-encoded

    def read(self, cell: Any) -> list[Any]:
        """Links and data URIs as text, local files as ``{"$file", "$sha256"}``. CellError for what is no picture."""
        if type(cell) is str and _LINK(cell):
            return [cell]
        sizes: list[int] = []
        found = [self._one(item, sizes) for item in split_cell(cell)]
        if sum(sizes) > REQUEST_MOST and not self._shrinks:
            raise CellError(
                f"holds {len(sizes)} local pictures of {megabytes(sum(sizes))} as they are sent, and the service takes 64 "
                "MiB a request; leave --no-shrink out to have them re-encoded"
            )
        return found

    def _one(self, item: str, sizes: list[int]) -> Any:
        if _LINK(item):
            return item
        if _DATA(item):
            if len(item) > URI_MOST:
                raise CellError(f"is a data URI of {megabytes(len(item))}; the service takes 6 MiB")
            return item
        if self._loopback and _LOOPBACK(item):
            return item
        if problem := _bad_link(item):
            raise CellError(problem)
        if self._root is None:
            raise CellError("is no link; the service fetches pictures from public https:// links")
        self.local = True
        return self._local(item, self._root, sizes)

    def _local(self, item: str, root: Path, sizes: list[int]) -> dict[str, str]:
        path = _find(unquote(item[7:]) if item.lower().startswith("file://") else item, root)
        try:
            facts = path.stat()
            seen = _seen(str(path), facts.st_size, facts.st_mtime_ns)
        except (OSError, ValueError) as error:
            raise CellError(f"can't be read: {getattr(error, 'strerror', None) or error}") from None
        if seen is None:
            raise CellError("is a file, but no picture (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC)")
        sizes.append(uri_size(facts.st_size))
        if facts.st_size > FILE_MOST:
            self._too_large(facts.st_size, seen)
        return {FILE: path.as_posix(), SHA256: seen.sha256}

    def _too_large(self, size: int, seen: _Seen) -> None:
        told = (
            f"is {megabytes(size)}; the service takes a local picture of up to {megabytes(FILE_MOST)} (6 MiB as sent)"
        )
        if not seen.shrinkable:
            raise CellError(f"{told}, and only JPEG, PNG and WebP can be re-encoded: save it as one of these")
        if not self._shrinks:
            raise CellError(f"{told}; leave --no-shrink out to have it re-encoded")
        self.large.add(bytes.fromhex(seen.sha256)[:16])


def _bad_link(item: str) -> str:  # noqa: PLR0911 - one return a mistake
    low = item.lower()
    if low.startswith("http://"):
        return "begins with http://; the service fetches https:// links only"
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


def _find(text: str, root: Path) -> Path:
    folder = False
    try:
        for spelled in dict.fromkeys((text, text.replace("\\", "/"))):
            path = (root / Path(spelled).expanduser()).absolute()
            if path.is_file():
                return path
            folder = folder or path.is_dir()
    except (OSError, ValueError, RuntimeError):
        pass  # too long for the system, a NUL, no home: no file either
    if folder:
        raise CellError("is a folder; name one picture in it")
    raise CellError(f"is neither an https:// link nor a file in {shown(root, 80)}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture's content: the hex digest of its bytes, and whether ``pictures.shrink`` can re-encode it."""

    sha256: str
    shrinkable: bool


@lru_cache(maxsize=65_536)
def _seen(path: str, _size: int, _mtime_ns: int) -> _Seen | None:
    """None if the file is no picture. Size and time stand for the content."""
    with Path(path).open("rb") as file:
        head = file.read(32)
        if not _MAGIC(head):
            return None
        file.seek(0)
        return _Seen(file_digest(file, "sha256").hexdigest(), _SHRINKABLE(head) is not None)
