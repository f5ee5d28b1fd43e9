"""A dropped sheet taken in up to the question, and what a person's yes to it is."""

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
from ..ledger.findings import Findings
from ..run_folder import strip_suffixes
from ..settings.model import Settings
from .carry import Offer, Unattended, offer
from .confirmation import Command
from .draft_mended import mended
from .draft_steps import Step, found
from .draft_words import for_the_page
from .drafts import Draft

BOUGHT = "bought"


def make_offer(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """The question as a page puts it, and the confirmation that a click hands in. Nothing is bought.

    UsageError while rows with problems are neither mended nor left out.
    """
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        if findings.count_open_rows():
            raise UsageError("some rows have problems", hint="mend them, or leave them out, before you buy")
    host = Unattended(environ)
    offered = anyio.run(partial(offer, command_of(draft), host))
    if not isinstance(offered, Offer):
        return {"nothing": True, "folder": str(offered.folder)}
    return {**as_asked(offered), "said": [for_the_page(text) for text in (*host.warnings, *host.messages)]}


def command_of(draft: Draft) -> Command:
    """What the person wants done: the sheet, with everything that was chosen for it."""
    source, settings = mended(draft)
    plain, buy = Settings(), draft.choices.get("buy") or {}
    chosen = {f.name: getattr(settings, f.name) for f in fields(Settings) if f.name != "origins"}
    given = {name: value for name, value in chosen.items() if value != getattr(plain, name)}
    given |= {"out": str(run_folder(draft)), "skip_invalid": True, "canary": int(buy.get("first") or 0)}
    if buy.get("cap"):
        given["max_cost"] = int(buy["cap"])
    return Command(verb="run", target=str(_settled(source)), name=draft.name, given=given)


def run_folder(draft: Draft) -> Path:
    """The run that the draft is to become: named as the sheet is. Each offer of one draft is made in the same run."""
    if folder := draft.run or found(draft, Step.OFFER).get("folder"):
        return Path(folder)
    usual = Path("outputs") / (strip_suffixes(Path(draft.name.removesuffix(".zip"))) or "sheet")
    numbered = (usual.with_name(f"{usual.name}-{n}") for n in itertools.count(2))
    return next(path for path in itertools.chain([usual], numbered) if not path.exists()).absolute()


def forget_yes(draft: Draft) -> None:
    """The question is put anew, in the same run."""
    write_atomically(draft.folder / f"{Step.OFFER}.json", orjson.dumps({"folder": str(run_folder(draft))}))


def _settled(source: Path) -> Path:
    """A copy under one name, whatever was mended since: a run goes on with the sheet that it was made from."""
    path = source.with_name(f"{BOUGHT}{source.suffix}")
    try:
        with replace_atomically(path) as part:
            shutil.copyfile(source, part)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return path


def as_asked(found: Offer) -> dict[str, Any]:
    """Plain values: count, price, cap, the rest behind it, and the confirmation."""
    quote = found.quote
    asked = {"count": 0, "price": 0, "cap": None, "rest": 0, "estimate": 0, "to_buy": 0}
    if quote is not None:
        asked = {
            "count": quote.count,
            "price": quote.price,
            "cap": quote.cap,
            "rest": quote.rest,
            "estimate": quote.estimate,
            "to_buy": quote.count + quote.rest,
        }
    return {
        **asked,
        "nothing": False,
        "folder": str(found.folder),
        "nonce": found.confirmation.nonce,
        "confirmation": found.confirmation.as_json(),
    }
