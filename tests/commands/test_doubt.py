"""Which jobs a person means, and that each decision is one event: the parts of ``batchedit doubt`` that ask nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.decide_doubts import BY_HAND, list_doubts, pick_doubts, write_off
from batchedit.commands.purchase_order import Order
from batchedit.core.errors import UsageError
from batchedit.core.events import Lost, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Kind, Problem, State
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.manifest.rows import Form, FormKind
from tests.support.factories import make_line

PRICE = 40_000
SHEET = Form(FormKind.CSV, header_row=1)
"""Its header is row 1: what is row 1 to the checkpoint is the sheet's row 2."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[SqliteCheckpoint]:
    """Jobs 1 to 4 on rows 1, 2, 2 (another size) and 4, where row 5 is a duplicate of row 1; 1 to 3 are in doubt."""
    opened = create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")
    intake = Intake.begin(opened)
    lines = [
        make_line(1),
        make_line(2),
        make_line(3, row=2, id="sku-2"),
        make_line(4),
        make_line(1, row=5, duplicate=True),
    ]
    intake.add(lines)
    intake.commit("f")
    for record in opened.records("id < 4"):
        reserved = Reserved(100.0, PRICE)
        lost = Lost(101.0, Problem(Kind.LOST, "no answer"))
        opened.save_now(advance(opened.save_now(advance(record, reserved), reserved), lost), lost)
    yield opened
    opened.close()


def list_chosen(checkpoint: SqliteCheckpoint, *names: str) -> list[int]:
    return [doubt.record.id for doubt in pick_doubts(list_doubts(checkpoint, SHEET), names)]


def test_they_are_listed_by_row_with_every_row_that_wants_them(checkpoint: SqliteCheckpoint) -> None:
    listed = [(doubt.record.id, doubt.rows) for doubt in list_doubts(checkpoint, SHEET)]
    assert listed == [(1, ((2, "sku-1"), (6, "sku-1"))), (2, ((3, "sku-2"),)), (3, ((3, "sku-2"),))]


@pytest.mark.parametrize(
    ("names", "jobs"),
    [(["2"], [1]), (["6"], [1]), (["job-3"], [3]), (["all"], [1, 2, 3]), (["2", "job-2", "6"], [1, 2]), ([], [])],
)
def test_who_is_meant(checkpoint: SqliteCheckpoint, names: list[str], jobs: list[int]) -> None:
    assert list_chosen(checkpoint, *names) == jobs


def test_all_that_is_wrong_is_told_at_once(checkpoint: SqliteCheckpoint) -> None:
    with pytest.raises(UsageError) as raised:
        list_chosen(checkpoint, "2", "3", "5", "nobody")
    message = "row 3 has 2 such jobs: name one of job-2, job-3; "
    message += "5: no job in doubt or uncollected; nobody: no job in doubt or uncollected"
    assert str(raised.value) == message


def test_bought_again_or_written_off_is_an_event_with_a_time(checkpoint: SqliteCheckpoint) -> None:
    first = pick_doubts(list_doubts(checkpoint, SHEET), ["2"])
    assert list(Order(released=[doubt.record for doubt in first], by=BY_HAND).begin(checkpoint)) == [1]
    assert write_off(checkpoint, pick_doubts(list_doubts(checkpoint, SHEET), ["all"])) == 2
    released, off, _ = checkpoint.records("id < 4")
    assert (released.state, released.reserved, released.earlier_spent) == (State.PLANNED, 0, PRICE)
    assert (off.state, off.reserved, off.cost, off.cost_known) == (State.FAILED, 0, PRICE, False)
    assert checkpoint.money().spent == 3 * PRICE, "what may have been bought counts as spent"
    assert checkpoint.money().reserved == 0
    written = [(logged.name, logged.read().by) for logged in checkpoint.read_log() if logged.at > 1000]
    assert written == [("Released", "by hand (doubt)"), *[("WrittenOff", "by hand (doubt)")] * 2]
    assert list_doubts(checkpoint, SHEET) == []
