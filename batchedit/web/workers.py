"""Reading and counting a sheet in a process of its own, so that the server answers while it goes on.

A worker writes what it found into the draft's folder; the file says what it was found out for. A worker that works on what
nobody wants any more is ended.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..commands.draft_steps import Step, compute_step_digest, forget_error, is_done
from ..commands.drafts import Draft


class Stand(StrEnum):
    """How a step stands."""

    DONE = "done"
    WORKING = "working"
    FAILED = "failed"


@dataclass
class _Work:
    process: subprocess.Popen[bytes]
    digest: str


class Workers:
    """The processes of one server, by draft and step."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._works: dict[tuple[str, Step], _Work] = {}

    def stand(self, draft: Draft, step: Step) -> Stand:
        """Is the step's result there for the draft as it is now? If not, its worker is started, or goes on. FAILED: it
        ended without a word; ``again`` forgets that.
        """
        key, digest = (draft.id, step), compute_step_digest(draft, step)
        if is_done(draft, step):
            self._forget(key)
            return Stand.DONE
        work = self._works.get(key)
        if work is not None and work.digest == digest:
            return Stand.WORKING if work.process.poll() is None else self._ended(draft, step)
        self._forget(key)
        self._works[key] = _Work(self._start(draft, step), digest)
        return Stand.WORKING

    def again(self, draft: Draft, step: Step) -> None:
        """Whatever became of the last try, the next question begins anew."""
        self._forget((draft.id, step))
        forget_error(draft, step)

    def end(self) -> None:
        """All of them end: what they find is written whole or not at all."""
        for key in list(self._works):
            self._forget(key)

    def _ended(self, draft: Draft, step: Step) -> Stand:
        """It may have written its result between the two questions."""
        return Stand.DONE if is_done(draft, step) else Stand.FAILED

    def _forget(self, key: tuple[str, Step]) -> None:
        work = self._works.pop(key, None)
        if work is not None:
            if work.process.poll() is None:
                work.process.kill()
            work.process.wait()

    def _start(self, draft: Draft, step: Step) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "batchedit.commands.draft_work", step.value, str(draft.folder)]
        with (draft.folder / f"{step}.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(self._environ))
