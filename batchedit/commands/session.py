"""A run in hand: its lock, service, model and checkpoint, held for as long as a command lasts.

    session.open → model → intake → quote → confirm → purchase → results

Each verb reads so. ``opened`` is the first step of those that begin with a manifest, ``again`` of those that begin with a
run.
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

from ..core.errors import BatcheditError, OutputError
from ..core.policy import cap_after
from ..core.slowdown import Slowdown
from ..core.unwritten import Unwritten
from ..disk import append_to
from ..ledger.account import account_of, check_account, keep_account
from ..ledger.book import Checkpoint
from ..ledger.lock import run_lock
from ..ledger.opening import reading
from ..ledger.register import claim, is_mine, is_run, run_id
from ..ledger.rescue import spare
from ..ledger.wishes import Wishes
from ..planning.recipe import run_roots
from ..planning.run_settings import keep_settings
from ..pool.pool import Pool
from ..ports import Observer
from ..results.report import Report
from ..run_folder import RunFolder, never_began
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
from .reading import run_here
from .row_names import RowNames
from .slowed import KeepSlowdown
from .wiring import Service, connected, find_model, model_from_catalogue, service


@dataclass
class Session(LocalSession):
    """A run in hand: locked, its checkpoint open, with its model and service: all that a command needs to send anything."""

    checkpoint: Checkpoint
    observer: Observer
    host: Host
    model: Model
    service: Service
    live: LiveFile | None = None
    """Its account for those who watch from elsewhere."""
    unwritten: Unwritten = field(default_factory=Unwritten)
    started_at: float = field(default_factory=time)
    report: Report | None = None
    """How it stood when the command was done with it."""
    slowed: Slowdown | None = None
    """What slowed this process, and by how much."""
    is_mine: bool = True
    """Did this person make the run? If not, or if nobody knows, its record is believed only where it restricts."""
    wishes: Wishes = field(init=False)
    wish_seen: int = field(init=False)
    """The last wish that was heeded, or that was made before this process had the run."""
    paused: bool = field(default=False, init=False)
    """A wished pause lasts over all purchases of the process."""

    def __post_init__(self) -> None:
        self.wishes = Wishes(self.folder.path)
        self.wish_seen = self.wishes.last()
        self._said_awake = False

    def told_awake(self, *, kept: bool) -> None:
        """Is the machine kept from sleeping? The person is told once."""
        if self.live is not None:
            self.live.set_awake(kept=kept)
        if kept and not self._said_awake:
            self._said_awake = True
            self.host.say(KEPT_AWAKE)

    def pool(self) -> AbstractAsyncContextManager[tuple[Pool, Client]]:
        """A pool and a client with their real edges, open for as long as the block lasts."""
        return connected(
            self.settings,
            self.folder,
            self.checkpoint,
            self.model,
            self.service,
            self.observer,
            self.picture_roots,
            self.unwritten,
        )


@asynccontextmanager
async def opened(folder: RunFolder, settings: Settings, host: Host, doing: str) -> AsyncIterator[Session]:
    """The run in ``folder``, made if there is none. The caller holds its lock, for ``doing``.

    Nothing is made before its service, account and model are known to be right.
    """
    with service(settings, folder, host.environ, host.warn) as found:
        account = account_of(found.token)
        check_account_of(folder, account, settings)
        model = find_model(settings) or await model_from_catalogue(
            settings, found, ObserverGroup(host.observers()), host.step
        )
        with _recorded(folder, settings, host, doing, model, found) as run:
            keep_account(run.checkpoint, account)
            yield run


@asynccontextmanager
async def again(run_name: str, given: Given, host: Host, doing: str) -> AsyncIterator[Session]:
    """A run that is there, locked and open, with the settings that it was made with and ``given`` over them."""
    folder = run_here(run_name, given, host.environ)
    with run_lock(folder.path, doing):
        settings = load_run_settings(folder, given, host.environ)
        if told := describe_unknown_run(folder, given, host.environ):
            host.warn(told)
        async with opened(folder, settings, host, doing) as run:
            yield run


@contextmanager
def _recorded(
    folder: RunFolder, settings: Settings, host: Host, doing: str, model: Model, found: Service
) -> Iterator[Session]:
    is_new = not is_run(folder.path) or never_began(folder)
    unwritten = Unwritten()
    with (
        closing(open_run(folder, settings, host.say, host.environ)) as checkpoint,
        spare(folder.path, unwritten),
        _log(folder) as log,
        closing(LiveFile(folder.path, doing, unwritten)) as live,
        closing(RowNames(folder)) as rows,
    ):
        if is_new or settings.mine or is_mine(checkpoint, folder.path, host.environ):
            claim(checkpoint, host.environ)
        decide_files_place(checkpoint, folder, settings, host.environ)
        # Kept before it is said: who reads the log and asks for the status at once must find it there.
        watching, name = host.observers(), run_id(checkpoint, folder.path)
        for one in watching:
            if isinstance(one, JsonLines):
                one.rows, one.run = rows.of, name
        lines = JsonLines(log, rows.of, name, refused=lambda error: unwritten.refused(folder.log, error))
        observer = ObserverGroup([KeepSlowdown(checkpoint), live, lines, *watching])
        run = Session(folder, checkpoint, settings, observer, host, model, found, live, unwritten)
        run.is_mine = is_mine(checkpoint, folder.path, host.environ)
        run.picture_roots = None if run.is_mine else run_roots(folder)
        with _told_in_logs(run, doing):
            yield run


@contextmanager
def _told_in_logs(run: Session, doing: str) -> Iterator[None]:
    """The command's start and end as events, with what it came to."""
    folder, name, pid = str(run.folder.path.absolute()), socket.gethostname(), os.getpid()
    service = run.settings.service
    run.observer.note("started", f"{doing} starts", command=doing, folder=folder, pid=pid, host=name, service=service)
    ended: dict[str, Any] = {"exit_code": None}
    try:
        yield
        ended = _came_to(run.report)
    except BatcheditError as error:
        ended = {"exit_code": error.code, "stopped": str(error)}
        raise
    finally:
        run.observer.note("ended", f"{doing} ends", command=doing, **ended)


def _came_to(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"exit_code": 0}
    told = report.as_json()
    return {name: told[name] for name in ("exit_code", "stopped", "jobs", "usd", "play_money")}


def check_account_of(folder: RunFolder, account: str, settings: Settings) -> None:
    """TokenError (77) if the run was bought with another account: asked of the file before anything is sent."""
    if not is_run(folder.path) or settings.another_account:
        return
    with reading(folder.checkpoint) as checkpoint:
        if checkpoint.get("service") == settings.service:  # else the run is refused for that
            check_account(checkpoint, account)


@contextmanager
def _log(folder: RunFolder) -> Iterator[IO[str]]:
    """``run.jsonl``, whose lines go out one by one. What a full disk did not take is not tried again at the end."""
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
    """A cap holds from when it is typed, where the run has none. A limit needs no yes; and whoever goes on by the run's name,
    after a no or a refusal, would buy without it.
    """
    if run.checkpoint.cap is None and isinstance(run.settings.max_cost, int):
        set_cap(run)


def set_cap(run: Session) -> None:
    """``--max-cost`` becomes the run's cap, after the person has said yes to it; without one the run keeps the cap it has."""
    if run.checkpoint.set_cap(cap_after(run.settings.max_cost, run.checkpoint.cap), time()):
        keep_settings(run.checkpoint, run.folder, Settings.load(run.checkpoint.get("settings") or "{}"))
