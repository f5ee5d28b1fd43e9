"""Never run, only type-checked: the public typing is under test."""

from __future__ import annotations

from decimal import Decimal

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


def typed_options() -> Decimal:
    options: batchedit.Options = {"prompt": "an ad for {title}", "sizes": ("1:1",), "max_cost": "none"}
    batchedit.run("spring.csv", promt="an ad")  # type: ignore[call-arg]
    batchedit.run("spring.csv", variants="2")  # type: ignore[arg-type]
    spent: list[Decimal] = []
    batchedit.run("spring.csv", on_progress=lambda now: spent.append(now.money.spent), **options)
    batchedit.status("outputs/spring").money.in_doubt.is_zero()
    batchedit.plan(pd.DataFrame(), out="outputs/frame")
    return batchedit.plan("spring.csv", **options).estimate
