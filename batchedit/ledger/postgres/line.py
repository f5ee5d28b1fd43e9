"""A connection to the store that comes back: one statement, one transaction, sent again where its answer was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import CheckpointError
from .errors import is_crash, map_postgres_error, is_transient
from .url import hide_password

PATIENCE_SECONDS = 60.0
"""So long a statement is sent again while the store is away. Longer than a restart, and than a lease."""
PAUSE_SECONDS = 0.2
DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "batchedit",
}
"""A peer that is gone without a word is noticed in some 10 s."""


def connect(url: str) -> psycopg.Connection[TupleRow]:
    """A connection on which each statement is a transaction of its own. Raises psycopg.Error.

    Nothing is prepared, and nothing kept in the session: PgBouncer may hand each statement to another server process.
    """
    about = psycopg.conninfo.make_conninfo(**DEFAULTS | psycopg.conninfo.conninfo_to_dict(url))
    return psycopg.connect(about, autocommit=True, prepare_threshold=None)


class Line:
    """``call`` from any thread; one statement at a time.

    ``hello`` is called with each new connection but the first; ``away`` once for each statement that the store does not
    answer at the first try, whichever it is: others wait behind it.
    """

    def __init__(
        self,
        url: str,
        hello: Callable[[psycopg.Connection[TupleRow]], None] | None = None,
        away: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._hello = hello
        self._away = away
        self.is_away = False
        """Has the store not answered the last try of this line? Set before ``away`` is called."""
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._was_up = False
        self._undurable = ""

    def call(self, query: str, values: Sequence[Any] = (), *, patience: float = PATIENCE_SECONDS) -> list[TupleRow]:
        """The rows of one statement, durable when this returns. It must bear being sent again.

        ``patience`` are the seconds of trying. Raises a BatcheditError.
        """
        until = monotonic() + patience
        cause: psycopg.Error | None = None
        is_first = True
        with self._lock:
            while True:
                try:
                    rows = self._once(query, values)
                    self.is_away = False
                    return rows
                except psycopg.Error as error:
                    self._drop(error)
                    if not is_transient(error):
                        raise map_postgres_error(error, self._url) from error
                    cause = error if is_crash(error) else cause  # what follows says only that there is no server
                    self.is_away = True
                    if is_first:
                        self._away()
                        is_first = False
                    if monotonic() > until:
                        raise map_postgres_error(cause or error, self._url) from error
                sleep(PAUSE_SECONDS)

    def _once(self, query: str, values: Sequence[Any]) -> list[TupleRow]:
        connection = self._connected()
        self._undurable = ""
        cursor = connection.execute(query, values)
        rows = cursor.fetchall() if cursor.description else []
        if self._undurable:
            raise CheckpointError(f"the store {hide_password(self._url)} did not make a change durable: {self._undurable}")
        return rows

    def _connected(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url)
            self._connection.add_notice_handler(self._heed)
            if self._was_up and self._hello is not None:
                self._hello(self._connection)
            self._was_up = True
        return self._connection

    def _heed(self, notice: psycopg.errors.Diagnostic) -> None:
        """A wait for a synchronous standby that was cancelled: the commit stands here, and may be lost with this server."""
        if notice.sqlstate == "01000" and "synchronous replication" in (notice.message_primary or ""):
            self._undurable = notice.message_primary or ""

    def _drop(self, error: psycopg.Error) -> None:
        """An answer that did not come may still be on its way: the next statement takes a new connection."""
        if self._connection is not None and (isinstance(error, psycopg.OperationalError) or is_crash(error)):
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
