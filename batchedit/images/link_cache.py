"""Hosts' answers about links, kept in the run's folder so that the next ``plan`` or ``run`` need not ask again."""

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
"""How long a good answer is used; after that it is revalidated. A bad one is asked about each time."""

_TABLE = """
    CREATE TABLE links (
        digest BLOB PRIMARY KEY, verdict TEXT, reason TEXT, size INTEGER, etag TEXT, modified TEXT, at REAL
    ) WITHOUT ROWID
"""
_SIDE_FILES = ("-journal", "-wal", "-shm")
"""Files that SQLite keeps beside a database. A cache needs none of them: a lost answer is asked for again."""


def digest_link(url: str) -> bytes:
    """16 bytes for a link."""
    return blake2b(url.encode(errors="surrogatepass"), digest_size=16).digest()


class LinkCache:
    """One SQLite file. A file that is damaged, or is no cache, is replaced by a new one.

    OutputError (73) if the disk refuses it, ForeignFileError if it is a link.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        check_own(path)
        for ending in _SIDE_FILES:  # a foreign journal may name a file of this machine to be deleted
            remove(path.with_name(f"{path.name}{ending}"))
        with self._translate_errors():
            self._db = _open(path)

    def get(self, digest: bytes) -> Answer | None:
        """The last answer about a link; None if there is none."""
        query = "SELECT verdict, reason, size, etag, modified, at FROM links WHERE digest = ?"
        with self._translate_errors():
            row = self._db.execute(query, (digest,)).fetchone()
        return Answer(*row) if row and _is_answer(row) else None

    def put(self, answers: Iterable[tuple[bytes, Answer]]) -> None:
        """Store answers in one transaction."""
        with self._translate_errors(), self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(digest, a.verdict, a.reason, a.size, a.etag, a.modified, a.at) for digest, a in answers],
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"{self._path} can't be used: {error}", hint="see to the disk, then type the same command again"
            ) from error


def is_fresh(answer: Answer, now: float) -> bool:
    """True if the host need not be asked again."""
    return answer.verdict in {FINE, LARGE} and 0 <= now - answer.at < FRESH_SECONDS


def _is_answer(row: tuple[Any, ...]) -> bool:
    verdict, reason, size, etag, modified, at = row
    return (
        all(isinstance(text, str) for text in (verdict, reason, etag, modified))
        and isinstance(size, int)
        and isinstance(at, float)
    )


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.OperationalError:  # the disk, or another process: nothing is wrong with the file
        raise
    except sqlite3.DatabaseError:
        remove(path)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # a cache: answers lost in a power cut are asked again
        schema = "SELECT sql FROM sqlite_master"
        if not db.execute(schema).fetchone():
            db.execute(_TABLE)
        check = db.execute("PRAGMA quick_check(1)").fetchone()
        if check != ("ok",) or [(sql or "").strip() for (sql,) in db.execute(schema)] != [_TABLE.strip()]:
            raise sqlite3.DatabaseError("this is no cache of answers")
    except BaseException:
        db.close()
        raise
    return db
