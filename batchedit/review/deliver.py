"""Deliver the approved pictures: copies proven by their sha256 to be what was bought, and documents about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..core.errors import ManifestError
from ..core.shell_commands import format_command
from ..core.steps import ProgressCallback, no_progress
from ..disk import is_plain_file
from .package import SUMS, Package, open_package
from .signing import PUBLIC_KEY, SIGNATURE, Signer

MOST_LISTED = 20
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """A file to deliver: from ``source`` as ``name``."""

    source: Path
    name: str


@dataclass(frozen=True, slots=True)
class Picture(DeliveryFile):
    """A picture to deliver, from the run's folder ``root``. ``sha256`` is what it must be."""

    sha256: str
    root: Path


def deliver(
    pictures: Sequence[Picture],
    documents: Iterable[DeliveryFile],
    to: Path,
    *,
    force: bool = False,
    on_progress: ProgressCallback = no_progress,
    signer: Signer | None = None,
) -> int:
    """Write ``pictures``, ``documents`` and SHA256SUMS to the folder or zip ``to``, and with a ``signer`` its signature and
    public key. Returns the bytes of the pictures.

    ManifestError names every picture that is missing or no longer what was bought, and nothing is delivered;
    UsageError and OutputError as of ``open_package``. ``documents`` are made only once all pictures are sound.
    """
    with open_package(to, force=force) as delivery:
        sums: list[str] = []
        problems: list[str] = []
        total = 0
        for done, picture in enumerate(pictures, 1):
            total += _copy_entry(picture, delivery, sums, problems)
            on_progress(done, len(pictures))
        if problems:
            raise _build_unsound_error(problems, pictures[0].root)
        for document in documents:
            _copy_entry(document, delivery, sums, problems)
        content = "".join(sums).encode()
        contents = {SUMS: content}
        if signer is not None:
            contents |= {SIGNATURE: signer.seal(content), PUBLIC_KEY: signer.public_key}
        for name, text in contents.items():
            with delivery.create(name) as file:
                file.write(text)
    return total


def _copy_entry(entry: DeliveryFile, delivery: Package, sums: list[str], problems: list[str]) -> int:
    if isinstance(entry, Picture) and not is_plain_file(entry.source, entry.root):
        problems.append(f"{entry.name} is a link" if entry.source.is_symlink() else f"{entry.name} is missing")
        return 0
    try:
        source = entry.source.open("rb")
    except FileNotFoundError:
        problems.append(f"{entry.name} is missing")
        return 0
    with source, delivery.create(entry.name) as target:
        sha256, size = copy(source, target)
    if isinstance(entry, Picture) and sha256 != entry.sha256:
        problems.append(f"{entry.name} is no longer the file that was bought")
    sums.append(f"{sha256}  {entry.name}\n")
    return size


def copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    """Copy to the end. Returns the sha256 and the number of bytes."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        digest.update(block)
        target.write(block)
        size += len(block)
    return digest.hexdigest(), size


def _build_unsound_error(problems: list[str], run: Path) -> ManifestError:
    omitted = [f"  … and {len(problems) - MOST_LISTED:,} more"] if len(problems) > MOST_LISTED else []
    return ManifestError(
        f"{len(problems):,} of the approved pictures can't be delivered; nothing was:",
        details=[*(f"  {problem}" for problem in problems[:MOST_LISTED]), *omitted],
        hint=f"put these files back into the run's folder, or take back their approval: {format_command('review', run)}",
    )
