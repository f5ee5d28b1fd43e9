"""The steps of a draft and what each found: one JSON file a step, whose ``of`` says what it was found out for."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson

from ..disk import write_atomically
from .drafts import CHOICES, LOOK_CHOICES, Draft


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
        write_atomically(draft.folder / f"{step}.json", orjson.dumps(kept))
