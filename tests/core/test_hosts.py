"""Which hosts are this machine."""

from __future__ import annotations

import pytest

from batchedit.core.hosts import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "128.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0", "[::2]", "10.0.0.1"]
)
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)
