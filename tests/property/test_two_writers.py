"""Two processes in one run at the same time, as on a shared disk that knows no locks: each picture is bought once.

The lock of the run and that of the register are gone then. What is left is the compare-and-set on every record: the process
that was overtaken finds its record moved, stops with 74, and keeps the id that it had in hand.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.property.books import read_books
from tests.property.people import write_sheet
from tests.support.offline import URL, Trouble, World
from tests.support.share import whole_or

ROWS = 3
PLACES = range(1, 40) if os.environ.get("BATCHEDIT_EXAMPLES") else whole_or((1, 2, 4, 6, 9, 13), (1, 4, 6, 9))


def bought_by_both(folder: Path, point: str, nth: int) -> bool:
    """Both run one sheet; the second one comes at that point of the first. False where the first never got so far."""
    world = World(folder, price="0.04")
    write_sheet(world.folder / "s.csv", [f"an ad, number {n}x" for n in range(ROWS)])
    options = ("--base-url", URL, "--no-check-images", "--max-cost", "0.12")
    first = world.command("run", world.folder / "s.csv", *options, trouble=Trouble(joined=(point, nth)))
    if not first.joined:
        return False
    last = world.command("run", world.folder / "s.csv", *options)
    where = f"joined at {point} {nth}, exit {first.code}\n{first.err}\n{last.out}{last.err}"
    prompts = Counter(job.order.prompt for job in world.service.ledger.jobs.values())
    assert max(prompts.values()) == 1, where
    books = read_books((world.folder / "outputs" / "s").resolve(), None)
    assert books is not None, where
    assert {*world.service.ledger.jobs} <= books.known, where
    assert not books.findings, where
    assert (first.code, last.code) in {(0, 0), (74, 0)}, where
    return True


@pytest.mark.parametrize("point", ["call", "answer", "commit"])
def test_two_processes_in_one_run_buy_each_picture_once(tmp_path: Path, point: str) -> None:
    reached = [nth for nth in PLACES if bought_by_both(tmp_path / f"{point}{nth}", point, nth)]
    assert len(reached) > ROWS


def taken_in_by_both(folder: Path, nth: int) -> bool:
    """The disk was full when ids came, and both take them from the side file. False where the first never got so far."""
    world = World(folder, price="0.04")
    write_sheet(world.folder / "s.csv", [f"an ad, number {n}x" for n in range(ROWS)])
    options = ("--base-url", URL, "--no-check-images")
    world.command("run", world.folder / "s.csv", *options, trouble=Trouble(full=1))
    run = (world.folder / "outputs" / "s").resolve()
    assert (run / "accepted.jsonl").exists()
    first = world.command("run", world.folder / "s.csv", *options, trouble=Trouble(joined=("begin", nth)))
    if not first.joined:
        return False
    last = world.command("run", world.folder / "s.csv", *options)
    where = f"joined at begin {nth}, exit {first.code}\n{first.err}\n{last.out}{last.err}"
    prompts = Counter(job.order.prompt for job in world.service.ledger.jobs.values())
    assert max(prompts.values()) == 1, where
    books = read_books(run, None)
    assert books is not None, where
    assert {*world.service.ledger.jobs} <= books.known, where
    assert not books.findings, where
    assert (first.code, last.code) in {(0, 0), (74, 0)}, where
    return True


def test_an_id_that_two_processes_take_from_the_side_file_was_a_defect_of_the_second(tmp_path: Path) -> None:
    reached = [nth for nth in whole_or(range(1, 9), range(1, 9, 2)) if taken_in_by_both(tmp_path / str(nth), nth)]
    assert len(reached) > ROWS


def pasted_by_both(folder: Path, point: str, nth: int) -> bool:
    """A purchase is in doubt, and both paste the id that was found for it. False where the first never got so far."""
    world = World(folder, price="0.04")
    write_sheet(world.folder / "s.csv", ["an ad, number 1x"])
    lost = Trouble(("submit:drop_after=at:1",))
    world.command("run", world.folder / "s.csv", "--base-url", URL, "--no-check-images", trouble=lost)
    run = (world.folder / "outputs" / "s").resolve()
    (bought,) = world.service.ledger.jobs
    command = ("doubt", run, "--request-id", f"2={bought}")
    first = world.command(*command, trouble=Trouble(joined=(point, nth)), yes=False)
    if not first.joined:
        return False
    where = f"joined at {point} {nth}, exit {first.code}\n{first.out}{first.err}"
    assert first.code in {0, 64, 74}, where
    books = read_books(run, None)
    assert books is not None, where
    assert bought in books.known, where
    assert not books.findings, where
    last = world.command("fetch", run, yes=False)
    assert (last.code, [*world.service.ledger.jobs]) == (0, [bought]), f"{where}\n{last.out}{last.err}"
    return True


@pytest.mark.parametrize("point", ["call", "answer", "begin", "commit"])
def test_an_id_that_two_processes_pasted_was_a_defect_of_the_second(tmp_path: Path, point: str) -> None:
    places = whole_or(range(1, 9), range(1, 9, 2))
    assert [nth for nth in places if pasted_by_both(tmp_path / f"{point}{nth}", point, nth)]
