"""How a part that not everybody needs is installed: into the environment that runs the program, whatever made that."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ..core.shell_commands import quote_word, remember_command


def to_install(extra: str, place: str = sys.prefix) -> str:
    """The command that adds ``extra`` to the environment in ``place``. The pip that stands first on the path may be that of
    another Python: a tool of pipx or of uv has an environment of its own, a venv need not be activated, and uv makes some
    without pip.
    """
    return remember_command(_command(extra, place))


def _command(extra: str, place: str) -> str:
    wanted = quote_word(f"batchedit[{extra}]")
    if (Path(place) / "pipx_metadata.json").exists():
        return f"pipx runpip batchedit install {wanted}"
    by_uv = f"uv pip install --python {quote_word(place)} {wanted}"
    if (Path(place) / "uv-receipt.toml").exists():
        return by_uv
    own = shutil.which("pip", path=str(Path(place) / ("Scripts" if os.name == "nt" else "bin")))
    first = shutil.which("pip")
    if own is not None and own != first:
        return f"{quote_word(own)} install {wanted}"
    if own is None and shutil.which("uv"):
        return by_uv
    return f"pip install {wanted}"
