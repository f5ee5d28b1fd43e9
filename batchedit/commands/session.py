"""An open run: its lock, service, model and checkpoint, held for as long as a command lasts.

    session.open → model → intake → quote → confirm → purchase → results

Each command follows these steps. ``open_session`` is the first step of those that begin with a manifest, ``reopen_session``
of those that begin with a run.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedWriter, TextIOWrapper
from time import time
from typing import IO, Any

from ..core.budget import choose_cap
from ..core.errors import BatcheditError, OutputError
from ..core.slowdown import Slowdown
from ..core.write_failures import WriteFailures
from ..disk import append_to
from ..ledger.account import check_account, hash_token, keep_account
from ..ledger.book import Checkpoint
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_for_reading
from ..ledger.pause_stop_wishes import Wishes
from ..ledger.register import claim, compute_run_id, is_mine, is_run
from ..ledger.rescue_file import hold_spare
from ..planning.recipe import list_run_roots
from ..planning.run_settings import save_run_settings
from ..pool.pool import Pool
from ..ports import Observer
from ..results.report import Report
from ..run_folder import RunFolder, has_never_begun
from ..runcomfy.catalogue import Model
from ..runcomfy.client import Client
from ..settings.model import Settings
from .awake import KEPT_AWAKE
from .file_store import decide_files_place
from .host import Host
from .kept_settings import Given, describe_unknown_run, load_run_settings
from .live_file import LiveFile
from .local_session import LocalSession
from .observers import JsonLines, ObserverGroup
from .open_run import open_run
from .open_run_to_read import find_run_here
from .row_names import RowNames
from .slowed import KeepSlowdown
from .wiring import Service, find_model, model_from_catalogue, open_pool, open_service


@dataclass
class Session(LocalSession):
    """An open run: locked, its checkpoint open, with its model and service: all that a command needs to send anything."""

    checkpoint: Checkpoint
    observer: Observer
    host: Host
    model: Model
    service: Service
    live: LiveFile | None = None
    """The file that shows other processes how the run goes."""
    write_failures: WriteFailures = field(default_factory=WriteFailures)
    started_at: float = field(default_factory=time)
    report: Report | None = None
    """The state of the run when the command was done with it."""
    slowed: Slowdown | None = None
    """The service's limits on this process, if any."""
    is_mine: bool = True
    """Did this person make the run? If not, or if unknown, only those of its settings are used that restrict."""
    wishes: Wishes = field(init=False)
    last_handled_wish: int = field(init=False)
    """The last wish that was handled, or that is older than this process's lock."""
    paused: bool = field(default=False, init=False)
    """A pause lasts over all purchases of the process."""

    def __post_init__(self) -> None:
        self.wishes = Wishes(self.folder.path)
        self.last_handled_wish = self.wishes.last()
        self._has_said_awake = False

    def note_awake(self, *, keeps_awake: bool) -> None:
        """Note whether the machine is kept from sleeping. The person is told once."""
        if self.live is not None:
            self.live.set_awake(kept=keeps_awake)
        if keeps_awake and not self._has_said_awake:
            self._has_said_awake = True
            self.host.say(KEPT_AWAKE)

    def pool(self) -> AbstractAsyncContextManager[tuple[Pool, Client]]:
        """A pool and a client with their real connections, open for as long as the block lasts."""
        return open_pool(
            self.settings,
            self.folder,
            self.checkpoint,
            self.model,
            self.service,
            self.observer,
            self.picture_roots,
            self.write_failures,
        )


@asynccontextmanager
async def open_session(folder: RunFolder, settings: Settings, host: Host, command: str) -> AsyncIterator[Session]:
    """The run in ``folder``, made if there is none. The caller holds its lock, for ``command``.

    Nothing is made before its service, account and model are checked.
    """
    with open_service(settings, folder, host.environ, host.warn) as service:
        account = hash_token(service.token)
        check_account_of(folder, account, settings)
        model = find_model(settings) or await model_from_catalogue(
            settings, service, ObserverGroup(host.observers()), host.step
        )
        with _open_recorded(folder, settings, host, command, model, service) as run:
            keep_account(run.checkpoint, account)
            yield run


@asynccontextmanager
async def reopen_session(run_name: str, given: Given, host: Host, command: str) -> AsyncIterator[Session]:
    """An existing run, locked and open, with the settings that it was made with and ``given`` over them."""
    folder = find_run_here(run_name, given, host.environ)
    with hold_run_lock(folder.path, command):
        settings = load_run_settings(folder, given, host.environ)
        if warning := describe_unknown_run(folder, given, host.environ):
            host.warn(warning)
        async with open_session(folder, settings, host, command) as run:
            yield run


@contextmanager
def _open_recorded(
    folder: RunFolder, settings: Settings, host: Host, command: str, model: Model, service: Service
) -> Iterator[Session]:
    is_new = not is_run(folder.path) or has_never_begun(folder)
    write_failures = WriteFailures()
    with (
        closing(open_run(folder, settings, host.say, host.environ)) as checkpoint,
        hold_spare(folder.path, write_failures),
        _open_log(folder) as log,
        closing(LiveFile(folder.path, command, write_failures)) as live,
        closing(RowNames(folder)) as rows,
    ):
        if is_new or settings.mine or is_mine(checkpoint, folder.path, host.environ):
            claim(checkpoint, host.environ)
        decide_files_place(checkpoint, folder, settings, host.environ)
        # The slowdown is kept before it is logged: a reader of the log that asks for the status at once must find it there.
        observers, name = host.observers(), compute_run_id(checkpoint, folder.path)
        for observer in observers:
            if isinstance(observer, JsonLines):
                observer.rows, observer.run = rows.of, name
        lines = JsonLines(log, rows.of, name, on_failure=lambda error: write_failures.add(folder.log, error))
        group = ObserverGroup([KeepSlowdown(checkpoint), live, lines, *observers])
        run = Session(folder, checkpoint, settings, group, host, model, service, live, write_failures)
        run.is_mine = is_mine(checkpoint, folder.path, host.environ)
        run.picture_roots = None if run.is_mine else list_run_roots(folder)
        with _log_start_and_end(run, command):
            yield run


@contextmanager
def _log_start_and_end(run: Session, command: str) -> Iterator[None]:
    """Note the command's start and end as events, with its result."""
    folder, name, pid = str(run.folder.path.absolute()), socket.gethostname(), os.getpid()
    service = run.settings.service
    run.observer.note(
        "started", f"{command} starts", command=command, folder=folder, pid=pid, host=name, service=service
    )
    outcome: dict[str, Any] = {"exit_code": None}
    try:
        yield
        outcome = _summarize_end(run.report)
    except BatcheditError as error:
        outcome = {"exit_code": error.code, "stopped": str(error)}
        raise
    finally:
        run.observer.note("ended", f"{command} ends", command=command, **outcome)


def _summarize_end(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"exit_code": 0}
    values = report.as_json()
    return {name: values[name] for name in ("exit_code", "stopped", "jobs", "usd", "play_money")}


def check_account_of(folder: RunFolder, account: str, settings: Settings) -> None:
    """TokenError (77) if the run was bought with another account: read from its file before anything is sent."""
    if not is_run(folder.path) or settings.another_account:
        return
    with open_for_reading(folder.checkpoint) as checkpoint:
        if checkpoint.get("service") == settings.service:  # else the run is refused for that
            check_account(checkpoint, account)


@contextmanager
def _open_log(folder: RunFolder) -> Iterator[IO[str]]:
    """``run.jsonl``, written line by line. A line that a full disk did not take is not written again at the end."""
    try:
        log = TextIOWrapper(BufferedWriter(append_to(folder.log)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder.log} can't be written: {error.strerror or error}") from error
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()


def keep_first_cap(run: Session) -> None:
    """The first cap of a run holds as soon as it is given. A limit needs no yes; and a later command by the run's name, after
    a no or a refusal, would buy without it.
    """
    if run.checkpoint.cap is None and isinstance(run.settings.max_cost, int):
        set_cap(run)


def set_cap(run: Session) -> None:
    """Make ``--max-cost`` the run's cap, after the person's yes; without one the run keeps its cap."""
    if run.checkpoint.set_cap(choose_cap(run.settings.max_cost, run.checkpoint.cap), time()):
        save_run_settings(run.checkpoint, run.folder, Settings.load(run.checkpoint.get("settings") or "{}"))
