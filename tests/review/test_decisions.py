"""Marks: two tabs, the log, imports; and a rejected job's next version on its line."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import orjson
import pytest

from batchedit.commands.redo import list_redo_lines
from batchedit.commands.review import count_progress
from batchedit.core.errors import CheckpointError, ManifestError, UsageError
from batchedit.core.model import State
from batchedit.core.review import Conflict, ImportedDecision, PictureDecision, Verdict
from batchedit.jobs.identity import job_key
from batchedit.ledger.decisions import FolderDecisions, ImportReport
from batchedit.ledger.gallery_rows import build_outcomes, read_flags, read_gallery_rows, write_flags
from batchedit.ledger.intake import Intake
from batchedit.ledger.repurchases import add_repurchases, find_rejected
from batchedit.ledger.review_file import ReviewFile
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.review.decisions import read_decisions
from batchedit.review.redo import extend_prompt, find_free_name, make_next_version
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, line, picture

APPROVE, REJECT, HOLD, NONE = Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD, Verdict.NONE


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    room = Showroom(RunFolder(tmp_path / "run"))
    for sku in ("A", "B", "C"):
        room.row(sku)
    return room


@pytest.fixture
def checkpoint(room: Showroom) -> Iterator[SqliteCheckpoint]:
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (64, 64)))
    yield checkpoint
    checkpoint.close()


def reject(checkpoint: SqliteCheckpoint, job: int, note: str = "") -> None:
    marks = FolderDecisions(checkpoint)
    serial = marks.all().get(job, PictureDecision(job)).serial
    assert marks.put(PictureDecision(job, REJECT, note, serial, "Dana", 5.0)) == PictureDecision(
        job, REJECT, note, serial + 1, "Dana", 5.0
    )


def written(checkpoint: SqliteCheckpoint) -> AbstractContextManager[sqlite3.Connection]:
    return ReviewFile(checkpoint.path.parent).open_for_writing()


# --- marks ----------------------------------------------------------------------------------------


def test_the_later_of_two_tabs_is_shown_what_the_earlier_one_said(checkpoint: SqliteCheckpoint) -> None:
    marks = FolderDecisions(checkpoint)
    first = marks.put(PictureDecision(1, APPROVE, "", 0, "Dana", 1.0))
    late = marks.put(PictureDecision(1, REJECT, "", 0, "Robin", 2.0))
    assert first == PictureDecision(1, APPROVE, "", 1, "Dana", 1.0)
    assert late == Conflict(PictureDecision(1, APPROVE, "", 1, "Dana", 1.0))
    assert marks.put(PictureDecision(1, REJECT, "", 1, "Robin", 3.0)) == PictureDecision(1, REJECT, "", 2, "Robin", 3.0)
    assert [(e.verdict, e.who, e.at) for e in marks.events()] == [(APPROVE, "Dana", 1.0), (REJECT, "Robin", 3.0)]


def test_a_mark_that_was_never_there_is_a_conflict_for_who_saw_one(checkpoint: SqliteCheckpoint) -> None:
    assert FolderDecisions(checkpoint).put(PictureDecision(1, APPROVE, "", 4, "Dana", 1.0)) == Conflict(
        PictureDecision(1)
    )


def test_since_tells_only_what_changed(checkpoint: SqliteCheckpoint) -> None:
    marks = FolderDecisions(checkpoint)
    for job in (1, 2):
        marks.put(PictureDecision(job, HOLD, "", 0, "Dana", 1.0))
    seq, news = marks.since(0)
    assert (seq, [mark.job for mark in news]) == (2, [1, 2])
    marks.put(PictureDecision(2, NONE, "a note", 1, "Dana", 2.0))
    assert marks.since(seq) == (3, [PictureDecision(2, NONE, "a note", 2, "Dana", 2.0)])
    assert marks.since(3) == (3, [])


def test_the_log_only_grows(checkpoint: SqliteCheckpoint) -> None:
    reject(checkpoint, 1)
    for statement in ("UPDATE mark_events SET who = 'x'", "DELETE FROM mark_events"):
        with pytest.raises(CheckpointError, match="append-only"), written(checkpoint) as db:
            db.execute(statement)


def test_the_store_refuses_a_verdict_it_does_not_know(checkpoint: SqliteCheckpoint) -> None:
    with pytest.raises(CheckpointError, match="CHECK"), written(checkpoint) as db:
        db.execute("INSERT INTO marks VALUES (1, 'maybe', '', 1, 'x', 0)")


def test_marks_survive_reopening(room: Showroom, checkpoint: SqliteCheckpoint) -> None:
    reject(checkpoint, 2, "ünïcode — 'quotes' <b>")
    checkpoint.close()
    again = room.reopen()
    assert FolderDecisions(again).all() == {2: PictureDecision(2, REJECT, "ünïcode — 'quotes' <b>", 1, "Dana", 5.0)}
    again.close()


def test_progress_counts_pictures_not_rows(checkpoint: SqliteCheckpoint) -> None:
    reject(checkpoint, 1)
    FolderDecisions(checkpoint).put(PictureDecision(2, APPROVE, "", 0, "Dana", 1.0))
    FolderDecisions(checkpoint).put(PictureDecision(3, NONE, "only a note", 0, "Dana", 1.0))
    progress = count_progress(read_gallery_rows(checkpoint), FolderDecisions(checkpoint).all())
    assert (progress.pictures, progress.reviewed, progress.approved, progress.rejected, progress.held) == (
        3,
        2,
        1,
        1,
        0,
    )


def test_marks_that_an_older_batchedit_wrote_into_the_checkpoint_are_not_lost(checkpoint: SqliteCheckpoint) -> None:
    with checkpoint.transaction() as db:
        db.execute("INSERT INTO marks VALUES (1, 'reject', 'too dark', 2, 'Dana', 3.0)")
        for serial, verdict in ((1, "hold"), (2, "reject")):
            values = (1, serial, verdict, "too dark", "Dana", float(serial + 1), "review")
            db.execute(
                "INSERT INTO mark_events (job, serial, verdict, note, who, at, via) VALUES (?,?,?,?,?,?,?)", values
            )
    old, marks, before = (
        PictureDecision(1, REJECT, "too dark", 2, "Dana", 3.0),
        FolderDecisions(checkpoint),
        checkpoint.change_token(),
    )
    assert (marks.all(), marks.last_seq(), find_rejected(checkpoint)[0].id) == ({1: old}, 2, 1)
    marks.put(PictureDecision(2, APPROVE, "", 0, "Robin", 9.0))
    assert marks.all() == {1: old, 2: PictureDecision(2, APPROVE, "", 1, "Robin", 9.0)}
    assert [(e.seq, e.job, e.verdict) for e in marks.events()] == [(1, 1, HOLD), (2, 1, REJECT), (3, 2, APPROVE)]
    assert [(o.decision, o.note) for o in checkpoint.read_outcomes()][:2] == [("reject", "too dark"), ("approve", "")]
    assert checkpoint.change_token() != before


@pytest.mark.process
def test_a_mark_whose_writer_was_killed_is_whole_or_not_there(checkpoint: SqliteCheckpoint) -> None:
    """The journal of a writer that died is put right by the next one, who may only want to look."""
    reject(checkpoint, 1)
    path = checkpoint.path.parent / "review.sqlite"
    script = (
        "import os, signal, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for words in ('PRAGMA cache_size = 1', 'BEGIN IMMEDIATE', 'PRAGMA cache_spill = 1'): db.execute(words)\n"
        "db.execute('DELETE FROM marks')\n"
        "db.executemany('INSERT INTO marks VALUES (?, \\'hold\\', ?, 1, \\'x\\', 0)', ((n, 'x' * 900) for n in range(500)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=False, timeout=60)
    assert path.with_name("review.sqlite-journal").exists()
    assert FolderDecisions(checkpoint).all() == {1: PictureDecision(1, REJECT, "", 1, "Dana", 5.0)}


# --- decisions.csv --------------------------------------------------------------------------------

KEY = "k" + "0f" * 16
JOBS = {bytes.fromhex("0f" * 16): 7, bytes.fromhex("aa" * 16): 8}


def rows(*cells: dict[str, str]) -> list[tuple[int, dict[str, str]]]:
    empty = {"decision": "", "note": "", "when": "", "job": KEY}
    return list(enumerate(({**empty, **each} for each in cells), 1))


def test_decisions_are_read() -> None:
    table = rows({"decision": "Approve", "note": "'=1+1", "when": "1970-01-01T00:01:00.000Z"}, {"job": "k" + "aa" * 16})
    assert read_decisions(table, JOBS, 100.0, "d.csv") == [
        (7, ImportedDecision(bytes.fromhex("0f" * 16), APPROVE, "=1+1", 60.0)),
        (8, ImportedDecision(bytes.fromhex("aa" * 16), NONE, "", 100.0)),
    ]


def test_a_clock_that_is_ahead_does_not_win_for_ever() -> None:
    ((_, decision),) = read_decisions(rows({"when": "2090-01-01T00:00:00Z"}), JOBS, 100.0, "d.csv")
    assert decision.at == 100.0


def test_every_wrong_row_is_told_at_once() -> None:
    table = rows(
        {"decision": "approve"},
        {"decision": "perhaps"},
        {"job": "1e5"},
        {"when": "yesterday"},
        {"job": "k" + "bb" * 16},
        {"decision": "reject"},
        {"note": "x" * 2001},
    )
    with pytest.raises(ManifestError) as caught:
        read_decisions(table, JOBS, 100.0, "d.csv")
    text = str(caught.value)
    for number in (2, 3, 4, 5, 6, 7):
        assert f"row {number}:" in text
    assert "nothing was changed" in text


def test_another_table_is_no_decisions_file() -> None:
    with pytest.raises(ManifestError, match=r"no column .*decision"):
        read_decisions([(1, {"sku": "x"})], JOBS, 1.0, "d.csv")


def test_an_import_leaves_what_is_newer(checkpoint: SqliteCheckpoint) -> None:
    marks = FolderDecisions(checkpoint)
    for job, at in ((1, 50.0), (2, 5.0), (3, 5.0)):
        marks.put(PictureDecision(job, APPROVE, "", 0, "Dana", at))
    imported = [
        (job, ImportedDecision(b"", verdict, "", 20.0)) for job, verdict in ((1, REJECT), (2, REJECT), (3, APPROVE))
    ]
    assert marks.take_in(imported, "Robin") == ImportReport(written=1, same=1, older=1)
    assert {job: mark.verdict for job, mark in marks.all().items()} == {1: APPROVE, 2: REJECT, 3: APPROVE}
    assert [e.via for e in marks.events()] == ["review", "review", "review", "import"]


# --- redo -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "addition", "expected"),
    [
        ("an ad", "brighter", "an ad. brighter"),
        ("an ad.  ", " brighter ", "an ad. brighter"),
        ("an ad!", "no text", "an ad! no text"),
        ("", "brighter", "brighter"),
    ],
)
def test_an_addition_is_a_sentence_of_its_own(prompt: str, addition: str, expected: str) -> None:
    assert extend_prompt(prompt, addition) == expected


def test_a_name_that_another_row_has_is_not_taken() -> None:
    assert find_free_name("Mug", 2, {"mug"}) == "Mug-v2"
    assert find_free_name("Mug", 2, {"mug-v2"}) == "Mug-v2-2"


def test_exactly_the_rejected_are_made_again(checkpoint: SqliteCheckpoint) -> None:
    FolderDecisions(checkpoint).put(PictureDecision(1, APPROVE, "", 0, "Dana", 1.0))
    reject(checkpoint, 2, "too dark")
    ((old, new),) = list_redo_lines(checkpoint)
    assert (old.id, new.row, new.id, new.job.version, new.job.revision) == (2, 2, "B", 2, 1)
    assert new.job.name == "B-1x1-1-v2"
    assert new.job.inputs == old.job.inputs
    assert new.job.key == job_key(old.job.model, orjson.loads(old.job.inputs), 1, 1) != old.job.key


def test_notes_and_an_addition_go_behind_the_prompt(checkpoint: SqliteCheckpoint) -> None:
    reject(checkpoint, 2, "too dark")
    ((_, new),) = list_redo_lines(checkpoint, prompt_add="no text", use_notes=True)
    assert orjson.loads(new.job.inputs)["prompt"] == "an ad for B. too dark no text"
    ((_, plain),) = list_redo_lines(checkpoint)
    assert orjson.loads(plain.job.inputs)["prompt"] == "an ad for B"


def test_a_model_without_a_prompt_can_not_be_told_more() -> None:
    job = line(1, {"sku": "a", "image": "https://x/y", "prompt": "p", "size": "1:1"}).job
    bare = type(job)(job.key, job.model, '{"text":"p"}', job.name)
    with pytest.raises(UsageError, match="no input called prompt"):
        make_next_version(bare, 2, "more", key_of=lambda *_: job.key, keys=(), names=())


def test_a_revision_that_is_taken_is_passed_over() -> None:
    job = line(1, {"sku": "a", "image": "https://x/y", "prompt": "p", "size": "1:1"}).job
    taken = {bytes([1]) * 16, bytes([2]) * 16}
    made = make_next_version(job, 2, "", key_of=lambda _i, _v, revision: bytes([revision]) * 16, keys=taken, names=())
    assert made.revision == 3


def test_the_new_version_stands_on_the_line_and_the_old_one_beside_it(
    room: Showroom, checkpoint: SqliteCheckpoint
) -> None:
    reject(checkpoint, 2)
    (new_id,) = add_repurchases(checkpoint, list_redo_lines(checkpoint))
    assert list_redo_lines(checkpoint) == []
    assert checkpoint.counts().by_state == {State.DONE: 2, State.PLANNED: 1}
    assert checkpoint.money().spent == 3 * 40_000
    (planned,) = checkpoint.records("state = 'planned' AND wanted = 1")
    assert planned.id == new_id
    room.done(checkpoint, planned, picture(99, (64, 64)))
    assert [[shot.id for shot in card.versions] for card in read_gallery_rows(checkpoint)] == [[1], [4, 2], [3]]
    assert [outcome.version for outcome in checkpoint.read_outcomes()] == [1, 2, 1]
    assert all((room.folder.path / f.path).is_file() for r in checkpoint.records("1") for f in r.files)


def test_a_third_version_follows_the_second(room: Showroom, checkpoint: SqliteCheckpoint) -> None:
    for expected in ("B-1x1-1-v2", "B-1x1-1-v3"):
        current = read_gallery_rows(checkpoint)[1].versions[0]
        reject(checkpoint, current.id)
        (new_id,) = add_repurchases(checkpoint, list_redo_lines(checkpoint))
        (record,) = checkpoint.records("id = ?", (new_id,))
        room.done(checkpoint, record, picture(new_id, (64, 64)))
        assert record.job.name == expected
    assert [shot.job.version for shot in read_gallery_rows(checkpoint)[1].versions] == [3, 2, 1]


def test_the_manifest_taken_in_again_keeps_the_newest_version(room: Showroom, checkpoint: SqliteCheckpoint) -> None:
    reject(checkpoint, 2)
    (new_id,) = add_repurchases(checkpoint, list_redo_lines(checkpoint))
    intake = Intake.begin(checkpoint)
    intake.add([line(number, row) for number, row in enumerate([*room.rows, {**room.rows[0], "prompt": "edited"}], 1)])
    intake.commit("edited")
    assert [card.versions[0].id for card in read_gallery_rows(checkpoint)][:3] == [1, new_id, 3]
    assert {record.id for record in checkpoint.records("wanted = 1")} == {1, 3, new_id, new_id + 1}


def test_a_local_picture_that_moved_does_not_undo_what_was_added_to_the_prompt(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        picture(5).save(tmp_path / name)
    room = Showroom(RunFolder(tmp_path / "run"))
    room.row("A", image=str(tmp_path / "one.png"))
    checkpoint = room.open()
    room.done(checkpoint, checkpoint.records("1")[0], picture(1, (64, 64)))
    reject(checkpoint, 1)
    (new_id,) = add_repurchases(checkpoint, list_redo_lines(checkpoint, prompt_add="brighter"))
    intake = Intake.begin(checkpoint)
    intake.add([line(1, {**room.rows[0], "image": str(tmp_path / "two.png")})])
    intake.commit("moved")
    (record,) = checkpoint.records("id = ?", (new_id,))
    assert orjson.loads(record.job.inputs)["prompt"] == "an ad for A. brighter"
    checkpoint.close()


# --- flags ----------------------------------------------------------------------------------------


def test_flags_are_kept_and_make_the_results_out_of_date(checkpoint: SqliteCheckpoint) -> None:
    before = checkpoint.change_token()
    assert write_flags(checkpoint, {1: "tiny", 2: ""}) is True
    assert write_flags(checkpoint, {1: "tiny"}) is False
    assert read_flags(checkpoint) == {1: "tiny"}
    assert [outcome.flags for outcome in checkpoint.read_outcomes()] == ["tiny", "", ""]
    assert checkpoint.change_token() != before


def test_what_was_decided_stands_in_the_results(checkpoint: SqliteCheckpoint) -> None:
    before = checkpoint.change_token()
    FolderDecisions(checkpoint).put(PictureDecision(1, Verdict.REJECT, "=brighter"))
    assert [(o.decision, o.note) for o in checkpoint.read_outcomes()] == [("reject", "=brighter"), ("", ""), ("", "")]
    assert checkpoint.change_token() != before, "the results are out of date"


def test_a_card_as_a_line_of_the_results_is_what_the_checkpoint_says(checkpoint: SqliteCheckpoint) -> None:
    chosen = [(card, card.versions[0]) for card in read_gallery_rows(checkpoint)]
    assert [o._replace(url="") for o in checkpoint.read_outcomes()] == list(build_outcomes(chosen, {}))
