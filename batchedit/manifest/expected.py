"""About how many rows a text file has, without reading it: its first rows and its size tell."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from .rows import Form

SAMPLED = 1000
"""Rows whose length is taken."""


def expected_rows(path: Path, form: Form, raws: Iterable[str]) -> int:
    """From ``raws``, the texts of the file's rows, of which the first are read; 0 for a compressed file."""
    if form.compression:
        return 0
    rows = size = 0
    for raw in islice(raws, SAMPLED):
        rows += 1
        size += len(raw.encode(form.encoding, "replace")) + len(form.newline)
    if rows < SAMPLED:
        return rows
    try:
        return max(rows, path.stat().st_size * rows // size)
    except OSError:
        return 0
