"""The codec of a purchase: what a reply to its POST means, and the body that is sent. The one place that knows both shapes.

Pure: no socket, no clock (``now`` is an argument), and no reply makes it raise. ``read_submit`` is the table that
decides what happens to money:

    a request_id, whatever stands beside it      Accepted   an id is a purchase
    401 403, codes 400004 401001 403001          Declined   AUTH; the run stops, no row is failed
    402, code 400002                             Declined   BALANCE; the same
    429, 425, codes 429xxx, 503 + Retry-After    Declined   THROTTLED; due after Retry-After
    code 500001 and any 5xxxxx, whatever the HTTP  Lost     the vendor's own clients never repeat a submit after it [seen]
    301 307 308                                  Declined   UNREACHABLE: these say "ask elsewhere", so nothing was bought
    422, code 422001                             Refused
    400 404 405, 400001, most other 4xx          Refused
    … with words about moderation                Refused    MODERATED
    408 409 460 499                              Lost       a gateway timed out, or "exists already"
    other 3xx                                    Lost       302 and 303 are also how a server says "done, look there"
    other 5xx, whatever its code                 Lost
    1xx, 2xx without a usable id or a 4xxxxx     Lost
    … with an id anywhere in what came           Accepted   see ids.py

A code has its HTTP status in its first three digits: a 200 with a 4xxxxx code is the refusal that the code means
[seen], a 5xx and a 5xxxxx code show nothing certain. Below 500 the API's own listed code is believed before the HTTP
status, which a gateway may have put there [docs]. Everything that is not surely "not accepted" is Lost. Replies about a
bought job are read in poll_reply.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any

import orjson

from ..core.events import Accepted, Declined, Lost, Refused
from ..core.jsontext import write_inputs
from ..core.model import Handle, Kind, Problem
from ..core.money import MICRO, format_usd, read_json_usd
from .dialect import read_dialect
from .ids import find_id, parse_request_id
from .reply_body import ErrorCode, ReplyBody, blot, clean, parse_reply, read_retry_after

KEPT = 4096
"""Bytes of an answer in doubt that are kept, head and body."""

Headers = Mapping[str, str]
"""Anything that answers ``get("retry-after")`` in lower case; ``httpx.Headers`` does."""

# --- what is sent ---------------------------------------------------------------------------------


class ImageShape(StrEnum):
    """How one single picture is written where the page contradicts itself: as in its call, or as in its schema."""

    STRING = "string"
    ARRAY = "array"

    @property
    def other(self) -> ImageShape:
        return ImageShape.ARRAY if self is ImageShape.STRING else ImageShape.STRING


def find_ambiguous_fields(schema: Mapping[str, Any]) -> frozenset[str]:
    """Properties that the schema calls an array of strings while its own default is one plain string, as the page's
    ``image`` [page]: the server may want either.
    """
    return frozenset(
        name
        for name, rule in _list_properties(schema)
        if rule.get("type") == "array" and _is_array_of_strings(rule) and isinstance(rule.get("default"), str)
    )


def has_choice(inputs: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Whether these inputs are written differently in the two shapes: one single picture in an ambiguous field."""
    return any(_is_single(inputs.get(name)) for name in find_ambiguous_fields(schema))


def submit_body(inputs: Mapping[str, Any], shape: ImageShape, schema: Mapping[str, Any]) -> bytes:
    """The POST's body. One picture in an ambiguous field is written in ``shape``, several as an array; a list of one
    for a property that the schema calls a string becomes that string; all else goes as it is.
    """
    rules = dict(_list_properties(schema))
    ambiguous = find_ambiguous_fields(schema)

    def write_value(name: str, value: Any) -> Any:
        is_one = _is_single(value)
        if (is_one and name in ambiguous and shape is ImageShape.STRING) or (
            is_one and _is_string(rules.get(name, {}))
        ):
            return value[0]
        return value

    body = {name: write_value(name, value) for name, value in inputs.items()}
    try:
        return orjson.dumps(body)  # pictures of many megabytes are in it
    except TypeError:  # an integer over 64 bits
        return write_inputs(body)


def has_local_file(inputs: Mapping[str, Any]) -> bool:
    """Whether a local picture (``{"$file": path, "$sha256": hex}``) still stands where its bytes should."""
    values = (item for value in inputs.values() for item in (value if isinstance(value, list) else [value]))
    return any(isinstance(item, dict) and "$file" in item for item in values)


def _list_properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        yield from ((name, rule) for name, rule in properties.items() if isinstance(rule, Mapping))


def _is_array_of_strings(rule: Mapping[str, Any]) -> bool:
    items = rule.get("items")
    return isinstance(items, Mapping) and _is_string(items)


def _is_string(rule: Mapping[str, Any]) -> bool:
    return rule.get("type") == "string"


def _is_single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1


# --- submit: the table ----------------------------------------------------------------------------


class _Verdict(Enum):
    AUTH = auto()
    BALANCE = auto()
    THROTTLED = auto()
    MOVED = auto()
    NO_MODEL = auto()
    REFUSED = auto()
    LOST = auto()


_BY_CODE = {
    ErrorCode.AUTH: _Verdict.AUTH,
    ErrorCode.BALANCE: _Verdict.BALANCE,
    ErrorCode.THROTTLED: _Verdict.THROTTLED,
    ErrorCode.INVALID: _Verdict.REFUSED,
    ErrorCode.NO_MODEL: _Verdict.NO_MODEL,
    ErrorCode.ABSENT: _Verdict.NO_MODEL,
}
_BY_HTTP = {
    **dict.fromkeys((401, 403), _Verdict.AUTH),
    402: _Verdict.BALANCE,
    **dict.fromkeys((425, 429), _Verdict.THROTTLED),
    **dict.fromkeys((301, 307, 308), _Verdict.MOVED),
    **dict.fromkeys((404, 405), _Verdict.NO_MODEL),
    **dict.fromkeys((408, 409, 460, 499), _Verdict.LOST),
}
_MESSAGE_MATTERS = frozenset({_Verdict.REFUSED, _Verdict.AUTH})


def _judge(status: int, headers: Headers, reply: ReplyBody, now: float) -> _Verdict:
    """The table's left column, from what is most certain to what is least.

    A service that makes the job and then fails answers with a 5xx or with 500001, also in a 200. Such an answer never
    sends the job back to be bought again: only a person does.
    """
    family = reply.code // 1000 if reply.code is not None else 0
    if status == 503 and reply.meaning is not ErrorCode.SERVICE and read_retry_after(headers, now) is not None:
        return _Verdict.THROTTLED
    if status >= 500 or 500 <= family < 600:
        return _Verdict.LOST
    if reply.meaning is not None:
        return _BY_CODE[reply.meaning]
    if 200 <= status < 300 and 400 <= family < 500:
        status = family
    verdict = _BY_HTTP.get(status, _Verdict.REFUSED if 400 <= status < 500 else _Verdict.LOST)
    if verdict in _MESSAGE_MATTERS and reply.no_money:
        return _Verdict.BALANCE
    return _Verdict.REFUSED if status == 403 and reply.moderated else verdict


def read_submit(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> Accepted | Declined | Refused | Lost:
    """What the answer to the POST that buys means: the module's table. ``now`` in seconds since the epoch."""
    reply = parse_reply(body, secret)
    if handle := _read_handle(reply.json):
        return Accepted(now, handle)
    verdict = _judge(status, headers, reply, now)

    def make_problem(kind: Kind, message: str) -> Problem:
        return Problem(kind, _format_message(message, reply.message), http=status, code=reply.code)

    if verdict in _SURELY_NOT_ACCEPTED:
        kind, message = _SURELY_NOT_ACCEPTED[verdict]
        wait = read_retry_after(headers, now)
        due_at = 0.0 if wait is None else now + wait
        return Declined(now, make_problem(kind, message), due_at)
    if verdict is _Verdict.LOST:
        if request_id := find_id(body, headers.get("location") or ""):
            return Accepted(now, Handle(request_id))
        message = f"HTTP {status} and no request id: it may have been bought, or not"
        return Lost(now, make_problem(Kind.LOST, message), keep_reply(f"HTTP {status}", headers, body, secret))
    return Refused(now, _describe_refusal(verdict, make_problem, reply))


_SURELY_NOT_ACCEPTED = {
    _Verdict.AUTH: (Kind.AUTH, "the service does not accept the API token"),
    _Verdict.BALANCE: (Kind.BALANCE, "the account's balance is used up"),
    _Verdict.THROTTLED: (Kind.THROTTLED, "the service asks to slow down"),
    _Verdict.MOVED: (Kind.UNREACHABLE, "this address sends us on to another one; is --base-url right?"),
}


def keep_reply(first_line: str, headers: Headers, body: bytes, secret: str) -> str:
    """The first KEPT bytes of what came in answer to a POST that is in doubt, as text and without the token."""
    head = "\n".join([first_line, *(f"{name}: {value}" for name, value in headers.items())])
    text = f"{head}\n\n{_as_text(body)}" if body else head
    return blot(text, secret).encode("utf-8", "replace")[:KEPT].decode("utf-8", "ignore")


def _as_text(body: bytes) -> str:
    return body[: 2 * KEPT].decode(json.detect_encoding(body), "replace")


def _describe_refusal(verdict: _Verdict, make_problem: Callable[[Kind, str], Problem], reply: ReplyBody) -> Problem:
    if reply.moderated:
        return make_problem(Kind.MODERATED, "the service refuses this content")
    if verdict is _Verdict.NO_MODEL:
        return make_problem(Kind.REFUSED, "the service knows no such model")
    return make_problem(Kind.REFUSED, "the service does not accept this row")


def may_be_about(body: bytes, names: frozenset[str]) -> bool:
    """Whether a refusal's complaint is, or may be, about one of ``names``: it names one, or it names no field at all.

    A 422 costs nothing, so a complaint that names nothing is worth one try in the other shape.
    """
    reply = parse_reply(body)
    if reply.fields:
        return any(name in names for name in reply.fields)
    return not reply.moderated


def _read_handle(payload: Mapping[str, Any]) -> Handle | None:
    """The request, if the reply holds a usable id: one that can stand in a URL's path and lead to that request."""
    request_id = parse_request_id(payload.get("request_id"))
    if request_id is None:
        return None
    links = {name: _read_link(payload.get(name)) for name in ("status_url", "result_url", "cancel_url")}
    return Handle(request_id, **links)


def _read_link(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 2048 and value.isprintable() else ""


def _format_message(message: str, reply_message: str) -> str:
    """Our words, then the service's own in quotes, in one bounded line."""
    return clean(f"{message}: “{reply_message}”" if reply_message else message)


# --- the catalogue and the balance ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model in the catalogue. ``price`` is micro-dollars a ``price_unit``, None if not told; not a minimum."""

    model_id: str
    display_name: str = ""
    price: int | None = None
    price_unit: str = ""
    pricing_note: str = ""
    schema: Mapping[str, Any] | None = None

    @property
    def picture_price(self) -> int | None:
        """Micro-dollars a picture; None where no price is told, or one of something else (a second of video)."""
        return self.price if _normalize_unit(self.price_unit) in _PICTURE_UNITS else None

    @property
    def other_price(self) -> str:
        """The price where its unit is no picture: ``$0.08 per second``; ``""`` where there is none."""
        if not self.price or self.picture_price is not None:
            return ""
        return f"{format_usd(self.price)} per {_normalize_unit(self.price_unit)}"


_PICTURE_UNITS = frozenset(
    {"", "output", "image", "picture", "photo", "request", "job", "generation", "run", "call", "prediction", "unit"}
)
"""Price units of which one job is one: ``output`` [seen], the others come from similar services. A price with any other unit
is never multiplied by pictures.
"""


def _normalize_unit(unit: str) -> str:
    """``per Image`` and ``images`` are ``image``."""
    parts = unit.casefold().replace("usd", "").strip(" /$").split()
    while parts and parts[0] in {"per", "each", "a", "an", "one", "1"}:
        parts.pop(0)
    text = " ".join(parts)
    return text.removesuffix("s") if text.removesuffix("s") in _PICTURE_UNITS else text


def read_model(status: int, body: bytes) -> ModelEntry | None:
    """The catalogue's entry [seen]; None where there is none or it can't be read."""
    reply = parse_reply(body)
    if status != 200 or reply.meaning is not None or not reply.json:
        return None
    payload = reply.json
    texts = {
        key: clean(str(payload.get(key) or "")) for key in ("model_id", "display_name", "price_unit", "pricing_note")
    }
    schemas = (payload.get(key) for key in ("input_schema", "schema", "inputs", "input"))
    schema = next((s for s in schemas if isinstance(s, dict) and isinstance(s.get("properties"), dict)), None)
    translated = None if schema is None else read_dialect(schema)
    return ModelEntry(**texts, price=read_json_usd(payload.get("base_price_usd")), schema=translated)


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Some of the catalogue's entries. ``total`` is how many there are in all, as far as the service tells."""

    entries: tuple[ModelEntry, ...]
    total: int


def read_models(status: int, body: bytes) -> CataloguePage | None:
    """A page of the catalogue [seen]; None where there is none. Entries that can't be read are left out."""
    payload = parse_reply(body).json
    models = payload.get("models")
    if status != 200 or not isinstance(models, list):
        return None
    entries = (read_model(200, orjson.dumps(model)) for model in models if isinstance(model, dict))
    total = payload.get("total")
    return CataloguePage(
        tuple(entry for entry in entries if entry is not None and entry.model_id),
        total if isinstance(total, int) and total >= 0 else len(models),
    )


def read_balance(status: int, body: bytes) -> int | None:
    """The wallet in micro-dollars [seen]; None where it isn't told in US dollars."""
    payload = parse_reply(body).json
    is_usd = str(payload.get("currency") or "USD").upper() == "USD"
    if status != 200 or not is_usd:
        return None
    exact = payload.get("balance_microdollars")
    if isinstance(exact, int) and not isinstance(exact, bool) and abs(exact) <= MICRO * MICRO:
        return exact
    return read_json_usd(payload.get("balance_usd"), signed=True)
