"""One step of a draft, done by a process of its own: ``python -m batchedit.commands.draft_work STEP FOLDER``.

Each step writes one JSON file whose ``of`` says what it was found out for. An error that a person can mend is a finding.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import BatcheditError, TokenError
from ..disk import write_whole
from .draft_words import for_the_page
from .drafts import CHOICES, LOOK_CHOICES, Draft, Drafts


class Step(StrEnum):
    """``take``: files become one sheet. ``look``: how it is read, what its columns are. ``check``: every row, and the price.
    ``pictures``: the sample's source pictures. ``offer``: the sheet is taken in, up to the question.
    """

    TAKE = "take"
    LOOK = "look"
    CHECK = "check"
    PICTURES = "pictures"
    OFFER = "offer"


def digest_of(draft: Draft, step: Step) -> str:
    """What the step's result depends on."""
    match step:
        case Step.TAKE:
            return f"{draft.choices.get('arrived')} {draft.choices.get('link')}"
        case Step.LOOK:
            return draft.digest(*LOOK_CHOICES)
        case Step.OFFER:
            return draft.digest(*CHOICES, "edits", "buy")
    return draft.digest(*CHOICES, "edits")


def found(draft: Draft, step: Step) -> dict[str, Any]:
    """What the step found; empty if nothing is there."""
    try:
        told = orjson.loads((draft.folder / f"{step}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def is_done(draft: Draft, step: Step) -> bool:
    """Is there a result for the draft as it is now?"""
    return found(draft, step).get("of") == digest_of(draft, step)


def forget_error(draft: Draft, step: Step) -> None:
    """What the step could not do is tried anew: a token was given, a disk has room again."""
    told = found(draft, step)
    if told.get("error"):
        kept = {name: value for name, value in told.items() if name not in {"error", "of"}}
        write_whole(draft.folder / f"{step}.json", orjson.dumps(kept))


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
    write_whole(draft.folder / f"{step}.json", orjson.dumps(told))
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
