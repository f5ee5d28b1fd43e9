"""The rest of the book in SQLite: intakes, repurchases, decisions, jobs left to other runs, sums over the indexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.model import JobKey, Record, ResultLine
from ..core.review import GalleryRow
from ..core.steps import ProgressCallback, no_progress
from . import gallery_rows, repurchases, summary
from .book import Decisions
from .decisions import FolderDecisions
from .intake import Intake, read_known_jobs
from .run_facts import COMMITTED, parse_whole_number, read_fact
from .sqlite_records import SqliteRecords
from .values import GalleryPage, IsShown, KnownJobs, RunSummary, SignedJob

_SIGNED = """
    SELECT id, key, inputs, variant, revision FROM jobs
    WHERE id <= ? AND instr(inputs, '?') AND instr(inputs, '"http') ORDER BY state = 'done', id
"""


class SqliteBook(SqliteRecords):
    """``book.Book`` except for the changes by events, which are in ``sqlite``."""

    @property
    def decisions(self) -> Decisions:
        """See ``book.Book``."""
        return FolderDecisions(self)

    # --- sums ---

    def count_to_buy(self) -> int:
        """See ``book.Sums``."""
        query = """
            SELECT (SELECT coalesce(sum(jobs), 0) FROM tally WHERE state = 'planned' AND wanted = 1)
                 - (SELECT count(*) FROM elsewhere JOIN jobs ON jobs.id = job
                    WHERE jobs.state = 'planned' AND wanted = 1)
        """
        ((count,),) = self.rows(query)
        return int(count)

    def summarise(self) -> RunSummary:
        """See ``book.Sums``."""
        return summary.summarise(self)

    def has_failures(self) -> bool:
        """See ``book.Sums``."""
        ((exists,),) = self.rows(
            "SELECT EXISTS (SELECT 1 FROM lines WHERE job IS NULL AND problems NOT LIKE '[[\"left out\",%') "
            "OR EXISTS (SELECT 1 FROM jobs WHERE state NOT IN ('planned', 'done') AND state IN ('failed', 'cancelled'))"
        )
        return bool(exists)

    # --- the gallery ---

    def read_gallery_rows(self, on_progress: ProgressCallback = no_progress) -> list[GalleryRow]:
        """See ``book.Lines``."""
        return gallery_rows.read_gallery_rows(self, on_progress)

    def read_gallery_page(self, first: int, count: int, is_shown: IsShown) -> GalleryPage:
        """See ``book.Lines``."""
        return gallery_rows.read_gallery_page(self, first, count, is_shown)

    def find_line_of_row(self, row: int) -> int:
        """See ``book.Lines``."""
        return gallery_rows.find_line_of_row(self, row)

    def read_flags(self) -> dict[int, str]:
        """See ``book.Lines``."""
        return gallery_rows.read_flags(self)

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """See ``book.Lines``."""
        return gallery_rows.write_flags(self, flags)

    # --- buying again ---

    def list_quarantined(self) -> dict[int, float]:
        """See ``book.Changes``. The holder of the run's lock is the only process."""
        return {}

    def find_rejected(self) -> list[Record]:
        """See ``book.Changes``."""
        return repurchases.find_rejected(self)

    def list_planned_repurchases(self) -> list[int]:
        """See ``book.Changes``."""
        return repurchases.list_planned_repurchases(self)

    def list_planned_retries(self) -> list[Record]:
        """See ``book.Changes``."""
        return repurchases.list_planned_retries(self)

    def add_repurchases(self, pairs: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """See ``book.Changes``."""
        return repurchases.add_repurchases(self, pairs)

    # --- intakes ---

    def begin_intake(self, *, limit: int | None = None) -> Intake:
        """See ``book.Intakes``."""
        return Intake.begin(self, limit=limit)

    def read_known_jobs(self, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
        """See ``book.Intakes``."""
        return read_known_jobs(self, aliases)

    def read_aliases(self) -> dict[JobKey, int]:
        """See ``book.Intakes``."""
        return {JobKey(key): job for key, job in self.rows("SELECT key, job FROM aliases")}

    def keep_aliases(self, aliases: Mapping[JobKey, int], facts: Mapping[str, str]) -> None:
        """See ``book.Intakes``."""
        with self.transaction() as db:
            db.execute("DELETE FROM aliases")
            db.executemany("INSERT INTO aliases VALUES (?, ?)", aliases.items())
            for name, value in facts.items():
                self.put_in(db, name, value)

    def list_signed_jobs(self) -> list[SignedJob]:
        """See ``book.Intakes``."""
        return [SignedJob(*row) for row in self.rows(_SIGNED, (read_fact(self, COMMITTED, parse_whole_number, 0),))]

    # --- other runs ---

    def leave_jobs(self, left: Iterable[tuple[int, str, str]]) -> None:
        """See ``book.Changes``."""
        with self.transaction() as db:
            db.execute("DELETE FROM elsewhere")
            db.executemany("INSERT INTO elsewhere VALUES (?, ?, ?)", left)

    def count_left_to_others(self) -> Counter[tuple[str, str]]:
        """See ``book.Changes``."""
        query = """
            SELECT folder, elsewhere.state, count(*) FROM elsewhere JOIN jobs ON jobs.id = job
            WHERE jobs.state = 'planned' AND wanted = 1 GROUP BY folder, elsewhere.state
        """
        return Counter({(folder, state): count for folder, state, count in self.rows(query)})
