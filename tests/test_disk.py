"""A large file goes to disk as it grows and leaves the system's memory."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from batchedit.disk import STRETCH, Steady, forget

PAGE = os.sysconf("SC_PAGE_SIZE")


def in_memory(path: Path) -> float:
    """The share of the file's pages that can be read without asking the disk; skips where the system can't tell."""
    if not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("this system does not tell what is in memory")
    found, pages = 0, range(0, path.stat().st_size, 64 * PAGE)
    with path.open("rb") as file:
        for at in pages:
            try:
                found += os.preadv(file.fileno(), [bytearray(PAGE)], at, os.RWF_NOWAIT) > 0
            except BlockingIOError:
                pass
            except OSError as error:
                pytest.skip(f"this file system does not tell what is in memory: {error}")
    return found / len(pages)


def test_a_large_file_is_whole_and_takes_up_little_memory(tmp_path: Path) -> None:
    path, block, blocks = tmp_path / "large", os.urandom(2**20), 4 * STRETCH // 2**20
    plain = tmp_path / "plain"
    plain.write_bytes(block * blocks)
    with Steady(path, "wb") as bare, io.BufferedWriter(bare, 2**20) as file:
        for _ in range(blocks):
            file.write(block)
    kept, left = in_memory(plain), in_memory(path)
    assert path.read_bytes() == plain.read_bytes()
    if kept < 0.9:
        pytest.skip("this file system keeps little in memory anyway")
    assert left < 0.3


def test_what_is_on_disk_can_be_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    with path.open("wb") as file:
        file.write(os.urandom(2**20))
        file.flush()
        before = in_memory(path)
        os.fsync(file.fileno())
        forget(file.fileno())
    if before < 0.9:
        pytest.skip("this file system keeps little in memory anyway")
    assert in_memory(path) < 0.3
