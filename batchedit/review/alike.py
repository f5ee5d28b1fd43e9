"""Find nearly equal pictures among ten thousand without comparing every pair.

Multi-index hashing: two hashes of 64 bits that differ in at most 6 agree in at least one of 7 bands, so only pictures
that share a band are compared. Each picture is compared with the first one of each group found so far, so that a
thousand copies of one picture take a thousand comparisons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..images.thumbnails_and_features import ImageFeatures

BITS = 6  # of 64 hash bits that may differ: beyond that, different layouts begin to match
COLOUR = 14.0  # of 255: mean difference of the sixteenths' colours; tells a red mug from the same mug in blue
_BANDS = ((0, 9), (9, 9), (18, 9), (27, 9), (36, 9), (45, 9), (54, 10))  # first bit, width


def are_alike(one: ImageFeatures, other: ImageFeatures) -> bool:
    """Whether two pictures look nearly the same in shapes and colours. A flat picture has no shapes to compare."""
    if one.sha256 == other.sha256:
        return True
    if one.flat or other.flat or (one.hash ^ other.hash).bit_count() > BITS:
        return False
    mine, theirs = bytes.fromhex(one.colours), bytes.fromhex(other.colours)
    return sum(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= COLOUR * len(mine)


def group_alike(pictures: Sequence[ImageFeatures]) -> list[list[int]]:
    """Groups of indexes, in order: pictures that look like the first one of their group. Groups of one are left out."""
    leaders: dict[tuple[int, int], list[int]] = defaultdict(list)
    same: dict[str, int] = {}
    members: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures):
        leader = same.get(picture.sha256)
        if leader is None:
            bands = _split_into_bands(picture.hash)
            leader = next((i for band in bands for i in leaders[band] if are_alike(pictures[i], picture)), index)
            if leader == index:
                for band in bands:
                    leaders[band].append(index)
            same[picture.sha256] = leader
        members.setdefault(leader, []).append(index)
    return [group for group in members.values() if len(group) > 1]


def _split_into_bands(number: int) -> list[tuple[int, int]]:
    return [(first, number >> first & (1 << width) - 1) for first, width in _BANDS]
