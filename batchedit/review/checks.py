"""What a machine finds odd about a picture. It flags, it never decides.

``result_flags``: ``unreadable``, ``wrong_ratio``, ``tiny``, ``one_colour``, ``like_row_N``, ``like_input``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..images.features import ImageFeatures
from .alike import alike, groups

TINY = 256  # pixels of the shorter side: less is a thumbnail, not an ad
RATIO = 0.03  # how far the aspect ratio may be off: what a model rounds to is within 1 %

_SIZE = re.compile(r"\s*(\d{1,5})\s*[:x*/]\s*(\d{1,5})\s*", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class Subject:
    """One picture to judge: of job ``job``, shown on row ``row``, ordered as ``size``, made from ``inputs``."""

    job: int
    row: int
    size: str
    sha256: str
    inputs: tuple[str, ...] = ()


def check(subjects: Sequence[Subject], looks: Mapping[str, ImageFeatures]) -> dict[int, str]:
    """The flags of each job that has any, words set apart by blanks."""
    found: dict[int, dict[str, None]] = {}
    seen = [subject for subject in subjects if subject.sha256 in looks]
    for subject in seen:
        for word in _alone(subject, looks):
            found.setdefault(subject.job, {})[word] = None
    whole = [subject for subject in seen if not looks[subject.sha256].problem]
    for job, word in _twins(whole, looks):
        found.setdefault(job, {})[word] = None
    return {job: " ".join(words) for job, words in found.items()}


def _alone(subject: Subject, looks: Mapping[str, ImageFeatures]) -> Iterable[str]:
    look = looks[subject.sha256]
    if look.problem:
        yield "unreadable"
        return
    if wrong_ratio(subject.size, look.width, look.height):
        yield "wrong_ratio"
    if min(look.width, look.height) < TINY:
        yield "tiny"
    if look.flat:
        yield "one_colour"
    sources = (looks[sha] for sha in subject.inputs if sha in looks)
    if any(alike(look, source) for source in sources if not source.problem):
        yield "like_input"


def wrong_ratio(size: str, width: int, height: int) -> bool:
    """Whether ``width`` by ``height`` is not the shape that ``size`` names (``3:2``, ``1024x1536``). Else: no."""
    told = _SIZE(size)
    if not told or not int(told[1]) or not int(told[2]) or not height:
        return False
    return abs(width * int(told[2]) / (height * int(told[1])) - 1) > RATIO


def _twins(subjects: Sequence[Subject], looks: Mapping[str, ImageFeatures]) -> Iterable[tuple[int, str]]:
    """Pictures of different rows that look nearly the same, each with the first other row."""
    for group in groups([looks[subject.sha256] for subject in subjects]):
        members = [subjects[index] for index in group]
        first = members[0]
        other = next((m for m in members if m.row != first.row and m.job != first.job), None)
        if other is None:
            continue
        for member in members:
            similar = other if member.row == first.row else first
            if member.job != similar.job:
                yield member.job, f"like_row_{similar.row}"
