"""Errors of SQLite and of the disk as CheckpointErrors, in the user's words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..core.errors import BatcheditError, CheckpointCorruptError, CheckpointError

FULL_HINT = "free some space, then type the same command again"


def map_sqlite_error(error: sqlite3.Error, path: Path) -> CheckpointError:
    """``error``, raised by SQLite for the checkpoint at ``path``, as an error with a hint. Chosen by SQLite's own error
    names.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"} or name.startswith("SQLITE_CORRUPT"):
        return build_corrupt_error(path, str(error))
    if name in {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"}:
        return CheckpointError(f"the disk is full: {path} can't be written", hint=FULL_HINT)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return CheckpointError(
            f"{path} can't be written ({error})",
            hint="give yourself the right to write it, then the same command again",
        )
    return CheckpointError(f"the checkpoint {path} failed: {error} [{name or type(error).__name__}]")


def as_batchedit_error(error: BaseException, path: Path) -> BatcheditError:
    """``error`` if it is one of ours, else a CheckpointError caused by it: a change may not have been written."""
    if isinstance(error, BatcheditError):
        return error
    wrapped = CheckpointError(f"the checkpoint {path} could not be written: {error!r}")
    wrapped.__cause__ = error
    return wrapped


def build_corrupt_error(path: Path, reason: str) -> CheckpointCorruptError:
    """The error for a damaged file at ``path``, or one that is no checkpoint of ours; ``reason`` in SQLite's words or
    our own.
    """
    return CheckpointCorruptError(
        f"the checkpoint {path} is damaged ({reason}); nothing was changed",
        hint="restore it from a backup: it knows what was bought. Do not delete it",
    )
