"""Runs of a sheet that are not where they were: moved, removed, or on a disk that is not there now.

What they bought is not known here and would be bought again. It is told before the question, and a yes in advance does not
hold for it (``Plan.find_objection``). The run that stands in the place of one that is gone keeps that until somebody says yes to
it: a folder that is made on the way to a no would otherwise hide it from the next command.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from ..ledger.book import Facts
from ..ledger.facts import HasFacts, read_fact
from ..ledger.register import is_run

_GONE = "gone_runs"
"""The fact that holds their folders, as a JSON list."""


def note_gone(checkpoint: Facts, folders: Iterable[Path]) -> None:
    """The run of ``checkpoint`` stands in the place of those in ``folders``, until ``forget_gone``."""
    if found := [str(folder) for folder in folders]:
        checkpoint.put(_GONE, orjson.dumps(found).decode())


def forget_gone(checkpoint: Facts) -> None:
    """Somebody said yes to buying anew what they may have bought."""
    if checkpoint.get(_GONE):
        checkpoint.put(_GONE, "")


def list_gone(checkpoint: HasFacts, run: Path) -> list[str]:
    """The folders of the runs that the one in the folder ``run`` stands in the place of, but for those that are back."""
    kept: list[str] = read_fact(checkpoint, _GONE, _texts, [])
    return [folder for folder in kept if folder == str(run.resolve()) or not is_run(Path(folder))]


def _texts(text: str) -> list[str]:
    found = orjson.loads(text)
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise ValueError(text)
    return found
