"""How much of a test that could go on for ever is run: all of it, unless ``BATCHEDIT_TESTS=few`` (``make test``).

``make test-all`` and ``.ci/run`` run all: what few examples miss is found there.
"""

from __future__ import annotations

import os
from typing import TypeVar

FEW = os.environ.get("BATCHEDIT_TESTS") == "few"
_FIFTH = 5
EXAMPLES = 100
"""Of a property that names no number."""
T = TypeVar("T")


def examples(number: int) -> int:
    """``number``, or a fifth of it."""
    return max(1, number // _FIFTH) if FEW else number


def whole_or(whole: T, few: T) -> T:
    """``whole``, or what ``make test`` takes of it: a smaller crowd, fewer of what is alike."""
    return few if FEW else whole
