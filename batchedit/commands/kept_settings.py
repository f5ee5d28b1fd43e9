"""The settings that a run was made with. Of a run that is not known to be this person's only those that restrict count."""

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
from ..settings.toml import to_option_name
from .trust import list_ignored_settings, restrict_settings

Given = Mapping[str, Any]
"""Settings that the person gave with the command: they override those that the run was made with."""


def load_kept_settings(
    checkpoint: Book, folder: RunFolder, given: Given, environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings that the run was made with, overridden by what was given now. Of a run that is not known to be this
    person's only those that restrict count.

    One-off options are not kept: a time to stop at, a canary, the permission to buy doubtful jobs again. The cap is the
    checkpoint's.
    """
    text = checkpoint.get("settings")
    settings = Settings.load(text) if text else Settings()
    if not (given.get("mine") or is_mine(checkpoint, folder.path, environ)):
        settings = restrict_settings(settings)
    settings = replace(
        settings,
        until=None,
        on_doubt="hold",
        canary=0,
        max_cost=checkpoint.cap,
        fresh=False,
        another_account=False,
        mine=False,
    )
    return replace(settings, **given)


def load_run_settings(folder: RunFolder, given: Given, environ: Mapping[str, str] = os.environ) -> Settings:
    """``load_kept_settings`` of the run in ``folder``."""
    with open_for_reading(folder.checkpoint) as checkpoint:
        return load_kept_settings(checkpoint, folder, given, environ)


def describe_unknown_run(folder: RunFolder, given: Given, environ: Mapping[str, str]) -> str:
    """The warning about a run that is not known to be this person's; "" for one that is."""
    with open_for_reading(folder.checkpoint) as checkpoint:
        if given.get("mine") or is_mine(checkpoint, folder.path, environ):
            return ""
        left_out = [
            to_option_name(name) for name in list_ignored_settings(Settings.load(checkpoint.get("settings") or "{}"))
        ]
    restrictions = f" (not its {', '.join(left_out)})" if left_out else ""
    return (
        f"the run in {folder.path} is not known to be yours: another person, another machine or an older batchedit made it. "
        f"What it says may restrict, and no more{restrictions}; if it is yours, say so once: the same command with --mine"
    )
