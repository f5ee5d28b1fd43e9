"""``batchedit config``: a run's settings, and where each came from."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from ..run_folder import find_run
from ..settings.model import Settings
from .kept_settings import Given, load_run_settings


def config(run_name: str, given: Given) -> tuple[Path, Settings, dict[str, str]]:
    """A run's folder, its settings with ``given`` over them, and where those of the run came from that are no default."""
    folder = find_run(run_name, given.get("out"))
    settings, defaults = load_run_settings(folder, {}), Settings()
    is_changed = {f.name: getattr(settings, f.name) != getattr(defaults, f.name) for f in fields(Settings)}
    origins = {
        name: f"the run ({settings.origins.get(name, 'as it was made')})"
        for name, differs in is_changed.items()
        if differs
    }
    return folder.path, replace(settings, **given), origins
