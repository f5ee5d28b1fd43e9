"""The earlier run in the same folder: read before its manifest is taken in again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from socket import gethostname

from ..core.model import JobKey, State
from ..jobs.aliases import find_aliases
from ..ledger.book import Book
from ..ledger.opening import open_for_reading
from ..ledger.run_facts import read_fact
from ..ledger.values import KnownJobs
from ..manifest.read import Form
from ..ports import StateOf
from ..run_folder import FORM_META, RunFolder, has_never_begun, hash_file, is_same_file
from ..settings.model import Settings

SOURCE_HOST = "source_host"
"""The fact with the host of a store's run's sheet: the same path on another machine is another file."""
ROW_NAMES_META, SHEETS_OWN = "row_names", "sheet"


@dataclass(frozen=True)
class PreviousRun:
    """An earlier run of the same model and service. ``state_of`` gives the states at the time of reading. ``begun``: anything
    was bought. ``source`` is the sheet that the run was made from.
    """

    known: KnownJobs | None = None
    state_of: StateOf = lambda _: None
    settings: Settings | None = None
    same_manifest: bool = False
    begun: bool = False
    cap: int | None = None
    top_price: int = 0
    encoding: str = ""
    source: str = ""
    is_of_here: bool = True  #: ``source`` is a file of this machine; a run of a store may be made on another
    sheet_names: bool = True  #: file names have the sheet's own row numbers; a run continues as it began

    def is_from(self, sheet: Path) -> bool:
        """True if the run was made from this file."""
        return self.is_of_here and is_same_file(self.source, sheet)


def load_previous_run(folder: RunFolder, settings: Settings, source: Path) -> PreviousRun:
    """The earlier run in ``folder``, if there is one of this model and service."""
    if not folder.checkpoint.is_file() or has_never_begun(folder):
        return PreviousRun()
    with (
        open_for_reading(folder.checkpoint) as checkpoint,
        checkpoint.snapshot(),
    ):  # another process may be taking rows in
        if checkpoint.get("model") != settings.model or checkpoint.get("service") != settings.service:
            return PreviousRun()
        known_jobs = checkpoint.read_known_jobs(find_aliases(checkpoint).items())
        known_jobs.versions.read_all()  # used after the checkpoint is closed
        return read_previous_run(checkpoint, known_jobs, hash_file(source))


def read_previous_run(checkpoint: Book, known_jobs: KnownJobs | None, content: str) -> PreviousRun:
    """The run of ``checkpoint`` before the next intake, of a manifest with the digest ``content``.

    Without ``known_jobs``, ``state_of`` reads them when it is first called: a million of them take seconds, and a sheet that
    is unchanged, or whose links need no check, needs none of them.
    """

    @cache
    def read_states() -> StateOf:
        return checkpoint.state_of(checkpoint.read_known_jobs(find_aliases(checkpoint).items()))

    def find_state(key: JobKey) -> State | None:
        return read_states()(key)

    text = checkpoint.get("settings")
    same = f":{content}:" in (checkpoint.get("fingerprint") or "")
    return PreviousRun(
        known_jobs,
        checkpoint.state_of(known_jobs) if known_jobs else find_state,
        Settings.load(text) if text else None,
        same,
        any(count for state, count in checkpoint.counts().by_state.items() if state is not State.PLANNED),
        checkpoint.cap,
        checkpoint.top_price,
        form.encoding if (form := read_fact(checkpoint, FORM_META, Form.load, None)) else "",
        checkpoint.get("source") or "",
        not checkpoint.get("store") or checkpoint.get(SOURCE_HOST) in {None, gethostname()},
        (known_jobs is not None and not known_jobs.last) or checkpoint.get(ROW_NAMES_META) == SHEETS_OWN,
    )
