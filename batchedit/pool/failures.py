"""Of several errors at once, the one to tell."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import BatcheditError, CheckpointError


def gravest(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of what several tasks raised at once, the one to tell: a failing checkpoint before anything else."""
    leaves = list(_leaves(group))
    for wanted in (CheckpointError, BatcheditError):
        for leaf in leaves:
            if isinstance(leaf, wanted):
                return leaf
    return leaves[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
