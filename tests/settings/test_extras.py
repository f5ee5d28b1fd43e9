"""The command that adds an extra names the environment that runs the program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchedit.settings.extras import to_install


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("", "pip install 'batchedit[sign]'"),
        ("pipx_metadata.json", "pipx runpip batchedit install 'batchedit[sign]'"),
        ("uv-receipt.toml", "uv pip install --python '{place}' 'batchedit[sign]'"),
    ],
)
def test_an_extra_goes_where_the_program_is(tmp_path: Path, mark: str, command: str) -> None:
    """README installs with uv or pipx first, and the hint's pip was another Python's."""
    place = tmp_path / "a tool"
    place.mkdir()
    if mark:
        (place / mark).touch()
    assert to_install("sign", str(place)) == command.format(place=place)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A venv, another pip that stands on the path, and uv."""
    for name in ("venv/bin", "usual"):
        (tmp_path / name).mkdir(parents=True)
    for program in ("venv/bin/pip", "usual/pip", "usual/uv"):
        (tmp_path / program).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "usual"))
    return tmp_path / "venv"


def test_a_venv_that_is_not_activated_was_told_the_pip_of_another_python(place: Path) -> None:
    assert to_install("sign", str(place)) == f"{place}/bin/pip install 'batchedit[sign]'"


def test_an_activated_one_is_told_its_pip(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{place}/bin{os.pathsep}{os.environ['PATH']}")
    assert to_install("sign", str(place)) == "pip install 'batchedit[sign]'"


def test_a_venv_of_uv_has_no_pip(place: Path) -> None:
    (place / "bin/pip").unlink()
    assert to_install("sign", str(place)) == f"uv pip install --python {place} 'batchedit[sign]'"
