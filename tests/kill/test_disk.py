"""The disk fails while money is on its way: the id of what was bought is kept, nothing more is bought, nothing twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest

from batchedit.commands.audit import audit
from batchedit.commands.observers import JsonLines, ObserverGroup
from batchedit.core.errors import CheckpointError
from batchedit.core.events import Accepted, Lost, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, State
from batchedit.core.write_failures import WriteFailures
from batchedit.ledger.file_guard import FileGuard
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.ledger.rescue_file import NAME, hold_spare, read_kept_ids, rescue
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit, manifest, on, rows, until
from tests.support.factories import make_job, make_line, make_record
from tests.support.fork_server import Child, ForkServer

ROWS = 12
ON_THE_WIRE = 4
QUICK = SandboxConfig(latency="0", plain_files=20_000)


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits."""
    path = folder / "ballast"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        try:
            while True:
                os.write(descriptor, b"x" * size)
        except OSError:
            continue
    os.close(descriptor)
    return path


def command(sandbox: RunningSandbox) -> list[object]:
    return ["run", "m.csv", *on(sandbox, "-j", ON_THE_WIRE, "--poll-seconds", 0.2)]


def four_done_four_on_the_wire(fork_server: ForkServer, sandbox: RunningSandbox, folder: Path, gate: Path) -> Child:
    """The answers of the second four are on their way until ``gate`` is there."""
    child = fork_server.start(*command(sandbox), cwd=folder, gate=(ON_THE_WIRE + 1, str(gate)))
    log = folder / "outputs" / "m" / "run.jsonl"
    until(lambda: sandbox.ledger()["accepted"] == 2 * ON_THE_WIRE and log.read_text().count("Saved") == ON_THE_WIRE)
    return child


def goes_on(fork_server: ForkServer, sandbox: RunningSandbox, folder: Path, *, doubts: int = 0) -> None:
    """The same command buys the other four, and has all twelve."""
    sandbox.set_faults([])
    for _ in range(2):
        fork_server.run(*command(sandbox), cwd=folder, code=76 if doubts else 0)
    expected = {"done": ROWS - doubts} | ({"in_doubt": doubts} if doubts else {})
    assert Counter(row["result_status"] for row in rows(folder / "outputs" / "m")) == Counter(expected)
    ledger = sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"], ledger["bugs"]) == (ROWS, 0, [])
    assert audit(str(folder / "outputs" / "m"), {})[1].findings == []


def ids_on_the_wire(sandbox: RunningSandbox) -> set[str]:
    jobs = sandbox.ledger(full=True)["requests"]
    return {job["request_id"] for job in jobs[ON_THE_WIRE:]}


def test_a_full_disk_while_answers_are_on_their_way(tmp_path: Path, fork_server: ForkServer, small_disk: Path) -> None:
    manifest(small_disk / "m.csv", ROWS)
    with serve(QUICK) as sandbox:
        child = four_done_four_on_the_wire(fork_server, sandbox, small_disk, tmp_path / "gate")
        ballast = fill(small_disk)
        (tmp_path / "gate").touch()
        assert child.wait() == 74, child.stderr
        assert "Traceback" not in child.stderr
        assert sandbox.ledger()["submits_seen"] == 2 * ON_THE_WIRE, "it went on buying"
        folder = small_disk / "outputs" / "m"
        kept = {event.handle.request_id for _, _, event, *_ in read_kept_ids(folder)}
        with closing(open_checkpoint(folder / "checkpoint.sqlite", read_only=True)) as checkpoint:
            known = {record.handle.request_id for record in checkpoint.records("1") if record.handle is not None}
        assert kept, "the spare room was not used"
        assert ids_on_the_wire(sandbox) <= kept | known
        assert all(request_id in child.stderr for request_id in kept)
        again = fork_server.run(*command(sandbox), cwd=small_disk, code=None)
        assert again.returncode in {73, 74}, "the disk is still full"
        assert sandbox.ledger()["submits_seen"] == 2 * ON_THE_WIRE
        ballast.unlink()
        goes_on(fork_server, sandbox, small_disk)
        assert not (folder / NAME).exists()
        assert not list(folder.glob(".spare"))


def test_a_disk_that_is_full_at_the_start_leaves_no_damaged_checkpoint(small_disk: Path) -> None:
    """With 144 or 168 KiB left, what was made was damaged: "do not delete it", for ever, though nothing was bought."""
    path, made = small_disk / "checkpoint.sqlite", set()
    for left in range(0, 320, 8):
        ballast = fill(small_disk)
        os.truncate(ballast, ballast.stat().st_size - left * 1024)
        with suppress(CheckpointError):
            create_checkpoint(path, model="m", service="s").close()
        ballast.unlink()
        made.add(path.exists())
        if path.exists():
            with closing(open_checkpoint(path)) as checkpoint:
                assert checkpoint.get("model") == "m"
        for name in small_disk.iterdir():
            assert name.name.startswith("checkpoint.sqlite"), name
            assert ".part" not in name.name
            name.unlink()
    assert made == {True, False}


def test_a_file_that_may_not_grow(tmp_path: Path, fork_server: ForkServer) -> None:
    """The same with a quota on each file, wherever the tests run: the database can't grow, the side file can."""
    manifest(tmp_path / "m.csv", ROWS)
    with serve(QUICK) as sandbox:
        limit = 128 * 1024
        child = fork_server.start(*command(sandbox), cwd=tmp_path, fsize=limit)
        assert child.wait() == 74, child.stderr
        assert "Traceback" not in child.stderr
        ledger, folder = sandbox.ledger(), tmp_path / "outputs" / "m"
        assert 0 < ledger["accepted"] < ROWS, "the limit is for another schema: set it anew"
        with closing(open_checkpoint(folder / "checkpoint.sqlite", read_only=True)) as checkpoint:
            known = {record.handle.request_id for record in checkpoint.records("1") if record.handle is not None}
        kept = {event.handle.request_id for _, _, event, *_ in read_kept_ids(folder)}
        assert {job["request_id"] for job in sandbox.ledger(full=True)["requests"]} <= kept | known
        goes_on(fork_server, sandbox, tmp_path)


@pytest.mark.parametrize("what", ["deleted", "deleted with its log", "replaced", "log deleted"])
def test_the_database_disappears_under_the_process(tmp_path: Path, fork_server: ForkServer, what: str) -> None:
    """SQLite would write on into a file without a name. It is noticed, put back, and told."""
    manifest(tmp_path / "m.csv", ROWS)
    path = tmp_path / "outputs" / "m" / "checkpoint.sqlite"
    with serve(QUICK) as sandbox:
        child = four_done_four_on_the_wire(fork_server, sandbox, tmp_path, tmp_path / "gate")
        if what == "replaced":
            (tmp_path / "other").write_bytes(b"not a database at all")
            (tmp_path / "other").replace(path)
        elif what == "log deleted":
            path.with_name("checkpoint.sqlite-wal").unlink()
        else:
            for name in path.parent.glob("checkpoint.sqlite*" if what == "deleted with its log" else path.name):
                name.unlink()
        (tmp_path / "gate").touch()
        assert child.wait() == 74, child.stderr
        assert "was deleted or replaced" in child.stderr
        assert "the same command goes on" in child.stderr
        assert sandbox.ledger()["submits_seen"] == 2 * ON_THE_WIRE, "it went on buying"
        kept = {event.handle.request_id for _, _, event, *_ in read_kept_ids(path.parent)}
        with closing(open_checkpoint(path, read_only=True)) as checkpoint:
            known = {record.handle.request_id for record in checkpoint.records("1") if record.handle is not None}
        assert ids_on_the_wire(sandbox) <= kept | known
        assert all(request_id in child.stderr for request_id in kept)
        goes_on(fork_server, sandbox, tmp_path)


def makes_immutable(probe: Path) -> bool:
    """Does ``chattr +i`` hold off a process that has the file open already? A disk in memory takes it, and does not."""
    with probe.open("wb", buffering=0) as file:
        if subprocess.run(["chattr", "+i", probe], capture_output=True, check=False).returncode:
            return False
        try:
            file.write(b"x")
        except PermissionError:
            return True
        finally:
            subprocess.run(["chattr", "-i", probe], check=True)
    return False


def test_the_database_can_no_longer_be_written(tmp_path: Path, fork_server: ForkServer) -> None:
    """Made immutable under the process, which root's rights do not help against; elsewhere the right is taken away."""
    manifest(tmp_path / "m.csv", ROWS)
    folder = tmp_path / "outputs" / "m"
    with serve(QUICK) as sandbox:
        child = four_done_four_on_the_wire(fork_server, sandbox, tmp_path, tmp_path / "gate")
        files = [str(folder / name) for name in ("checkpoint.sqlite", "checkpoint.sqlite-wal")]
        if not makes_immutable(tmp_path / "probe"):
            child.kill()
            pytest.skip("no file can be made immutable here")
        try:
            subprocess.run(["chattr", "+i", *files], check=True)
            (tmp_path / "gate").touch()
            assert child.wait() == 74, child.stderr
            kept = {event.handle.request_id for _, _, event, *_ in read_kept_ids(folder)}
            assert kept == ids_on_the_wire(sandbox)
            assert all(request_id in child.stderr for request_id in kept)
            assert sandbox.ledger()["submits_seen"] == 2 * ON_THE_WIRE, "it went on buying"
            fork_server.run(*command(sandbox), cwd=tmp_path, code=74)
            assert sandbox.ledger()["submits_seen"] == 2 * ON_THE_WIRE
        finally:
            subprocess.run(["chattr", "-i", *files], check=True)
        goes_on(fork_server, sandbox, tmp_path)


def test_a_folder_whose_checkpoint_is_gone_is_not_bought_anew(tmp_path: Path, fork_server: ForkServer) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        fork_server.run(*command(sandbox), cwd=tmp_path)
        path = tmp_path / "outputs" / "m" / "checkpoint.sqlite"
        backup = path.read_bytes()
        path.unlink()
        refused = fork_server.run(*command(sandbox), cwd=tmp_path, code=74)
        assert "knew of 3 jobs that were bought" in refused.stderr
        assert sandbox.ledger()["submits_seen"] == 3
        path.write_bytes(backup)
        fork_server.run(*command(sandbox), cwd=tmp_path)
        assert sandbox.ledger()["submits_seen"] == 3


def test_results_on_a_full_disk_leave_the_old_file_whole(fork_server: ForkServer, small_disk: Path) -> None:
    """The pictures lie elsewhere; for the checkpoint there is room in its log, for another results.csv there is none."""
    manifest(small_disk / "m.csv", 400)
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        fork_server.run(*command(sandbox)[:-2], "--poll-seconds", 0.2, "--limit", 2, cwd=small_disk)
        folder = small_disk / "outputs" / "m"
        before = (folder / "results.csv").read_bytes()
        (folder / "results.jsonl").unlink()  # so that they are due
        ballast = fill(small_disk)
        os.truncate(ballast, ballast.stat().st_size - 64 * 1024)  # SQLite needs half of it to read at all
        failed = batchedit("results", "outputs/m", cwd=small_disk, code=73)
        assert "results.csv can't be written" in failed.stderr
        assert (folder / "results.csv").read_bytes() == before
        assert not list(folder.glob("results*.part"))
        ballast.unlink()
        batchedit("results", "outputs/m", cwd=small_disk)
        assert (folder / "results.csv").read_bytes() == before


def test_killed_while_the_checkpoint_was_made(tmp_path: Path, fork_server: ForkServer) -> None:
    """Half a checkpoint under its final name could never be opened again, and the same command would not go on."""
    manifest(tmp_path / "m.csv", 2)
    folder = tmp_path / "outputs" / "m"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "checkpoint.sqlite.part")) as half:
        half.execute("CREATE TABLE meta (name TEXT)")
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        fork_server.run(*command(sandbox), cwd=tmp_path)
    assert not list(folder.glob("*.part*"))


def test_a_checkpoint_has_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def died(self: Path, target: Path) -> None:
        seen.append((self.name, target.exists()))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", died)
    with pytest.raises(CheckpointError, match="No space left"):
        create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")
    assert seen == [("checkpoint.sqlite.part", False)]
    assert not (tmp_path / "checkpoint.sqlite").exists()


# --- the parts ------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    new_checkpoint = create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")
    intake = Intake.begin(new_checkpoint)
    intake.add([make_line(n) for n in range(1, 4)])
    intake.commit("f")
    yield new_checkpoint
    new_checkpoint.close()


EVENT = Accepted(12.5, Handle("req-1", "https://a", "https://b", "https://c"))


def test_a_rescue_needs_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``batchedit run … 2>&1 | head``: the pipe is closed, and the id was written nowhere because stderr came first."""

    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    for gone in (Gone(), None):
        monkeypatch.setattr("sys.stderr", gone)
        rescue(tmp_path, 7, make_job(7).key, EVENT)
    assert [job for job, *_ in read_kept_ids(tmp_path)] == [7, 7]


def test_a_line_cut_off_by_a_full_disk_spoils_none_that_follow(tmp_path: Path) -> None:
    rescue(tmp_path, 7, make_job(7).key, EVENT)
    side = tmp_path / NAME
    side.write_bytes(side.read_bytes()[:-30])
    rescue(tmp_path, 8, make_job(8).key, EVENT)
    assert [job for job, *_ in read_kept_ids(tmp_path)] == [8]


def test_a_write_that_takes_only_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a nearly full disk ``write`` takes what fits and raises nothing."""
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: whole(descriptor, content[:10]))
    rescue(tmp_path, 7, make_job(7).key, EVENT)
    assert [job for job, *_ in read_kept_ids(tmp_path)] == [7]


def test_spare_room_is_there_and_goes_away(tmp_path: Path) -> None:
    with hold_spare(tmp_path, WriteFailures()):
        assert (tmp_path / ".spare").stat().st_blocks * 512 >= 64 * 1024, "a hole in a file is no room"
    assert not (tmp_path / ".spare").exists()


def test_taken_in_lines_are_kept_over_the_years(checkpoint: SqliteCheckpoint, tmp_path: Path) -> None:
    from batchedit.commands.take_in_rescued_ids import take_in_rescued
    from batchedit.run_folder import RunFolder

    for job in (1, 2):
        record = checkpoint.records("id = ?", (job,))[0]
        record = checkpoint.save_now(advance(record, Reserved(1.0)), Reserved(1.0))
        if job == 2:
            lost = Lost(2.0, Problem(Kind.LOST, "no answer"))
            checkpoint.save_now(advance(record, lost), lost)
        rescue(tmp_path, job, record.job.key, Accepted(3.0, Handle(f"req-{job}")))
        assert take_in_rescued(checkpoint, RunFolder(tmp_path)) == 1
    assert [record.state for record in checkpoint.records("id < 3")] == [State.WAITING] * 2
    assert (tmp_path / f"{NAME}.taken-in").read_text().count("req-") == 2
    rescue(tmp_path, 1, make_job(1).key, Accepted(3.0, Handle("req-1")))
    assert take_in_rescued(checkpoint, RunFolder(tmp_path)) == 0, "it is known"


def test_who_shares_a_commit_that_fails_is_not_told_that_it_succeeded(checkpoint: SqliteCheckpoint) -> None:
    """An error that nobody foresaw was raised in one task alone; the others went on and sent their POSTs."""
    outcomes: list[str] = []

    async def reserve(job: int, at: float) -> None:
        record = checkpoint.records("id = ?", (job,))[0]
        event = Reserved(at)
        try:
            await checkpoint.save(advance(record, event), event)
        except CheckpointError:
            outcomes.append("failed")
        else:
            outcomes.append("saved")

    async def together() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reserve, 1, 1.0)
            tasks.start_soon(reserve, 2, 2.0)
            tasks.start_soon(reserve, 3, 10**400)  # too large for SQLite and for JSON: OverflowError or TypeError

    anyio.run(together)
    assert outcomes == ["failed"] * 3
    assert {record.state for record in checkpoint.records("1")} == {State.PLANNED}


@pytest.mark.parametrize("name", ["checkpoint.sqlite", "checkpoint.sqlite-wal"])
def test_a_commit_into_a_file_without_a_name_is_none(checkpoint: SqliteCheckpoint, tmp_path: Path, name: str) -> None:
    record = checkpoint.records("id = 1")[0]
    record = checkpoint.save_now(advance(record, Reserved(1.0, 40_000)), Reserved(1.0, 40_000))
    (tmp_path / name).unlink()
    for _ in range(2):
        with pytest.raises(CheckpointError, match="deleted or replaced"):
            checkpoint.save_now(advance(record, EVENT), EVENT)
    with closing(open_checkpoint(tmp_path / "checkpoint.sqlite")) as again:
        assert again.records("id = 1")[0] == record, "what was known before is put back"


def test_a_file_that_is_not_ours_is_moved_aside_and_kept(checkpoint: SqliteCheckpoint, tmp_path: Path) -> None:
    checkpoint.put("some", "thing")
    (tmp_path / "other").write_text("somebody's")
    (tmp_path / "other").replace(tmp_path / "checkpoint.sqlite")
    with pytest.raises(CheckpointError, match="deleted or replaced"):
        checkpoint.put("some", "more")
    assert (tmp_path / "checkpoint.sqlite.found-here").read_text() == "somebody's"


def test_a_reader_elsewhere_is_no_reason_for_alarm(checkpoint: SqliteCheckpoint, tmp_path: Path) -> None:
    checkpoint.put("some", "thing")
    open_checkpoint(tmp_path / "checkpoint.sqlite", read_only=True).close()
    checkpoint.put("some", "more")
    assert checkpoint.get("some") == "more"


def test_a_place_that_never_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
        place = FileGuard(path)
        place.check(connection)
        path.parent.joinpath("checkpoint.sqlite").unlink()
        path.parent.joinpath("checkpoint.sqlite.part").mkdir()  # so that it can't be put back
        with pytest.raises(CheckpointError, match="deleted") as raised:
            place.check(connection)
        assert "do not buy anew" in raised.value.hint


def test_who_watches_can_not_break_what_is_watched() -> None:
    """A terminal that was closed raised between the answer and its commit: the id of what was bought was gone."""
    heard: list[str] = []

    class Broken:
        def saw(self, record: object, event: object) -> None:
            raise BrokenPipeError

        def note(self, name: str, message: str, **details: object) -> None:
            raise BrokenPipeError

    class Fine(Broken):
        def saw(self, record: object, event: object) -> None:
            heard.append("saw")

        def note(self, name: str, message: str, **details: object) -> None:
            heard.append(name)

    everybody = ObserverGroup([Broken(), Fine()])
    everybody.saw(make_record(), Reserved(1.0))
    everybody.note("halted", "for a test")
    assert heard == ["observer_failed", "saw", "halted"]


def test_a_log_on_a_full_disk_ends_no_run() -> None:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - its closing fails, as it must
    everybody = ObserverGroup([JsonLines(full)])
    everybody.saw(make_record(), Reserved(1.0))
    everybody.note("halted", "for a test")
    with pytest.raises(OSError, match="No space left"):
        full.close()
