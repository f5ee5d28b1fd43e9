"""The public names, pinned."""

from __future__ import annotations

import batchedit


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
