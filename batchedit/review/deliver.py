"""Handing on the approved pictures: copies that are what was bought, proven by their sha256, and papers about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..core.errors import ManifestError
from ..core.steps import ProgressCallback, no_progress
from ..core.typed import format_command
from ..disk import is_plain_file
from .package import SUMS, Package, package
from .signing import PUBLIC_KEY, SIGNATURE, Signer

TOLD = 20
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """A paper of ours to deliver: from ``source`` as ``name``."""

    source: Path
    name: str


@dataclass(frozen=True, slots=True)
class Picture(Piece):
    """A picture to deliver, from the run's folder ``root``. ``sha256`` is what it must be."""

    sha256: str
    root: Path


def deliver(
    pictures: Sequence[Picture],
    papers: Iterable[Piece],
    to: Path,
    *,
    force: bool = False,
    told: ProgressCallback = no_progress,
    signer: Signer | None = None,
) -> int:
    """Write ``pictures``, ``papers`` and SHA256SUMS to the folder or zip ``to``, and with a ``signer`` its signature and
    public key. Returns the bytes of the pictures.

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
            raise _unsound(problems, pictures[0].root)
        for paper in papers:
            _copied(paper, into, sums, problems)
        content = "".join(sums).encode()
        made = {SUMS: content}
        if signer is not None:
            made |= {SIGNATURE: signer.seal(content), PUBLIC_KEY: signer.public_key}
        for name, text in made.items():
            with into.create(name) as file:
                file.write(text)
    return total


def _copied(piece: Piece, into: Package, sums: list[str], problems: list[str]) -> int:
    if isinstance(piece, Picture) and not is_plain_file(piece.source, piece.root):
        problems.append(f"{piece.name} is a link" if piece.source.is_symlink() else f"{piece.name} is missing")
        return 0
    try:
        source = piece.source.open("rb")
    except FileNotFoundError:
        problems.append(f"{piece.name} is missing")
        return 0
    with source, into.create(piece.name) as target:
        sha256, size = copy(source, target)
    if isinstance(piece, Picture) and sha256 != piece.sha256:
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


def _unsound(problems: list[str], run: Path) -> ManifestError:
    more = [f"  … and {len(problems) - TOLD:,} more"] if len(problems) > TOLD else []
    return ManifestError(
        f"{len(problems):,} of the approved pictures can't be delivered; nothing was:",
        details=[*(f"  {problem}" for problem in problems[:TOLD]), *more],
        hint=f"put these files back into the run's folder, or take back their approval: {format_command('review', run)}",
    )
