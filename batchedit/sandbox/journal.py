"""The state file: JSON lines, only ever appended to, each one in a single write before the answer it belongs to.

There is no fsync: the file survives kill -9, not a power cut. A last line without its newline was cut off before its call
was answered, so it is dropped; any other damage is refused, since a record with gaps is worse than none.
"""

from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

MARK = b'{"journal":"batchedit sandbox 1",'  #: how the first line begins


class StateError(OSError):
    """The state file cannot be opened: in use, damaged, or not a sandbox's."""


class Journal:
    """An open state file, locked against other servers (by `<file>.lock`), and its events when it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise StateError(f"state {path}: another sandbox is using it") from None
        except OSError as reason:
            raise StateError(f"state {path}: {reason}") from reason
        try:
            self.events = self._read()
            self._file = path.open("ab", buffering=0)
            self._file.truncate(self._size)
        except OSError as reason:
            self._lock.release()
            raise reason if isinstance(reason, StateError) else StateError(f"state {path}: {reason}") from None

    def find_latest_time(self) -> float:
        """The Unix time of the last event that has one; 0 for a new file."""
        times = (event.get("at") for event in self.events)
        return max((at for at in times if isinstance(at, float)), default=0.0)

    def write(self, *events: dict[str, Any]) -> None:
        """Append all events or none; OSError for a full disk. After `close` it writes nothing."""
        if self._file.closed:
            return
        lines = b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)
        if self._size == 0:
            lines = MARK + lines[1:]
        if self._file.write(lines) != len(lines):
            self._file.truncate(self._size)
            raise OSError(f"state {self.path}: the disk is full")
        self._size += len(lines)

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def _read(self) -> list[dict[str, Any]]:
        text = self.path.read_bytes() if self.path.exists() else b""
        if not text.startswith(MARK[: len(text)]):
            raise StateError(f"state {self.path}: this is not a sandbox's state file")
        self._size = text.rfind(b"\n") + 1
        events = []
        for number, line in enumerate(text[: self._size].splitlines(), 1):
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                event = None
            if not isinstance(event, dict):
                raise StateError(f"state {self.path}: line {number} is damaged")
            events.append(event)
        return events
