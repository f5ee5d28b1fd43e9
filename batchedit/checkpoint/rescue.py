"""Where the id of a bought job goes when the checkpoint can't take it: a line in a side file, and stderr.

The file is opened anew for each line, appended and synced. The next start takes its ids in and renames it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from ..core.lifecycle import Accepted
from ..core.model import Handle

NAME = "accepted.jsonl"


def rescue(folder: Path, job: int, key: bytes, event: Accepted) -> None:
    """Keep ``event`` of job ``job`` somewhere, whatever the disk does. Never raises."""
    line = orjson.dumps({"job": job, "key": key.hex(), "at": event.at, "handle": event.handle}) + b"\n"
    sys.stderr.write(f"batchedit: BOUGHT, and the checkpoint can't be written. Keep this line: {line.decode()}")
    sys.stderr.flush()
    try:
        descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        sys.stderr.write(f"batchedit: {folder / NAME} can't be written either: {error}\n")


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
    """After its ids are in the checkpoint: keep the file, out of the way."""
    path = folder / NAME
    if path.exists():
        path.replace(folder / f"{NAME}.taken-in")
