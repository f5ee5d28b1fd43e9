"""JSON text of a job's inputs, read and written without changing a number.

orjson turns integers from 2**64 into floats on reading, and refuses them on writing: a seed of 25 digits would be bought as
another one. The standard library is exact with both.
"""

from __future__ import annotations

import json
from typing import Any


def read_inputs(text: str) -> dict[str, Any]:
    """The inputs of a job from their canonical text, with integers of any length exact."""
    inputs: dict[str, Any] = json.loads(text)
    return inputs


def write_inputs(inputs: dict[str, Any]) -> bytes:
    """UTF-8 without blanks, keys sorted. ValueError for a lone surrogate."""
    return json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
