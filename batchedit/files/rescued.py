"""Ids of bought jobs that their ledger could not take, in the run's store of files: one object each, below ``rescued/``.

Whoever takes one in puts a mark below ``rescued/taken-in/``, once the ledger has it. Nothing is deleted or overwritten:
workers need no right to do so, and a purchase can be looked up later.
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
"""Bytes: no id that was put here has more."""
AT_ONCE = 8
AGAIN_SECONDS = 1.0
"""Until the next try, where the store of files did not take an object."""
PUT_SECONDS = 15.0
"""So long the end of a process waits at most for a try that is under way."""

logger = logging.getLogger(__name__)


def list_unread(objects: Objects) -> Iterator[tuple[str, bytes]]:
    """The objects that nobody has taken in, with their names; b"" for one that is too large. Raises as ``Objects``."""
    there = objects.list_sizes(FOLDER)
    for name, size in there.items():
        folder, _, plain = name.rpartition("/")
        if folder != FOLDER or f"{TAKEN_IN}/{plain}" in there:
            continue
        content = objects.read(name) if size <= LARGEST else b""
        if content is not None:
            yield name, content


def has_unread(objects: Objects) -> bool:
    """Is there one? Raises as ``Objects``."""
    return next(list_unread(objects), None) is not None


def mark_taken_in(objects: Objects, name: str) -> None:
    """The ledger has what stands in ``name``: nobody need read it again. Raises as ``Objects``."""
    content = b"in the ledger\n"
    objects.keep(content, f"{TAKEN_IN}/{name.rpartition('/')[2]}", sha256(content).hexdigest())


class IdWriter:
    """Puts ids there in threads of its own: see ``ledger.rescue.KeepsIds``. It tries again until ``close``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._changed = threading.Condition()
        self._waiting: dict[str, bytes] = {}
        self._under_way: set[str] = set()
        self._over: set[str] = set()
        """Put, or in the ledger."""
        self._threads: list[threading.Thread] = []
        self._until: float | None = None
        """When it is too late for another try; None while nobody has asked for the end."""

    def keep(self, name: str, content: bytes) -> None:
        """Put ``content`` there under ``name``, once, as soon as may be."""
        with self._changed:
            if self._until is not None or name in self._over or name in self._under_way or name in self._waiting:
                return
            self._waiting[name] = content
            if len(self._threads) < AT_ONCE:
                self._one_more()
            self._changed.notify()

    def _one_more(self) -> None:
        """Another thread, where the system has one: who keeps an id has others to keep after it. Without any, ``close`` tells
        that the ids are not put.
        """
        thread = threading.Thread(target=self._work, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.warning("no thread that puts ids can be started: %s", error)
        else:
            self._threads.append(thread)

    def drop(self, name: str) -> None:
        """The ledger has it: it need not be put any more. It is called for each purchase of the run, and of those that were
        never to be put nothing is remembered.
        """
        with self._changed:
            if self._waiting.pop(name, None) is not None or name in self._under_way:
                self._over.add(name)

    def close(self, seconds: float) -> int:
        """Wait until all are put, at most ``seconds`` and the try that is under way then. Returns how many are not."""
        with self._changed:
            self._until = monotonic() + seconds
            self._changed.notify_all()
        last = self._until + PUT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, last - monotonic()))
        with self._changed:
            return len(self._waiting) + len(self._under_way)

    def _work(self) -> None:
        while (one := self._next()) is not None:
            name, content = one
            is_put = self._try(name, content)
            with self._changed:
                self._under_way.discard(name)
                if is_put or name in self._over:
                    self._over.add(name)
                    continue
                self._waiting[name] = content
                if self._until is None or monotonic() < self._until:
                    self._changed.wait(AGAIN_SECONDS)

    def _next(self) -> tuple[str, bytes] | None:
        with self._changed:
            while not self._waiting:
                if self._until is not None:
                    return None
                self._changed.wait()
            if self._until is not None and monotonic() >= self._until:
                return None
            name = next(iter(self._waiting))
            self._under_way.add(name)
            return name, self._waiting.pop(name)

    def _try(self, name: str, content: bytes) -> bool:
        try:
            return self._objects.keep(content, f"{FOLDER}/{name}", sha256(content).hexdigest())
        except BatcheditError as error:
            logger.debug("%s is not put yet: %s", name, error)
        except Exception as error:  # noqa: BLE001 - a thread that ends would leave the others' ids behind
            logger.warning("%s is not put yet: %r", name, error)
        return False
