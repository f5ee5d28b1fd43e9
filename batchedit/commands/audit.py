"""``batchedit audit``: prove a run from its event log."""

from __future__ import annotations

from ..core.steps import Steps, no_steps
from ..run_folder import RunFolder, read_form_of_run
from .audit_replay import Audit, prove
from .file_store import open_objects_of_run
from .kept_settings import Given, load_kept_settings
from .open_run_to_read import open_run_to_read


def audit(run_name: str, given: Given, steps: Steps = no_steps) -> tuple[RunFolder, Audit]:
    """Prove the run from its event log."""
    with open_run_to_read(run_name, given) as (folder, checkpoint):
        objects = open_objects_of_run(checkpoint, folder.path, settings=load_kept_settings(checkpoint, folder, given))
        return folder, prove(checkpoint, folder.path, read_form_of_run(checkpoint, folder), objects, steps)
