"""``batchedit results``: write the enriched manifest again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.steps import Steps, no_steps
from ..results.files import write_results_as
from .kept_settings import Given, load_kept_settings
from .open_run_to_read import open_run_to_read
from .play_money import is_play


def results(
    run_name: str,
    given: Given,
    *,
    kind: str | None = None,
    to: Path | None = None,
    warn: Callable[[str], None] | None = None,
    steps: Steps = no_steps,
) -> Path:
    """Write the enriched manifest again, in its own form or as ``kind``. May be called while a run is going on.

    ``warn`` gets a message about what that form can't hold.
    """
    with open_run_to_read(run_name, given) as (folder, checkpoint):
        settings = load_kept_settings(checkpoint, folder, given)
        return write_results_as(checkpoint, folder, settings, kind, to, warn, steps, play=is_play(checkpoint))
