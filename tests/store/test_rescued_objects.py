"""Ids of bought jobs that a worker left in the store of files while PostgreSQL was away: its own disk may be gone with it."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from subprocess import CalledProcessError

import anyio
import pytest

from batchedit.commands.rescue_to_file_store import rescue_to_files
from batchedit.core.events import Accepted, Event, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Record
from batchedit.files.objects import Objects
from batchedit.files.rescued_id_objects import list_unread
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.rescue_file import as_object, read_kept_ids, read_object
from batchedit.sandbox import SandboxConfig, serve
from tests.support import seaweed
from tests.support.cli import manifest, until
from tests.support.factories import make_line
from tests.support.fork_server import Child, ForkServer
from tests.support.postgres import MODEL, Server, new_database, new_run
from tests.support.store_team import QUICK, Team

pytestmark = pytest.mark.timeout(300)  # the servers take their time to start on a busy machine
JOBS, HELD = 4, 2


@pytest.fixture(scope="module")
def bucket() -> seaweed.SeaweedServer:
    return seaweed.shared()


@pytest.fixture(scope="module")
def fork_server(bucket: seaweed.SeaweedServer) -> Iterator[ForkServer]:
    server = ForkServer(**bucket.environment())
    yield server
    server.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL that a test may stop."""
    new_server = Server()
    yield new_server
    with suppress(CalledProcessError):
        new_server.stop()


@pytest.fixture
def it(tmp_path: Path, fork_server: ForkServer, server: Server) -> Iterator[Team]:
    manifest(tmp_path / "m.csv", JOBS)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        yield Team(tmp_path, fork_server, sandbox, new_database(url=server.url))


def some_on_the_wire(it: Team, files: str) -> tuple[Child, Path]:
    """The answers of HELD purchases are on their way until the file that is returned is there."""
    gate = it.folder / "gate"
    child = it.start("run", "m.csv", "--yes", "-j", HELD, "--files", files, gate=(JOBS - HELD + 1, str(gate)))
    until(lambda: it.sandbox.ledger()["accepted"] == JOBS and it.count_states()["done"] == JOBS - HELD)
    return child, gate


def another_machine(it: Team) -> Path:
    folder = it.folder / "another machine"
    folder.mkdir()
    return folder


def bought(it: Team) -> set[str]:
    return {job["request_id"] for job in it.sandbox.ledger(full=True)["requests"]}


def all_collected(it: Team) -> None:
    """Once each, and the books add up."""
    it.check_settled()
    assert it.count_states() == {"done": JOBS}
    assert it.sandbox.ledger()["accepted"] == JOBS
    assert {request for (request,) in it.sql("SELECT request_id FROM batchedit.job")} == bought(it)


def test_ids_were_lost_with_the_disk_of_a_worker_that_died_while_the_store_was_away(
    it: Team, server: Server, bucket: seaweed.SeaweedServer
) -> None:
    """They stood in its folder alone. Two paid pictures were in doubt for ever."""
    place = seaweed.new_place()
    child, gate = some_on_the_wire(it, f"s3://{seaweed.BUCKET}/{place}")
    server.stop()
    gate.touch()
    until(lambda: len(list(read_kept_ids(it.folder / "outputs" / "m"))) == HELD, 30)
    until(lambda: len(bucket.keys(f"{place}/m/rescued")) == HELD, 10)
    child.kill()
    shutil.rmtree(it.folder / "outputs")
    server.start()
    helper = it.run("work", "--until-idle", cwd=another_machine(it))
    assert it.count_states() == {"done": JOBS}, helper.stderr
    all_collected(it)


def test_ids_are_in_the_folder_where_the_store_and_the_store_of_files_are_both_away(it: Team, server: Server) -> None:
    files, away = it.folder / "shared", it.folder / "away"
    child, gate = some_on_the_wire(it, str(files))
    server.stop()
    files.rename(away)
    files.write_text("no folder, so nothing can be put below it")
    gate.touch()
    until(lambda: len(list(read_kept_ids(it.folder / "outputs" / "m"))) == HELD, 30)
    child.kill()
    files.unlink()
    away.rename(files)
    server.start()
    it.run("work", "--until-idle")
    all_collected(it)


# --- ids that come to lie there later, with a store that was never away ---


@pytest.fixture
def doubtful(tmp_path: Path, fork_server: ForkServer) -> Iterator[Team]:
    """All are done but one: its worker died with the answer in its hand, and another took over."""
    manifest(tmp_path / "m.csv", JOBS)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        it = Team(tmp_path, fork_server, sandbox, new_database())
        first = it.start("run", "m.csv", "--yes", "-j", 1, "--files", tmp_path / "shared", doom=("answered", 2))
        assert first.wait() == -signal.SIGKILL
        it.sql("SELECT batchedit.quit(1)")  # as who takes over after its lease
        it.run("work", "--until-idle")
        assert it.count_states() == {"done": JOBS - 1, "in_doubt": 1}
        yield it


def records(it: Team, *jobs: int) -> list[Record]:
    ((run, model),) = it.sql("SELECT id, model FROM batchedit.run")
    with closing(PostgresLedger(it.url, run, model, it.folder)) as ledger:
        return [record for job in jobs if (record := ledger.record(job)) is not None]


def put(it: Team, record: Record, request_id: str) -> None:
    name, content = as_object(record, Accepted((record.submitted_at or 0.0) + 1, Handle(request_id)))
    objects = Objects(str(it.folder / "shared" / "m"))
    assert objects.keep(content, f"rescued/{name}", sha256(content).hexdigest())


def in_doubt(it: Team) -> tuple[Record, str]:
    """The job, and the id that nobody has."""
    ((job,),) = it.sql("SELECT id FROM batchedit.job WHERE state = 'in_doubt'")
    known = {request for (request,) in it.sql("SELECT request_id FROM batchedit.job WHERE request_id IS NOT NULL")}
    (lost,) = bought(it) - known
    return records(it, job)[0], lost


@pytest.mark.parametrize("by", ["work", "run", "fetch"])
def test_an_id_that_came_when_all_was_at_rest_ends_the_doubt(doubtful: Team, by: str) -> None:
    """A worker ended at once, for nothing was left to do; nor did a person's command look anywhere but in its folder."""
    it = doubtful
    put(it, *in_doubt(it))
    words = {"work": ("work", "--until-idle"), "run": ("run", "m.csv", "--yes"), "fetch": ("fetch", "m")}[by]
    it.run(*words, cwd=another_machine(it) if by == "work" else None)
    assert it.count_states() == {"done": JOBS}
    all_collected(it)


def test_several_workers_took_the_same_id_in_at_once(doubtful: Team) -> None:
    it = doubtful
    put(it, *in_doubt(it))
    workers = [it.start("work", "--until-idle") for _ in range(3)]
    for worker in workers:
        assert worker.wait() == 0, worker.stderr
        assert "Traceback" not in worker.stderr, worker.stderr
    all_collected(it)


def test_an_id_there_that_contradicts_the_store_is_an_orphan_and_told_once(doubtful: Team) -> None:
    it = doubtful
    doubt, lost = in_doubt(it)
    other = next(record for record in records(it, *range(1, JOBS + 1)) if record.id != doubt.id)
    put(it, other, "another-id")
    put(it, doubt, lost)
    assert "another-id" in it.run("work", "--until-idle").stderr
    assert it.sql("SELECT job, request_id, stood FROM batchedit.orphan") == [(other.id, "another-id", "done")]
    assert it.count_states() == {"done": JOBS}
    assert "another-id" in it.run_without_service("audit", "m", code=None).stdout
    assert "another-id" not in it.run("run", "m.csv", "--yes").stderr, "told once"


def test_an_id_of_no_job_there_and_one_that_no_database_holds_end_no_worker(doubtful: Team) -> None:
    """A NUL in it was an error of the database's, which each worker ended with."""
    it = doubtful
    doubt, lost = in_doubt(it)
    put(it, doubt._replace(id=77), "of-another-run")
    put(it, doubt._replace(submitted_at=1.0), "of-another\0purchase")
    put(it, doubt, lost)
    errors = it.run("work", "--until-idle").stderr
    assert "of-another-run" in errors
    assert it.count_states() == {"done": JOBS}
    assert len(it.sql("SELECT 1 FROM batchedit.orphan")) == 1


# --- the end of a process ---


@pytest.mark.parametrize("is_away", [False, True])
def test_a_process_that_ends_waits_for_its_ids_and_says_where_they_are_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """What is away is waited for, and not for long."""
    monkeypatch.setattr("batchedit.commands.rescue_to_file_store.CLOSE_SECONDS", 0.5)
    objects, notes = Objects(str(tmp_path / "shared")), Messages()
    if is_away:
        (tmp_path / "shared").write_text("no folder")
    url, run = new_run([make_line(1)])

    async def main() -> None:
        ledger = PostgresLedger(url, run, MODEL, tmp_path)
        record = advance((await ledger.list_planned(0, 1))[0], Reserved(1.0, 10))
        async with rescue_to_files(objects, ledger, tmp_path, notes) as take_in:
            assert take_in is not None
            began = time.monotonic()
            ledger.rescue(record, Accepted(2.0, Handle("req-1")))
            assert time.monotonic() - began < 0.3, "the event loop waits for the folder's disk alone"
        ledger.rescue(record, Accepted(2.0, Handle("req-2")))
        ledger.close()

    anyio.run(main)
    assert [event.handle.request_id for _, _, event, *_ in read_kept_ids(tmp_path)] == ["req-1", "req-2"]
    if is_away:
        ((name, text),) = notes.told
        assert name == "ids_kept_here"
        assert text.startswith(
            f"1 id of a bought job could not be put into {tmp_path / 'shared'}: keep {tmp_path}/accepted"
        )
        return
    assert not notes.told
    ((_, content),) = list_unread(objects)
    rescued = read_object(content)
    assert rescued is not None
    assert (rescued.job, rescued.event.handle, rescued.submitted_at) == (1, Handle("req-1"), 1.0)


class Messages:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def saw(self, record: Record, event: Event) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None:
        self.told.append((name, message))
