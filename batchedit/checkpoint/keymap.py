"""What an intake has to remember of a million jobs, in some tens of megabytes: ids by key, versions by slot."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice

_BUCKETS = 1 << 16
_KEY = 14  # bytes of a key behind the two that choose its bucket
_ID = 5
_WIDTH = _KEY + _ID
_BLOCK = 10_000


class KeyMap:
    """Job ids by key: a tenth of a dict's memory at three times its time.

    A key's first two bytes choose one of 65,536 strings of bytes, in which the rest and the id stand end to end; it is
    searched by ``find`` in C.
    """

    __slots__ = ("_asked", "_buckets", "_found")

    def __init__(self) -> None:
        self._buckets: list[bytes] = [b""] * _BUCKETS
        self._asked: bytes | None = None  # one key is asked for by several, one after the other
        self._found: int | None = None

    def get(self, key: bytes) -> int | None:
        """The id of the job of this key; None if there is none."""
        if key is not self._asked:
            self._asked, self._found = key, self._find(key)
        return self._found

    def _find(self, key: bytes) -> int | None:
        bucket = self._buckets[key[0] << 8 | key[1]]
        if not bucket:
            return None
        rest = key[2:]
        at = bucket.find(rest)
        while at >= 0:
            if not at % _WIDTH:
                return int.from_bytes(bucket[at + _KEY : at + _WIDTH], "big")
            at = bucket.find(rest, at + 1)
        return None

    def fill(self, pairs: Iterable[tuple[bytes, int]]) -> None:
        """``add`` for many: each key once."""
        buckets = self._buckets
        for key, job in pairs:
            buckets[key[0] << 8 | key[1]] += key[2:] + job.to_bytes(_ID, "big")
        self._asked = None

    def add(self, key: bytes, job: int) -> None:
        """Remember ``job`` for a key that is not there yet."""
        self._buckets[key[0] << 8 | key[1]] += key[2:] + job.to_bytes(_ID, "big")
        self._asked = None

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        for place, bucket in enumerate(self._buckets):
            head = place.to_bytes(2, "big")
            for at in range(0, len(bucket), _WIDTH):
                yield head + bucket[at : at + _KEY]


class Slots:
    """The highest version of each slot. ``pairs`` of (slot, version) come in order."""

    __slots__ = ("_slots", "_versions")

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._slots, self._versions = array("q"), array("l")
        pairs = iter(pairs)
        while block := list(islice(pairs, _BLOCK)):
            slots, versions = zip(*block, strict=True)
            self._slots.extend(slots)
            self._versions.extend(versions)

    def version(self, slot: int) -> int:
        """0 for a slot that nobody has had."""
        at = bisect_right(self._slots, slot) - 1
        return self._versions[at] if at >= 0 and self._slots[at] == slot else 0
