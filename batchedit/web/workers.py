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


class StepState(StrEnum):
    """How a step stands."""

    DONE = "done"
    WORKING = "working"
    FAILED = "failed"


@dataclass
class _RunningStep:
    process: subprocess.Popen[bytes]
    digest: str


class Workers:
    """The processes of one server, by draft and step."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._running: dict[tuple[str, Step], _RunningStep] = {}

    def ensure_running(self, draft: Draft, step: Step) -> StepState:
        """Is the step's result there for the draft as it is now? If not, its worker is started, or goes on. FAILED: it
        ended without a word; ``again`` forgets that.
        """
        key, digest = (draft.id, step), compute_step_digest(draft, step)
        if is_done(draft, step):
            self._stop(key)
            return StepState.DONE
        running = self._running.get(key)
        if running is not None and running.digest == digest:
            return StepState.WORKING if running.process.poll() is None else self._state_after_exit(draft, step)
        self._stop(key)
        self._running[key] = _RunningStep(self._start(draft, step), digest)
        return StepState.WORKING

    def reset(self, draft: Draft, step: Step) -> None:
        """Whatever became of the last try, the next question begins anew."""
        self._stop((draft.id, step))
        forget_error(draft, step)

    def stop_all(self) -> None:
        """All of them end: what they find is written whole or not at all."""
        for key in list(self._running):
            self._stop(key)

    def _state_after_exit(self, draft: Draft, step: Step) -> StepState:
        """It may have written its result between the two questions."""
        return StepState.DONE if is_done(draft, step) else StepState.FAILED

    def _stop(self, key: tuple[str, Step]) -> None:
        running = self._running.pop(key, None)
        if running is not None:
            if running.process.poll() is None:
                running.process.kill()
            running.process.wait()

    def _start(self, draft: Draft, step: Step) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "batchedit.commands.draft_work", step.value, str(draft.folder)]
        with (draft.folder / f"{step}.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(self._environ))
