"""Files as the program writes them: made by itself, whole before they have their name, never through somebody's link.

A run's folder may come from somebody else, and a link in it may lead anywhere: ``results.csv.part`` to a letter,
``run.jsonl`` to another program's log, ``files`` to a folder of somebody's pictures. So a file is never opened for writing
under a name that is there already. ``create`` removes the name and makes a new file; ``append_to`` goes on in a regular
file that has one name; ``check_inside`` and ``make_folders`` refuse folders that lead out of the run's own. Every file that
the program writes is opened here.
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
from .core.typed import quote_word

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
_MORE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | _NO_LINKS  # a pipe must not block
USUAL_UMASKS = frozenset({0o022, 0o002})
"""What systems set for everybody. A person who set another umask decided who may read new files, and is obeyed."""

ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What ``zipfile`` raises for a damaged, unknown or encrypted member; the disk's own errors are OSError."""


def _umask() -> int:
    """Reading it means setting it: what another thread makes in between is its owner's alone."""
    found = os.umask(0o077)
    os.umask(found)
    return found


_PRIVATE = _umask() in USUAL_UMASKS
FILE_MODE = 0o600 if _PRIVATE else 0o666
"""Of a run's files, before the umask: prompts, links and prices are nobody else's on a shared machine."""
FOLDER_MODE = 0o700 if _PRIVATE else 0o777
SHARED_MODE = 0o666
"""Of what is made for others, before the umask: a sheet that a person fills in."""


class ForeignFileError(OutputError):
    """What stands under a name of ours is a link, or has another name, or is no file: writing to it would change
    something that is not the run's.
    """


# --- opening --------------------------------------------------------------------------------------


def create(path: Path, mode: int = FILE_MODE) -> io.FileIO:
    """A new, empty file under ``path``, open for writing, unbuffered. What stood there is removed, never written to: a
    link goes, and the file that it led to stays as it was. OSError where that can't be done.
    """
    return io.FileIO(path, "wb", opener=partial(_opener, mode=mode))


def append_to(path: Path) -> io.FileIO:
    """The file ``path``, open for writing at its end; made if there is none. Unbuffered.

    ForeignFileError unless it is a regular file with one name, OSError where it can't be opened.
    """
    return io.FileIO(path, "ab", opener=_append_opener)


def _opener(path: str, _flags: int, mode: int = FILE_MODE) -> int:
    Path(path).unlink(missing_ok=True)
    return os.open(path, _NEW, mode)


def _append_opener(path: str, _flags: int) -> int:
    try:
        handle = os.open(path, _MORE, FILE_MODE)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR}:
            raise _foreign(Path(path)) from None
        raise
    try:
        _check(os.fstat(handle), Path(path))
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_own(path: Path) -> None:
    """ForeignFileError if ``path`` is there and is no regular file with one name.

    For files that a library opens for writing (SQLite, filelock): it would follow a link.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} can't be looked at: {error.strerror or error}") from error
    _check(facts, path)


def _check(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        raise _foreign(path)


def _foreign(path: Path) -> ForeignFileError:
    here, copy = quote_word(path), quote_word(path.with_name(f"{path.name}.copy"))
    return ForeignFileError(
        f"{path} is a link, or a file with a second name elsewhere: writing to it would change that other file",
        hint=f"put a plain copy in its place (cp -p {here} {copy} && mv {copy} {here}), or move it away",
    )


# --- whole files ----------------------------------------------------------------------------------


@contextmanager
def whole_file(path: Path, mode: int = FILE_MODE) -> Iterator[Path]:
    """The name of a new, empty file beside ``path``. It becomes ``path``, synced, if the block ends well, and is removed
    if not. OSError where the disk refuses.
    """
    part = path.with_name(f"{path.name}.part")
    create(part, mode).close()
    try:
        yield part
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: all of it, or the file stays as it was. OutputError where the disk refuses."""
    try:
        with whole_file(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove ``path`` if it is there. OutputError where the disk refuses."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be removed: {error.strerror or error}") from error


def put_in_place(part: Path, path: Path) -> None:
    """Give the file ``part`` its final name, durably. OSError where the disk refuses."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable. Where the system can't (Windows), it is not needed."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such call for folders
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
    """Does ``path``, with all links followed, lie in ``root``, or is it that folder itself?"""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def is_plain_file(path: Path, root: Path) -> bool:
    """Is ``path`` a regular file below ``root``, and no link? For what a run's folder hands out."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and is_inside(path.parent, root)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def make_folders(folder: Path, root: Path) -> None:
    """Make ``folder``, which is to be below ``root``, with all that is missing above it, durably.

    ForeignFileError if it leads out of ``root``, OSError where the disk refuses.
    """
    check_inside(folder, root)
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def own_folder(kind: Literal["state", "config"], environ: Mapping[str, str]) -> Path:
    """Where the system keeps what a program remembers of a person (``state``), or what the person told it (``config``).

    On Linux as the XDG base directories say, on macOS in Application Support; an absolute ``XDG_STATE_HOME`` or
    ``XDG_CONFIG_HOME`` holds on both. The place of the register of runs hangs on it, and where that is looked for elsewhere,
    what is in it is bought again: so it stands here, where no release of a library moves it. OutputError (73) where the
    person has no home.
    """
    told = environ.get(f"XDG_{kind.upper()}_HOME", "")
    if told.startswith("/"):
        return Path(told) / "batchedit"
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
