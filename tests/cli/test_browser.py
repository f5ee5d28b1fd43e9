"""Opening the browser: by a private file, and only where there is a screen."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from batchedit.cli.browser import open_browser

URL = "http://127.0.0.1:8765/?secret=abc"


@pytest.mark.parametrize(
    ("platform", "environ", "opens"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"WSL_DISTRO_NAME": "Debian"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_without_a_screen_seven_lines_of_browsers_that_are_not_there_were_shown(
    monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], opens: bool
) -> None:
    launched: list[Path] = []
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(click, "launch", lambda page: launched.append(Path(page)))
    with open_browser(URL):
        assert bool(launched) is opens
        for page in launched:
            assert URL in page.read_text(encoding="utf-8")
            assert page.parent.stat().st_mode & 0o077 == 0
    assert not any(page.exists() for page in launched)
