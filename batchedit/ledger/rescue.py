"""Where the id of a bought job goes when the checkpoint can't take it: a line in a side file, and stderr.

The file is opened anew for each line, appended and synced. The next start takes its ids in and moves them to
``accepted.jsonl.taken-in``. On a full disk there is room for it all the same: a run keeps a spare file aside, and throws
it overboard.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from ..core.events import Accepted
from ..core.model import Handle
from ..core.unwritten import Unwritten
from ..core.visible import one_line, visible_json
from ..disk import append_to, create

NAME = "accepted.jsonl"
ID_NOT_TAKEN_IN = "IdNotTakenIn"
"""The event of a run whose side file names an id that contradicts the checkpoint."""
SPARE = ".spare"
SPARE_BYTES = 64 * 1024


@contextmanager
def spare(folder: Path, unwritten: Unwritten) -> Iterator[None]:
    """Hold some room on the disk for as long as the block lasts. Without it, a disk that full lets nothing be bought.
    ``unwritten`` hears of one that can't be removed.
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
            unwritten.refused(path, error)


def rescue(folder: Path, job: int, key: bytes, event: Accepted) -> None:
    """Keep ``event`` of job ``job`` somewhere, whatever the disk does. Never raises."""
    line = orjson.dumps({"job": job, "key": key.hex(), "at": event.at, "handle": event.handle})
    try:
        try:
            _append(folder / NAME, line)
        except OSError:
            (folder / SPARE).unlink(missing_ok=True)
            _append(folder / NAME, line)
        where = f"It is kept in {folder / NAME}"
    except OSError as error:
        where = f"{folder / NAME} can't be written either ({error}). Keep this line"
    # The terminal may be gone, and that must not hurt: the file comes first.
    with suppress(OSError, ValueError, AttributeError):
        told = f"{one_line(where)}: {visible_json(line.decode())}"
        sys.stderr.write(f"batchedit: BOUGHT, and the checkpoint can't be written. {told}\n")
        sys.stderr.flush()


def _append(path: Path, line: bytes) -> None:
    """One line, whole and synced. It begins with a line break, so that a line cut off before it spoils nothing."""
    rest = b"\n" + line + b"\n"
    with append_to(path) as file:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def rescued(folder: Path) -> Iterator[tuple[int, bytes, Accepted]]:
    """``(job, key, event)`` for each id in the side file. A line that a full disk cut off is skipped: stderr had it."""
    path = folder / NAME
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            entry = orjson.loads(line)
            yield (
                entry["job"],
                bytes.fromhex(entry["key"]),
                Accepted(entry["at"], Handle(**entry["handle"]), by="rescue"),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue


def clear_rescued(folder: Path) -> None:
    """After its ids are in the checkpoint: keep the lines, out of the way and behind those of earlier times."""
    path = folder / NAME
    if path.exists():
        with suppress(OSError):  # a disk that is still full: taking them in again changes nothing
            _append(folder / f"{NAME}.taken-in", path.read_bytes().strip(b"\n"))
            path.unlink()
