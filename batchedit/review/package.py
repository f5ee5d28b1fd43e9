"""A folder or zip file that appears only when complete: it is filled under another name, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, Self, cast

from ..core.errors import OutputError, UsageError
from ..core.paths import is_relative

SUMS = "SHA256SUMS"
OURS = frozenset({SUMS, "approvals.csv"})
"""Files that every delivery has: by these --force tells a delivery from any other folder."""


class Package(Protocol):
    """A folder or zip file to write files to."""

    def create(self, name: str) -> IO[bytes]:
        """A new file under a path with ``/``, to be written and closed."""
        ...


@contextmanager
def open_package(to: Path, *, force: bool) -> Iterator[Package]:
    """A package that becomes ``to`` if the block succeeds, and leaves no trace if not.

    UsageError if ``to`` is there already, unless ``force`` and it is an earlier delivery. OutputError for the disk's.
    """
    zipped = to.suffix.lower() == ".zip"
    check_target(to, zipped=zipped, force=force)
    part = to.with_name(f".{to.name}.{secrets.token_hex(4)}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if zipped:
            with zipfile.ZipFile(part, "x") as archive:
                yield _Zip(archive, to.stem)
            _sync(part)
            part.replace(to)
        else:
            part.mkdir()
            yield _Folder(part)
            _swap(part, to)
    except OSError as error:
        raise OutputError(f"{to} can't be written: {error.strerror or error}") from error
    finally:
        _remove(part)


def check_target(to: Path, *, zipped: bool, force: bool) -> None:
    """UsageError if a delivery to ``to`` would overwrite anything that it may not."""
    if not to.exists() or (not zipped and to.is_dir() and not any(to.iterdir())):
        return
    if not force:
        raise UsageError(
            f"{to} is there already; nothing was written", hint="give another --to, or replace it: --force"
        )
    earlier = to.is_file() if zipped else all((to / name).is_file() for name in OURS)
    if not earlier:
        raise UsageError(
            f"{to} is no earlier delivery, so --force does not replace it", hint="give another --to, or move it away"
        )


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str) -> IO[bytes]:
        _check_name(name)
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return cast("IO[bytes]", _Synced(path, "xb"))


class _Synced:
    """A file that is on the disk when it is closed."""

    def __init__(self, path: Path, mode: str) -> None:
        self._file = path.open(mode)

    def write(self, block: bytes) -> int:
        return int(self._file.write(block))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class _Zip:
    """A zip file with all files in one folder ``top``, so that they stay together when it is unpacked."""

    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        self._archive, self._top = archive, top

    def create(self, name: str) -> IO[bytes]:
        _check_name(name)
        info = zipfile.ZipInfo(f"{self._top}/{name}", time.localtime()[:6])
        text = name.endswith((".csv", ".jsonl", SUMS))
        info.compress_type = zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED  # pictures are packed already
        info.external_attr = 0o644 << 16
        return self._archive.open(info, "w", force_zip64=True)


def _check_name(name: str) -> None:
    """Refuse a name that leads outside the package, here or where a zip file is unpacked."""
    if not is_relative(name):
        raise OutputError(f"the file name {name!r} leaves the delivery")


def _swap(part: Path, to: Path) -> None:
    """Rename ``part`` to ``to``; an existing ``to`` is moved aside first and moved back if that fails."""
    if not to.exists():
        part.replace(to)
        return
    aside = to.with_name(f".{to.name}.{secrets.token_hex(4)}.old")
    to.replace(aside)
    try:
        part.replace(to)
    except OSError:
        aside.replace(to)
        raise
    shutil.rmtree(aside)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)
