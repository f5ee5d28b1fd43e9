"""Verifies a file: its type by its own bytes, and a picture's pixels. Blocking."""

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
PICTURE_ENDINGS = {
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
_VIDEO_ENDINGS = {
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
_HEAD = 4096  # bytes that are enough to recognise a type
_IN_MEMORY = 32 * 2**20
TURNED = range(5, 9)
"""EXIF orientations that turn a picture by a quarter."""


class NotAMediaFileError(Exception):
    """The bytes are no picture or video, or only part of one (``torn``). The message says what they are."""

    def __init__(self, message: str, *, torn: bool = False) -> None:
        super().__init__(message)
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified file: its ending by content, and its width and height in pixels (0 for a video)."""

    ending: str
    width: int = 0
    height: int = 0


OnPicture = Callable[[Image.Image], None]
"""Called with a decoded picture while its file is open. It must not raise."""


def examine(source: Path | bytes, on_picture: OnPicture = lambda _picture: None) -> Verified:
    """Check and decode a file, or all of its bytes, once. NotAMediaFileError if it can't be kept; OSError only if the disk
    fails. ``on_picture`` is called with a picture that is whole.
    """
    # Pillow seeks back and forth. In memory that needs no system calls, so files up to a limit are read first.
    if isinstance(source, Path) and source.stat().st_size <= _IN_MEMORY:
        source = source.read_bytes()
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(_HEAD)
    else:
        head = source[:_HEAD]
    try:
        return _decode(lambda: source.open("rb") if isinstance(source, Path) else BytesIO(source), on_picture)
    except UnidentifiedImageError:
        pass
    type_name = _describe_type(head)
    if type_name in _VIDEO_ENDINGS:
        return Verified(_VIDEO_ENDINGS[type_name])
    raise NotAMediaFileError(f"the file is {type_name or 'of no known type'}, not a picture or video")


def check_picture(path: Path) -> tuple[int, int]:
    """Decode a picture on this disk at the smallest scale that reads all its bytes. NotAMediaFileError if it is cut off,
    damaged, or no picture; OSError only if the disk fails. Returns its width and height in pixels, as shown, or 0 if they are
    not known.

    A JPEG is decoded at an eighth of its size, which is three times as fast and still reads every byte. Pillow reads no
    HEIC: there the boxes of the container must end where the file ends (ISO/IEC 14496-12, 4.2).
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
                is_turned = _is_on_its_side(picture)
                picture.draft(None, (1, 1))
                picture.load()
                return (height, width) if is_turned else (width, height)
    except UnidentifiedImageError:
        raise NotAMediaFileError(
            "is no picture that can be read: it is cut off behind its first bytes, or damaged"
        ) from None
    except Exception as error:  # noqa: BLE001 - as in _decode
        raise NotAMediaFileError(f"is cut off or damaged ({str(error)[:80]})", torn=True) from None


def _is_on_its_side(picture: Image.Image) -> bool:
    """True if the picture is shown turned by a quarter. A damaged EXIF block is ignored: the picture may be whole."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) in TURNED
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error and others for a cut block
        return False


def _check_boxes(data: bytes) -> None:
    offset = 0
    while offset < len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        if size == 1:
            size = int.from_bytes(data[offset + 8 : offset + 16], "big")
        elif size == 0:
            return  # the last box reaches to the end
        if size < 8 or offset + size > len(data):
            raise NotAMediaFileError("is cut off or damaged", torn=True)
        offset += size
    if offset < 1024:
        raise NotAMediaFileError("is cut off or damaged", torn=True)


@cache
def load_readers() -> tuple[str, ...]:
    """The formats, of those that are supported here, that this Pillow was built with: for ``Image.open``. Loading all of
    Pillow's seventy modules would take 50 ms.
    """
    for plugin in _PLUGINS:
        with suppress(ImportError):
            import_module(f"PIL.{plugin}ImagePlugin")
    return tuple(name for name in PICTURE_ENDINGS if name in Image.OPEN)


def _decode(open_file: Callable[[], IO[bytes]], on_picture: OnPicture) -> Verified:
    """Check a picture twice, as Pillow requires: ``verify`` for the container's checksums, ``load`` for every pixel."""
    formats = load_readers()
    try:
        with open_file() as file, Image.open(file, formats=formats) as picture:
            picture.verify()
        with open_file() as file, Image.open(file, formats=formats) as picture:
            picture.load()
            verified = Verified(PICTURE_ENDINGS[picture.format or "PNG"], picture.width, picture.height)
            on_picture(picture)
            return verified
    except UnidentifiedImageError:
        raise
    except Exception as error:  # noqa: BLE001 - its decoders raise anything: OSError, SyntaxError, ValueError, struct.error
        raise NotAMediaFileError(f"the picture is broken: {str(error)[:120]}", torn=True) from None


def _describe_type(head: bytes) -> str:
    """A MIME type, or plain words for the type of file; ``""`` if it is unknown.

    puremagic rather than filetype: the latter has had no release since 2022 and knows no HTML or JSON.
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
        return next(
            (match.mime_type for match in puremagic.magic_string(head) if match.mime_type in _VIDEO_ENDINGS), ""
        )
    except (puremagic.PureError, ValueError):
        return ""
