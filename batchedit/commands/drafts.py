"""Sheets that were dropped into the browser and not bought from yet: where each is stored, and what was chosen for it.

A draft is a folder below the person's state folder: ``draft.json`` with the choices, ``edits.json`` with the edits,
``upload/`` with the sheet and its pictures as they came, and the results of the steps. The sheet itself is never changed. A
page shows what is on this disk, so that closing it loses nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import time
from typing import Any

import orjson

from ..core.errors import NotFoundError, UsageError
from ..disk import FOLDER_MODE, write_atomically
from ..ledger.register import Register
from ..settings.model import Settings

_ID = re.compile(r"[0-9a-f]{12}").fullmatch
_KEPT_SECONDS = 86_400.0
LOOK_CHOICES = ("encoding", "delimiter", "sheet", "header_row", "map", "set", "prompt", "over")
"""Choices that decide how a sheet is read and what its columns are used for."""
CHOICES = (*LOOK_CHOICES, "sizes", "variants")
"""What a person chooses for a draft, by the names of ``Settings``."""


@dataclass(frozen=True)
class Draft:
    """``name`` is the sheet's original name, ``sheet`` its file below ``upload/``, "" during the upload. ``play``: bought
    with play money, at the sandbox. ``made_at`` is epoch seconds. ``run`` is the folder of the run that the draft became, ""
    before.
    """

    folder: Path
    name: str = ""
    sheet: str = ""
    play: bool = False
    made_at: float = 0.0
    choices: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    run: str = ""

    @property
    def id(self) -> str:
        """The draft's part of an address."""
        return self.folder.name

    @property
    def upload(self) -> Path:
        """The folder of the sheet; its pictures are below."""
        return self.folder / "upload"

    @property
    def source(self) -> Path:
        """The sheet as it came."""
        return self.upload / self.sheet

    @property
    def settings(self) -> Settings:
        """The choices as the settings of a command."""
        chosen = {name: value for name, value in self.choices.items() if name in CHOICES}
        over = {column: tuple(values) for column, values in (chosen.get("over") or {}).items()}
        chosen |= {"sizes": tuple(chosen.get("sizes") or ()), "over": over}
        return replace(Settings(**chosen), sandbox=self.play)

    def compute_digest(self, *names: str) -> str:
        """A digest of the sheet and these choices: a result with another digest is out of date."""
        inputs = [self.sheet, self.play, {name: self.choices.get(name) for name in names}]
        return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def save(self) -> None:
        """Durable when it returns. OutputError where the disk refuses."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        write_atomically(self.folder / "draft.json", orjson.dumps(values, option=orjson.OPT_INDENT_2))


class Drafts:
    """The drafts of one person."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = Register.from_environ(environ).folder / "drafts"

    def make(self, *, play: bool) -> Draft:
        """A new, empty one."""
        folder = self.folder / secrets.token_hex(6)
        (folder / "upload").mkdir(parents=True, mode=FOLDER_MODE)
        draft = Draft(folder, play=play, made_at=time())
        draft.save()
        return draft

    def find(self, id_: str) -> Draft:
        """NotFoundError if there is none."""
        if _ID(id_) and (draft := _read_draft(self.folder / id_)) is not None:
            return draft
        raise NotFoundError("there is no such sheet here", hint="go to the start page: it lists the sheets that are")

    def all(self) -> list[Draft]:
        """Drafts that have a sheet and are no run yet, the newest first."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        drafts = [draft for folder in folders if _ID(folder.name) and (draft := _read_draft(folder)) is not None]
        return sorted((draft for draft in drafts if draft.sheet and not draft.run), key=lambda draft: -draft.made_at)

    def sweep(self) -> None:
        """Delete uploads older than a day that never became a sheet: no page lists them, and they may be large."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        for folder in folders:
            draft = _read_draft(folder) if _ID(folder.name) else None
            if draft is not None and not draft.sheet and not draft.run and time() - draft.made_at > _KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def remove(self, draft: Draft) -> None:
        """Delete the sheet's copy, its pictures and its choices. UsageError if the draft is a run."""
        if draft.run:
            raise UsageError("this sheet is being bought from", hint="its run is on the start page")
        shutil.rmtree(draft.folder, ignore_errors=True)


def _read_draft(folder: Path) -> Draft | None:
    """Read a draft; None for an invalid one: a page that lists all drafts must not fail over a folder that was put there."""
    try:
        saved = orjson.loads((folder / "draft.json").read_bytes())
        draft = Draft(folder, **{**saved, "notes": tuple(saved.get("notes", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    texts = (draft.name, draft.sheet, draft.run)
    has_types = all(isinstance(text, str) for text in texts) and isinstance(draft.made_at, int | float)
    is_valid = has_types and not Path(draft.sheet).is_absolute() and ".." not in Path(draft.sheet).parts
    return draft if is_valid and isinstance(draft.choices, dict) and isinstance(draft.play, bool) else None
