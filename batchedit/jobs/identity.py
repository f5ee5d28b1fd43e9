"""What makes two jobs the same: model, inputs, variant and revision, and nothing else.

``VERSION`` stands in front of every digest. Change it when the canonical form of *every* job changes, and never otherwise:
a new version makes every job of every old run a new purchase. A change that concerns some jobs alone keeps it and raises
``RULES``: their old keys stay what they are, and ``jobs/aliases.py`` keeps for each of them the key that it has now.

Rules 2: a link's signature does not count (``signatures.strip_signature``). A job without such a link has the key that it
always had.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from struct import Struct
from typing import Any

import orjson

from ..core.model import JobKey
from .signatures import strip_signature

VERSION = b"\x01"
RULES = "2"
"""The version of the rules of identity. A checkpoint keeps the version that its aliases are made for."""
FILE, SHA256 = "$file", "$sha256"
"""A local picture among the inputs is ``{"$file": path, "$sha256": hex}``; only the second counts for identity."""

_INT64 = Struct(">q").unpack
_SORTED = orjson.OPT_SORT_KEYS


def to_canonical_json(inputs: dict[str, Any]) -> bytes:
    """The one JSON text of ``inputs``: sorted keys, no spaces, UTF-8. ValueError for a lone surrogate.

    orjson refuses integers beyond 64 bits; the standard library writes those in the same layout.
    """
    try:
        return orjson.dumps(inputs, option=_SORTED)
    except TypeError:
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()


def reduce_to_identity(inputs: dict[str, Any]) -> dict[str, Any]:
    """``inputs`` as identity sees them: local pictures by content alone, links without their signature."""
    return {name: _reduce_value(value) for name, value in inputs.items()}


def may_differ(text: str) -> bool:
    """True if ``reduce_to_identity`` may change the canonical ``text``. Quick, and never wrongly False."""
    return ("$" in text and '"$file"' in text) or ("?" in text and _LINK(text) is not None)


_WHOLE_LINK = re.compile(r"https?://\S+", re.IGNORECASE).fullmatch
_LINK = re.compile(r'"https?://[^"]*\?', re.IGNORECASE).search


def _reduce_value(value: Any) -> Any:
    if isinstance(value, str):
        return strip_signature(value) if _WHOLE_LINK(value) else value
    if isinstance(value, list):
        return [_reduce_value(item) for item in value]
    if isinstance(value, dict) and value.keys() == {FILE, SHA256}:
        return {SHA256: value[SHA256]}
    return value


class KeyMaker:
    """Digests for one model and revision."""

    __slots__ = ("_prefix", "_revision")

    def __init__(self, model: str, revision: int = 0) -> None:
        self._prefix = VERSION + model.encode() + b"\0"  # JSON holds no NUL, so the parts can't run into each other
        self._revision = revision

    def make_suffix(self, variant: int) -> bytes:
        """The bytes that ``variant`` adds to the digested text."""
        return b"\0%d\0%d" % (variant, self._revision)

    def make_key(self, text: bytes, suffix: bytes) -> JobKey:
        """16 bytes for the canonical ``text`` and a ``suffix``."""
        return JobKey(blake2b(self._prefix + text + suffix, digest_size=16).digest())


def job_key(model: str, inputs: dict[str, Any], variant: int = 1, revision: int = 0) -> JobKey:
    """The identity of one job."""
    maker = KeyMaker(model, revision)
    return maker.make_key(to_canonical_json(reduce_to_identity(inputs)), maker.make_suffix(variant))


def hash_name(name: str) -> int:
    """A file's name as the signed 64-bit number that a checkpoint keeps. It is equal for names that macOS and Windows treat
    as the same.
    """
    name_hash: int = _INT64(blake2b(name.casefold().encode(), digest_size=8).digest())[0]
    return name_hash
