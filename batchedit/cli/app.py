"""The whole command line: the group with every command on it."""

from __future__ import annotations

from . import (
    commands,
    list_commands,
    live_commands,
    login_command,
    model_commands,
    review_commands,
    settle_commands,
    source_commands,
    store_commands,
    ui_commands,
)
from .group import batchedit

__all__ = [
    "batchedit",
    "commands",
    "list_commands",
    "live_commands",
    "login_command",
    "model_commands",
    "review_commands",
    "settle_commands",
    "source_commands",
    "store_commands",
    "ui_commands",
]
