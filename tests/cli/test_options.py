"""An option does what it says, or there is none of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import run_cli


@pytest.mark.parametrize(("verb", "option"), [("cancel", "--yes"), ("redo", "--rejected"), ("deliver", "--approved")])
def test_an_option_that_did_nothing_is_gone(tmp_path: Path, verb: str, option: str) -> None:
    assert f"No such option '{option}'" in run_cli(verb, "outputs/m", option, cwd=tmp_path, code=64).stderr
