"""A connection to the store that reconnects: one statement, one transaction, sent again where its answer was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import CheckpointError
from .errors import is_crash, is_transient, map_postgres_error
from .url import hide_password

PATIENCE_SECONDS = 60.0
"""For so long a statement is sent again while the store is away. Longer than a restart, and than a lease."""
PAUSE_SECONDS = 0.2
DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "batchedit",
}
"""A peer that is gone without closing the connection is noticed in some 10 s."""


def connect(url: str) -> psycopg.Connection[TupleRow]:
    """A connection on which each statement is a transaction of its own. Raises psycopg.Error.

    Nothing is prepared, and the session has no state: PgBouncer may pass each statement to another server process.
    """
    conninfo = psycopg.conninfo.make_conninfo(**DEFAULTS | psycopg.conninfo.conninfo_to_dict(url))
    return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)


class StoreConnection:
    """``call`` from any thread; one statement at a time.

    ``on_reconnect`` is called with each new connection but the first; ``on_away`` once for each statement that the store
    does not answer at the first try, whichever it is: others wait for it.
    """

    def __init__(
        self,
        url: str,
        on_reconnect: Callable[[psycopg.Connection[TupleRow]], None] | None = None,
        on_away: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._on_reconnect = on_reconnect
        self._on_away = on_away
        self.is_away = False
        """Did the store not answer the last try of this line? Set before ``on_away`` is called."""
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._was_up = False
        self._undurable = ""

    def call(self, query: str, values: Sequence[Any] = (), *, patience: float = PATIENCE_SECONDS) -> list[TupleRow]:
        """The rows of one statement, durable when this returns. It must be safe to send again.

        ``patience`` are the seconds of trying. Raises a BatcheditError.
        """
        deadline = monotonic() + patience
        cause: psycopg.Error | None = None
        is_first = True
        with self._lock:
            while True:
                try:
                    rows = self._call_once(query, values)
                    self.is_away = False
                    return rows
                except psycopg.Error as error:
                    self._drop(error)
                    if not is_transient(error):
                        raise map_postgres_error(error, self._url) from error
                    cause = error if is_crash(error) else cause  # later errors say only that there is no server
                    self.is_away = True
                    if is_first:
                        self._on_away()
                        is_first = False
                    if monotonic() > deadline:
                        raise map_postgres_error(cause or error, self._url) from error
                sleep(PAUSE_SECONDS)

    def _call_once(self, query: str, values: Sequence[Any]) -> list[TupleRow]:
        connection = self._ensure_connection()
        self._undurable = ""
        cursor = connection.execute(query, values)
        rows = cursor.fetchall() if cursor.description else []
        if self._undurable:
            raise CheckpointError(
                f"the store {hide_password(self._url)} did not make a change durable: {self._undurable}"
            )
        return rows

    def _ensure_connection(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url)
            self._connection.add_notice_handler(self._note_undurable)
            if self._was_up and self._on_reconnect is not None:
                self._on_reconnect(self._connection)
            self._was_up = True
        return self._connection

    def _note_undurable(self, notice: psycopg.errors.Diagnostic) -> None:
        """Note a cancelled wait for a synchronous standby: the commit is on this server, and may be lost with it."""
        if notice.sqlstate == "01000" and "synchronous replication" in (notice.message_primary or ""):
            self._undurable = notice.message_primary or ""

    def _drop(self, error: psycopg.Error) -> None:
        """Close the connection: a missing answer may still be on its way, so the next statement needs a new one."""
        if self._connection is not None and (isinstance(error, psycopg.OperationalError) or is_crash(error)):
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
