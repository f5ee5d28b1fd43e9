"""Allows one process a run: the operating system's lock on ``.lock``, with the holder's name in it."""

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

BUYING = ".buying.lock"
"""The second lock, held by a process that may buy in the run."""
BUYING_WAIT_SECONDS = 30.0
"""Maximum wait for the buying lock: a process that only checks it holds it for an instant."""
START_WAIT_SECONDS = 0.5
"""Maximum wait of a command for a lock that is taken: ``find_holder`` of another process holds it for an instant."""


@contextmanager
def hold_run_lock(folder: Path, command: str) -> Iterator[None]:
    """Hold the run's lock. LockedError names the process, host and command that hold it.

    The kernel drops the lock when its process ends, however it ends: there are no stale locks to remove.
    """
    path = folder / ".lock"
    check_single(folder / "checkpoint.sqlite")  # first: of a copy by links the checkpoint is what matters
    check_own(path)  # opening it truncates it
    lock = FileLock(path, timeout=START_WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"another process works on {folder}: {_read_holder(path)}", hint="wait until it ends, or stop it"
        ) from None
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    try:
        with suppress(OSError):  # a full disk: the lock is held all the same, only its holder's name is missing
            path.write_text(f"pid {os.getpid()} on {socket.gethostname()} ({command})\n", encoding="utf-8")
        yield
    finally:
        lock.release()


@contextmanager
def hold_buying_lock(folder: Path) -> Iterator[None]:
    """While the block runs, every process that checks the run's folder sees that this one may buy: also one with another
    register of runs, or whose register was deleted meanwhile. The caller holds the run's lock.
    """
    path = folder / BUYING
    check_own(path)
    lock = FileLock(path, timeout=BUYING_WAIT_SECONDS, is_singleton=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(f"another process buys in {folder}", hint="wait until it ends, or stop it") from None
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def may_buy(folder: Path) -> bool:
    """Is a process alive that may buy in the run in ``folder``?"""
    return _is_held(folder / BUYING, folder)


def find_holder(folder: Path) -> str:
    """The process that works on the run in ``folder`` now, as it names itself; "" if none does.

    The lock itself is taken, and released at once. Where it can't be taken (a disk that is read-only), no process can work
    either.
    """
    path = folder / ".lock"
    return _read_holder(path) if _is_held(path, folder) else ""


def _is_held(path: Path, folder: Path) -> bool:
    return is_plain_file(path, folder) and is_locked(path)


def is_locked(path: Path) -> bool:
    """Does a process hold the lock on this file? It is taken and released at once; a missing file is not created."""
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0, is_singleton=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _read_holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "it has just started"
    except OSError:
        return "its name can't be read"
