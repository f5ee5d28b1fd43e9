"""What can end a run or a command. What can happen to one job is an event, not an exception.

    BatcheditError                       code
     ├── UsageError                        64   a flag, a setting or a missing yes
     ├── ManifestError                     65   the manifest or its rows are wrong; nothing was sent
     ├── NotFoundError                     66   no such file or run
     ├── ServiceUnavailableError           69   the service can't be reached
     ├── OutputError                       73   a file or folder can't be written
     ├── CheckpointError                   74   the checkpoint can't be read or written
     │    ├── CheckpointCorruptError       74
     │    ├── CheckpointVersionError       74   written by a newer batchedit
     │    └── StaleRecordError             74   somebody else moved the record: a defect, never retried
     ├── StoppedError                      75   stopped early; the same command goes on
     │    ├── BudgetReachedError           75   --max-cost
     │    ├── LockedError                  75   another process works on this run
     │    └── InterruptedRunError     129, 130, 143  SIGHUP, Ctrl-C, SIGTERM
     ├── TokenError                        77   token missing or refused
     └── IllegalEventError                 70   the lifecycle was asked for what its table forbids: a defect

The codes are sysexits.h's, as the vendor's own command uses them.
"""

from __future__ import annotations


class BatcheditError(Exception):
    """Anything that a command reports in a sentence and an exit code.

    ``hint`` is what to do or type next, shown on a line of its own.
    """

    code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(BatcheditError):
    code = 64


class ManifestError(BatcheditError):
    code = 65


class NotFoundError(BatcheditError):
    code = 66


class ServiceUnavailableError(BatcheditError):
    code = 69


class OutputError(BatcheditError):
    code = 73


class CheckpointError(BatcheditError):
    code = 74


class CheckpointCorruptError(CheckpointError):
    pass


class CheckpointVersionError(CheckpointError):
    pass


class StaleRecordError(CheckpointError):
    pass


class StoppedError(BatcheditError):
    code = 75


class BudgetReachedError(StoppedError):
    def __init__(self, message: str) -> None:
        super().__init__(message, hint="the same command with a higher --max-cost buys on")


class LockedError(StoppedError):
    pass


class InterruptedRunError(StoppedError):
    """``signal`` is the number of the signal: 1 for a closed terminal, 2 for Ctrl-C, 15 for SIGTERM."""

    def __init__(self, signal: int) -> None:
        super().__init__("interrupted")
        self.code = 128 + signal


class TokenError(BatcheditError):
    code = 77


class IllegalEventError(BatcheditError):
    pass
