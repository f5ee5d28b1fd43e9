"""A marketer's whole evening and morning on a team's messy sheet, without a terminal after ``batchedit ui``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from batchedit.ledger.decisions import FolderDecisions
from tests.browser.conftest import Watched, becomes, expect, no_wider, there
from tests.browser.test_ui import dropped, well
from tests.support.team_sheet import make
from tests.support.ui import Ui, browsing

pytestmark = pytest.mark.browser


def bought(run: Path) -> int:
    """How many jobs the sandbox's own ledger has."""
    events = [orjson.loads(line) for line in (run / "sandbox.jsonl").read_bytes().splitlines()]
    return sum(event.get("event") == "accept" for event in events)


def until_told(page: Any, text: str) -> None:
    page.locator("#told", has_text=text).wait_for()


def to_the_price(page: Any, ui: Ui, sheet: Path) -> None:
    page.goto(ui.url)
    page.click("text=Try it with play money")
    dropped(page, ui, sheet)
    page.click("#next")
    there(page, "#prompt")
    page.fill("#prompt", "an ad for this {Product}")
    page.click("#keep")
    there(page, "text=Next: preview")
    no_wider(page, page.viewport_size["width"])
    page.goto(page.url.replace("/columns", "/price"))
    there(page, "#sum")
    no_wider(page, page.viewport_size["width"])


def look(page: Any, keys: str) -> None:
    """Mark from the first picture on, by keys alone."""
    page.click("#review")
    there(page, ".card img")
    no_wider(page, page.viewport_size["width"])
    page.locator("#grid .picture").first.click()
    for key in keys:
        page.keyboard.press(key)
    page.locator(".toast", has_text="That was the last one.").first.wait_for()
    page.keyboard.press("Escape")


def kept(page: Any, run: Path, count: int) -> None:
    becomes(page, lambda: len(FolderDecisions(run).all()), count)


def delivered(page: Any) -> list[str]:
    """The names in the zip."""
    page.click("#make")
    there(page, "text=Made so far")
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        return archive.namelist()


def yes(page: Any, question: str, end: str) -> None:
    page.locator("#ask", has_text=question).wait_for()
    page.click("#yes")
    until_told(page, end)


def evening(page: Any, ui: Ui, home: Path) -> Path:
    """Drop, see the price, buy five, look at them, buy the rest; the run's folder."""
    width = page.viewport_size["width"]
    to_the_price(page, ui, make(home / "team.xlsx"))
    page.click("text=Buy 5 pictures first")
    there(page, "#yes")
    no_wider(page, width)
    page.click("#yes")
    until_told(page, "The first 5 of 6 are there.")
    (run,) = (home / "outputs").iterdir()
    assert bought(run) == 5
    no_wider(page, width)
    look(page, "aaaaa")
    page.click("text=Back to the run")
    kept(page, run, 5)  # left at once: the marks that were not answered yet outlive the page
    page.click("#continue")
    yes(page, "Buy 1 picture for $0.04?", "Finished: every picture is there.")
    return run


def reject_the_last(page: Any, run: Path) -> None:
    """The one that nobody looked at yet, with a note."""
    page.click("#review")
    there(page, ".card img")
    expect(page.locator("#looked")).to_have_text("5")
    page.select_option("#list", "todo")
    page.wait_for_url("**show=todo**")
    there(page, ".card img")
    page.locator("#grid .picture").first.focus()
    page.keyboard.press("r")
    page.keyboard.press("n")
    page.keyboard.type("warmer light")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.click("text=Back to the run")
    becomes(page, lambda: [mark.note for mark in FolderDecisions(run).all().values() if mark.note], ["warmer light"])
    there(page, "#told")


@pytest.mark.parametrize("width", [1280, 390])
def test_an_evening_and_a_morning(watch: Callable[..., Watched], tmp_path: Path, width: int) -> None:
    with browsing(tmp_path) as ui:
        watched = watch(viewport={"width": width, "height": 860})
        run = evening(watched.page, ui, tmp_path)
        path = watched.page.url.removeprefix(ui.url)
        watched.page.close()  # the night: the browser is shut, the server is killed
        ui.process.kill()
        ui.process.wait()
    with browsing(tmp_path) as ui:  # the morning
        page = watched.context.new_page()
        page.goto(f"{ui.url}{path}")
        reject_the_last(page, run)
        page.click("text=Redo")
        there(page, "#redo")
        no_wider(page, width)
        expect(page.locator("textarea")).to_have_value("warmer light")
        page.click("#redo")
        yes(page, "Buy 1 picture for $0.04?", "Finished: every picture is there.")
        assert bought(run) == 7
        page.goto(f"{ui.url}{path}/deliver")
        no_wider(page, width)
        expect(page.locator("main")).to_contain_text("1 picture nobody looked at")
        assert sum("/files/" in name for name in delivered(page)) == 5
        verdicts = sorted(mark.verdict.value for mark in FolderDecisions(run).all().values())
        assert verdicts == ["approve"] * 5 + ["reject"]
        well(watched, ui)
