"""How much of a test that could go on for ever is run: all of it, unless ``BATCHEDIT_TESTS=few`` (``make test``).

``make test-all`` and ``.ci/run`` run all: what few examples miss is found there.
"""

from __future__ import annotations

import os

FEW = os.environ.get("BATCHEDIT_TESTS") == "few"
_FIFTH = 5
EXAMPLES = 100
"""Of a property that names no number."""


def examples(number: int) -> int:
    """``number``, or a fifth of it."""
    return max(1, number // _FIFTH) if FEW else number
