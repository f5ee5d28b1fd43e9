"""Is this file what it should be? Its type from its own bytes; a picture's pixels too. Blocking."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO

import puremagic
from PIL import ExifTags, Image, UnidentifiedImageError

from .formats import HEIC, detect_media_type

# Pillow's readers by name: never the ones that hand a file on to another program (EPS).
_PICTURES = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "MPO": ".jpg",  # a JPEG with more than one picture, as phones write it
    "WEBP": ".webp",
    "GIF": ".gif",
    "AVIF": ".avif",
    "TIFF": ".tif",
    "BMP": ".bmp",
}
_PLUGINS = ("Png", "Jpeg", "Mpo", "WebP", "Gif", "Avif", "Tiff", "Bmp")
_VIDEOS = {
    "video/mp4": ".mp4",
    "video/x-m4v": ".m4v",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
}
_HEAD = 4096  # bytes that a type is told from
_IN_MEMORY = 32 * 2**20
_ON_ITS_SIDE = range(5, 9)
"""Orientations of EXIF in which a picture is shown turned by a quarter."""


class NotAMediaFileError(Exception):
    """The bytes are no picture or video, or only part of one (``torn``). The message says what they look like."""

    def __init__(self, message: str, *, torn: bool = False) -> None:
        super().__init__(message)
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified file: its ending by content, and its pixels (0 for a video)."""

    ending: str
    width: int = 0
    height: int = 0


Show = Callable[[Image.Image], None]
"""Called with a picture while its file is open and its pixels are decoded. It does not raise."""


def examine(source: Path | bytes, show: Show = lambda _picture: None) -> Verified:
    """Check and decode a file, or all of its bytes where they are at hand, once. NotAMediaFileError if it can't be kept;
    OSError only if the disk fails. ``show`` is called with a picture that is whole.
    """
    # Pillow seeks back and forth: in memory, where that is no call to the system, if it is not too much for it.
    if isinstance(source, Path) and source.stat().st_size <= _IN_MEMORY:
        source = source.read_bytes()
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(_HEAD)
    else:
        head = source[:_HEAD]
    try:
        return _picture(lambda: source.open("rb") if isinstance(source, Path) else BytesIO(source), show)
    except UnidentifiedImageError:
        pass
    found = _guess(head)
    if found in _VIDEOS:
        return Verified(_VIDEOS[found])
    raise NotAMediaFileError(f"the file is {found or 'of no known type'}, not a picture or video")


def check_picture(path: Path) -> tuple[int, int]:
    """Decode a picture on this disk at the smallest scale that reads all its bytes. NotAMediaFileError for one that is cut
    off, damaged or none; OSError only if the disk fails. Returns its width and height in pixels, as shown; 0 where they are
    not known.

    A JPEG is decoded at an eighth of its size, which is three times as quick and reads every byte all the same. Pillow
    reads no HEIC: there the boxes of the container must end where the file ends (ISO/IEC 14496-12, 4.2).
    """
    data = path.read_bytes()
    if detect_media_type(data) == HEIC:
        _check_boxes(data)
        return 0, 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it is the person's own file
            with Image.open(BytesIO(data), formats=load_readers()) as picture:
                width, height = picture.size
                turned = _is_turned(picture)
                picture.draft(None, (1, 1))
                picture.load()
                return (height, width) if turned else (width, height)
    except UnidentifiedImageError:
        raise NotAMediaFileError(
            "is no picture that can be read: it is cut off behind its first bytes, or damaged"
        ) from None
    except Exception as error:  # noqa: BLE001 - as in _picture
        raise NotAMediaFileError(f"is cut off or damaged ({str(error)[:80]})", torn=True) from None


def _is_turned(picture: Image.Image) -> bool:
    """Is it shown turned by a quarter? What stands in a damaged EXIF block is no fault of the picture's."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) in _ON_ITS_SIDE
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error and others for a cut block
        return False


def _check_boxes(data: bytes) -> None:
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        elif size == 0:
            return  # the last box reaches to the end
        if size < 8 or place + size > len(data):
            raise NotAMediaFileError("is cut off or damaged", torn=True)
        place += size
    if place < 1024:
        raise NotAMediaFileError("is cut off or damaged", torn=True)


@cache
def load_readers() -> tuple[str, ...]:
    """Those of our formats that this Pillow was built with: for ``Image.open``. All of Pillow's
    seventy modules would take 50 ms to load.
    """
    for plugin in _PLUGINS:
        with suppress(ImportError):
            import_module(f"PIL.{plugin}ImagePlugin")
    return tuple(name for name in _PICTURES if name in Image.OPEN)


def _picture(opened: Callable[[], IO[bytes]], show: Show) -> Verified:
    """Checked twice, as Pillow wants it: ``verify`` for the container's checksums, ``load`` for every pixel."""
    formats = load_readers()
    try:
        with opened() as file, Image.open(file, formats=formats) as picture:
            picture.verify()
        with opened() as file, Image.open(file, formats=formats) as picture:
            picture.load()
            seen = Verified(_PICTURES[picture.format or "PNG"], picture.width, picture.height)
            show(picture)
            return seen
    except UnidentifiedImageError:
        raise
    except Exception as error:  # noqa: BLE001 - its decoders raise anything: OSError, SyntaxError, ValueError, struct.error
        raise NotAMediaFileError(f"the picture is broken: {str(error)[:120]}", torn=True) from None


def _guess(head: bytes) -> str:
    """A MIME type, or words for what a marketer would call it; ``""`` if nobody knows.

    puremagic rather than filetype: the latter has had no release since 2022, knows no HTML or JSON.
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if not start:
        return "empty"
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page"
    if start.startswith((b"{", b"[")):
        return "a JSON text"
    if start.startswith((b"<?xml", b"<error", b"<svg")):
        return "an XML text"
    try:
        return next((m.mime_type for m in puremagic.magic_string(head) if m.mime_type in _VIDEOS), "")
    except (puremagic.PureError, ValueError):
        return ""
