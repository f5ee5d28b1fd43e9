"""What is kept of a million jobs in little room answers as a dict and a set would."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from batchedit.core.digests import DigestMap, make_digest_set

# Few letters, so that keys share buckets and stand inside each other.
KEYS = st.lists(st.sampled_from([0, 1]), min_size=16, max_size=16).map(bytes)


@given(st.lists(KEYS, unique=True), st.randoms(), st.lists(KEYS))
def test_a_digest_map_is_a_dict(keys: list[bytes], rng: Random, asked: list[bytes]) -> None:
    expected = {key: 2**39 + job for job, key in enumerate(keys)}
    ids = DigestMap()
    assert not ids
    for key in keys:
        assert ids.get(key) is None
        assert ids.add(key, expected[key])
        assert not ids.add(key, 7)
    for key in (*keys, *asked, *rng.sample(keys, len(keys))):
        assert ids.get(key) == expected.get(key)
        assert (key in ids) == (key in expected)
    assert sorted(ids) == sorted(expected)
    assert len(ids) == len(expected)


@given(st.lists(st.binary(min_size=4, max_size=4)))
@example([b"\0\0\1\2", b"\0\0\3\4", b"\0\0\2\3", b"\0\0\2\3"])
def test_a_digest_set_is_a_set(digests: list[bytes]) -> None:
    ours, theirs = make_digest_set(4), set[bytes]()
    one_bucket = [b"\0\0" + digest[2:] for digest in digests]  # neighbours must not make a member between them
    for digest in one_bucket:
        assert ours.add(digest) == (digest not in theirs)
        theirs.add(digest)
