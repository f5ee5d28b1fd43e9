"""The back ends that every async test runs on."""

from __future__ import annotations

import pytest

from tests.support.raw_server import other_server, server  # noqa: F401 - fixtures


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Everything async runs on both."""
    return str(request.param)
