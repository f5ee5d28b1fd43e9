"""Handing on the approved pictures: copies that are what was bought, proven by their sha256, and papers about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..core.errors import ManifestError
from ..images.features import Told, untold
from .package import SUMS, Package, package

TOLD = 20
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """One file to deliver: from ``source`` as ``name``. ``sha256`` is what it must be, ``""``: anything."""

    source: Path
    name: str
    sha256: str = ""


def deliver(
    pictures: Sequence[Piece],
    papers: Iterable[Piece],
    to: Path,
    *,
    force: bool = False,
    told: Told = untold,
) -> int:
    """Write ``pictures``, ``papers`` and SHA256SUMS to the folder or zip ``to``. Returns the bytes of the pictures.

    ManifestError, naming every picture that is missing or no longer what was bought, and nothing is delivered;
    UsageError and OutputError as ``package``. ``papers`` are made only once the pictures are sound.
    """
    with package(to, force=force) as into:
        sums: list[str] = []
        problems: list[str] = []
        total = 0
        for done, piece in enumerate(pictures, 1):
            total += _copied(piece, into, sums, problems)
            told(done, len(pictures))
        if problems:
            raise _unsound(problems)
        for paper in papers:
            _copied(paper, into, sums, problems)
        with into.create(SUMS) as file:
            file.write("".join(sums).encode())
    return total


def _copied(piece: Piece, into: Package, sums: list[str], problems: list[str]) -> int:
    try:
        source = piece.source.open("rb")
    except FileNotFoundError:
        problems.append(f"{piece.name} is missing")
        return 0
    with source, into.create(piece.name) as target:
        sha256, size = copy(source, target)
    if piece.sha256 and sha256 != piece.sha256:
        problems.append(f"{piece.name} is no longer the file that was bought")
    sums.append(f"{sha256}  {piece.name}\n")
    return size


def copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    """Copy to the end; the sha256 of what was copied and its bytes."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        digest.update(block)
        target.write(block)
        size += len(block)
    return digest.hexdigest(), size


def _unsound(problems: list[str]) -> ManifestError:
    listed = "".join(f"\n  {problem}" for problem in problems[:TOLD])
    more = f"\n  … and {len(problems) - TOLD:,} more" if len(problems) > TOLD else ""
    return ManifestError(
        f"{len(problems):,} of the approved pictures can't be delivered; nothing was:{listed}{more}",
        hint="put these files back into the run's folder, or take back their approval: batchedit review",
    )
