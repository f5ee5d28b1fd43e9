"""Writes files: always new files, complete before they get their final name, never through a foreign link.

A run's folder may come from another person, and a link in it may lead anywhere: ``results.csv.part`` to a letter,
``run.jsonl`` to another program's log, ``files`` to a folder of private pictures. So an existing file is never opened for
writing. ``create`` removes the name and makes a new file; ``append_to`` appends to a regular file that has one name;
``check_inside`` and ``make_folders`` refuse folders outside of the run's own. Every file that the program writes is opened
here.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from .core.errors import OutputError
from .core.shell_commands import quote_word

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | _NO_LINKS  # a pipe must not block
USUAL_UMASKS = frozenset({0o022, 0o002})
"""The defaults of systems. Another umask is a person's decision on who may read new files, and is respected."""

ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What ``zipfile`` raises for a damaged, unknown or encrypted member; the disk's own errors are OSError."""


def _read_umask() -> int:
    """The umask can only be read by setting it: a file that another thread makes meanwhile is private."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


_PRIVATE = _read_umask() in USUAL_UMASKS
FILE_MODE = 0o600 if _PRIVATE else 0o666
"""Mode of a run's files, before the umask: prompts, links and prices are private on a shared machine."""
FOLDER_MODE = 0o700 if _PRIVATE else 0o777
SHARED_MODE = 0o666
"""Mode of files for other people, before the umask: a sheet that a person fills in."""


class ForeignFileError(OutputError):
    """A file of ours is a link, has a second name, or is not a regular file: writing to it would change a file that is not
    the run's.
    """


# --- opening --------------------------------------------------------------------------------------


def create(path: Path, mode: int = FILE_MODE) -> io.FileIO:
    """A new, empty file ``path``, open for writing, unbuffered. An existing file is removed, never written to: of a link
    only the link is removed. OSError if that can't be done.
    """
    return io.FileIO(path, "wb", opener=partial(_open_new, mode=mode))


def append_to(path: Path) -> io.FileIO:
    """The file ``path``, open for appending, unbuffered; created if there is none.

    ForeignFileError unless it is a regular file with one name, OSError if it can't be opened.
    """
    return io.FileIO(path, "ab", opener=_open_for_append)


def _open_new(path: str, _flags: int, mode: int = FILE_MODE) -> int:
    Path(path).unlink(missing_ok=True)
    return os.open(path, _CREATE, mode)


def _open_for_append(path: str, _flags: int) -> int:
    try:
        handle = os.open(path, _APPEND, FILE_MODE)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR}:
            raise _make_foreign_error(Path(path)) from None
        raise
    try:
        _check_regular(os.fstat(handle), Path(path))
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_own(path: Path) -> None:
    """ForeignFileError if ``path`` exists and is not a regular file with one name.

    For files that a library opens for writing (SQLite, filelock): it would follow a link.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} can't be looked at: {error.strerror or error}") from error
    _check_regular(status, path)


def _check_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise _make_foreign_error(path)


def _make_foreign_error(path: Path) -> ForeignFileError:
    original, copy = quote_word(path), quote_word(path.with_name(f"{path.name}.copy"))
    return ForeignFileError(
        f"{path} is a link, or a file with a second name elsewhere: writing to it would change that other file",
        hint=f"put a plain copy in its place (cp -p {original} {copy} && mv {copy} {original}), or move it away",
    )


# --- whole files ----------------------------------------------------------------------------------


@contextmanager
def replace_atomically(path: Path, mode: int = FILE_MODE) -> Iterator[Path]:
    """Yield the path of a new, empty file beside ``path``. It replaces ``path``, synced, if the block succeeds, and is
    removed if not. OSError if the disk fails.
    """
    part = path.with_name(f"{path.name}.part")
    create(part, mode).close()
    try:
        yield part
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: all of it, or the file stays as it was. OutputError if the disk fails."""
    try:
        with replace_atomically(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove ``path`` if it exists. OutputError if the disk fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be removed: {error.strerror or error}") from error


def put_in_place(part: Path, path: Path) -> None:
    """Give the file ``part`` its final name, durably. OSError if the disk fails."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in ``folder``. Systems that can't do that (Windows) don't need it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that can't sync folders
            raise
    finally:
        os.close(handle)


# --- folders --------------------------------------------------------------------------------------


def check_inside(path: Path, root: Path) -> None:
    """ForeignFileError if ``path``, with all links followed, is not below ``root``."""
    if not is_inside(path, root):
        raise ForeignFileError(
            f"{path} leads out of the folder {root}, to {os.path.realpath(path)}",
            hint="put a folder of its own in the place of that link",
        )


def is_inside(path: Path, root: Path) -> bool:
    """True if ``path``, with all links followed, is below ``root`` or ``root`` itself."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def is_plain_file(path: Path, root: Path) -> bool:
    """True if ``path`` is a regular file below ``root``, and no link. For files of a run's folder that are served."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and is_inside(path.parent, root)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def make_folders(folder: Path, root: Path) -> None:
    """Create ``folder``, which must be below ``root``, with its missing parents, durably.

    ForeignFileError if it leads out of ``root``, OSError if the disk fails.
    """
    check_inside(folder, root)
    missing = [folder_above for folder_above in (folder, *folder.parents) if not folder_above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for created in missing:
        sync_folder(created.parent)


def find_own_folder(kind: Literal["state", "config"], environ: Mapping[str, str]) -> Path:
    """The folder of the program's state of a person (``state``), or of the person's configuration (``config``).

    On Linux as the XDG base directories say, on macOS in Application Support; an absolute ``XDG_STATE_HOME`` or
    ``XDG_CONFIG_HOME`` applies on both. The register of runs is in it; if that were looked for in another folder, its
    pictures would be bought again. So the rule is here, where no release of a library changes it. OutputError (73) if the
    person has no home.
    """
    configured = environ.get(f"XDG_{kind.upper()}_HOME", "")
    if configured.startswith("/"):
        return Path(configured) / "batchedit"
    home = Path(environ.get("HOME", ""))
    if not home.is_absolute():
        import pwd  # noqa: PLC0415 - not on every system, and seldom asked

        try:
            home = Path(pwd.getpwuid(os.getuid()).pw_dir)
        except KeyError as error:
            raise OutputError("your home folder is not known", hint=f"export XDG_{kind.upper()}_HOME=DIR") from error
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "batchedit"
    return home / {"state": ".local/state", "config": ".config"}[kind] / "batchedit"
