"""Opening the person's browser at an address that is a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click


@contextmanager
def opened_browser(url: str) -> Iterator[None]:
    """Open the browser by a file only we can read: on a command line every user of the machine would see the token."""
    with TemporaryDirectory(prefix="batchedit-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
        click.launch(str(page))
        yield
