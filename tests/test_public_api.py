"""The public names, pinned."""

from __future__ import annotations

import batchedit
from batchedit.settings.model import Settings


def test_public_names() -> None:
    assert batchedit.__all__ == [
        *(
            "BatcheditError",
            "BudgetReachedError",
            "CheckpointError",
            "InterruptedRunError",
            "LockedError",
            "ManifestError",
        ),
        *(
            "NotFoundError",
            "Options",
            "OutputError",
            "PlanResult",
            "PriceRoseError",
            "Progress",
            "RunMoney",
            "RunResult",
        ),
        *("ServiceUnavailableError", "State", "StoppedError", "TokenError", "UsageError", "__version__"),
        *("aplan", "arun", "events", "plan", "run", "status"),
    ]
    assert all(hasattr(batchedit, name) for name in batchedit.__all__)


def test_what_a_program_may_give_is_what_run_takes() -> None:
    """A new setting is either in ``Options`` or named here."""
    only_typed = {
        "out",  # a parameter of its own
        "canary",  # a program asks nobody: it looks at the first pictures itself
        "mine",  # said once, by a person
        "allow_sleep",  # the command's process keeps the machine awake, not the library
        "store",
        "files",  # an object store is for runs that machines share
        "origins",
    }
    assert set(batchedit.Options.__annotations__) == set(Settings.__dataclass_fields__) - only_typed
