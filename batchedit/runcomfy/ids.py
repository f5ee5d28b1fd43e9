"""The id of a bought job, read leniently from whatever came in answer to the POST. Pure, and never raises.

An id that was in hand and is thrown away is a purchase that nobody can collect. So before an answer is called lost, its
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
"""Characters: what still stands in a URL. The services' own have some forty."""
_DEEPEST = 12

_NAMED = re.compile(
    r"""request[\s_-]?id\\{0,8}["']?\s*[:=]\s*(?:\\{0,8}"((?:[^"\\]|\\.)+?)\\{0,8}"|'([^'\\]+)'|(\d+)(?=[\s,}\]]))""",
    re.IGNORECASE | re.DOTALL,
)
_IN_LINK = re.compile(r"/v1/requests/([^/\s\"'<>?#\\]+)/(?:status|result|cancel)\b")


def usable_id(value: Any) -> str | None:
    """A request id as it is stored, None if it can't be one. A number is taken; ``.`` and ``..`` would leave the path.

    An odd one is kept: it is quoted wherever it stands in a URL, and shown as text.
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
    for text in _texts(body):
        payload = _json(text)
        if payload is not None and (found := next(_ids(payload, 0), None)):
            return found
        for match in _NAMED.finditer(text):
            if found := usable_id(_unescaped(next(filter(None, match.groups())))):
                return found
        if (match_ := _IN_LINK.search(text)) and (found := usable_id(unquote(match_[1]))):
            return found
    match_ = _IN_LINK.search(location)
    return usable_id(unquote(match_[1])) if match_ else None


def _texts(body: bytes) -> Iterator[str]:
    """The body as text, by what its first bytes say, as RFC 4627 has it, then as UTF-8 all the same."""
    encoding = json.detect_encoding(body)
    yield body.decode(encoding, "replace").removeprefix("\ufeff")
    if not encoding.startswith("utf-8"):
        yield body.decode("utf-8", "replace")


def _json(text: str) -> Any:
    """The JSON value at the beginning of ``text``. Numbers stay as they are written: an id may be longer than a float."""
    try:
        return json.JSONDecoder(parse_int=str, parse_float=str).raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _ids(value: Any, depth: int, *, about_request: bool = False) -> Iterator[str]:
    """Every id, those nearer to the top first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        value = _json(value)
    if isinstance(value, list):
        for item in value:
            yield from _ids(item, depth + 1, about_request=about_request)
    if not isinstance(value, dict):
        return
    names = {key: re.sub(r"[\s_-]", "", key).lower() for key in value}
    for key, name in names.items():
        if (name == "requestid" or (name == "id" and about_request)) and (found := usable_id(value[key])):
            yield found
    for key, inner in value.items():
        yield from _ids(inner, depth + 1, about_request=names[key] in {"request", "requestid"})


def _unescaped(text: str) -> str:
    """What JSON's escapes in a string mean; the string itself where they make no sense."""
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
