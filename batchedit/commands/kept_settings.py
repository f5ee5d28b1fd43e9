"""What a run was made with: its settings, believed as far as the run is known to be this person's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..ledger.book import Book
from ..ledger.opening import open_for_reading
from ..ledger.register import is_mine
from ..run_folder import RunFolder
from ..settings.model import Settings
from ..settings.toml import key_of
from .trust import list_ignored_settings, restrict_settings

Given = Mapping[str, Any]
"""Settings that the person gave with the command: they go over those that the run was made with."""


def kept_settings(
    checkpoint: Book, folder: RunFolder, given: Given, environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings the run was made with, and over them what was given now. Of a run that is not known to be this person's
    only those that restrict.

    What was said for one evening is not kept: a time to stop at, a canary, the leave to buy doubtful jobs again. The cap
    is the one that holds.
    """
    text = checkpoint.get("settings")
    kept = Settings.load(text) if text else Settings()
    if not (given.get("mine") or is_mine(checkpoint, folder.path, environ)):
        kept = restrict_settings(kept)
    kept = replace(
        kept,
        until=None,
        on_doubt="hold",
        canary=0,
        max_cost=checkpoint.cap,
        fresh=False,
        another_account=False,
        mine=False,
    )
    return replace(kept, **given)


def settings_of(folder: RunFolder, given: Given, environ: Mapping[str, str] = os.environ) -> Settings:
    """``kept_settings`` of the run in ``folder``."""
    with open_for_reading(folder.checkpoint) as checkpoint:
        return kept_settings(checkpoint, folder, given, environ)


def strange(folder: RunFolder, given: Given, environ: Mapping[str, str]) -> str:
    """What is to be said of a run that is not known to be this person's; "" of one that is."""
    with open_for_reading(folder.checkpoint) as checkpoint:
        if given.get("mine") or is_mine(checkpoint, folder.path, environ):
            return ""
        left_out = [key_of(name) for name in list_ignored_settings(Settings.load(checkpoint.get("settings") or "{}"))]
    told = f" (not its {', '.join(left_out)})" if left_out else ""
    return (
        f"the run in {folder.path} is not known to be yours: another person, another machine or an older batchedit made it. "
        f"What it says may restrict, and no more{told}; if it is yours, say so once: the same command with --mine"
    )
