"""Ids of bought jobs that could not be written to their ledger, in the run's store of files: one object each, below
``rescued/``.

A process that takes one in puts a mark below ``rescued/taken-in/`` once the ledger has it. Nothing is deleted or
overwritten: workers need no right to do so, and a purchase can be looked up later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from hashlib import sha256
from time import monotonic

from ..core.errors import BatcheditError
from .objects import Objects

FOLDER = "rescued"
TAKEN_IN = f"{FOLDER}/taken-in"
LARGEST = 64 * 1024
"""Bytes: the largest object that is read."""
AT_ONCE = 8
AGAIN_SECONDS = 1.0
"""The pause before the next try after the store of files has failed."""
PUT_SECONDS = 15.0
"""The longest wait, at the end of a process, for a try that is under way."""

logger = logging.getLogger(__name__)


def list_unread(objects: Objects) -> Iterator[tuple[str, bytes]]:
    """The objects that are not taken in, with their names; b"" for one that is too large. Raises as ``Objects`` does."""
    sizes = objects.list_sizes(FOLDER)
    for name, size in sizes.items():
        folder, _, basename = name.rpartition("/")
        if folder != FOLDER or f"{TAKEN_IN}/{basename}" in sizes:
            continue
        content = objects.read(name) if size <= LARGEST else b""
        if content is not None:
            yield name, content


def has_unread(objects: Objects) -> bool:
    """True if any object is not taken in. Raises as ``Objects`` does."""
    return next(list_unread(objects), None) is not None


def mark_taken_in(objects: Objects, name: str) -> None:
    """Mark the object ``name`` as taken into the ledger. Raises as ``Objects`` does."""
    content = b"in the ledger\n"
    objects.keep(content, f"{TAKEN_IN}/{name.rpartition('/')[2]}", sha256(content).hexdigest())


class IdWriter:
    """Puts ids into the store of files, in threads of its own, and retries until ``close``: a ``RescuePlace``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._changed = threading.Condition()
        self._queued: dict[str, bytes] = {}
        self._being_put: set[str] = set()
        self._finished: set[str] = set()
        """Names that are put or in the ledger."""
        self._threads: list[threading.Thread] = []
        self._give_up_at: float | None = None
        """The time after which no further try begins; None until ``close`` is called."""

    def keep(self, name: str, content: bytes) -> None:
        """Queue ``content`` to be put under ``name``, once."""
        with self._changed:
            if (
                self._give_up_at is not None
                or name in self._finished
                or name in self._being_put
                or name in self._queued
            ):
                return
            self._queued[name] = content
            if len(self._threads) < AT_ONCE:
                self._start_thread()
            self._changed.notify()

    def _start_thread(self) -> None:
        """Start another thread. If the system refuses one, keeping an id does not fail: other ids follow, and ``close``
        reports those that are not put.
        """
        thread = threading.Thread(target=self._put_all, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.warning("no thread that puts ids can be started: %s", error)
        else:
            self._threads.append(thread)

    def drop(self, name: str) -> None:
        """The ledger has it, so it need not be put any more. This is called for each purchase of the run; names that were
        never queued are not remembered.
        """
        with self._changed:
            if self._queued.pop(name, None) is not None or name in self._being_put:
                self._finished.add(name)

    def close(self, seconds: float) -> int:
        """Wait until all are put, at most ``seconds`` plus the try that is under way then. Returns how many are not put."""
        with self._changed:
            self._give_up_at = monotonic() + seconds
            self._changed.notify_all()
        last = self._give_up_at + PUT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, last - monotonic()))
        with self._changed:
            return len(self._queued) + len(self._being_put)

    def _put_all(self) -> None:
        while (item := self._wait_for_next()) is not None:
            name, content = item
            is_put = self._put(name, content)
            with self._changed:
                self._being_put.discard(name)
                if is_put or name in self._finished:
                    self._finished.add(name)
                    continue
                self._queued[name] = content
                if self._give_up_at is None or monotonic() < self._give_up_at:
                    self._changed.wait(AGAIN_SECONDS)

    def _wait_for_next(self) -> tuple[str, bytes] | None:
        with self._changed:
            while not self._queued:
                if self._give_up_at is not None:
                    return None
                self._changed.wait()
            if self._give_up_at is not None and monotonic() >= self._give_up_at:
                return None
            name = next(iter(self._queued))
            self._being_put.add(name)
            return name, self._queued.pop(name)

    def _put(self, name: str, content: bytes) -> bool:
        try:
            return self._objects.keep(content, f"{FOLDER}/{name}", sha256(content).hexdigest())
        except BatcheditError as error:
            logger.debug("%s is not put yet: %s", name, error)
        except Exception as error:  # noqa: BLE001 - a thread that ends would leave other ids unput
            logger.warning("%s is not put yet: %r", name, error)
        return False
