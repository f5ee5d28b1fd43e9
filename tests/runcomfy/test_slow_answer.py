"""How long an answer to a purchase is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.people import write_sheet
from tests.support.offline import URL, Trouble, World


@pytest.mark.parametrize(("seconds", "code", "state"), [(140, 0, "1 done"), (160, 76, "1 in doubt")])
def test_a_slow_answer_was_taken_for_a_lost_one(tmp_path: Path, seconds: int, code: int, state: str) -> None:
    """Hosted inputs may be stored before it comes: a picture that was bought was in doubt."""
    world = World(tmp_path)
    write_sheet(world.folder / "s.csv", ["an ad"])
    command = ("run", world.folder / "s.csv", "--base-url", URL, "--no-check-images")
    ended = world.command(*command, trouble=Trouble((f"submit:slow@{seconds}=at:1",)))
    assert (ended.code, state in ended.out, len(ended.made)) == (code, True, 1), ended.out + ended.err
