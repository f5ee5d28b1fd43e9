"""What several tasks raised at once is told as one error: the gravest, whatever the order."""

from __future__ import annotations

import pytest

from batchedit.core.errors import BatcheditError, CheckpointError, OutputError, TokenError
from batchedit.pool.gravest_error import find_gravest

CHECKPOINT, TOKEN, DEFECT = CheckpointError("disk"), TokenError("token"), ZeroDivisionError("a defect")


@pytest.mark.parametrize(
    ("raised", "gravest"),
    [
        ([TOKEN, CHECKPOINT, DEFECT], CHECKPOINT),
        ([DEFECT, TOKEN], TOKEN),
        ([DEFECT, ExceptionGroup("inner", [ExceptionGroup("innermost", [TOKEN]), CHECKPOINT])], CHECKPOINT),
        ([DEFECT, KeyError("another")], DEFECT),
    ],
    ids=["checkpoint first", "one of ours before a defect", "however deep", "a defect alone"],
)
def test_the_gravest_is_told(raised: list[Exception], gravest: Exception) -> None:
    assert find_gravest(ExceptionGroup("tasks", raised)) is gravest


def test_of_two_that_are_as_grave_the_first_is_told() -> None:
    first: BatcheditError = OutputError("first")
    assert find_gravest(ExceptionGroup("tasks", [first, TOKEN])) is first
