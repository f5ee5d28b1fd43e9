"""Ids of bought jobs in a store of files: put there in the background, taken in once, and believed only where they fit."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.audit_replay import prove as audit
from batchedit.commands.take_in_rescued_ids import take_in_objects
from batchedit.core.errors import FilesUnavailableError, StaleRecordError
from batchedit.core.events import Accepted, Event, Lost, Released, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, Record, State
from batchedit.files.objects import Objects
from batchedit.files.rescued_id_objects import IdWriter, has_unread, list_unread
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.rescue_file import as_object, read_object
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.manifest.rows import Form, FormKind
from batchedit.run_folder import RunFolder
from tests.support.cli import until
from tests.support.factories import make_line

PROBLEM = Problem(Kind.LOST, "no answer")
LATE = Accepted(9.0, Handle("req-late", "https://x.example/v1/requests/req-late/status"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    (tmp_path / "run").mkdir()
    with closing(create_checkpoint(tmp_path / "run" / "checkpoint.sqlite", model="m", service="s")) as made:
        intake = Intake.begin(made)
        intake.add([make_line(n) for n in range(1, 4)])
        intake.commit("f")
        yield made


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(str(tmp_path / "bucket"))


def play(checkpoint: SqliteCheckpoint, job: int, *events: Event) -> Record:
    record = checkpoint.records("id = ?", (job,))[0]
    for event in events:
        record = checkpoint.save_now(advance(record, event), event)
    return record


def put(objects: Objects, name: str, content: bytes) -> None:
    assert objects.keep(content, f"rescued/{name}", sha256(content).hexdigest())


def put_aside(objects: Objects, record: Record, event: Accepted = LATE) -> None:
    """As who submitted ``record`` and heard ``event``."""
    put(objects, *as_object(record, event))


def take_in(checkpoint: SqliteCheckpoint, objects: Objects) -> tuple[list[int], list[str]]:
    messages: list[str] = []
    taken = take_in_objects(checkpoint, objects, RunFolder(checkpoint.path.parent), messages.append)
    return [record.id for record in taken], messages


def findings(checkpoint: SqliteCheckpoint) -> str:
    problems = audit(checkpoint, checkpoint.path.parent, Form(FormKind.CSV, header_row=1)).findings
    return "; ".join(f"{one.job}: {one.problem}" for one in problems)


def test_an_id_that_lies_there_ends_the_doubt_once(checkpoint: SqliteCheckpoint, objects: Objects) -> None:
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM)))
    assert has_unread(objects)
    assert take_in(checkpoint, objects) == ([1], [])
    record = checkpoint.records("id = 1")[0]
    assert (record.state, record.handle) == (State.WAITING, LATE.handle)
    assert not has_unread(objects)
    assert take_in(checkpoint, objects) == ([], [])
    assert findings(checkpoint) == ""


def test_taking_in_twice_is_harmless(checkpoint: SqliteCheckpoint, objects: Objects) -> None:
    """The first one died before it had put its mark."""
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM)))
    play(checkpoint, 1, LATE)
    assert take_in(checkpoint, objects) == ([], [])
    assert not has_unread(objects)
    assert findings(checkpoint) == ""


def test_a_job_that_somebody_is_sending_is_left_to_them(checkpoint: SqliteCheckpoint, objects: Objects) -> None:
    """Its worker is alive, and writes the answer down itself; another's change would make its own a stale one."""
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10)))
    assert take_in(checkpoint, objects) == ([], [])
    assert checkpoint.records("id = 1")[0].state is State.SUBMITTING
    assert has_unread(objects), "should it die, the id is still there"


def test_a_doubt_that_was_given_up_while_its_id_lay_there_is_not_bought_again(
    checkpoint: SqliteCheckpoint, objects: Objects
) -> None:
    doubt = play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM))
    put_aside(objects, doubt)
    play(checkpoint, 1, Released(3.0, "a person"))
    assert take_in(checkpoint, objects) == ([1], [])
    assert checkpoint.records("id = 1")[0].state is State.WAITING
    assert findings(checkpoint) == ""


def test_the_id_of_a_purchase_does_not_end_the_doubt_about_the_next_one(
    checkpoint: SqliteCheckpoint, objects: Objects
) -> None:
    """The second may have been bought as well: a person decides about it."""
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM)))
    play(checkpoint, 1, Released(3.0, "a person"), Reserved(4.0, 10), Lost(5.0, PROBLEM))
    taken, (message,) = take_in(checkpoint, objects)
    assert (taken, checkpoint.records("id = 1")[0].state) == ([], State.IN_DOUBT)
    assert "req-late" in message
    assert "rescued/1-" in message
    assert "req-late" in findings(checkpoint)
    assert take_in(checkpoint, objects) == ([], []), "it is told once"


def test_an_id_that_contradicts_the_ledger_is_told_and_kept(checkpoint: SqliteCheckpoint, objects: Objects) -> None:
    bought = play(checkpoint, 1, Reserved(1.0, 10), Accepted(2.0, Handle("req-1")))
    put_aside(objects, bought)
    taken, (message,) = take_in(checkpoint, objects)
    assert (taken, "job-1 as waiting" in message) == ([], True)
    assert checkpoint.records("id = 1")[0].handle == Handle("req-1")
    assert "req-late" in findings(checkpoint)


def test_an_id_of_another_store_that_keeps_its_pictures_there_was_taken_for_this_run_s(
    checkpoint: SqliteCheckpoint, objects: Objects
) -> None:
    """Both have a run of this name, made from one sheet: the job's number and key are the same. That run never got its id."""
    doubt = play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM))
    put(objects, *as_object(doubt, LATE, "another-store/7"))
    taken, (message,) = take_in(checkpoint, objects)
    assert (taken, "another run" in message) == ([], True)
    assert checkpoint.records("id = 1")[0].state is State.IN_DOUBT
    assert has_unread(objects), "its own workers look for it"


def test_a_job_that_another_changes_meanwhile_is_read_again(
    checkpoint: SqliteCheckpoint, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person released the doubt in that moment: left aside, it would be bought again."""
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM)))
    save_now, first = SqliteCheckpoint.save_now, [True]

    def overtaken(self: SqliteCheckpoint, record: Record, event: Event, **more: Any) -> Record:
        if first.pop() if first else False:
            release = Released(3.0, "a person")
            save_now(self, advance(self.records("id = 1")[0], release), release)
        return save_now(self, record, event, **more)

    monkeypatch.setattr(SqliteCheckpoint, "save_now", overtaken)
    assert take_in(checkpoint, objects) == ([1], [])
    assert checkpoint.records("id = 1")[0].state is State.WAITING


def test_a_job_that_changes_all_the_time_is_left_to_the_next_look(
    checkpoint: SqliteCheckpoint, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_aside(objects, play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM)))

    def stale(*_: Any, **__: Any) -> Record:
        raise StaleRecordError("somebody was first")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteCheckpoint, "save_now", stale)
        assert take_in(checkpoint, objects) == ([], [])
    assert take_in(checkpoint, objects) == ([1], [])


WRONG: dict[str, Any] = {
    "job": ["1", True, -1, 2**63, 1.0, None],
    "key": ["", "zz", "00", 7, None],
    "at": ["now", True, -1, 1e300, None],
    "submitted_at": ["now", True],
    "handle": [None, "req-late", {}, ["req-late"]],
    "request_id": ["", " req", ".", "..", 7, None, "x" * 5000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_no_id_as_batchedit_keeps_it_is_told_and_left(
    checkpoint: SqliteCheckpoint, objects: Objects, name: str, value: Any
) -> None:
    """Whoever may write into the bucket may have put it there. It ends no worker."""
    doubt = play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM))
    payload = json.loads(as_object(doubt, LATE)[1])
    (payload["handle"] if name == "request_id" else payload)[name] = value
    put(objects, "1-0.json", json.dumps(payload).encode())
    taken, (warning,) = take_in(checkpoint, objects)
    assert (taken, "no id of a bought job" in warning) == ([], True)
    assert checkpoint.records("id = 1")[0].state is State.IN_DOUBT
    assert has_unread(objects)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"job": 1}', b" " * 70_000])
def test_a_damaged_object_is_told_and_left(checkpoint: SqliteCheckpoint, objects: Objects, content: bytes) -> None:
    put(objects, "1-0.json", content)
    put_aside(objects, play(checkpoint, 2, Reserved(1.0, 10), Lost(2.0, PROBLEM)))
    taken, messages = take_in(checkpoint, objects)
    assert (taken, len(messages)) == ([2], 1), "the others are taken in"


def test_a_link_that_can_be_none_is_left_out(checkpoint: SqliteCheckpoint) -> None:
    doubt = play(checkpoint, 1, Reserved(1.0, 10), Lost(2.0, PROBLEM))
    payload = json.loads(as_object(doubt, LATE)[1])
    for link in (7, "https://x.example/\n", "x" * 3000):
        payload["handle"]["status_url"] = link
        rescued = read_object(json.dumps(payload).encode())
        assert rescued is not None
        assert rescued.event.handle == Handle("req-late")


# --- putting them there ---


class Trouble:
    """A store of files that refuses ``refusals`` times, or takes its time until ``goes_on``."""

    def __init__(self, objects: Objects, refusals: int = 0) -> None:
        self.objects, self.left = objects, refusals
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.tries = 0

    def keep(self, content: bytes, key: str, sha256: str) -> bool:
        self.tries += 1
        self.goes_on.wait(30)
        if self.left > 0:
            self.left -= 1
            raise FilesUnavailableError("it is away")
        return self.objects.keep(content, key, sha256)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchedit.files.rescued_id_objects.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("batchedit.files.rescued_id_objects.PUT_SECONDS", 0.2)


def names(objects: Objects) -> list[str]:
    return sorted(name for name, _ in list_unread(objects))


def test_a_store_that_is_away_is_asked_again_and_the_caller_does_not_wait(objects: Objects) -> None:
    trouble = Trouble(objects, refusals=3)
    trouble.goes_on.clear()
    writer = IdWriter(trouble)  # type: ignore[arg-type]  # all that it calls
    began = time.monotonic()
    writer.keep("1-a.json", b"one")
    assert time.monotonic() - began < 0.5
    trouble.goes_on.set()
    assert writer.close(5) == 0
    assert names(objects) == ["rescued/1-a.json"]
    assert trouble.tries == 4


def test_a_system_without_another_thread_kept_the_next_ids_from_their_folder(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds the store away keeps all ids that wait, one after another, and this one's error was the last of it."""

    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = IdWriter(objects)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuses)
        writer.keep("1-a.json", b"one")
    writer.keep("2-a.json", b"two")
    assert writer.close(5) == 0
    assert names(objects) == ["rescued/1-a.json", "rescued/2-a.json"]


def test_without_any_thread_it_is_told_how_many_are_not_put(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    writer = IdWriter(objects)
    writer.keep("1-a.json", b"one")
    assert writer.close(0.1) == 1


def test_of_purchases_that_the_ledger_took_at_once_nothing_is_remembered(objects: Objects) -> None:
    """A name for each of a million jobs was 130 MB."""
    writer = IdWriter(objects)
    tracemalloc.start()
    try:
        for n in range(20_000):
            writer.drop(f"{n}-0123456789abcdef.json")
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_each_id_is_put_once_however_often_it_is_kept(objects: Objects) -> None:
    trouble = Trouble(objects)
    writer = IdWriter(trouble)  # type: ignore[arg-type]
    for n in range(30):
        for _ in range(3):
            writer.keep(f"{n}-a.json", b"content %d" % n)
    assert writer.close(5) == 0
    assert (len(names(objects)), trouble.tries) == (30, 30)


def test_what_the_ledger_has_by_then_is_not_put(objects: Objects) -> None:
    trouble = Trouble(objects, refusals=10_000)
    writer = IdWriter(trouble)  # type: ignore[arg-type]
    writer.keep("1-a.json", b"one")
    until(lambda: trouble.tries > 1, 5)
    writer.drop("1-a.json")
    assert writer.close(5) == 0


@pytest.mark.parametrize("hangs", [False, True])
def test_the_end_of_a_process_waits_for_a_bounded_time(objects: Objects, hangs: bool) -> None:
    trouble = Trouble(objects, refusals=10_000)
    writer = IdWriter(trouble)  # type: ignore[arg-type]
    if hangs:
        trouble.goes_on.clear()
    writer.keep("1-a.json", b"one")
    writer.keep("2-a.json", b"two")
    began = time.monotonic()
    assert writer.close(0.3) == 2
    assert time.monotonic() - began < 5
    trouble.goes_on.set()
