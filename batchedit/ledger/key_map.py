"""What an intake has to remember of a million jobs, in some tens of megabytes: ids by key, versions by slot."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

_BUCKETS = 1 << 16
_KEY = 14  # bytes of a key behind the two that choose its bucket
_ID = 5
_WIDTH = _KEY + _ID
_WHOLE = _KEY + 2
_BLOCK = 10_000
ONE_BY_ONE = 10_000


class KeyMap:
    """Job ids by key: a fifth of a dict's memory at twice to three times its time.

    A key's first two bytes choose one of 65,536 strings of bytes, in which the rest and the id stand end to end; it is
    searched by ``find`` in C. But first the id behind the last one found is tried: most edited manifests have most of
    their rows where they stood, and strings at random places are not in the processor's cache.
    """

    __slots__ = ("_asked", "_buckets", "_found", "_likely", "_ordered")

    def __init__(self) -> None:
        self._buckets: list[bytes] = [b""] * _BUCKETS
        self._asked: bytes | None = None  # one key is asked for by several, one after the other
        self._found: int | None = None
        self._ordered = bytearray()  # keys by id, as far as they are told by ``fill``
        self._likely = 1

    def get(self, key: bytes) -> int | None:
        """The id of the job of this key; None if there is none."""
        if key is not self._asked:
            self._asked = key
            at = self._likely * _WHOLE
            self._found = self._likely if self._ordered[at : at + _WHOLE] == key else self._find(key)
            if self._found is not None:
                self._likely = self._found + 1
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

    def fill(self, pairs: Iterable[tuple[bytes, int]], last: int) -> None:
        """``add`` for many, of ids from 1 to ``last``: each key once."""
        buckets, ordered = self._buckets, bytearray(_WHOLE * (last + 1))
        for key, job in pairs:
            buckets[key[0] << 8 | key[1]] += key[2:] + job.to_bytes(_ID, "big")
            ordered[_WHOLE * job : _WHOLE * (job + 1)] = key
        self._ordered, self._asked = ordered, None

    def add(self, key: bytes, job: int) -> None:
        """Remember ``job`` for a key that is not there yet."""
        self._buckets[key[0] << 8 | key[1]] += key[2:] + job.to_bytes(_ID, "big")
        self._asked = None

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        for place, bucket in enumerate(self._buckets):
            if not bucket:  # most of them, in a run of some hundred jobs
                continue
            head = place.to_bytes(2, "big")
            for at in range(0, len(bucket), _WIDTH):
                yield head + bucket[at : at + _KEY]


class Slots:
    """The highest version of each slot. ``read`` gives all pairs of (slot, version) in order, ``ask`` one slot's version.

    The first ONE_BY_ONE are asked for singly: most edits are of some rows, and to read all pairs is a twentieth of such
    an intake.
    """

    __slots__ = ("_ask", "_asked", "_read", "_slots", "_versions")

    def __init__(self, read: Callable[[], Iterable[tuple[int, int]]], ask: Callable[[int], int]) -> None:
        self._read, self._ask = read, ask
        self._asked = 0
        self._slots, self._versions = array("q"), array("l")

    def version(self, slot: int) -> int:
        """0 for a slot that nobody has had."""
        if self._asked < ONE_BY_ONE:
            self._asked += 1
            return self._ask(slot)
        if self._asked == ONE_BY_ONE:
            self.read_all()
        at = bisect_right(self._slots, slot) - 1
        return self._versions[at] if at >= 0 and self._slots[at] == slot else 0

    def read_all(self) -> None:
        """All pairs at once. Nothing is asked for any more."""
        pairs = iter(self._read())
        while block := list(islice(pairs, _BLOCK)):
            slots, versions = zip(*block, strict=True)
            self._slots.extend(slots)
            self._versions.extend(versions)
        self._asked = ONE_BY_ONE + 1
