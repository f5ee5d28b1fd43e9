"""A spreadsheet in, thousands of finished ad creatives out, without ever paying twice."""

from typing import TYPE_CHECKING

from .core import events
from .core.errors import (
    BatcheditError,
    BudgetReachedError,
    CheckpointError,
    InterruptedRunError,
    LockedError,
    ManifestError,
    NotFoundError,
    OutputError,
    PriceRoseError,
    ServiceUnavailableError,
    StoppedError,
    TokenError,
    UsageError,
)
from .core.model import State
from .library import PlanResult, Progress, RunMoney, RunResult, aplan, arun, plan, run, status
from .settings.program import Options

if TYPE_CHECKING:
    __version__: str

__all__ = [
    "BatcheditError",
    "BudgetReachedError",
    "CheckpointError",
    "InterruptedRunError",
    "LockedError",
    "ManifestError",
    "NotFoundError",
    "Options",
    "OutputError",
    "PlanResult",
    "PriceRoseError",
    "Progress",
    "RunMoney",
    "RunResult",
    "ServiceUnavailableError",
    "State",
    "StoppedError",
    "TokenError",
    "UsageError",
    "__version__",
    "aplan",
    "arun",
    "events",
    "plan",
    "run",
    "status",
]


def __getattr__(name: str) -> str:
    """``__version__`` is read from the installed package when it is used."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 - 20 ms that most imports do not need

    return version("batchedit")
