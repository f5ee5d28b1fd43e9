"""Runs the steps of drafts in separate processes, so that the server responds meanwhile.

A worker writes its result into the draft's folder, with the digest of the step's inputs. A worker whose inputs have changed
is killed.
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
    """The state of a step."""

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
        """The state of the step for the draft as it is now; its worker is started if there is neither a result nor a worker.
        FAILED: the worker ended without a result; ``reset`` clears that.
        """
        key, digest = (draft.id, step), compute_step_digest(draft, step)
        if is_done(draft, step):
            self._stop(key)
            return StepState.DONE
        running = self._running.get(key)
        if running is not None and running.digest == digest:
            return StepState.WORKING if running.process.poll() is None else self._check_after_exit(draft, step)
        self._stop(key)
        self._running[key] = _RunningStep(self._start(draft, step), digest)
        return StepState.WORKING

    def reset(self, draft: Draft, step: Step) -> None:
        """Clear the last attempt, so that ``ensure_running`` starts a new one."""
        self._stop((draft.id, step))
        forget_error(draft, step)

    def stop_all(self) -> None:
        """Kill all workers: their results are written whole or not at all."""
        for key in list(self._running):
            self._stop(key)

    def _check_after_exit(self, draft: Draft, step: Step) -> StepState:
        """DONE if the worker wrote its result between the two checks."""
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
