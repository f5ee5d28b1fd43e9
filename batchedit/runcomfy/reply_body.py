"""What a reply contains: its JSON, its error code, its message, how long to wait. Pure, and never raises.

Errors come as ``{"error_code", "error_message", "detail"?}`` [docs], also as ``message``, ``error`` or ``detail``
alone, also with HTTP 200 [seen]; from a gateway in between they come as HTML or as nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

import orjson

from ..core.safe_text import to_one_line

LONGEST = 300
"""Characters of a message: enough for a cell, too few for a page."""

LONGEST_WAIT = 3600.0
"""Seconds: a longer Retry-After is cut to this; asking once an hour is no load."""

SHORT = 8
"""Characters: a token of fewer could be guessed, so no service gives one out."""
_BEARER = re.compile(r"(?i)\bbearer\s+[^\s\"',;}]{8,}")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")
_MODERATED = re.compile(
    r"(?i)\bmoderat(?:ion|ed)\b|\bnsfw\b|\bsafety\b|content[ _-]?(?:policy|filter)|policy[ _-]violation"
    r"|\bflagged\b|violat\w* .{0,40}polic|\bprohibited content\b|\binappropriate\b|sensitive content"
)
_NO_MONEY = re.compile(
    r"(?i)insufficient (?:account )?(?:balance|credits?|funds)|(?:balance|credits?) (?:is|are|has been) "
    r"(?:used up|insufficient|exhausted|too low)|out of credits"
    r"|no remaining (?:balance|credits?|funds)|not enough (?:balance|credits?|funds)"
)


class ErrorCode(Enum):
    """What the API's own error codes mean [docs]."""

    NO_MODEL = auto()
    BALANCE = auto()
    AUTH = auto()
    ABSENT = auto()
    INVALID = auto()
    SERVICE = auto()
    THROTTLED = auto()


_CODES = {
    400001: ErrorCode.NO_MODEL,
    400002: ErrorCode.BALANCE,
    400004: ErrorCode.AUTH,
    401001: ErrorCode.AUTH,
    403001: ErrorCode.AUTH,
    404001: ErrorCode.ABSENT,
    422001: ErrorCode.INVALID,
    500001: ErrorCode.SERVICE,
}
NOT_YOURS = 403001


@dataclass(frozen=True, slots=True)
class ReplyBody:
    """A reply's body, as far as it can be read. ``json`` is empty unless the body is a JSON object."""

    json: Mapping[str, Any] = field(default_factory=dict)
    code: int | None = None
    message: str = ""
    fields: tuple[str, ...] = ()

    @property
    def meaning(self) -> ErrorCode | None:
        """What the error code means, None without one that is listed. The family 429xxx is read as 429."""
        if self.code is not None and self.code // 1000 == 429:
            return ErrorCode.THROTTLED
        return _CODES.get(self.code) if self.code is not None else None

    @property
    def moderated(self) -> bool:
        """Whether the message mentions content policy, safety or moderation."""
        return bool(_MODERATED.search(self.message))

    @property
    def no_money(self) -> bool:
        return bool(_NO_MONEY.search(self.message))


def parse_reply(body: bytes, secret: str = "") -> ReplyBody:
    """Any bytes to a ReplyBody. ``secret`` (the token) is removed from the message, as is anything after "Bearer"."""
    payload = parse(body)
    if not isinstance(payload, dict):
        return ReplyBody(message=clean(_read_page_text(body), secret))
    layers = [payload, *(payload[key] for key in ("error", "detail") if isinstance(payload.get(key), dict))]
    code = next((number for layer in layers if (number := _read_code(layer.get("error_code"))) is not None), None)
    complaints = list(_find_complaints(payload))
    message = clean(_join_messages(layers, complaints), secret)
    fields = tuple(dict.fromkeys(name for name, _ in complaints if name))
    return ReplyBody(payload, code, message, fields)


def parse(body: bytes) -> Any:
    """The JSON value of ``body``, None if there is none.

    orjson first. What it rejects and others write (NaN, lone surrogates, a BOM, a stray byte in a message) goes to the
    standard library: a request_id beside it is paid for and must not be lost to a comma.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        return json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def clean(text: str, secret: str = "", limit: int = LONGEST) -> str:
    """One line, control and direction-changing characters as their numbers, no token, at most ``limit`` characters."""
    head = blot(text[: limit * 8 + len(secret)], secret)[: limit * 8]
    head = to_one_line(" ".join(head.split()))
    return head if len(head) <= limit else head[: limit - 1].rstrip() + "…"


def blot(text: str, secret: str) -> str:
    """``text`` without the token, and without what follows "Bearer".

    A token of less than ``SHORT`` characters, such as a sandbox's, is removed where it is a word of its own: after a
    header's name, in a link, between quotation marks. Within a longer word it stays, or each t of a message would be
    "[token]" for the token t. That reveals nothing: a vendor's token is longer, and a short one can't be told from the
    letters around it.
    """
    if len(secret) >= SHORT:
        text = text.replace(secret, "[token]")
    elif secret:
        text = re.sub(rf"(?<![^\W_])(?<![^\W\d_]{{2}}['’]){re.escape(secret)}(?![^\W_])", "[token]", text)
    return _BEARER.sub("[token]", text)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait from now on, from 0 to LONGEST_WAIT; None without a Retry-After that can be read.

    ``headers`` is asked for the lower-case name. Both forms of RFC 9110: a number (fractions are taken), or a date.
    """
    text = (headers.get("retry-after") or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
            seconds = _to_epoch(when) - _read_sent_at(headers, now)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)


def _read_sent_at(headers: Mapping[str, str], now: float) -> float:
    """When the answer was sent, by the server's clock: ours may be hours off, and the date in Retry-After is the server's."""
    try:
        return _to_epoch(parsedate_to_datetime(headers.get("date") or ""))
    except (ValueError, TypeError, OverflowError, IndexError):
        return now


def _to_epoch(when: datetime) -> float:
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()


def _read_code(value: Any) -> int | None:
    """An error code as a number; 0 and the like mean that there is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) <= 12:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else None


def _find_complaints(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, message) of each complaint: FastAPI's list, ``{"field": ["message"]}``, and forms in between."""
    error = payload.get("error")
    for group in (
        payload.get("detail"),
        payload.get("errors"),
        error.get("detail") if isinstance(error, dict) else None,
    ):
        if isinstance(group, list):
            for item in group[:50]:
                if isinstance(item, dict):
                    yield (
                        _read_field(item),
                        _strip(item.get("msg")) or _strip(item.get("message")) or _strip(item.get("error")),
                    )
                else:
                    yield "", _strip(item)
        elif isinstance(group, dict) and not {"error_code", "error_message", "message", "msg"} & group.keys():
            for name, messages in list(group.items())[:50]:
                yield name, ", ".join(map(_strip, messages[:5])) if isinstance(messages, list) else _strip(messages)


def _read_field(item: Mapping[str, Any]) -> str:
    """The property that a complaint is about: ``["body", "image", 0]``, ``"body.image"`` and ``"image"`` are all image."""
    path = next((item[key] for key in ("loc", "field", "path", "param", "property") if item.get(key)), None)
    parts = re.split(r"[./\[\]$]+", path) if isinstance(path, str) else path if isinstance(path, list) else []
    names = [part for part in parts if isinstance(part, str) and part and not part.isdigit()]
    while len(names) > 1 and names[0] in {"body", "input", "inputs", "data"}:
        names.pop(0)
    return clean(names[0], limit=60) if names else ""


def _join_messages(layers: list[Mapping[str, Any]], complaints: list[tuple[str, str]]) -> str:
    main = ""
    for layer in layers:
        main = main or next(
            (
                message
                for key in ("error_message", "message", "msg", "error", "detail")
                if (message := _strip(layer.get(key)))
            ),
            "",
        )
    details = "; ".join(": ".join(filter(None, pair)) for pair in complaints if any(pair))
    return " - ".join(filter(None, (main, details)))


def _strip(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _read_page_text(body: bytes) -> str:
    """An HTML page's title, or a short plain text; nothing of what is binary or long."""
    text = body[:8192].decode("utf-8", "replace")
    if title := _TITLE.search(text):
        return title[1]
    return text if len(body) <= LONGEST and "<" not in text and "\ufffd" not in text else ""
