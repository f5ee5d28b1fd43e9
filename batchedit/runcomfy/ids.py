"""The id of a bought job, read leniently from whatever came in answer to the POST. Pure, and never raises.

An id that was received and is dropped is a purchase that can't be collected. So before an answer counts as lost, its
bytes are searched: as JSON in any encoding of JSON, at any depth, under any spelling of the name; as a JSON text inside
a JSON text; then as plain text, where the body is torn or no JSON; last, in the links that lead to the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

LONGEST_ID = 4096
"""Characters: what still fits in a URL. The services' own have some forty."""
_DEEPEST = 12

_NAME_AND_ID = re.compile(
    r"""request[\s_-]?id\\{0,8}["']?\s*[:=]\s*(?:\\{0,8}"((?:[^"\\]|\\.)+?)\\{0,8}"|'([^'\\]+)'|(\d+)(?=[\s,}\]]))""",
    re.IGNORECASE | re.DOTALL,
)
_IN_LINK = re.compile(r"/v1/requests/([^/\s\"'<>?#\\]+)/(?:status|result|cancel)\b")


def parse_request_id(value: Any) -> str | None:
    """A request id as it is stored, None if it can't be one. A number is taken; ``.`` and ``..`` would leave the path.

    Unusual characters are kept: the id is quoted wherever it is part of a URL, and shown as text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**40 else ""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not 0 < len(text) <= LONGEST_ID or text in {".", ".."}:
        return None
    try:
        quote(text)
    except UnicodeEncodeError:  # half a surrogate pair can neither be sent nor stored
        return None
    return text


def find_id(body: bytes, location: str = "") -> str | None:
    """The request id in ``body``, or in ``location``, the header that says where the request is; None for none."""
    for text in _decode_texts(body):
        payload = _parse_json(text)
        if payload is not None and (request_id := next(_find_ids(payload, 0), None)):
            return request_id
        for match in _NAME_AND_ID.finditer(text):
            if request_id := parse_request_id(_unescape(next(filter(None, match.groups())))):
                return request_id
        if (link := _IN_LINK.search(text)) and (request_id := parse_request_id(unquote(link[1]))):
            return request_id
    link = _IN_LINK.search(location)
    return parse_request_id(unquote(link[1])) if link else None


def _decode_texts(body: bytes) -> Iterator[str]:
    """The body as text, in the encoding that its first bytes show (RFC 4627), then as UTF-8 in any case."""
    encoding = json.detect_encoding(body)
    yield body.decode(encoding, "replace").removeprefix("\ufeff")
    if not encoding.startswith("utf-8"):
        yield body.decode("utf-8", "replace")


def _parse_json(text: str) -> Any:
    """The JSON value at the beginning of ``text``. Numbers stay as they are written: an id may be longer than a float."""
    try:
        return json.JSONDecoder(parse_int=str, parse_float=str).raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _find_ids(value: Any, depth: int, *, about_request: bool = False) -> Iterator[str]:
    """Every id, those nearer to the top first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        value = _parse_json(value)
    if isinstance(value, list):
        for item in value:
            yield from _find_ids(item, depth + 1, about_request=about_request)
    if not isinstance(value, dict):
        return
    names = {key: re.sub(r"[\s_-]", "", key).lower() for key in value}
    for key, name in names.items():
        if (name == "requestid" or (name == "id" and about_request)) and (request_id := parse_request_id(value[key])):
            yield request_id
    for key, inner in value.items():
        yield from _find_ids(inner, depth + 1, about_request=names[key] in {"request", "requestid"})


def _unescape(text: str) -> str:
    """The string without JSON's escapes; unchanged where they are invalid."""
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
