"""What a run came to, by the checkpoint's indexes: a million finished jobs are summed up without reading them."""

from __future__ import annotations

from .sqlite_file import SqliteFile
from .values import CommonError, RunSummary

MOST = 5
"""How many of the commonest errors are told, and how many rows of each are named."""

_SECONDS = "FROM jobs WHERE state = 'done' AND wanted = 1 AND finished_at - submitted_at IS NOT NULL"
_TROUBLED = "FROM jobs JOIN lines ON lines.job = jobs.id WHERE state NOT IN ('planned', 'done') AND kind IS NOT NULL"
_MODERATED, _WRITTEN_OFF = ("moderated",), ("written_off", "lost")
"""By kind. A failed job that is ``lost`` was written off in a run of the first edition."""


def summarise(checkpoint: SqliteFile) -> RunSummary:
    """Sum ``checkpoint`` up."""
    ((invalid,),) = checkpoint.rows(
        "SELECT count(*) FROM lines WHERE job IS NULL AND problems NOT LIKE '[[\"left out\",%'"
    )
    ((jobs,),) = checkpoint.rows(f"SELECT count(*) {_SECONDS}")
    trouble = _any_trouble(checkpoint)
    return RunSummary(
        invalid=invalid,
        moderated=_failed(checkpoint, _MODERATED) if trouble else 0,
        written_off=_failed(checkpoint, _WRITTEN_OFF) if trouble else 0,
        seconds_median=_quantile(checkpoint, jobs, 5) if jobs else None,
        seconds_p90=_quantile(checkpoint, jobs, 9) if jobs > 1 else None,
        errors=_errors(checkpoint) if trouble else (),
    )


def _quantile(checkpoint: SqliteFile, jobs: int, tenths: int) -> float:
    """As ``statistics.quantiles(…, n=10)`` has it: between two neighbours."""
    place, part = divmod(tenths * (jobs + 1), 10)
    below = min(max(place, 1), max(1, jobs - 1))
    part += 10 * (place - below)
    found = checkpoint.rows(
        f"SELECT finished_at - submitted_at AS seconds {_SECONDS} ORDER BY seconds LIMIT 2 OFFSET {below - 1}"
    )
    one, *more = (seconds for (seconds,) in found)
    other = more[0] if more else one
    return float(round((one * (10 - part) + other * part) / 10, 1))


def _failed(checkpoint: SqliteFile, kinds: tuple[str, ...]) -> int:
    marks = ", ".join("?" * len(kinds))
    query = (
        "SELECT count(*) FROM jobs WHERE state NOT IN ('planned', 'done') AND state = 'failed' AND wanted = 1 "
        f"AND kind IN ({marks})"
    )
    ((found,),) = checkpoint.rows(query, kinds)
    return int(found)


def _any_trouble(checkpoint: SqliteFile) -> bool:
    query = "SELECT 1 FROM jobs WHERE state NOT IN ('planned', 'done') LIMIT 1"
    return next(iter(list(checkpoint.rows(query))), None) is not None


def _errors(checkpoint: SqliteFile) -> tuple[CommonError, ...]:
    """The commonest ones, over lines: an error of a job that stands on two of them counts twice."""
    query = (
        f"SELECT kind, problem, count(*), min(lines.n) {_TROUBLED} "
        f"GROUP BY kind, problem ORDER BY count(*) DESC, min(lines.n) LIMIT {MOST}"
    )
    return tuple(
        CommonError(kind, problem, count, _rows(checkpoint, kind, problem))
        for kind, problem, count, _ in list(checkpoint.rows(query))
    )


def _rows(checkpoint: SqliteFile, kind: str, problem: str) -> tuple[tuple[int, str], ...]:
    query = f"SELECT row, lines.id {_TROUBLED} AND kind = ? AND problem = ? ORDER BY n LIMIT {MOST}"
    return tuple((row, name) for row, name in checkpoint.rows(query, (kind, problem)))
