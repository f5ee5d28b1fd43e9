"""Never run, only type-checked: the public typing is under test."""

from __future__ import annotations

import pandas as pd

import batchedit
from batchedit.core.model import State


async def asynchronous() -> int:
    result = await batchedit.arun("spring.csv", prompt="an ad for {title}", out="outputs/spring", max_cost="5.00")
    return result.code


def synchronous(frame: pd.DataFrame) -> pd.DataFrame:
    result = batchedit.run(frame, out="outputs/frame", sandbox=True, sizes=["1:1", "2:3"])
    done: int = result.done
    assert done == result.counts.of(State.DONE)
    try:
        batchedit.run("missing.csv")
    except batchedit.BatcheditError as error:
        hint: str = error.hint
        raise SystemExit(error.code) from ValueError(hint)
    return result.results
