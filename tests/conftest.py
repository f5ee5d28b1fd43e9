"""What holds for every test: the back ends that async ones run on, and a state folder that is nobody's."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import hypothesis  # before trio, whose random generator it would warn of at the very end of a run
import pytest

from batchedit.commands import wiring
from tests.support.raw_server import other_server, server  # noqa: F401 - fixtures
from tests.support.share import EXAMPLES, FEW, examples

STATE = "BATCHEDIT_STATE"
PROCESSES = frozenset({"browser", "e2e", "kill", "store", "web"})
"""Folders whose tests may start processes: ``make test`` leaves them out, ``make test-all`` takes them."""
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 1_000_000_000
"""So much has to be free there: a whole ``make test`` writes 150 MB, and the last one's stay."""
_started = 0

if FEW and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
    # Nothing here survives a power cut, so nothing has to be synced: deleting alone took ten seconds of each run, and
    # fsync as many. ``make test-all`` is on the disk.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

hypothesis.settings.register_profile(
    "any machine",
    max_examples=examples(EXAMPLES),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")  # how long an example takes says how busy the machine is


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time a test waits for a socket or a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A folder of which nothing is wanted is not even imported: 70 modules, a second of each worker."""
    within = collection_path.parent == Path(__file__).parent and collection_path.name in PROCESSES
    return True if within and "not process" in config.option.markexpr else None


def pytest_collection_finish() -> None:
    """Modules and tests are never garbage: else the collector walks over them, 260,000 objects, again and again."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in PROCESSES:
            item.add_marker(pytest.mark.process)


def _count(event: str, _: object) -> None:
    global _started  # noqa: PLW0603 - an audit hook can't be taken back, so there is one
    _started += event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}


sys.addaudithook(_count)


@pytest.fixture(autouse=True)
def _starts_no_process_unless_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _started
    yield
    if request.node.get_closest_marker("process") is None:
        assert _started == before, "a test that starts a process is marked so: pytest.mark.process"


@pytest.fixture(scope="session", autouse=True)
def _no_persons_register(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For what runs before or beside a single test, such as fixtures of a module."""
    os.environ[STATE] = str(tmp_path_factory.mktemp("state"))
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"  # no test finds a person's own token


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Reading those of the machine takes 30 ms of CPU, and the clients of 600 tests would each do it anew."""
    once = functools.cache(wiring.create_ssl_context)
    with patch("httpx.create_ssl_context", once), patch.object(wiring, "create_ssl_context", once):
        yield


def _hear_hang_ups() -> None:
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _hang_up_is_heard() -> None:
    """What the suite was started with (``nohup``) is handed on to every process, and the program keeps to it."""
    _hear_hang_ups()


@pytest.fixture(autouse=True)
def _hang_up_is_heard_again() -> None:
    """The command of a run that goes on by itself ignores it, and some tests run that command in this process."""
    _hear_hang_ups()


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The register of this test alone; ``tests.support.cli`` and the fork server hand it on to processes."""
    before, folder = os.environ[STATE], tmp_path_factory.mktemp("state")
    os.environ[STATE] = str(folder)
    yield folder
    os.environ[STATE] = before


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Everything async runs on both."""
    return str(request.param)
