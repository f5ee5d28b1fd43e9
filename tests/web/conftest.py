"""Each step of a draft is a process of its own: on a machine with other work on it that takes longer than other tests may."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Conditions are waited for, never times: only a failure takes as long."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))
