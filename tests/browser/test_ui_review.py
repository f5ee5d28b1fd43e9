"""Review in ``batchedit ui``: a page of a hundred, keys, one undo, and the traps that people met."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchedit.ledger.decisions import FolderDecisions
from batchedit.run_folder import RunFolder
from batchedit.web.run_folders import run_id
from tests.browser.conftest import Watched, becomes, beginning, expect, no_wider, serious, there, until
from tests.browser.test_ui import well
from tests.support.finished_run import Showroom, picture
from tests.support.ui import Ui, browsing

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]
ROWS = 104
PICTURES = {1, 2, 4, 5, 103, 104}
"""Rows with a picture. All others are not bought yet, but row 3, which failed."""


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[Ui]:
    room = Showroom(RunFolder(tmp_path / "outputs" / "spring"))
    for number in range(1, ROWS + 1):
        room.row(f"SKU-{number}")
    source = tmp_path / "source.png"
    picture(77, (64, 48)).save(source)
    room.rows[0]["image"] = str(source)
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        if record.id in PICTURES:
            room.done(checkpoint, record, picture(record.id, (120, 120)))
        elif record.id == 3:
            room.failed(checkpoint, record, "the service refused it")
    checkpoint.close()
    with browsing(tmp_path) as ui:
        yield ui


def standing(ui: Ui) -> dict[int, tuple[str, str]]:
    marks = FolderDecisions(ui.home / "outputs" / "spring").all()
    return {job: (mark.verdict.value, mark.note) for job, mark in marks.items()}


def address(ui: Ui) -> str:
    return f"{ui.url}runs/{run_id(ui.home / 'outputs' / 'spring')}/review/"


def opened(watch: Watch, ui: Ui, query: str = "", **options: Any) -> Watched:
    watched = watch(**options)
    watched.page.goto(f"{address(ui)}{query}")
    there(watched.page, ".card img")
    return watched


def kept(page: Any, ui: Ui, wanted: dict[int, tuple[str, str]]) -> None:
    becomes(page, lambda: standing(ui), wanted)


def test_keys_decide_step_over_what_has_no_picture_and_the_end_says_so(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui)
    page = watched.page
    page.locator("#grid .picture").first.click()
    page.keyboard.press("a")
    page.keyboard.press("r")  # row 3 has no picture: row 4 comes up
    expect(page.locator("#box-title")).to_have_text("SKU-4")
    page.keyboard.press("n")
    page.keyboard.type("too dark")
    page.keyboard.press("Enter")
    expect(page.locator("#box-title")).to_have_text("SKU-4")
    kept(page, ui, {1: ("approve", ""), 2: ("reject", "too dark")})
    page.keyboard.press("h")
    page.keyboard.press("a")  # row 5 is the last picture of this page
    page.wait_for_url("**from=101**")
    page.locator("#box-title", has_text="SKU-103").wait_for()
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.keyboard.press("a")  # twice on the last one is once
    page.locator(".toast", has_text="That was the last one. Every picture is looked at.").first.wait_for()
    wanted = {1: ("approve", ""), 2: ("reject", "too dark"), 4: ("hold", ""), 5: ("approve", "")}
    kept(page, ui, {**wanted, 103: ("approve", ""), 104: ("approve", "")})
    page.reload()
    expect(page.locator("#looked")).to_have_text("6")
    well(watched, ui)


def test_a_note_after_r_in_the_grid_belongs_to_the_rejected_one(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui)
    page = watched.page
    page.locator("#grid .picture").first.focus()
    page.keyboard.press("r")
    page.keyboard.press("n")
    expect(page.locator("#box-title")).to_have_text("SKU-1")
    page.keyboard.type("wrong colour")
    page.keyboard.press("Enter")
    kept(page, ui, {1: ("reject", "wrong colour")})
    well(watched, ui)


def test_all_shown_is_one_click_and_one_undo(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui, "?show=todo")
    page = watched.page
    expect(page.locator("#count")).to_have_text("6 pictures")
    page.click("text=Approve all 6 shown")
    kept(page, ui, dict.fromkeys(PICTURES, ("approve", "")))
    page.click(".toast >> text=Undo")
    kept(page, ui, dict.fromkeys(PICTURES, ("", "")))
    page.fill("#page-row", "104")
    page.keyboard.press("Enter")
    page.wait_for_url("**row=104**")
    well(watched, ui)


def test_the_picture_stands_beside_its_source(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui)
    page = watched.page
    expect(page.locator("#summary")).to_have_text(re.compile("^Play money"))
    page.locator("#grid .picture").first.click()
    until(page, "[...document.querySelectorAll('#box img')].every((i) => i.complete && i.naturalWidth > 0)")
    expect(page.locator("#box figure img")).to_have_count(2)
    expect(page.locator("#box figcaption").first).to_have_text(re.compile("^Before"))
    well(watched, ui)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_telephone_shows_all_of_it(watch: Watch, ui: Ui, scheme: str) -> None:
    page = opened(watch, ui, color_scheme=scheme, reduced_motion="reduce").page
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    no_wider(page, 390)


def test_marks_waited_in_the_browser_behind_sources_whose_server_did_not_answer(watch: Watch, tmp_path: Path) -> None:
    """A browser keeps six connections: six sources that hang held every mark up until they were given up."""
    room = Showroom(RunFolder(tmp_path / "outputs" / "spring"))
    for number in range(1, 13):
        room.row(f"SKU-{number}")  # each with a link as its source
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (120, 120)))
    checkpoint.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with browsing(tmp_path, environ={"HTTPS_PROXY": proxy}) as ui:
            page = opened(watch, ui).page
            page.locator("#grid .picture").first.click()
            for number in range(2, 12):
                page.wait_for_timeout(300)  # long enough for the source to be asked for
                page.keyboard.press("a")
                expect(page.locator("#box-title")).to_have_text(beginning(f"SKU-{number}"))
            began = time.monotonic()
            kept(page, ui, dict.fromkeys(range(1, 11), ("approve", "")))
            assert time.monotonic() - began < 5


def test_sources_go_on_coming_when_pictures_are_passed_quickly(watch: Watch, tmp_path: Path) -> None:
    """One that was gone before it was loaded kept its place for ever: after two of them none was asked for."""
    room = Showroom(RunFolder(tmp_path / "outputs" / "spring"))
    for number in range(1, 41):
        room.row(f"SKU-{number}")
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (120, 120)))
    checkpoint.close()
    with browsing(tmp_path) as ui:
        page = opened(watch, ui).page
        page.locator("#grid .picture").first.click()  # the cards behind it still wait for theirs
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(page.locator("#box-title")).to_have_text(beginning("SKU-21"))
        until(page, "[...document.querySelectorAll('#box img')].every((i) => i.complete && i.naturalWidth > 0)")
