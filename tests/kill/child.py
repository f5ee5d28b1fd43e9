"""The real command, with an observer that kills its own process: ``child.py POINT NTH run …``.

A test that polls for a sign and then kills is late on a busy machine: the process has gone on meanwhile. A process that
kills itself at the point is never late. POINT is one of

- the name of a durable event: the process dies right after that event, the NTH of its kind, is on disk. So ``Reserved`` dies
  with the intention written and the POST not sent, ``Accepted`` with the id on disk and nothing after it.
- ``answered``: the NTH POST that buys has its answer, and nothing of it is written down.
- ``put``: the NTH picture is in the store of files, and no job has it.
- ``copied``: the files of other runs lie under their names here, and no job has them.
- ``begun``: the first block of the NTH picture is on disk, and the rest is on its way.
- ``given_up``, ``taken_over``: of a folder whose run becomes a store's, it may buy no more; the store has everything.
- ``written:NAME``: NAME.part has been written to NTH times, and more is to come or not.
- ``renamed:NAME``: NAME.part is whole and is to get its name for the NTH time.

``stop:POINT`` stops the process there instead (SIGSTOP): it goes on when it is told to. ``unfenced:`` before it takes away
what keeps a worker that was stopped from sending.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from batchedit import disk
from batchedit.cli import main, terminal
from batchedit.core.events import Event, Released, RetryAsked, Reused
from batchedit.core.model import Record
from batchedit.files.objects import Objects
from batchedit.files.writer import AtomicDownload
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.runcomfy.client import Client


class Killer:
    def __init__(self, point: str, nth: int) -> None:
        stops = point.startswith("stop:")
        self.point, self.left = point.removeprefix("stop:"), nth
        self.signal = signal.SIGSTOP if stops else signal.SIGKILL

    def reached(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.signal)

    def saw(self, record: Record, event: Event) -> None:
        self.reached(type(event).__name__)

    def note(self, name: str, message: str, **details: object) -> None: ...


def doom(point: str, nth: int) -> None:
    """From here on this process dies at ``point``."""
    if point.startswith("unfenced:"):
        from batchedit.ledger.postgres.ledger import PostgresLedger

        PostgresLedger.may_send = lambda _: True
    killer = Killer(point.removeprefix("unfenced:"), nth)
    _watch_events(killer)
    _watch_answers(killer)
    _watch_orders(killer)
    _watch_files(killer)
    if killer.point in {"given_up", "taken_over"}:
        _watch_imports(killer)


def _watch_imports(killer: Killer) -> None:
    from batchedit.ledger.postgres import imports

    give_up, take_over = imports.give_up, imports.take_over

    def given_up(*arguments, **named):
        give_up(*arguments, **named)
        killer.reached("given_up")

    def taken_over(*arguments):
        take_over(*arguments)
        killer.reached("taken_over")

    imports.give_up, imports.take_over = given_up, taken_over


def _watch_events(killer: Killer) -> None:
    class Doomed(terminal.Terminal):
        def observers(self):
            return [*super().observers(), killer]

    terminal.Terminal = Doomed  # the command builds its host by this name


def _watch_answers(killer: Killer) -> None:
    submit, take = Client.submit, AtomicDownload.take

    async def answered(client, record, permit):
        event = await submit(client, record, permit)
        killer.reached("answered")
        return event

    def taken(landing, block):
        first = landing.size == 0
        file = take(landing, block)
        if first:
            file.flush()
            killer.reached("begun")
        return file

    keep = Objects.keep

    def put(objects, content, key, sha256):
        kept = keep(objects, content, key, sha256)
        if key.startswith("files/"):
            killer.reached("put")
        return kept

    Client.submit, AtomicDownload.take, Objects.keep = answered, taken, put


def _watch_orders(killer: Killer) -> None:
    """What a command writes down before its pool and its observers are there."""
    save_now, save_all = SqliteCheckpoint.save_now, SqliteCheckpoint.save_all

    def decided(checkpoint, record, event, **more):
        saved = save_now(checkpoint, record, event, **more)
        if isinstance(event, Released | RetryAsked):
            killer.saw(saved, event)
        return saved

    def copied(checkpoint, changes):
        if any(isinstance(event, Reused) for _, event in changes):
            killer.reached("copied")
        save_all(checkpoint, changes)

    SqliteCheckpoint.save_now, SqliteCheckpoint.save_all = decided, copied


def _watch_files(killer: Killer) -> None:
    class Watched(io.FileIO):
        def write(self, data):
            count = super().write(data)
            killer.reached(f"written:{Path(os.fsdecode(self.name)).name.removesuffix('.part')}")
            return count

    def audited(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename":
            killer.reached(f"renamed:{Path(os.fsdecode(arguments[1])).name}")

    disk.io = SimpleNamespace(FileIO=Watched)  # every file of a run that is made is opened by this name
    sys.addaudithook(audited)


if __name__ == "__main__":
    doom(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["batchedit", *sys.argv[3:]]
    main()
