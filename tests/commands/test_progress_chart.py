"""The chart of a run tells the sums that the run's page tells."""

from __future__ import annotations

from pathlib import Path

from batchedit.commands.live import find_live_state
from batchedit.commands.progress_chart import build_progress_chart
from batchedit.commands.redo import list_redo_lines
from batchedit.core.events import Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import State
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.repurchases import add_repurchases
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture


def test_the_chart_ends_with_what_the_page_says_is_done_and_spent(tmp_path: Path) -> None:
    """Two rows that ask for one picture, one that was redone, one that failed, one under way: $1.12 stood beside $1.08."""
    room = Showroom(RunFolder(tmp_path / "run"))
    for number in range(6):
        room.row(f"SKU-{number}")
    room.rows[1] = dict(room.rows[0])
    checkpoint = room.open()
    records = checkpoint.records("1 ORDER BY id")
    for record in records[:-2]:
        room.done(checkpoint, record, picture(record.id))
    room.failed(checkpoint, records[-2], "refused")
    reserved = Reserved(room.clock, 40_000)
    checkpoint.save_now(advance(records[-1], reserved), reserved)
    FolderDecisions(checkpoint).put(PictureDecision(records[2].id, Verdict.REJECT, "too dark", 0, "Dana", 5.0))
    for job in add_repurchases(checkpoint, list_redo_lines(checkpoint)):
        (record,) = checkpoint.records("id = ?", (job,))
        room.done(checkpoint, record, picture(job))
    checkpoint.close()

    state = find_live_state(str(room.folder.path))
    _, pictures, usd = build_progress_chart(room.folder.path)["points"][-1]
    assert (pictures, usd) == (state.of(State.DONE), state.as_json()["usd"]["spent"])
    assert usd == 0.16  # three pictures and one more version of one of them
