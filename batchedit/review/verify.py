"""Is a delivery what was delivered? Every file against SHA256SUMS, SHA256SUMS against its signature, and nothing besides."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from ..core.errors import NotFoundError
from ..core.steps import ProgressCallback, Steps, report_progress, no_steps
from ..disk import ZIP_DAMAGE
from .package import SUMS
from .signing import PUBLIC_KEY, SIGNATURE, is_as_written, objection, public_key_text

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_OWN = frozenset({SUMS, SIGNATURE, PUBLIC_KEY})
"""What SHA256SUMS does not name: itself, and what was made from it."""
_STEP = "reading files"
_EVERY = 10
"""A file is read whole: some milliseconds each."""
_BROKEN = (*ZIP_DAMAGE, OSError)
"""What reading a damaged or encrypted entry raises."""
Entry = tuple[str, Callable[[], IO[bytes]]]


@dataclass
class Verified:
    """``files`` are as they were delivered; ``findings`` are what is not. ``key`` is the public key whose signature holds, ""
    without one; ``trusted``: the caller named it, else it came with the delivery, and whoever edits can sign anew.
    """

    files: int = 0
    findings: list[str] = field(default_factory=list)
    key: str = ""
    trusted: bool = False


def verify(delivery: Path, key: bytes | None = None, steps: Steps = no_steps) -> Verified:
    """Check the folder or zip ``delivery``. With ``key``, a minisign public key, it must be signed by that very key.

    NotFoundError (66) where nothing is there.
    """
    if delivery.is_dir():
        with steps(_STEP) as told:
            return _checked(list(_of_folder(delivery)), [], key, told)
    if not delivery.is_file():
        raise NotFoundError(f"there is no delivery {delivery}", hint="name its folder or its zip file")
    found: list[str] = []
    try:
        with closing(zipfile.ZipFile(delivery)) as archive, steps(_STEP) as told:
            return _checked(list(_of_zip(archive, found)), found, key, told)
    except zipfile.BadZipFile as error:
        return Verified(findings=[f"{delivery} is no whole zip file: {error}"])


def _of_folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            yield path.relative_to(folder).as_posix(), _link
        elif path.is_file():
            yield path.relative_to(folder).as_posix(), partial(_open, path)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _link() -> IO[bytes]:
    raise ValueError("it is a link or a device, not the file that was delivered")


def _of_zip(archive: zipfile.ZipFile, found: list[str]) -> Iterator[Entry]:
    """The entries below the one folder that a delivery has at its top."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    top = f"{entries[0].filename.partition('/')[0]}/" if entries else ""
    for info in entries:
        if info.filename.startswith(top):
            yield info.filename.removeprefix(top), partial(archive.open, info)
        else:
            found.append(f"{info.filename} does not belong to the delivery")


def _checked(entries: list[Entry], found: list[str], key: bytes | None, told: ProgressCallback) -> Verified:
    result = Verified(findings=found)
    found += [f"{name} is there {count} times" for name, count in Counter(n for n, _ in entries).items() if count > 1]
    content = {name: _small(opened) for name, opened in entries if name in _OWN}
    sums = content.get(SUMS)
    if sums is None:
        found.append(f"{SUMS} is missing: nothing can be proven")
        return result
    known = _read_sums(sums, found)
    for name, opened in report_progress(entries, told, len(entries), every=_EVERY):
        if name in _OWN:
            continue
        if name not in known:
            found.append(f"{name} was not delivered: it was added")
        elif why := _differs(opened, known[name]):
            found.append(f"{name} {why}")
        else:
            result.files += 1
    there = {name for name, _ in entries}
    found += [f"{name} is missing" for name in known if name not in there]
    _check_signature(result, content, sums, key)
    return result


def _small(opened: Callable[[], IO[bytes]]) -> bytes | None:
    try:
        with opened() as file:
            return file.read()
    except _BROKEN:
        return None


def _read_sums(content: bytes, found: list[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None or match[2] in known:
            found.append(f"{SUMS} has a line that a delivery has not: {line[:80]}")
        else:
            known[match[2]] = match[1]
    if content and not content.endswith(b"\n"):
        found.append(f"{SUMS} is cut off")
    return known


def _differs(opened: Callable[[], IO[bytes]], sha256: str) -> str:
    try:
        with opened() as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == sha256  # type: ignore[arg-type]
    except _BROKEN as error:
        return f"can't be read: {error}"
    return "" if same else "is not what was delivered: its sha256 differs"


def _check_signature(result: Verified, content: dict[str, bytes | None], sums: bytes, key: bytes | None) -> None:
    signature, came_along = content.get(SIGNATURE), content.get(PUBLIC_KEY)
    if key is None and SIGNATURE not in content:
        if PUBLIC_KEY in content:
            result.findings.append(f"{SIGNATURE} is missing, and {PUBLIC_KEY} is there")
        return
    by = came_along if key is None else key
    if signature is None or by is None:
        result.findings.append(f"{SIGNATURE if signature is None else PUBLIC_KEY} is missing")
    elif why := objection(sums, signature, by):
        result.findings.append(f"{SIGNATURE} is no signature of {SUMS} by this key: {why}")
    elif came_along is not None and not is_as_written(came_along):
        result.findings.append(f"{PUBLIC_KEY} is not what was delivered")
    elif key is not None and came_along is not None and public_key_text(came_along) != public_key_text(key):
        result.findings.append(f"{PUBLIC_KEY} is not the key that was given")
    else:
        result.key, result.trusted = public_key_text(by), key is not None
