"""Teams of processes at one run of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import manifest
from tests.support.fork_server import ForkServer
from tests.support.postgres import Server, new_database
from tests.support.store_team import QUICK, Team


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL that a test may stop."""
    new_server = Server()
    yield new_server
    with suppress(CalledProcessError):
        new_server.stop()


@pytest.fixture
def team(tmp_path: Path, fork_server: ForkServer) -> Iterator[Callable[..., Team]]:
    opened: list[Any] = []

    def make(count: int, url: str = "", **config: Any) -> Team:
        manifest(tmp_path / "m.csv", count)
        server = serve(SandboxConfig(**{**QUICK, **config}))
        opened.append(server)
        return Team(tmp_path, fork_server, server.__enter__(), url or new_database())

    yield make
    for server in opened:
        server.__exit__(None, None, None)
