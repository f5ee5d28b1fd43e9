"""One step of a draft, done by a process of its own: ``python -m batchedit.commands.draft_work STEP FOLDER``.

An error that a person can mend is a finding.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import BatcheditError, TokenError
from ..disk import write_atomically
from .draft_steps import Step, digest_of, found
from .draft_words import for_the_page
from .drafts import Draft, Drafts


def do(draft: Draft, step: Step) -> dict[str, Any]:
    """Do the step and write its result."""
    try:
        told = _act(draft, step)
    except BatcheditError as error:
        needs_token = isinstance(error, TokenError)
        told = {"error": {"message": str(error), "hint": for_the_page(error.hint), "token": needs_token}}
        if step is Step.OFFER and (folder := found(draft, step).get("folder")):
            told["folder"] = folder  # each offer of one draft is made in the same run
    told.setdefault("error", None)
    told["of"] = digest_of(draft, step)
    write_atomically(draft.folder / f"{step}.json", orjson.dumps(told))
    return told


def _act(draft: Draft, step: Step) -> dict[str, Any]:
    # A step loads what it needs.
    if step is Step.TAKE:
        from .draft_take import take  # noqa: PLC0415

        return take(draft, os.environ)
    if step is Step.LOOK:
        from .draft_look import look  # noqa: PLC0415

        return look(draft)
    if step is Step.CHECK:
        from .draft_check import check  # noqa: PLC0415

        return check(draft, os.environ)
    if step is Step.OFFER:
        from .draft_offer import make_offer  # noqa: PLC0415

        return make_offer(draft, os.environ)
    from .draft_pictures import fetch_pictures  # noqa: PLC0415

    return fetch_pictures(draft, os.environ)


def main(words: list[str]) -> None:
    """``STEP FOLDER``."""
    if sys.platform != "win32":
        os.nice(5)  # the server's answers come first
    step, folder = Step(words[0]), Path(words[1])
    drafts = Drafts(os.environ)
    drafts.folder = folder.parent
    do(drafts.find(folder.name), step)


if __name__ == "__main__":
    main(sys.argv[1:])
