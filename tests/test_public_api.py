"""The public names, pinned."""

from __future__ import annotations

import batchedit


def test_public_names() -> None:
    assert batchedit.__all__ == ["BatcheditError", "RunResult", "arun", "run"]
    assert all(hasattr(batchedit, name) for name in batchedit.__all__)
