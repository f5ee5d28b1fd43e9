"""What an intake remembers in little room answers as a dict would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchedit.checkpoint.keymap import KeyMap, Slots

# Few letters, so that keys share buckets and stand inside each other.
KEYS = st.lists(st.sampled_from([0, 1]), min_size=16, max_size=16).map(bytes)
NUMBERS = st.integers(min_value=1, max_value=2**40 - 1)


@given(st.dictionaries(KEYS, NUMBERS), st.lists(KEYS))
def test_a_key_map_is_a_dict_of_digests(known: dict[bytes, int], asked: list[bytes]) -> None:
    ids, items = KeyMap(), list(known.items())
    ids.fill(items[::2])
    for key, job in items[1::2]:
        assert ids.get(key) is None
        ids.add(key, job)
    for key in (*known, *asked, *known):
        assert ids.get(key) == known.get(key)
        assert (key in ids) == (key in known)
    assert sorted(ids) == sorted(known)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(1, 9)), max_size=50), st.integers(-5, 5))
def test_slots_know_the_highest_version(pairs: list[tuple[int, int]], other: int) -> None:
    slots = Slots(sorted(pairs))
    for slot in (*(slot for slot, _ in pairs), other):
        assert slots.version(slot) == max((version for known, version in pairs if known == slot), default=0)
