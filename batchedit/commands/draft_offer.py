"""The offer of a dropped sheet: its intake up to the quote, and the confirmation that a person can give."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson

from ..core.errors import OutputError, UsageError
from ..disk import replace_atomically, write_atomically
from ..ledger.sheet_problems import Findings
from ..run_folder import strip_suffixes
from ..settings.model import Settings
from .confirmation_file import Command
from .draft_edited_sheet import apply_edits
from .draft_messages import remove_cli_hints
from .draft_steps import Step, read_step_result
from .drafts import Draft
from .offer_and_carry_out import Offer, Unattended, offer

BOUGHT = "bought"


def make_offer(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """The quote as a page shows it, and the confirmation that a click sends. Nothing is bought.

    UsageError while rows with problems are neither corrected nor left out.
    """
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        if findings.count_open_rows():
            raise UsageError("some rows have problems", hint="mend them, or leave them out, before you buy")
    host = Unattended(environ)
    outcome = anyio.run(partial(offer, build_run_command(draft), host))
    if not isinstance(outcome, Offer):
        return {"nothing": True, "folder": str(outcome.folder)}
    return {**offer_as_json(outcome), "said": [remove_cli_hints(text) for text in (*host.warnings, *host.messages)]}


def build_run_command(draft: Draft) -> Command:
    """The command for the sheet, with everything that was chosen for it."""
    source, settings = apply_edits(draft)
    defaults, purchase_choices = Settings(), draft.choices.get("buy") or {}
    chosen = {f.name: getattr(settings, f.name) for f in fields(Settings) if f.name != "origins"}
    given = {name: value for name, value in chosen.items() if value != getattr(defaults, name)}
    given |= {
        "out": str(choose_run_folder(draft)),
        "skip_invalid": True,
        "canary": int(purchase_choices.get("first") or 0),
    }
    if purchase_choices.get("cap"):
        given["max_cost"] = int(purchase_choices["cap"])
    return Command(verb="run", target=str(_copy_source(source)), name=draft.name, given=given)


def choose_run_folder(draft: Draft) -> Path:
    """The folder of the draft's run, named after the sheet. All offers of one draft are made in the same run."""
    if folder := draft.run or read_step_result(draft, Step.OFFER).get("folder"):
        return Path(folder)
    default = Path("outputs") / (strip_suffixes(Path(draft.name.removesuffix(".zip"))) or "sheet")
    alternatives = (default.with_name(f"{default.name}-{n}") for n in itertools.count(2))
    return next(path for path in itertools.chain([default], alternatives) if not path.exists()).absolute()


def reset_offer(draft: Draft) -> None:
    """Discard the offer, so that a new one is made in the same run."""
    write_atomically(draft.folder / f"{Step.OFFER}.json", orjson.dumps({"folder": str(choose_run_folder(draft))}))


def _copy_source(source: Path) -> Path:
    """Copy the sheet to a fixed name: a run continues with the sheet that it was made from, whatever is edited later."""
    path = source.with_name(f"{BOUGHT}{source.suffix}")
    try:
        with replace_atomically(path) as part:
            shutil.copyfile(source, part)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return path


def offer_as_json(offer_made: Offer) -> dict[str, Any]:
    """An offer as JSON: count, price, cap, the rest after the canary, and the confirmation."""
    quote = offer_made.quote
    quote_as_json = {"count": 0, "price": 0, "cap": None, "rest": 0, "estimate": 0, "to_buy": 0}
    if quote is not None:
        quote_as_json = {
            "count": quote.count,
            "price": quote.price,
            "cap": quote.cap,
            "rest": quote.rest,
            "estimate": quote.estimate,
            "to_buy": quote.count + quote.rest,
        }
    return {
        **quote_as_json,
        "nothing": False,
        "folder": str(offer_made.folder),
        "nonce": offer_made.confirmation.nonce,
        "confirmation": offer_made.confirmation.as_json(),
    }
