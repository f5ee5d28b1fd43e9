"""Runs of a sheet that are gone: moved, removed, or on a disk that is not mounted.

What they bought is not known here and would be bought again. The person is told before the question, and a yes in advance
does not hold for it (``Plan.find_objection``). The run that takes the place of a gone one keeps this fact until a person
says yes to it: otherwise a folder that was made before a no would hide it from the next command.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from ..ledger.book import Facts
from ..ledger.register import is_run
from ..ledger.run_facts import FactReader, read_fact

_GONE = "gone_runs"
"""The fact that holds their folders, as a JSON list."""


def note_gone(checkpoint: Facts, folders: Iterable[Path]) -> None:
    """Note that the run of ``checkpoint`` takes the place of those in ``folders``, until ``forget_gone``."""
    if names := [str(folder) for folder in folders]:
        checkpoint.put(_GONE, orjson.dumps(names).decode())


def forget_gone(checkpoint: Facts) -> None:
    """Forget the gone runs: a person said yes to buying again what they may have bought."""
    if checkpoint.get(_GONE):
        checkpoint.put(_GONE, "")


def list_gone(checkpoint: FactReader, run: Path) -> list[str]:
    """The folders of the gone runs that the one in the folder ``run`` replaces, without those that exist again."""
    folders: list[str] = read_fact(checkpoint, _GONE, _parse_texts, [])
    return [folder for folder in folders if folder == str(run.resolve()) or not is_run(Path(folder))]


def _parse_texts(text: str) -> list[str]:
    values = orjson.loads(text)
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ValueError(text)
    return values
