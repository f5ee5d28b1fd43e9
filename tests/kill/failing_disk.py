"""A disk that fails at one call of a command: ``failing_disk.c``, compiled and preloaded into the nursery.

SQLite writes its own files and asks nobody, so nothing less than the C library's calls would do.
"""

from __future__ import annotations

import ctypes
import errno
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

KINDS = ("open", "write", "rename", "unlink", "fsync")
"""As ``failing_disk.c`` numbers them. A folder made is an open, a link a rename, a file cut off or copied into a write."""


@dataclass(frozen=True)
class Fault:
    """Call ``nth`` of ``kind`` below a folder fails with ``error``, and all behind it if it ``stays``."""

    kind: str
    nth: int
    error: str = "EIO"
    stays: bool = False


@dataclass(frozen=True)
class Seen:
    """How many calls of each kind a command made below the folder, and the path in it that the fault hit, "" for none."""

    calls: dict[str, int]
    hit: str


def compiled(folder: Path) -> Path:
    """The library to preload. A machine without a C compiler can't show what is to be shown: an error, no skip."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.fail("these tests need a C compiler (cc): apt-get install gcc libc6-dev")
    library = folder / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def order(folder: Path, fault: Fault, report: Path) -> dict[str, object]:
    """What a nursery's child is sent: ``arm``'s arguments."""
    return {"folder": str(folder.resolve()), "fault": asdict(fault), "report": str(report)}


def arm(folder: str, fault: dict[str, object], report: str) -> Callable[[], None]:
    """In the child: from here on the disk fails. Returns what writes a ``Seen`` to ``report``."""
    library = ctypes.CDLL(None)
    library.hit_path.restype = ctypes.c_char_p
    known = Fault(**fault)
    library.fail_at(folder.encode(), KINDS.index(known.kind), known.nth, getattr(errno, known.error), known.stays)

    def seen() -> None:
        calls = {kind: library.calls(number) for number, kind in enumerate(KINDS)}
        Path(report).write_text(json.dumps({"calls": calls, "hit": library.hit_path().decode()}))

    return seen
