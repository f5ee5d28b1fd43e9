"""How a part that not everybody needs is installed: into the environment that runs the program, whatever made that."""

from __future__ import annotations

import sys
from pathlib import Path

from .core.typed import quoted


def to_install(extra: str, place: str = sys.prefix) -> str:
    """The command that adds ``extra`` to the environment in ``place``. A pip that stands first on the path may be that of
    another Python, where a tool of pipx or of uv has an environment of its own.
    """
    wanted = quoted(f"batchedit[{extra}]")
    if (Path(place) / "pipx_metadata.json").exists():
        return f"pipx runpip batchedit install {wanted}"
    if (Path(place) / "uv-receipt.toml").exists():
        return f"uv pip install --python {quoted(place)} {wanted}"
    return f"pip install {wanted}"
