"""``-`` for a manifest: standard input, kept in the run's folder so that it can be read more than once."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from ..core.errors import OutputError, UsageError
from ..disk import create
from ..manifest.csvfile import convert_read_errors
from ..manifest.rows import FormKind
from ..manifest.sniff import sniff_kind
from ..run_folder import RunFolder
from ..settings.model import Settings

NAME = "standard input"
_SUFFIXES = {FormKind.XLSX: ".xlsx", FormKind.PARQUET: ".parquet", FormKind.JSONL: ".jsonl"}


def source_of(manifest: str, settings: Settings) -> tuple[Path, str, Settings]:
    """Where the manifest is to be read, what it is called in messages ("": as it is), and the settings that go with it.

    UsageError for ``-`` without ``--out``: what has no name has no folder of its own.
    """
    if manifest != "-":
        return Path(manifest), "", settings
    if not settings.out:
        raise UsageError(
            "a manifest from standard input has no name", hint="say where the run lives: --out outputs/NAME"
        )
    folder = RunFolder(Path(settings.out))
    folder.make()
    part = folder.path / "stdin.part"
    try:
        with create(part) as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    except OSError as error:
        raise OutputError(f"{part} can't be written: {error.strerror or error}") from error
    return _named(part), NAME, replace(settings, image_root=(str(Path.cwd()), *settings.image_root))


def _named(part: Path) -> Path:
    """The same file under a name that says what it is."""
    try:
        with convert_read_errors(NAME):
            form = sniff_kind(part, NAME)
        return part.replace(
            part.with_name(f"stdin{_SUFFIXES.get(form.kind, '.csv')}{'.gz' if form.compression else ''}")
        )
    finally:
        part.unlink(missing_ok=True)
