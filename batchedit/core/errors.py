"""What can end a run or a command. What can happen to one job is an event, not an exception.

    BatcheditError                       code
     ├── UsageError                        64   a flag, a setting or a missing yes
     ├── ManifestError                     65   the manifest or its rows are wrong; nothing was sent
     │    ├── ManifestReadError            74   the disk failed while it was read
     │    └── KeptSettingsError            65   the settings that a run keeps are damaged
     ├── NotFoundError                     66   no such file or run
     ├── ServiceUnavailableError           69   the service can't be reached
     │    └── ProxyRefusesError            69   the proxy of HTTPS_PROXY refuses the way to it
     ├── OutputError                       73   a file or folder can't be written
     │    ├── FilesUnavailableError        69   the store of the files is away
     │    └── FilesRefusedError            77   the store of the files refuses the rights that are set
     ├── DiskError                         74   the disk or the system failed at any other file
     ├── CheckpointError                   74   the checkpoint can't be read or written
     │    ├── CheckpointCorruptError       74
     │    ├── CheckpointVersionError       74   written by a newer batchedit
     │    └── StaleRecordError             74   another process changed the record: a defect, never retried
     ├── StoppedError                      75   stopped early; the same command goes on
     │    ├── BudgetReachedError           75   --max-cost
     │    ├── PriceRoseError               75   dearer than the price that was said yes to
     │    ├── RestWaitsError               75   the canary was bought, the rest waits for a yes of its own
     │    ├── LockedError                  75   another process works on this run
     │    └── InterruptedRunError     129, 130, 143  SIGHUP, Ctrl-C, SIGTERM
     ├── TokenError                        77   token missing or refused
     ├── KnownRequestError                 70   the service gave an id twice; the pool makes it a doubt
     └── IllegalEventError                 70   the lifecycle was asked for what its table forbids: a defect

The codes are sysexits.h's, as the vendor's own command uses them.
"""

from __future__ import annotations

from collections.abc import Sequence


class BatcheditError(Exception):
    """Anything that a command reports in a sentence and an exit code.

    ``details`` are shown below ``message``, ``hint`` below them: what to do or type next. Each is shown as one line, also
    where it holds a line break from a sheet or the service.
    """

    code = 70

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *details]))
        self.lines = (message, *details)
        self.hint = hint

    def add(self, text: str) -> None:
        """Append ``text`` to the message."""
        self.lines = (f"{self.lines[0]}{text}", *self.lines[1:])
        self.args = ("\n".join(self.lines),)


class UsageError(BatcheditError):
    code = 64


class ManifestError(BatcheditError):
    code = 65


class KeptSettingsError(ManifestError):
    pass


class NotFoundError(BatcheditError):
    code = 66


class ServiceUnavailableError(BatcheditError):
    code = 69


class ProxyRefusesError(ServiceUnavailableError):
    """The proxy refused: waiting would not help."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="put a proxy that lets the service through into HTTPS_PROXY, with NAME:PASSWORD@ before its host where it "
            "asks for them; then type the same command again",
        )


class OutputError(BatcheditError):
    code = 73


class FilesUnavailableError(OutputError):
    code = 69


class FilesRefusedError(OutputError):
    code = 77


class DiskError(BatcheditError):
    """A file could not be opened, read, written, renamed or removed, and the caller has no more specific error."""

    code = 74

    def __init__(self, error: OSError) -> None:
        where = f"{error.filename}: " if error.filename else ""
        super().__init__(f"{where}{error.strerror or error}", hint="see to the disk, then type the same command again")


class ManifestReadError(ManifestError):
    """The disk failed while a sheet, or the run's own copy of it, was read. Nothing is wrong with its content."""

    code = 74


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


HIGHER_CAP = "the same command with a higher --max-cost buys on"


class BudgetReachedError(StoppedError):
    def __init__(self, message: str, hint: str = HIGHER_CAP) -> None:
        super().__init__(message, hint=hint)


class PlacesTakenError(BudgetReachedError):
    """All runs of the account together have reached their limit of jobs under way: one that ends makes room."""


class PriceRoseError(StoppedError):
    """A picture costs more than the price that the person approved."""


class RestWaitsError(StoppedError):
    """The canary was bought, and the rest waits for its own approval, which may take days."""


class LockedError(StoppedError):
    pass


class InterruptedRunError(StoppedError):
    """``signal`` is the number of the signal: 1 for a closed terminal, 2 for Ctrl-C, 15 for SIGTERM."""

    def __init__(self, signal: int) -> None:
        super().__init__("interrupted")
        self.code = 128 + signal


class KnownRequestError(BatcheditError):
    """A job was accepted under ``request_id``, which is that of an earlier purchase: of the job named ``owner``."""

    def __init__(self, request_id: str, owner: str) -> None:
        super().__init__(f"the request id {request_id} is already that of {owner}")
        self.request_id = request_id
        self.owner = owner


class TokenError(BatcheditError):
    code = 77


class IllegalEventError(BatcheditError):
    pass
