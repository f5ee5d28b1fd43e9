"""A rehearsal's sums are labelled wherever they are said, and a price says where it is known from."""

from __future__ import annotations

from pathlib import Path

from batchedit.commands.pricing import LAST_KNOWN, dearer
from tests.support.cli import inside, manifest


def test_each_sum_of_a_rehearsal_is_labelled(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    ran = inside("run", "m.csv", "--sandbox", "--canary", "1", cwd=tmp_path)
    said = [*ran.stderr.splitlines(), *ran.stdout.splitlines()]
    said += inside("status", "m.csv", cwd=tmp_path).stdout.splitlines()
    said += inside("runs", cwd=tmp_path).stdout.splitlines()
    sums = [line for line in said if "$" in line]
    assert len(sums) >= 6
    assert [line for line in sums if "(play money)" not in line] == []


def test_a_price_that_no_catalogue_tells_is_the_last_one_known() -> None:
    assert dearer(0, "", 40_000) == (40_000, LAST_KNOWN)
    assert dearer(30_000, "the catalogue", 40_000) == (40_000, "charged before")
    assert dearer(30_000, "the catalogue", 0) == (30_000, "the catalogue")
    assert dearer(0, "", 0) == (0, "")
