"""One process a run: the operating system's lock on ``.lock``, with the holder's name in it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..core.errors import LockedError, OutputError


@contextmanager
def run_lock(folder: Path, doing: str) -> Iterator[None]:
    """Hold the run's lock. LockedError names the process, host and command that hold it.

    The kernel drops the lock when its process ends, however it ends: there are no stale locks to remove.
    """
    path = folder / ".lock"
    lock = FileLock(path, timeout=0)
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


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "it has just started"
    except OSError:
        return "its name can't be read"
