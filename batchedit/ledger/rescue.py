"""Where the id of a bought job goes when the checkpoint can't take it: a line in a side file, and stderr.

The file is opened anew for each line, appended and synced. The next start takes its ids in and moves them to
``accepted.jsonl.taken-in``. A worker of a store takes no lock of the folder, so others may write and take in meanwhile: a
file is renamed before it is read, and who has written a line sees to it that it stands in the file of that name. On a full
disk there is room for it all the same: a run keeps a spare file aside, and throws it overboard.

A worker's disk may be gone with it. Where the pictures of a store's run go to a store of files, the id is put there as
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
from ..core.unwritten import WriteFailures
from ..core.visible import to_one_line, escape_json_controls
from ..disk import ForeignFileError, append_to, create, sync_folder

NAME = "accepted.jsonl"
TAKING = f"{NAME}.taking-"
"""How the names begin of side files that somebody takes in."""
ID_NOT_TAKEN_IN = "IdNotTakenIn"
"""The event of a run whose side file names an id that contradicts the checkpoint."""
SPARE = ".spare"
SPARE_BYTES = 64 * 1024
KEY_BYTES = 16
LONGEST_LINK = 2048
LONGEST_LINE = 2**20
"""Bytes: no line of the side file has as many, and a received folder may hold one that fills the memory."""
_numbers = count(1)


class KeepsIds(Protocol):
    """Another place for the ids that a ledger could not take. Called from any thread; neither waits nor raises."""

    def keep(self, name: str, content: bytes) -> None:
        """Put ``content`` there under ``name``, as soon as may be."""
        ...

    def drop(self, name: str) -> None:
        """The ledger has that id: it need not be put any more."""
        ...


class Rescued(NamedTuple):
    """An id that is beside the ledger. ``submitted_at`` says of which purchase of the job, None if that is unknown; ``run``
    of which run of which store, "" for a run of a folder or where that is unknown. Two runs may be made from one sheet, and
    then have the same jobs under the same numbers.
    """

    job: int
    key: bytes
    event: Accepted
    submitted_at: float | None = None
    run: str = ""


@contextmanager
def spare(folder: Path, write_failures: WriteFailures) -> Iterator[None]:
    """Hold some room on the disk for as long as the block lasts. Without it, a disk that full lets nothing be bought.
    ``write_failures`` hears of one that can't be removed.
    """
    path = folder / SPARE
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
    """Keep ``event`` of job ``job`` somewhere, whatever the disk does. Never raises. See ``Rescued`` for the rest."""
    line = _dumped(Rescued(job, key, event, submitted_at, run))
    try:
        try:
            _append(folder / NAME, line)
        except OSError:
            (folder / SPARE).unlink(missing_ok=True)
            _append(folder / NAME, line)
        where = f"It is kept in {folder / NAME}"
    except (OSError, ForeignFileError) as error:  # the second: something else has its name
        where = f"{folder / NAME} can't be written either ({error}). Keep this line"
    # The terminal may be gone, and that must not hurt: the file comes first.
    with suppress(OSError, ValueError, AttributeError):
        told = f"{to_one_line(where)}: {escape_json_controls(line.decode())}"
        sys.stderr.write(f"batchedit: BOUGHT, and the checkpoint can't be written. {told}\n")
        sys.stderr.flush()


def as_object(record: Record, event: Accepted, run: str = "") -> tuple[str, bytes]:
    """The id of ``record``'s purchase as an object of its own: a name that no other content has, and the content."""
    content = _dumped(Rescued(record.id, record.job.key, event, record.submitted_at, run))
    return f"{record.id}-{sha256(content).hexdigest()[:16]}.json", content


def _dumped(found: Rescued) -> bytes:
    told = {"job": found.job, "key": found.key.hex(), "submitted_at": found.submitted_at, "run": found.run}
    return orjson.dumps(told | {"at": found.event.at, "handle": found.event.handle})


def read_object(content: bytes) -> Rescued | None:
    """The inverse of ``as_object`` and of a line of the side file; None for anything else, which anybody may have put there.

    Earlier versions said neither the run nor, in the side file, the purchase.
    """
    try:
        told = orjson.loads(content)
        job, key, at, handle = told["job"], bytes.fromhex(told["key"]), told["at"], _handle(told["handle"])
        submitted_at, run = told.get("submitted_at"), told.get("run", "")
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    numbers = [at] if submitted_at is None else [at, submitted_at]
    if type(job) is not int or not 0 < job < 2**63 or len(key) != KEY_BYTES or handle is None:
        return None
    if not all(type(number) in {int, float} and 0 <= number < 2**40 for number in numbers) or not isinstance(run, str):
        return None
    return Rescued(job, key, Accepted(at, handle, by="rescue"), submitted_at, run)


def _handle(told: Mapping[str, Any]) -> Handle | None:
    """A link that can't be one is left out: each is built from the id where it is missing."""
    request_id, *links = (told.get(name) for name in ("request_id", "status_url", "result_url", "cancel_url"))
    if not isinstance(request_id, str):
        return None
    whole = [
        link if isinstance(link, str) and len(link) <= LONGEST_LINK and link.isprintable() else "" for link in links
    ]
    return Handle(request_id, *whole)


def _append(path: Path, line: bytes) -> None:
    """One line, whole and synced. It begins with a line break, so that a line cut off before it spoils nothing.

    Where the file was renamed meanwhile, who did so may have read it before: the line goes to the next one as well.
    """
    while True:
        with append_to(path) as file:
            rest = b"\n" + line + b"\n"
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                    with suppress(OSError):  # the line is on the disk: a folder that can't be synced takes nothing back
                        sync_folder(path.parent)  # without it POSIX promises a new file no name
                    return


def rescued(folder: Path) -> Iterator[Rescued]:
    """``kept_ids`` for whoever takes them in, and calls ``clear_rescued`` then.

    The side file gets a name of this process first; what is added from then on waits in a new one. So does what another has
    in hand, or left so in a crash: an id may be taken in twice.
    """
    for path in (folder / NAME, *folder.glob(f"{TAKING}*")):
        with suppress(OSError):  # somebody else has it now, or the disk refuses: it is read under the name that it has
            path.rename(folder / f"{_ours()}{next(_numbers)}")
    yield from kept_ids(folder)


def kept_ids(folder: Path) -> Iterator[Rescued]:
    """Each id that is beside the checkpoint; nothing is moved. A line that a full disk cut off is skipped: stderr had it."""
    for line in _lines(folder):
        if (found := read_object(line)) is not None:
            yield found


def count_lines(folder: Path) -> int:
    """How many lines the side file has, those with it that can't be read: each tells of a purchase."""
    return sum(bool(line.strip()) for line in _lines(folder))


def _lines(folder: Path) -> Iterator[bytes]:
    """The side file's first: where it is renamed just now, it is among those that are listed behind it.

    A link, a folder or a pipe of that name is none of ours, and who reads a pipe waits for ever. Whoever may buy here
    refuses such a folder (``RunFolder.check_links``); others only look at it.
    """
    for pattern in (NAME, f"{TAKING}*"):
        for path in list(folder.glob(pattern)):
            with suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    with path.open("rb") as file:
                        yield from iter(lambda: file.readline(LONGEST_LINE), b"")


def clear_rescued(folder: Path) -> None:
    """After the ids that ``rescued`` gave are in the checkpoint: keep the lines, out of the way and behind those of earlier
    times.
    """
    for path in folder.glob(f"{_ours()}*"):
        with suppress(OSError):  # a disk that is still full: taking them in again changes nothing
            _append(folder / f"{NAME}.taken-in", path.read_bytes().strip(b"\n"))
            path.unlink()


def _ours() -> str:
    """How the names of the files begin that this process takes in."""
    return f"{TAKING}{_mark(os.getpid())}-"


@cache
def _mark(_process: int) -> str:
    """Not its number: two machines may share a folder."""
    return uuid4().hex
