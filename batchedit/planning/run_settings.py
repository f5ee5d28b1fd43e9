"""The settings of a run, kept with it: in the checkpoint for the program, in ``settings.toml`` for people."""

from __future__ import annotations

from dataclasses import replace

from ..disk import write_whole
from ..ledger.book import Book
from ..run_folder import RunFolder
from ..settings.model import Settings
from ..settings.toml import to_settings_toml


def keep_settings(checkpoint: Book, folder: RunFolder, settings: Settings) -> None:
    """What the run was told this time: in the checkpoint for us, for people in a file. The cap among them is the one that
    holds, not the one that a person has not yet said yes to.
    """
    settings = replace(settings, max_cost=checkpoint.cap)
    text = settings.dump()
    if checkpoint.get("settings") != text:
        checkpoint.put("settings", text)
    show_settings(folder, settings)


def show_settings(folder: RunFolder, settings: Settings) -> None:
    """``settings.toml``. OutputError if it can't be written."""
    write_whole(folder.settings, to_settings_toml(settings).encode(errors="replace"))
