"""What hosts said about links, kept in the run's folder so that the next ``plan`` or ``run`` need not ask again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from ..disk import check_own
from .link_probe import FINE, LARGE, Answer

FRESH_SECONDS = 24 * 3600.0
"""A good answer is believed for a day; then its validators are asked about. A bad one is asked about each time."""

_TABLE = """
    CREATE TABLE IF NOT EXISTS links (
        digest BLOB PRIMARY KEY, verdict TEXT, reason TEXT, size INTEGER, etag TEXT, modified TEXT, at REAL
    ) WITHOUT ROWID
"""


def link_digest(url: str) -> bytes:
    """16 bytes for a link."""
    return blake2b(url.encode(errors="surrogatepass"), digest_size=16).digest()


class LinkCache:
    """One SQLite file. It may be lost or broken: then it is begun anew."""

    def __init__(self, path: Path) -> None:
        self._db = _opened(path)

    def get(self, digest: bytes) -> Answer | None:
        """The last answer."""
        row = self._db.execute(
            "SELECT verdict, reason, size, etag, modified, at FROM links WHERE digest = ?", (digest,)
        ).fetchone()
        return Answer(*row) if row else None

    def put(self, answers: Iterable[tuple[bytes, Answer]]) -> None:
        """Keep answers, all in one transaction."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(digest, a.verdict, a.reason, a.size, a.etag, a.modified, a.at) for digest, a in answers],
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def is_fresh(answer: Answer, now: float) -> bool:
    """Need the host not be asked again?"""
    return answer.verdict in {FINE, LARGE} and 0 <= now - answer.at < FRESH_SECONDS


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    check_own(path)
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # a cache: what a power cut takes is asked again
        db.execute(_TABLE)
        db.execute("SELECT digest, verdict, reason, size, etag, modified, at FROM links LIMIT 1").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db
