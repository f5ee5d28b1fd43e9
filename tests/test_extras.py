"""The command that adds an extra names the environment that runs the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchedit.extras import to_install


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("", "pip install 'batchedit[sign]'"),
        ("pipx_metadata.json", "pipx runpip batchedit install 'batchedit[sign]'"),
        ("uv-receipt.toml", "uv pip install --python '{place}' 'batchedit[sign]'"),
    ],
)
def test_an_extra_goes_where_the_program_is(tmp_path: Path, mark: str, told: str) -> None:
    """README installs with uv or pipx first, and the hint's pip was another Python's."""
    place = tmp_path / "a tool"
    place.mkdir()
    if mark:
        (place / mark).touch()
    assert to_install("sign", str(place)) == told.format(place=place)
