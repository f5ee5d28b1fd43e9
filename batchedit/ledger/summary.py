"""Summarises a run by the checkpoint's indexes: a million finished jobs are summed up without reading them."""

from __future__ import annotations

from .sqlite_file import SqliteFile
from .values import CommonError, RunSummary

MOST_ERRORS = 5
"""How many of the commonest errors are reported, and how many rows of each are named."""

_FROM_DONE = "FROM jobs WHERE state = 'done' AND wanted = 1 AND finished_at - submitted_at IS NOT NULL"
_FROM_TROUBLED = (
    "FROM jobs JOIN lines ON lines.job = jobs.id WHERE state NOT IN ('planned', 'done') AND kind IS NOT NULL"
)
_MODERATED, _WRITTEN_OFF = ("moderated",), ("written_off", "lost")
"""By kind. A failed job that is ``lost`` was written off in a run of the first edition."""


def summarise(checkpoint: SqliteFile) -> RunSummary:
    """The summary of ``checkpoint``."""
    ((invalid,),) = checkpoint.rows(
        "SELECT count(*) FROM lines WHERE job IS NULL AND problems NOT LIKE '[[\"left out\",%'"
    )
    ((jobs,),) = checkpoint.rows(f"SELECT count(*) {_FROM_DONE}")
    has_trouble = _has_trouble(checkpoint)
    return RunSummary(
        invalid=invalid,
        moderated=_count_failed(checkpoint, _MODERATED) if has_trouble else 0,
        written_off=_count_failed(checkpoint, _WRITTEN_OFF) if has_trouble else 0,
        seconds_median=_compute_quantile(checkpoint, jobs, 5) if jobs else None,
        seconds_p90=_compute_quantile(checkpoint, jobs, 9) if jobs > 1 else None,
        errors=_list_errors(checkpoint) if has_trouble else (),
    )


def _compute_quantile(checkpoint: SqliteFile, jobs: int, tenths: int) -> float:
    """As ``statistics.quantiles(…, n=10)`` computes it: interpolated between two neighbours."""
    position, weight = divmod(tenths * (jobs + 1), 10)
    lower_position = min(max(position, 1), max(1, jobs - 1))
    weight += 10 * (position - lower_position)
    rows = checkpoint.rows(
        f"SELECT finished_at - submitted_at AS seconds {_FROM_DONE} ORDER BY seconds LIMIT 2 OFFSET {lower_position - 1}"
    )
    lower, *more = (seconds for (seconds,) in rows)
    upper = more[0] if more else lower
    return float(round((lower * (10 - weight) + upper * weight) / 10, 1))


def _count_failed(checkpoint: SqliteFile, kinds: tuple[str, ...]) -> int:
    placeholders = ", ".join("?" * len(kinds))
    query = (
        "SELECT count(*) FROM jobs WHERE state NOT IN ('planned', 'done') AND state = 'failed' AND wanted = 1 "
        f"AND kind IN ({placeholders})"
    )
    ((count,),) = checkpoint.rows(query, kinds)
    return int(count)


def _has_trouble(checkpoint: SqliteFile) -> bool:
    query = "SELECT 1 FROM jobs WHERE state NOT IN ('planned', 'done') LIMIT 1"
    return next(iter(list(checkpoint.rows(query))), None) is not None


def _list_errors(checkpoint: SqliteFile) -> tuple[CommonError, ...]:
    """The commonest errors, counted by lines: an error of a job that stands on two lines counts twice."""
    query = (
        f"SELECT kind, problem, count(*), min(lines.n) {_FROM_TROUBLED} "
        f"GROUP BY kind, problem ORDER BY count(*) DESC, min(lines.n) LIMIT {MOST_ERRORS}"
    )
    return tuple(
        CommonError(kind, problem, count, _list_rows(checkpoint, kind, problem))
        for kind, problem, count, _ in list(checkpoint.rows(query))
    )


def _list_rows(checkpoint: SqliteFile, kind: str, problem: str) -> tuple[tuple[int, str], ...]:
    query = f"SELECT row, lines.id {_FROM_TROUBLED} AND kind = ? AND problem = ? ORDER BY n LIMIT {MOST_ERRORS}"
    return tuple((row, name) for row, name in checkpoint.rows(query, (kind, problem)))
