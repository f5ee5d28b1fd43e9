"""What hosts said about links, kept in the run's folder so that the next ``plan`` or ``run`` need not ask again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..core.errors import OutputError
from ..disk import check_own, remove
from .link_probe import FINE, LARGE, Answer

FRESH_SECONDS = 24 * 3600.0
"""A good answer is believed for a day; then its validators are asked about. A bad one is asked about each time."""

_TABLE = """
    CREATE TABLE links (
        digest BLOB PRIMARY KEY, verdict TEXT, reason TEXT, size INTEGER, etag TEXT, modified TEXT, at REAL
    ) WITHOUT ROWID
"""
_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a database. A cache needs none of it: an answer that is lost is asked for again."""


def digest_link(url: str) -> bytes:
    """16 bytes for a link."""
    return blake2b(url.encode(errors="surrogatepass"), digest_size=16).digest()


class LinkCache:
    """One SQLite file. A damaged one, or one that holds anything else than a cache does, is begun anew.

    OutputError (73) where the disk refuses it, ForeignFileError where it is a link.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        check_own(path)
        for ending in _BESIDE:  # a journal of somebody else's may name a file of this machine to be deleted
            remove(path.with_name(f"{path.name}{ending}"))
        with self._told():
            self._db = _opened(path)

    def get(self, digest: bytes) -> Answer | None:
        """The last answer."""
        query = "SELECT verdict, reason, size, etag, modified, at FROM links WHERE digest = ?"
        with self._told():
            row = self._db.execute(query, (digest,)).fetchone()
        return Answer(*row) if row and _is_answer(row) else None

    def put(self, answers: Iterable[tuple[bytes, Answer]]) -> None:
        """Keep answers, all in one transaction."""
        with self._told(), self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(digest, a.verdict, a.reason, a.size, a.etag, a.modified, a.at) for digest, a in answers],
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"{self._path} can't be used: {error}", hint="see to the disk, then type the same command again"
            ) from error


def is_fresh(answer: Answer, now: float) -> bool:
    """Need the host not be asked again?"""
    return answer.verdict in {FINE, LARGE} and 0 <= now - answer.at < FRESH_SECONDS


def _is_answer(row: tuple[Any, ...]) -> bool:
    verdict, reason, size, etag, modified, at = row
    return (
        all(isinstance(text, str) for text in (verdict, reason, etag, modified))
        and isinstance(size, int)
        and isinstance(at, float)
    )


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.OperationalError:  # the disk, or another process: nothing is wrong with the file
        raise
    except sqlite3.DatabaseError:
        remove(path)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # a cache: what a power cut takes is asked again
        parts = "SELECT sql FROM sqlite_master"
        if not db.execute(parts).fetchone():
            db.execute(_TABLE)
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != ("ok",) or [(sql or "").strip() for (sql,) in db.execute(parts)] != [_TABLE.strip()]:
            raise sqlite3.DatabaseError("this is no cache of answers")
    except BaseException:
        db.close()
        raise
    return db
