"""A marketer's whole evening and morning on a team's messy sheet, without a terminal after ``batchedit ui``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from batchedit.ledger.decisions import Marks
from tests.browser.conftest import Watched
from tests.browser.test_ui import dropped, well
from tests.support.team_sheet import make
from tests.support.ui import Ui, browsing

pytestmark = pytest.mark.browser

LONG = 120_000
"""Milliseconds: a condition on a slow machine, never a pause."""


def bought(run: Path) -> int:
    """How many jobs the sandbox's own ledger has."""
    events = [orjson.loads(line) for line in (run / "sandbox.jsonl").read_bytes().splitlines()]
    return sum(event.get("event") == "accept" for event in events)


def until_told(page: Any, text: str) -> None:
    page.locator("#told", has_text=text).wait_for(timeout=LONG)


def to_the_price(page: Any, ui: Ui, sheet: Path) -> None:
    page.goto(ui.url)
    page.click("text=Try it with play money")
    dropped(page, ui, sheet)
    page.click("#next")
    page.wait_for_selector("#prompt", timeout=LONG)
    page.fill("#prompt", "an ad for this {Product}")
    page.click("#keep")
    page.wait_for_selector("text=Next: preview", timeout=LONG)
    page.goto(page.url.replace("/columns", "/price"))
    page.wait_for_selector("#sum", timeout=LONG)


def look(page: Any, keys: str) -> None:
    """Mark from the first picture on, by keys alone."""
    page.click("#review")
    page.locator(".card img").first.wait_for(timeout=LONG)
    page.locator("#grid .picture").first.click()
    for key in keys:
        page.keyboard.press(key)
    page.locator(".toast", has_text="That was the last one.").first.wait_for(timeout=LONG)
    page.keyboard.press("Escape")


def kept(page: Any, run: Path, count: int) -> None:
    for _ in range(1200):
        if len(Marks(run).all()) == count:
            break
        page.wait_for_timeout(50)
    assert len(Marks(run).all()) == count


def delivered(page: Any) -> list[str]:
    """The names in the zip."""
    page.click("#make")
    page.wait_for_selector("text=Made so far", timeout=LONG)
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        return archive.namelist()


def yes(page: Any, question: str, end: str) -> None:
    page.locator("#ask", has_text=question).wait_for(timeout=LONG)
    page.click("#yes")
    until_told(page, end)


def test_an_evening_and_a_morning(watch: Callable[..., Watched], tmp_path: Path) -> None:
    make(tmp_path / "team.xlsx")
    with browsing(tmp_path) as ui:
        watched = watch()
        page = watched.page
        to_the_price(page, ui, tmp_path / "team.xlsx")
        page.click("text=Buy 5 pictures first")
        page.wait_for_selector("#yes", timeout=LONG)
        page.click("#yes")
        until_told(page, "The first 5 of 6 are there.")
        (run,) = (tmp_path / "outputs").iterdir()
        assert bought(run) == 5
        look(page, "aaaaa")
        page.click("text=Back to the run")
        kept(page, run, 5)  # left at once: the marks that were not answered yet outlive the page
        page.click("#continue")
        yes(page, "Buy 1 picture for $0.04?", "Finished: every picture is there.")
        address = page.url
        page.close()  # the night: the browser is shut, the server is killed
        ui.process.kill()
        ui.process.wait()
    with browsing(tmp_path) as ui:  # the morning
        page = watched.context.new_page()
        page.goto(address)
        page.click("#review")
        page.locator(".card img").first.wait_for(timeout=LONG)
        assert page.locator("#looked").inner_text() == "5"
        page.select_option("#list", "todo")
        page.wait_for_url("**show=todo**")
        page.locator("#grid .picture").first.focus()
        page.keyboard.press("r")
        page.keyboard.press("n")
        page.keyboard.type("warmer light")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.click("text=Back to the run")
        page.click("text=Redo")
        assert page.locator("textarea").input_value() == "warmer light"
        page.click("#redo")
        yes(page, "Buy 1 picture for $0.04?", "Finished: every picture is there.")
        assert bought(run) == 7
        page.goto(f"{address}/deliver")
        assert "1 picture nobody looked at" in page.locator("main").inner_text()
        assert sum("/files/" in name for name in delivered(page)) == 5
        said = [mark.verdict.value for mark in Marks(run).all().values()]
        assert sorted(said) == ["approve"] * 5 + ["reject"]
        well(watched, ui)
