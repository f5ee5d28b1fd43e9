"""The steps of a draft and their results: one JSON file per step, whose ``of`` is the digest of the step's inputs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson

from ..disk import write_atomically
from .drafts import CHOICES, LOOK_CHOICES, Draft


class Step(StrEnum):
    """``take``: files become one sheet. ``look``: how it is read, what its columns are. ``check``: every row, and the price.
    ``pictures``: the sample's source pictures. ``offer``: the intake of the sheet, up to the quote.
    """

    TAKE = "take"
    LOOK = "look"
    CHECK = "check"
    PICTURES = "pictures"
    OFFER = "offer"


def compute_step_digest(draft: Draft, step: Step) -> str:
    """A digest of what the step's result depends on."""
    match step:
        case Step.TAKE:
            return f"{draft.choices.get('arrived')} {draft.choices.get('link')}"
        case Step.LOOK:
            return draft.compute_digest(*LOOK_CHOICES)
        case Step.OFFER:
            return draft.compute_digest(*CHOICES, "edits", "buy")
    return draft.compute_digest(*CHOICES, "edits")


def read_step_result(draft: Draft, step: Step) -> dict[str, Any]:
    """The step's result; empty if there is none."""
    try:
        result = orjson.loads((draft.folder / f"{step}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def is_done(draft: Draft, step: Step) -> bool:
    """Whether there is a result for the draft as it is now."""
    return read_step_result(draft, step).get("of") == compute_step_digest(draft, step)


def forget_error(draft: Draft, step: Step) -> None:
    """Delete the step's error, so that it is tried again: a token was given, a disk has room again."""
    result = read_step_result(draft, step)
    if result.get("error"):
        remaining = {name: value for name, value in result.items() if name not in {"error", "of"}}
        write_atomically(draft.folder / f"{step}.json", orjson.dumps(remaining))
