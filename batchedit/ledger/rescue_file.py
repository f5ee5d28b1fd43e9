"""The rescue file: the id of a bought job that the checkpoint can't take is written to a side file, and to stderr.

The file is opened again for each line, appended and synced. The next start takes its ids in and moves them to
``accepted.jsonl.taken-in``. A worker of a store takes no lock of the folder, so others may write and take in meanwhile:
a file is renamed before it is read, and the writer of a line makes sure that it is in the file of that name. A full
disk still has room for it: a run reserves a spare file of 64 KiB, and deletes it then.

A worker's disk may be lost with it. Where the pictures of a store's run go to a store of files, the id is put there as
well, as an object of its own (``as_object``).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import orjson

from ..core.events import Accepted
from ..core.model import Handle, Record
from ..core.safe_text import escape_json_controls, to_one_line
from ..core.write_failures import WriteFailures
from ..disk import ForeignFileError, append_to, create, sync_folder

NAME = "accepted.jsonl"
TAKING = f"{NAME}.taking-"
"""The prefix of side files that a process is taking in."""
ID_NOT_TAKEN_IN = "IdNotTakenIn"
"""The event of a run whose side file has an id that contradicts the checkpoint."""
SPARE_NAME = ".spare"
SPARE_BYTES = 64 * 1024
KEY_BYTES = 16
LONGEST_LINK = 2048
LONGEST_LINE = 2**20
"""In bytes: every line of the side file is shorter; a received folder may hold a line that would fill the memory."""
_numbers = count(1)


class RescuePlace(Protocol):
    """Another place for the ids that a ledger could not take. Called from any thread; it neither waits nor raises."""

    def keep(self, name: str, content: bytes) -> None:
        """Put ``content`` there under ``name``, as soon as possible."""
        ...

    def drop(self, name: str) -> None:
        """Cancel ``keep``: the ledger has the id now."""
        ...


class RescuedId(NamedTuple):
    """An id that was kept outside the ledger. ``submitted_at`` identifies the purchase of the job, None if unknown;
    ``run`` the run and its store, "" for a run of a folder or where unknown. Two runs may be made from one sheet, and
    then have the same jobs with the same ids.
    """

    job: int
    key: bytes
    event: Accepted
    submitted_at: float | None = None
    run: str = ""


@contextmanager
def hold_spare(folder: Path, write_failures: WriteFailures) -> Iterator[None]:
    """Reserve SPARE_BYTES on the disk for the block. Where even that fails, the disk is so full that nothing can be
    bought. A spare file that can't be removed is reported to ``write_failures``.
    """
    path = folder / SPARE_NAME
    with suppress(OSError), create(path) as file:
        file.write(bytes(SPARE_BYTES))
    try:
        yield
    finally:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            write_failures.add(path, error)


def rescue(
    folder: Path, job: int, key: bytes, event: Accepted, *, submitted_at: float | None = None, run: str = ""
) -> None:
    """Keep ``event`` of job ``job`` somewhere, whatever the disk does. Never raises. See ``RescuedId`` for the other
    parameters.
    """
    line = _dump(RescuedId(job, key, event, submitted_at, run))
    try:
        try:
            _append(folder / NAME, line)
        except OSError:
            (folder / SPARE_NAME).unlink(missing_ok=True)
            _append(folder / NAME, line)
        location = f"It is kept in {folder / NAME}"
    except (OSError, ForeignFileError) as error:  # ForeignFileError: something else has its name
        location = f"{folder / NAME} can't be written either ({error}). Keep this line"
    # The terminal may be gone, and that must not hurt: the file comes first.
    with suppress(OSError, ValueError, AttributeError):
        message = f"{to_one_line(location)}: {escape_json_controls(line.decode())}"
        sys.stderr.write(f"batchedit: BOUGHT, and the checkpoint can't be written. {message}\n")
        sys.stderr.flush()


def as_object(record: Record, event: Accepted, run: str = "") -> tuple[str, bytes]:
    """The id of ``record``'s purchase as an object of its own: ``(name, content)``; the name includes a digest of the
    content.
    """
    content = _dump(RescuedId(record.id, record.job.key, event, record.submitted_at, run))
    return f"{record.id}-{sha256(content).hexdigest()[:16]}.json", content


def _dump(rescued: RescuedId) -> bytes:
    fields = {"job": rescued.job, "key": rescued.key.hex(), "submitted_at": rescued.submitted_at, "run": rescued.run}
    return orjson.dumps(fields | {"at": rescued.event.at, "handle": rescued.event.handle})


def read_object(content: bytes) -> RescuedId | None:
    """The inverse of ``as_object`` and of a line of the side file; None for anything else, which any person may have
    put there.

    Earlier versions wrote neither the run nor, in the side file, the purchase.
    """
    try:
        fields = orjson.loads(content)
        job, key, at, handle = fields["job"], bytes.fromhex(fields["key"]), fields["at"], _read_handle(fields["handle"])
        submitted_at, run = fields.get("submitted_at"), fields.get("run", "")
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    numbers = [at] if submitted_at is None else [at, submitted_at]
    if type(job) is not int or not 0 < job < 2**63 or len(key) != KEY_BYTES or handle is None:
        return None
    if not all(type(number) in {int, float} and 0 <= number < 2**40 for number in numbers) or not isinstance(run, str):
        return None
    return RescuedId(job, key, Accepted(at, handle, by="rescue"), submitted_at, run)


def _read_handle(fields: Mapping[str, Any]) -> Handle | None:
    """An invalid link is left out: a missing link is built from the id."""
    request_id, *links = (fields.get(name) for name in ("request_id", "status_url", "result_url", "cancel_url"))
    if not isinstance(request_id, str):
        return None
    valid_links = [
        link if isinstance(link, str) and len(link) <= LONGEST_LINK and link.isprintable() else "" for link in links
    ]
    return Handle(request_id, *valid_links)


def _append(path: Path, line: bytes) -> None:
    """Append one line, complete and synced. It begins with a line break, so that it survives a truncated line before
    it.

    Where the file was renamed meanwhile, the renaming process may have read it already: the line goes to the next file
    too.
    """
    while True:
        with append_to(path) as file:
            unwritten = b"\n" + line + b"\n"
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                    with suppress(OSError):  # the line is on the disk: a folder that can't be synced does not undo it
                        sync_folder(path.parent)  # without it POSIX does not guarantee the name of a new file
                    return


def claim_rescued(folder: Path) -> Iterator[RescuedId]:
    """``read_kept_ids`` for a process that takes them in, and calls ``clear_rescued`` then.

    The side file is renamed for this process first; lines added from then on go to a new one. A file that another
    process is taking in, or left in a crash, is renamed too: an id may be taken in twice.
    """
    for path in (folder / NAME, *folder.glob(f"{TAKING}*")):
        with suppress(OSError):  # another process has it now, or the disk fails: it is read under its present name
            path.rename(folder / f"{_build_own_prefix()}{next(_numbers)}")
    yield from read_kept_ids(folder)


def read_kept_ids(folder: Path) -> Iterator[RescuedId]:
    """Each id that is kept outside the checkpoint; nothing is moved. A truncated line is skipped: stderr had it."""
    for line in _read_lines(folder):
        if (rescued_id := read_object(line)) is not None:
            yield rescued_id


def count_lines(folder: Path) -> int:
    """The number of lines of the side file, unreadable ones included: each records a purchase."""
    return sum(bool(line.strip()) for line in _read_lines(folder))


def _read_lines(folder: Path) -> Iterator[bytes]:
    """The lines of the side file come first: if it is renamed meanwhile, it is among the files that are listed after
    it.

    A link, a folder or a pipe of that name is not ours, and reading a pipe would block for ever. A process that may buy
    here refuses such a folder (``RunFolder.check_links``); others only read it.
    """
    for pattern in (NAME, f"{TAKING}*"):
        for path in list(folder.glob(pattern)):
            with suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    with path.open("rb") as file:
                        yield from iter(lambda: file.readline(LONGEST_LINE), b"")


def clear_rescued(folder: Path) -> None:
    """Call it when the ids of ``claim_rescued`` are in the checkpoint: it moves the lines to the end of the
    ``taken-in`` file.
    """
    for path in folder.glob(f"{_build_own_prefix()}*"):
        with suppress(OSError):  # a disk that is still full: taking the ids in again changes nothing
            _append(folder / f"{NAME}.taken-in", path.read_bytes().strip(b"\n"))
            path.unlink()


def _build_own_prefix() -> str:
    """The prefix of the files that this process takes in."""
    return f"{TAKING}{_make_process_token(os.getpid())}-"


@cache
def _make_process_token(_process: int) -> str:
    """A random token, not the process id: two machines may share a folder."""
    return uuid4().hex
