"""The highest versions of a million names answer as a dict would, and are read once."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from batchedit.ledger.latest_versions import LatestVersions


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(1, 9)), max_size=50), st.integers(-5, 5))
def test_the_highest_version_of_each_name_is_known(pairs: list[tuple[int, int]], other: int) -> None:
    read: list[int] = []

    def read_pairs() -> Iterator[tuple[int, int]]:
        read.append(1)
        return iter(sorted(pairs))

    versions = LatestVersions(read_pairs)
    assert not read
    for name_hash in (*(known for known, _ in pairs), other) * 2:
        expected = max((version for known, version in pairs if known == name_hash), default=0)
        assert versions.get(name_hash) == expected
    assert len(read) == 1
