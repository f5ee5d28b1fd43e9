"""The whole command line: the group with every command on it."""

from __future__ import annotations

from . import commands, review_commands, source_commands
from .group import batchedit

__all__ = ["batchedit", "commands", "review_commands", "source_commands"]
