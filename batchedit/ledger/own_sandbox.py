"""Is the server at a port of this machine a sandbox that this person started?

A service's own claim proves nothing: one that costs money could call itself play. So ``batchedit sandbox`` holds the
operating system's lock on a file of this person's while it listens, and a command asks the system whether that lock is held
now. The content of a file is never trusted, and a file without a lock counts as none.

The lock is taken after the port is bound and released before the port is, so while it is held the sandbox is at the port. It
proves nothing about another address: ``localhost`` may be ``::1`` too, where another program may listen. So each address has
a lock of its own, and a check of a name checks all addresses that it resolves to now. The name of the file includes the
machine, because a home folder may be shared by several.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout

from ..core.errors import OutputError
from ..disk import check_own
from .lock import START_WAIT_SECONDS
from .register import Register

HOST, HOST_6 = "127.0.0.1", "::1"
"""The addresses at which a sandbox listens; the second one where it is available."""
BY_NAME = "localhost"
HOSTS = (HOST, BY_NAME)
"""The spellings of that host in an address."""
_match_local_url = re.compile(
    rf"http://({'|'.join(map(re.escape, HOSTS))})(?::(\d{{1,5}}))?(?:/\S*)?", re.IGNORECASE
).fullmatch
_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_LOCKED_ERRNOS = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


def parse_local_address(base_url: str) -> tuple[str, int] | None:
    """The host and port of an address of this machine at which a sandbox can be recognised; None for any other address."""
    match = _match_local_url(base_url.strip())
    return (match[1].lower(), int(match[2] or 80)) if match else None


@contextmanager
def hold_sandbox_lock(port: int, addresses: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """For a sandbox that has bound ``port`` of these addresses, ``HOST`` the first of them: during the block this person's
    commands recognise it. Yields why they can't at ``HOST``, "" if they can.
    """
    with ExitStack() as locks:
        problems = [locks.enter_context(_hold_lock(port, address, environ)) for address in addresses]
        yield problems[0]


@contextmanager
def _hold_lock(port: int, address: str, environ: Mapping[str, str]) -> Iterator[str]:
    folder = Register.from_environ(environ).folder
    path = folder / _build_lock_name(port, address)
    lock = FileLock(path, timeout=START_WAIT_SECONDS, mode=0o600, is_singleton=False, thread_local=False)
    problem = ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(path)
        lock.acquire()
    except Timeout:
        problem = f"another process holds {path}"
    except (OSError, OutputError) as error:
        problem = f"{path} can't be locked: {getattr(error, 'strerror', None) or error}"
    try:
        yield problem or ("" if _is_locked(port, address, folder) else f"{folder} is open to other people")
    finally:
        lock.release()


def is_listening(port: int, environ: Mapping[str, str], host: str = HOST) -> bool:
    """Does a sandbox of this person listen at ``port`` of all addresses of ``host``? False where that is uncertain."""
    folder = Register.from_environ(environ).folder
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(addresses) and all(_is_locked(port, address, folder) for address in addresses)


def _is_locked(port: int, address: str, folder: Path) -> bool:
    if address not in {HOST, HOST_6}:
        return False
    try:
        if not _is_private(folder.stat(), others=stat.S_IWGRP | stat.S_IWOTH):
            return False
        handle = os.open(folder / _build_lock_name(port, address), _OPEN_FLAGS)
    except (OSError, ValueError):
        return False
    try:
        status = os.fstat(handle)
        is_regular = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        return is_regular and _is_private(status, others=stat.S_IRWXG | stat.S_IRWXO) and _is_held(handle)
    finally:
        os.close(handle)


def _is_held(handle: int) -> bool:
    """A shared lock is tried, so that two commands that check at once don't take each other for the sandbox."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, where no sandbox is recognised
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _LOCKED_ERRNOS
    return False


def _is_private(status: os.stat_result, *, others: int) -> bool:
    """Is this person its owner, and are the permission bits ``others`` unset?"""
    return hasattr(os, "geteuid") and status.st_uid == os.geteuid() and not status.st_mode & others


def _build_lock_name(port: int, address: str) -> str:
    return f"sandbox-{port}-{'' if address == HOST else 'v6-'}{_hash_machine()}.lock"


def _hash_machine() -> str:
    """A digest of the network that ``HOST`` is in: this machine since its start, and on Linux this container of it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/net").readlink()))
    return blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=8).hexdigest()
