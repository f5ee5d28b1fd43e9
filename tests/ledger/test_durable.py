"""What makes a commit durable is asked of SQLite on each connection."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batchedit.ledger.opening import create_checkpoint, open_checkpoint

NEEDED = {"linux": (2, 0, 0), "darwin": (2, 1, 1)}
"""``synchronous`` FULL is 2."""


@pytest.mark.parametrize("platform", NEEDED)
def test_on_macos_a_commit_stayed_in_the_drives_own_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Any system takes the pragma, and reports it; only macOS does something else because of it."""
    monkeypatch.setattr("batchedit.ledger.opening.sys.platform", platform)
    path = tmp_path / "checkpoint.sqlite"
    create_checkpoint(path, model="m", service="sandbox").close()
    with closing(open_checkpoint(path)) as checkpoint:
        names = ("synchronous", "fullfsync", "checkpoint_fullfsync")
        values = [value for name in names for (value,) in checkpoint.rows(f"PRAGMA {name}")]
    assert tuple(values) == NEEDED[platform]
