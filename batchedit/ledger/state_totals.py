"""The sums by state (the table ``tally``): a trigger updates them for changes, this module for jobs that were added."""

from __future__ import annotations

import sqlite3


def recount(db: sqlite3.Connection) -> None:
    """Compute all sums again, after jobs were added: the trigger follows changes only."""
    db.execute("DELETE FROM tally")
    db.execute(
        "INSERT INTO tally SELECT state, wanted, count(*), sum(sunk + coalesce(cost, 0)), sum(held), "
        "sum(cost IS NOT NULL AND NOT cost_known), sum(iif(cost_known, 0, coalesce(cost, 0))) "
        "FROM jobs GROUP BY state, wanted"
    )


def add_planned(db: sqlite3.Connection, *, wanted: int, unwanted: int) -> None:
    """Add new PLANNED jobs to the sums."""
    db.executemany(
        "INSERT INTO tally (state, wanted, jobs) VALUES ('planned', ?, ?) "
        "ON CONFLICT (state, wanted) DO UPDATE SET jobs = jobs + excluded.jobs",
        [(1, wanted), (0, unwanted)],
    )
