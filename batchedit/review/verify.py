"""Check that a delivery is unchanged: each file against SHA256SUMS, SHA256SUMS against its signature, no file added."""

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
from ..core.steps import ProgressCallback, Steps, no_steps, report_progress
from ..disk import ZIP_DAMAGE
from .package import SUMS
from .signing import PUBLIC_KEY, SIGNATURE, explain_bad_signature, find_key_line, is_as_written

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_OWN_FILES = frozenset({SUMS, SIGNATURE, PUBLIC_KEY})
"""Files that SHA256SUMS does not list: itself, and what was made from it."""
_STEP = "reading files"
_REPORT_EVERY = 10
"""Report progress after so many files: each is read in full, some milliseconds."""
_BROKEN = (*ZIP_DAMAGE, OSError)
"""What reading a damaged or encrypted entry raises."""
Entry = tuple[str, Callable[[], IO[bytes]]]


@dataclass
class Verified:
    """``files`` counts files that are as they were delivered; ``findings`` list what is not. ``key`` is the public key of a
    valid signature, "" without one; ``trusted``: the caller gave it. One that came with the delivery proves nothing about the
    signer: whoever edits a delivery can sign it again.
    """

    files: int = 0
    findings: list[str] = field(default_factory=list)
    key: str = ""
    trusted: bool = False


def verify(delivery: Path, key: bytes | None = None, steps: Steps = no_steps) -> Verified:
    """Check the folder or zip ``delivery``. With ``key``, a minisign public key, it must be signed by that key.

    NotFoundError (66) if it does not exist.
    """
    if delivery.is_dir():
        with steps(_STEP) as on_progress:
            return _check_entries(list(_list_folder(delivery)), [], key, on_progress)
    if not delivery.is_file():
        raise NotFoundError(f"there is no delivery {delivery}", hint="name its folder or its zip file")
    findings: list[str] = []
    try:
        with closing(zipfile.ZipFile(delivery)) as archive, steps(_STEP) as on_progress:
            return _check_entries(list(_list_zip(archive, findings)), findings, key, on_progress)
    except zipfile.BadZipFile as error:
        return Verified(findings=[f"{delivery} is no whole zip file: {error}"])


def _list_folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            yield path.relative_to(folder).as_posix(), _refuse_link
        elif path.is_file():
            yield path.relative_to(folder).as_posix(), partial(_open, path)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _refuse_link() -> IO[bytes]:
    raise ValueError("it is a link or a device, not the file that was delivered")


def _list_zip(archive: zipfile.ZipFile, findings: list[str]) -> Iterator[Entry]:
    """The entries below the single top folder of a delivery."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    top = f"{entries[0].filename.partition('/')[0]}/" if entries else ""
    for info in entries:
        if info.filename.startswith(top):
            yield info.filename.removeprefix(top), partial(archive.open, info)
        else:
            findings.append(f"{info.filename} does not belong to the delivery")


def _check_entries(
    entries: list[Entry], findings: list[str], key: bytes | None, on_progress: ProgressCallback
) -> Verified:
    result = Verified(findings=findings)
    findings += [
        f"{name} is there {count} times" for name, count in Counter(n for n, _ in entries).items() if count > 1
    ]
    own_files = {name: _read_own(open_entry) for name, open_entry in entries if name in _OWN_FILES}
    sums = own_files.get(SUMS)
    if sums is None:
        findings.append(f"{SUMS} is missing: nothing can be proven")
        return result
    expected = _read_sums(sums, findings)
    for name, open_entry in report_progress(entries, on_progress, len(entries), every=_REPORT_EVERY):
        if name in _OWN_FILES:
            continue
        if name not in expected:
            findings.append(f"{name} was not delivered: it was added")
        elif difference := _explain_difference(open_entry, expected[name]):
            findings.append(f"{name} {difference}")
        else:
            result.files += 1
    names = {name for name, _ in entries}
    findings += [f"{name} is missing" for name in expected if name not in names]
    _check_signature(result, own_files, sums, key)
    return result


def _read_own(open_entry: Callable[[], IO[bytes]]) -> bytes | None:
    try:
        with open_entry() as file:
            return file.read()
    except _BROKEN:
        return None


def _read_sums(content: bytes, findings: list[str]) -> dict[str, str]:
    expected: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None or match[2] in expected:
            findings.append(f"{SUMS} has a line that a delivery has not: {line[:80]}")
        else:
            expected[match[2]] = match[1]
    if content and not content.endswith(b"\n"):
        findings.append(f"{SUMS} is cut off")
    return expected


def _explain_difference(open_entry: Callable[[], IO[bytes]], sha256: str) -> str:
    try:
        with open_entry() as file:
            is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256  # type: ignore[arg-type]
    except _BROKEN as error:
        return f"can't be read: {error}"
    return "" if is_same else "is not what was delivered: its sha256 differs"


def _check_signature(result: Verified, own_files: dict[str, bytes | None], sums: bytes, key: bytes | None) -> None:
    signature, came_along = own_files.get(SIGNATURE), own_files.get(PUBLIC_KEY)
    if key is None and SIGNATURE not in own_files:
        if PUBLIC_KEY in own_files:
            result.findings.append(f"{SIGNATURE} is missing, and {PUBLIC_KEY} is there")
        return
    signing_key = came_along if key is None else key
    if signature is None or signing_key is None:
        result.findings.append(f"{SIGNATURE if signature is None else PUBLIC_KEY} is missing")
    elif fault := explain_bad_signature(sums, signature, signing_key):
        result.findings.append(f"{SIGNATURE} is no signature of {SUMS} by this key: {fault}")
    elif came_along is not None and not is_as_written(came_along):
        result.findings.append(f"{PUBLIC_KEY} is not what was delivered")
    elif key is not None and came_along is not None and find_key_line(came_along) != find_key_line(key):
        result.findings.append(f"{PUBLIC_KEY} is not the key that was given")
    else:
        result.key, result.trusted = find_key_line(signing_key), key is not None
