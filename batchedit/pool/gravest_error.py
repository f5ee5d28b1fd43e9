"""Which of several errors raised at once is reported."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import BatcheditError, CheckpointError


def find_gravest(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The most important error that several tasks raised at once: a failing checkpoint before anything else."""
    leaves = list(_iterate_leaves(group))
    for kind in (CheckpointError, BatcheditError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _iterate_leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _iterate_leaves(error)
        else:
            yield error
