"""Runs one step of a draft in a separate process: ``python -m batchedit.commands.draft_work STEP FOLDER``.

An error that a person can correct is written as the step's result.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import BatcheditError, TokenError
from ..disk import write_atomically
from .draft_messages import remove_cli_hints
from .draft_steps import Step, compute_step_digest, read_step_result
from .drafts import Draft, Drafts


def run_step(draft: Draft, step: Step) -> dict[str, Any]:
    """Run the step and write its result."""
    try:
        result = _compute_result(draft, step)
    except BatcheditError as error:
        needs_token = isinstance(error, TokenError)
        result = {"error": {"message": str(error), "hint": remove_cli_hints(error.hint), "token": needs_token}}
        if step is Step.OFFER and (folder := read_step_result(draft, step).get("folder")):
            result["folder"] = folder  # each offer of one draft is made in the same run
    result.setdefault("error", None)
    result["of"] = compute_step_digest(draft, step)
    write_atomically(draft.folder / f"{step}.json", orjson.dumps(result))
    return result


def _compute_result(draft: Draft, step: Step) -> dict[str, Any]:
    # Each step imports only what it needs.
    if step is Step.TAKE:
        from .draft_take import prepare_sheet  # noqa: PLC0415

        return prepare_sheet(draft, os.environ)
    if step is Step.LOOK:
        from .draft_look import inspect_sheet  # noqa: PLC0415

        return inspect_sheet(draft)
    if step is Step.CHECK:
        from .draft_check import check_draft  # noqa: PLC0415

        return check_draft(draft, os.environ)
    if step is Step.OFFER:
        from .draft_offer import make_offer  # noqa: PLC0415

        return make_offer(draft, os.environ)
    from .draft_pictures import fetch_pictures  # noqa: PLC0415

    return fetch_pictures(draft, os.environ)


def main(arguments: list[str]) -> None:
    """``STEP FOLDER``."""
    if sys.platform != "win32":
        os.nice(5)  # the server's replies have priority
    step, folder = Step(arguments[0]), Path(arguments[1])
    drafts = Drafts(os.environ)
    drafts.folder = folder.parent
    run_step(drafts.find(folder.name), step)


if __name__ == "__main__":
    main(sys.argv[1:])
