"""Estimates how many rows a text file has from its first rows and its size, without reading all of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from .rows import Form

SAMPLED_ROW_COUNT = 1000
"""Rows whose length is measured."""


def estimate_row_count(path: Path, form: Form, raws: Iterable[str]) -> int:
    """Estimate from ``raws``, the texts of the file's rows, of which only the first are read; 0 for a compressed file."""
    if form.compression:
        return 0
    rows = size = 0
    for raw in islice(raws, SAMPLED_ROW_COUNT):
        rows += 1
        size += len(raw.encode(form.encoding, "replace")) + len(form.newline)
    if rows < SAMPLED_ROW_COUNT:
        return rows
    try:
        return max(rows, path.stat().st_size * rows // size)
    except OSError:
        return 0
