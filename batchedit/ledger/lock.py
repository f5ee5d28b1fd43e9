"""One process a run: the operating system's lock on ``.lock``, with the holder's name in it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..core.errors import LockedError, OutputError
from ..disk import check_own, is_plain_file
from .file_guard import check_single

START_SECONDS = 0.5
"""So long a command waits for a lock that is taken: ``holder`` of another process has it for an instant."""


@contextmanager
def run_lock(folder: Path, doing: str) -> Iterator[None]:
    """Hold the run's lock. LockedError names the process, host and command that hold it.

    The kernel drops the lock when its process ends, however it ends: there are no stale locks to remove.
    """
    path = folder / ".lock"
    check_single(
        folder / "checkpoint.sqlite"
    )  # of a copy by links the checkpoint is what matters, and it is told first
    check_own(path)  # opening it cuts off what it holds
    lock = FileLock(path, timeout=START_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"another process works on {folder}: {_holder(path)}", hint="wait until it ends, or stop it"
        ) from None
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    try:
        with suppress(OSError):  # a full disk: the lock is held all the same, only its holder's name is missing
            path.write_text(f"pid {os.getpid()} on {socket.gethostname()} ({doing})\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def holder(folder: Path) -> str:
    """The process that works on the run in ``folder`` now, as it names itself; "" if none does.

    The operating system is asked for the lock itself, and it is given back at once. Where a lock can't be asked for (a disk
    that is read-only), no process can work either.
    """
    path = folder / ".lock"
    if not is_plain_file(path, folder):
        return ""
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return _holder(path)
    except OSError:
        return ""
    lock.release()
    return ""


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "it has just started"
    except OSError:
        return "its name can't be read"
