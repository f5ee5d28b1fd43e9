"""The in-memory checkpoint passes the suite."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from batchedit.core.model import Line
from batchedit.ledger.memory import MemoryCheckpoint
from tests.ledger.ledger_suite import CheckpointSuite, Make


class TestMemory(CheckpointSuite):
    @pytest.fixture
    def make(self) -> Make:
        def make(lines: Iterable[Line], cap: int | None = None) -> MemoryCheckpoint:
            return MemoryCheckpoint(lines, cap=cap)

        return make
