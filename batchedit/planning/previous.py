"""What an earlier run of the same folder has: read before its manifest is taken in again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from ..core.model import State
from ..jobs.aliases import aliases_of
from ..ledger.book import Book
from ..ledger.facts import read_fact
from ..ledger.opening import open_for_reading
from ..ledger.values import KnownJobs
from ..manifest.read import Form
from ..ports import StateOf
from ..run_folder import FORM_META, RunFolder, digest_of, never_began, same_file
from ..settings.model import Settings

SOURCE_HOST = "source_host"
"""Where the sheet of a store's run lies: the same path on another machine is another file."""
ROW_NAMES_META, SHEETS_OWN = "row_names", "sheet"


@dataclass(frozen=True)
class PreviousRun:
    """What an earlier run of the same model and service has. ``state_of`` is as of the moment it was read; ``begun`` is
    whether anything was bought, and ``source`` the sheet that the run was made from.
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
    is_of_here: bool = True  #: does ``source`` mean a file of this machine? A run of a store may be made from another's
    sheet_names: bool = True  #: do names of files have the sheet's own row numbers? A run goes on as it began

    def is_from(self, sheet: Path) -> bool:
        """Was the run made from this very file?"""
        return self.is_of_here and same_file(self.source, sheet)


def load_previous_run(folder: RunFolder, settings: Settings, source: Path) -> PreviousRun:
    """The earlier run in ``folder``, if there is one of this model and service."""
    if not folder.checkpoint.is_file() or never_began(folder):
        return PreviousRun()
    with (
        open_for_reading(folder.checkpoint) as checkpoint,
        checkpoint.snapshot(),
    ):  # another process may be taking rows in
        if checkpoint.get("model") != settings.model or checkpoint.get("service") != settings.service:
            return PreviousRun()
        known = checkpoint.read_known_jobs(aliases_of(checkpoint).items())
        known.slots.read_all()  # it will be asked when this is closed
        return before_of(checkpoint, known, digest_of(source))


def before_of(checkpoint: Book, known: KnownJobs, content: str) -> PreviousRun:
    """How ``checkpoint`` stands before the next intake, of a manifest with the digest ``content``."""
    text = checkpoint.get("settings")
    same = f":{content}:" in (checkpoint.get("fingerprint") or "")
    return PreviousRun(
        known,
        checkpoint.state_of(known),
        Settings.load(text) if text else None,
        same,
        any(count for state, count in checkpoint.counts().by_state.items() if state is not State.PLANNED),
        checkpoint.cap,
        checkpoint.top_price,
        form.encoding if (form := read_fact(checkpoint, FORM_META, Form.load, None)) else "",
        checkpoint.get("source") or "",
        not checkpoint.get("store") or checkpoint.get(SOURCE_HOST) in {None, gethostname()},
        not known.last or checkpoint.get(ROW_NAMES_META) == SHEETS_OWN,
    )
