"""The files of a finished job, wherever its answer has them: links, data URIs, base64. Pure, and never raises.

The page has ``output.image`` and ``output.images``. Other services' forms are accepted too, because the job is paid for:
other keys, nested objects, a JSON text in a string. Links to the API or back to what was sent are no outputs.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from ..core.model import Output
from .reply_body import clean, parse

_PAGE = (("image", "image"), ("images", "image"), ("video", "video"), ("videos", "video"))
_KEYS = ("output", "outputs", "result", "results", "data")
"""Where an answer has its files: the first of these keys that holds one. ``input`` and a bare ``image`` are never read: they
may hold what was sent.
"""
_FILE = re.compile(
    r"(image|video|audio|file|picture|photo|download|output|media|asset)s?(_?ur[il]s?)?|ur[il]s?|href|links?"
)
_BASE64 = re.compile(r"(image_|audio_|video_)?(b64(_json)?|base64)(_json)?")
_NOT_OUTPUTS = re.compile(
    r"inputs?|(original|source|reference|mask|preview|thumbnail|status|cancel|result)(_.*)?|logs?|metrics"
)
_MAGIC = ("iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD")
"""How the base64 of a PNG, JPEG, WebP and GIF begins."""
_DATA = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_LONGEST_LINK = 8192
_DEEPEST = 8


def read_outputs(payload: Mapping[str, Any]) -> tuple[Output, ...]:
    """The files, each once. ``Output.url`` is a link, or a data URI that ``read_embedded`` reads."""
    for key in _KEYS:
        if outputs := _find_outputs(payload.get(key)):
            return tuple({output.url: output for output in outputs}.values())
    return ()


def _find_outputs(value: Any) -> list[Output]:
    """The page's keys alone where they hold a file, else everything that may be a file."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        value = parse(value.encode("utf-8", "replace"))
    if isinstance(value, dict):
        page_outputs = [Output(url, kind) for key, kind in _PAGE for url in _walk(value.get(key), key, _DEEPEST - 1)]
        if page_outputs:
            return page_outputs
    return [Output(url) for url in _walk(value, "image", _DEEPEST)]


def _walk(value: Any, key: str, depth: int) -> Iterator[str]:
    """Files in ``value``, the value of ``key``."""
    if isinstance(value, str):
        if (url := _as_file(value, key)) is not None:
            yield url
    elif depth and isinstance(value, list):
        for item in value:
            yield from _walk(item, key, depth - 1)
    elif depth and isinstance(value, dict):
        for name, item in value.items():
            if not _NOT_OUTPUTS.fullmatch(name.casefold()) or (name.casefold() in _KEYS and not isinstance(item, str)):
                yield from _walk(item, name.casefold(), depth - 1)


def _as_file(value: str, key: str) -> str | None:
    text = value.strip()
    if _BASE64.fullmatch(key) or (text.startswith(_MAGIC) and len(text) > 40):
        return text if _DATA.match(text) else f"data:;base64,{text}"
    if not _FILE.fullmatch(key):
        return None
    if _DATA.match(text):
        return text
    is_link = text[:8].lower().startswith(("https://", "http://"))
    return text if is_link and text.isprintable() and len(text) <= _LONGEST_LINK else None


def read_embedded(url: str) -> bytes | None:
    """The bytes of a data URI (RFC 2397); None for a link. ``b""`` where the URI is damaged: reported as no file."""
    head = _DATA.match(url)
    if head is None:
        return None
    body = url[head.end() :]
    if "base64" not in head[2].lower():
        return unquote_to_bytes(body)
    text = re.sub(r"\s+", "", body).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def describe_keys(payload: Mapping[str, Any]) -> str:
    """The keys of an answer without a file, for a person who asks the service about it."""
    names = [
        f"{name} ({_describe_value(payload[name])})" if name in _KEYS else str(name) for name in list(payload)[:20]
    ]
    return clean(", ".join(names), limit=160) or "nothing"


def _describe_value(value: Any) -> str:
    if isinstance(value, dict):
        return "with " + ", ".join(map(str, list(value)[:10])) if value else "empty"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "empty"
    return "null" if value is None else f"a {type(value).__name__}: {value!s:.40}"
