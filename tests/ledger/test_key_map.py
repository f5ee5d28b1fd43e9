"""What an intake remembers in little room answers as a dict would."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from batchedit.ledger import key_map as keymap
from batchedit.ledger.key_map import KeyMap, Slots

# Few letters, so that keys share buckets and stand inside each other.
KEYS = st.lists(st.sampled_from([0, 1]), min_size=16, max_size=16).map(bytes)


@given(st.lists(KEYS, unique=True), st.randoms(), st.lists(KEYS))
def test_a_key_map_is_a_dict_of_digests(keys: list[bytes], rng: Random, asked: list[bytes]) -> None:
    known = {key: job for job, key in enumerate(keys, 1)}
    told = len(keys) // 2
    pairs = list(known.items())[:told]
    rng.shuffle(pairs)
    ids = KeyMap()
    ids.fill(pairs, told)
    for key in keys[told:]:
        assert ids.get(key) is None
        ids.add(key, known[key] + 2**39)
    expected = {key: job if job <= told else job + 2**39 for key, job in known.items()}
    shuffled = rng.sample(keys, len(keys))
    for key in (*keys, *asked, *shuffled, *asked, *keys):
        assert ids.get(key) == expected.get(key)
        assert (key in ids) == (key in known)
    assert sorted(ids) == sorted(known)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(1, 9)), max_size=50), st.integers(-5, 5))
def test_slots_know_the_highest_version(pairs: list[tuple[int, int]], other: int) -> None:
    def highest(slot: int) -> int:
        return max((version for known, version in pairs if known == slot), default=0)

    read: list[int] = []

    def reader() -> Iterator[tuple[int, int]]:
        read.append(1)
        return iter(sorted(pairs))

    slots = Slots(reader, highest)
    with patch.object(keymap, "ONE_BY_ONE", 3):
        for slot in (*(slot for slot, _ in pairs), other) * 2:
            assert slots.version(slot) == highest(slot)
    assert len(read) == (2 * len(pairs) + 2 > 3)
