"""The settings of a run, stored with it: in the checkpoint for the program, in ``settings.toml`` for people."""

from __future__ import annotations

from dataclasses import replace

from ..disk import write_atomically
from ..ledger.book import Book
from ..run_folder import RunFolder
from ..settings.model import Settings
from ..settings.toml import to_settings_toml


def save_run_settings(checkpoint: Book, folder: RunFolder, settings: Settings) -> None:
    """Store the settings of this command in the checkpoint and in ``settings.toml``. The stored cap is the one that holds,
    not one that a person has not yet said yes to.
    """
    settings = replace(settings, max_cost=checkpoint.cap)
    text = settings.dump()
    if checkpoint.get("settings") != text:
        checkpoint.put("settings", text)
    write_settings_file(folder, settings)


def write_settings_file(folder: RunFolder, settings: Settings) -> None:
    """Write ``settings.toml``. OutputError if it can't be written."""
    write_atomically(folder.settings, to_settings_toml(settings).encode(errors="replace"))
