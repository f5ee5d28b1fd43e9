"""Opens the browser at an address that is a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER")


def has_screen() -> bool:
    """Can a browser be opened here? On a Linux without a screen each browser that is tried prints an error; the address is
    printed anyway.
    """
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _SCREENS)


@contextmanager
def open_browser(url: str) -> Iterator[None]:
    """Open the browser, where there is a screen, through a file that only this user can read: on a command line every user
    of the machine would see the token.
    """
    if not has_screen():
        yield
        return
    with TemporaryDirectory(prefix="batchedit-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
        click.launch(str(page))
        yield
