"""Automatic checks of a picture. They set flags, they never decide.

``result_flags``: ``unreadable``, ``wrong_ratio``, ``tiny``, ``one_colour``, ``like_row_N``, ``like_input``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..images.thumbnails_and_features import ImageFeatures
from .alike import are_alike, group_alike

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


def flag_pictures(subjects: Sequence[Subject], features: Mapping[str, ImageFeatures]) -> dict[int, str]:
    """The flags of each job that has any, separated by spaces."""
    flags: dict[int, dict[str, None]] = {}
    known = [subject for subject in subjects if subject.sha256 in features]
    for subject in known:
        for flag in _flag_alone(subject, features):
            flags.setdefault(subject.job, {})[flag] = None
    whole = [subject for subject in known if not features[subject.sha256].problem]
    for job, flag in _flag_alike(whole, features):
        flags.setdefault(job, {})[flag] = None
    return {job: " ".join(job_flags) for job, job_flags in flags.items()}


def _flag_alone(subject: Subject, features: Mapping[str, ImageFeatures]) -> Iterable[str]:
    picture = features[subject.sha256]
    if picture.problem:
        yield "unreadable"
        return
    if has_wrong_ratio(subject.size, picture.width, picture.height):
        yield "wrong_ratio"
    if min(picture.width, picture.height) < TINY:
        yield "tiny"
    if picture.flat:
        yield "one_colour"
    sources = (features[sha] for sha in subject.inputs if sha in features)
    if any(are_alike(picture, source) for source in sources if not source.problem):
        yield "like_input"


def has_wrong_ratio(size: str, width: int, height: int) -> bool:
    """Whether ``width`` by ``height`` is not the ratio that ``size`` names (``3:2``, ``1024x1536``). Other sizes: False."""
    ordered = _SIZE(size)
    if not ordered or not int(ordered[1]) or not int(ordered[2]) or not height:
        return False
    return abs(width * int(ordered[2]) / (height * int(ordered[1])) - 1) > RATIO


def _flag_alike(subjects: Sequence[Subject], features: Mapping[str, ImageFeatures]) -> Iterable[tuple[int, str]]:
    """Flag pictures of different rows that look nearly the same, each with the first other row."""
    for group in group_alike([features[subject.sha256] for subject in subjects]):
        members = [subjects[index] for index in group]
        first = members[0]
        other = next((m for m in members if m.row != first.row and m.job != first.job), None)
        if other is None:
            continue
        for member in members:
            alike_subject = other if member.row == first.row else first
            if member.job != alike_subject.job:
                yield member.job, f"like_row_{alike_subject.row}"
