"""``decisions.csv``: decisions made on the page without a server, to be imported into the checkpoint."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping

from ..core.errors import ManifestError
from ..core.review import ImportedDecision, Verdict

COLUMNS = ("decision", "note", "when", "job")
MOST_LISTED = 20
LONGEST_NOTE = 2000

_WORDS = {
    "": Verdict.NONE,
    **{verdict.value: verdict for verdict in Verdict if verdict},
    "approved": Verdict.APPROVE,
    "rejected": Verdict.REJECT,
    "on hold": Verdict.HOLD,
    "held": Verdict.HOLD,
}
_KEY = re.compile(r"k([0-9a-f]{32})").fullmatch


def read_decisions(
    rows: Iterable[tuple[int, Mapping[str, str]]], jobs: Mapping[bytes, int], now: float, name: str
) -> list[tuple[int, ImportedDecision]]:
    """``(job id, decision)`` for each row ``(number, cells)``; ``jobs`` are the run's by key.

    A row without a time counts as decided ``now``. ManifestError lists every wrong row at once, and nothing is imported.
    """
    decisions: dict[int, tuple[int, ImportedDecision]] = {}
    problems: list[str] = []
    for number, cells in rows:
        missing = [column for column in COLUMNS if column not in cells]
        if missing:
            problems.append(f"there is no column {', '.join(missing)}: this is not an exported decisions.csv")
            break
        parsed = _parse_row(cells, jobs, now)
        if isinstance(parsed, str):
            problems.append(f"row {number}: {parsed}")
            continue
        job, decision = parsed
        earlier = decisions.get(job)
        if earlier is not None and (earlier[1].verdict, earlier[1].note) != (decision.verdict, decision.note):
            problems.append(f"row {number}: says something else about the picture of row {earlier[0]}")
        decisions[job] = (number, decision)
    if problems:
        omitted = [f"  … and {len(problems) - MOST_LISTED:,} more"] if len(problems) > MOST_LISTED else []
        raise ManifestError(
            f"{name} can't be taken in; nothing was changed:",
            details=[*(f"  {problem}" for problem in problems[:MOST_LISTED]), *omitted],
            hint="correct these rows, or export the decisions again",
        )
    return [(job, decision) for job, (_, decision) in decisions.items()]


def _parse_row(cells: Mapping[str, str], jobs: Mapping[bytes, int], now: float) -> tuple[int, ImportedDecision] | str:
    key, word = _KEY(cells["job"].strip().lower()), cells["decision"].strip().lower()
    note = _strip_apostrophe(cells["note"]).strip()
    if key is None:
        return f"{cells['job'][:60]!r} in the column job names no picture"
    if word not in _WORDS:
        return f"{word[:60]!r} is no decision: approve, reject, hold or empty"
    if len(note) > LONGEST_NOTE:
        return f"the note is longer than {LONGEST_NOTE:,} characters"
    at = _parse_time(cells["when"].strip(), now)
    if at is None:
        return f"{cells['when'][:60]!r} is no time such as 2026-11-22T08:15:00Z"
    job = jobs.get(bytes.fromhex(key[1]))
    if job is None:
        return "this picture is not of this run"
    return job, ImportedDecision(bytes.fromhex(key[1]), _WORDS[word], note, at)


def _parse_time(text: str, now: float) -> float | None:
    if not text:
        return now
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.astimezone()
    # A browser's clock ahead of ours must not make a decision that no later one can replace.
    return min(at.timestamp(), now)


def _strip_apostrophe(text: str) -> str:
    """Remove the apostrophe that the page prefixes to what a spreadsheet would take for a formula."""
    return text[1:] if re.match(r"'[=+\-@\t\r]", text) else text
