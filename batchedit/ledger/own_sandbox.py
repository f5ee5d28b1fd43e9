"""Is what listens at a port of this machine a sandbox that this person started?

What a service says of itself proves nothing: one that costs money could call itself play. So ``batchedit sandbox`` holds the
operating system's lock on a file of this person's for as long as it listens, and a command asks the system whether that is
held just now. Nothing that stands in a file is believed, and a file that nobody holds is none.

The lock is taken once the port is bound and given back before it is let go, so whoever finds it held finds the sandbox at the
port. It says nothing of another address: ``localhost`` may be ``::1`` too, where somebody else may listen. So each address
has a lock of its own, and whoever asks about a name asks about all that it leads to just now. The name of the file has the
machine in it, for a home folder may lie on several.
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
from .lock import START_SECONDS
from .register import Register

HOST, HOST_6 = "127.0.0.1", "::1"
"""Where a sandbox listens; at the second one where it can."""
BY_NAME = "localhost"
HOSTS = (HOST, BY_NAME)
"""How it may be written."""
_HERE = re.compile(rf"http://({'|'.join(map(re.escape, HOSTS))})(?::(\d{{1,5}}))?(?:/\S*)?", re.IGNORECASE).fullmatch
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


def parse_local_address(base_url: str) -> tuple[str, int] | None:
    """The host and port of this machine that an address leads to, as a sandbox may be known; None for any other address."""
    found = _HERE(base_url.strip())
    return (found[1].lower(), int(found[2] or 80)) if found else None


@contextmanager
def hold_sandbox_lock(port: int, addresses: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """This process is a sandbox and has bound ``port`` of these addresses, ``HOST`` the first of them: for as long as the
    block lasts this person's commands know it as one. Yields why they can't at ``HOST``, "" if they can.
    """
    with ExitStack() as held:
        told = [held.enter_context(_hold(port, address, environ)) for address in addresses]
        yield told[0]


@contextmanager
def _hold(port: int, address: str, environ: Mapping[str, str]) -> Iterator[str]:
    folder = Register.from_environ(environ).folder
    path = folder / _name(port, address)
    lock = FileLock(path, timeout=START_SECONDS, mode=0o600, is_singleton=False, thread_local=False)
    why = ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(path)
        lock.acquire()
    except Timeout:
        why = f"another process holds {path}"
    except (OSError, OutputError) as error:
        why = f"{path} can't be locked: {getattr(error, 'strerror', None) or error}"
    try:
        yield why or ("" if _is_locked(port, address, folder) else f"{folder} is open to other people")
    finally:
        lock.release()


def is_listening(port: int, environ: Mapping[str, str], host: str = HOST) -> bool:
    """Does a sandbox of this person's listen at ``port`` of all that ``host`` leads to? False wherever that is not sure."""
    folder = Register.from_environ(environ).folder
    try:
        found = {str(told[4][0]) for told in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_locked(port, address, folder) for address in found)


def _is_locked(port: int, address: str, folder: Path) -> bool:
    if address not in {HOST, HOST_6}:
        return False
    try:
        if not _is_private(folder.stat(), others=stat.S_IWGRP | stat.S_IWOTH):
            return False
        handle = os.open(folder / _name(port, address), _OPEN)
    except (OSError, ValueError):
        return False
    try:
        found = os.fstat(handle)
        regular = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        return regular and _is_private(found, others=stat.S_IRWXG | stat.S_IRWXO) and _is_held(handle)
    finally:
        os.close(handle)


def _is_held(handle: int) -> bool:
    """Shared, so that two commands that ask at once don't take each other for the sandbox."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, where nobody is known as a sandbox
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    return False


def _is_private(found: os.stat_result, *, others: int) -> bool:
    """Is it this person's, and may no other do what the bits ``others`` stand for?"""
    return hasattr(os, "geteuid") and found.st_uid == os.geteuid() and not found.st_mode & others


def _name(port: int, address: str) -> str:
    return f"sandbox-{port}-{'' if address == HOST else 'v6-'}{_machine()}.lock"


def _machine() -> str:
    """Where ``HOST`` is the same network: this machine since its start, and on Linux this container of it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/net").readlink()))
    return blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=8).hexdigest()
