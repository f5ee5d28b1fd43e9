"""The problems of a dropped sheet's rows as a file, for the owner of the sheet."""

from __future__ import annotations

import csv
from pathlib import Path

from ..core.errors import OutputError
from ..disk import replace_atomically
from ..ledger.sheet_problems import Findings
from ..results.columns import escape_formula
from .drafts import Draft

COLUMNS = ("row", "id", "column", "cell", "what is wrong", "left out")


def write_problems(draft: Draft) -> Path:
    """``problems.csv`` in the draft's folder: a line for each fault. OutputError where the disk refuses."""
    path = draft.folder / "problems.csv"
    try:
        with (
            Findings.open_existing(draft.folder / "check.sqlite") as findings,
            replace_atomically(path) as part,
            part.open("w", encoding="utf-8-sig", newline="") as file,
        ):
            lines = csv.writer(file)
            lines.writerow(COLUMNS)
            for finding in findings.read_all():
                texts = (finding.id, finding.field, finding.value, finding.reason)
                lines.writerow([finding.row, *map(escape_formula, texts), "yes" if finding.left_out else ""])
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return path
