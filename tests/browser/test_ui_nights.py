"""Nights that do not go as usual: no mouse, a server killed in the middle of buying, a colleague who looks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchedit.ledger.decisions import FolderDecisions
from batchedit.web.guests import GuestFile
from tests.browser.conftest import Watched, becomes, expect, there
from tests.browser.test_ui import dropped, well
from tests.browser.test_ui_evening import bought, kept
from tests.support.team_sheet import make
from tests.support.ui import Ui, browsing
from tests.web.test_buying import shop

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]

FOCUSED = """([selector, text]) => {
  const here = document.activeElement;
  return here !== null && here.matches(selector) && (here.textContent + (here.value || "")).includes(text);
}"""
MARKED = """() => {
  const seen = [null, "::after"].map((part) => getComputedStyle(document.activeElement, part));
  const lined = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return seen.some((style) => lined(style) || style.boxShadow !== "none" || parseFloat(style.borderTopWidth) > 1);
}"""


def tab(page: Any, selector: str, text: str = "") -> None:
    """Go on with Tab until it is there, and see that it is: no keyboard user knows where the focus is by heart."""
    for _ in range(120):
        if page.evaluate(FOCUSED, [selector, text]):
            assert page.evaluate(MARKED), f"{selector} {text} has the focus, and does not show it"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {selector} {text}")


def press(page: Any, selector: str, text: str = "", key: str = "Enter") -> None:
    """Reach it by Tab alone and press a key on it."""
    there(page, f"{selector}:has-text('{text}')" if text else selector)
    tab(page, selector, text)
    page.keyboard.press(key)


def expect_message(page: Any, text: str) -> None:
    expect(page.locator("#told")).to_contain_text(text)


def test_an_evening_and_a_morning_by_keyboard_alone(watch: Watch, tmp_path: Path) -> None:
    make(tmp_path / "team.xlsx")
    with browsing(tmp_path) as ui:
        watched = watch(reduced_motion="reduce")
        page = watched.page
        page.goto(ui.url)
        press(page, "a.button", "play money")
        there(page, "#pick")
        with page.expect_file_chooser() as chooser:
            press(page, "#pick")
        chooser.value.set_files(tmp_path / "team.xlsx")
        press(page, "#next")
        there(page, "#prompt")
        tab(page, "#prompt")
        page.keyboard.type("an ad for this {Product}")
        press(page, "#keep")
        press(page, "a.button", "Next: preview")
        press(page, "a.button", "Next: price")
        press(page, "button.button", "Buy 5 pictures first")
        press(page, "#yes")
        expect_message(page, "The first 5 of 6 are there.")
        (run,) = (tmp_path / "outputs").iterdir()
        assert bought(run) == 5
        press(page, "#review")
        there(page, ".card img")
        tab(page, "#grid .picture")
        for key in "aaraa":
            page.keyboard.press(key)
        expect(page.locator(".toast").first).to_contain_text("That was the last one.")
        kept(page, run, 5)
        press(page, "a", "Back to the run")
        press(page, "#continue")
        expect(page.locator("#ask")).to_have_text("Buy 1 picture for $0.04?")
        press(page, "#yes")
        expect_message(page, "Finished: every picture is there.")
        press(page, ".steps a", "Redo")
        there(page, ".redo textarea")
        tab(page, ".redo textarea")
        page.keyboard.type("warmer light")
        press(page, "#redo")
        expect(page.locator("#ask")).to_have_text("Buy 1 picture for $0.04?")
        press(page, "#yes")
        expect_message(page, "Finished: every picture is there.")
        assert bought(run) == 7
        press(page, ".steps a", "Deliver")
        press(page, "#make")
        there(page, "text=Made so far")
        with page.expect_download() as download:
            press(page, "a[download]")
        assert download.value.suggested_filename.endswith(".zip")
        assert sorted(mark.verdict.value for mark in FolderDecisions(run).all().values()) == ["approve"] * 4 + [
            "reject"
        ]
        well(watched, ui)


def to_the_question(page: Any, ui: Ui, sheet: Path) -> str:
    """All of it, up to the yes; the draft's id."""
    draft = dropped(page, ui, sheet)
    page.goto(f"{ui.url}drafts/{draft}/price")
    there(page, "#buy button")
    page.click("#buy button:has-text('all'), #buy button:has-text('them')")
    there(page, "#yes")
    return draft


def go_on(page: Any, ui: Ui, draft: str, run: Path) -> None:
    """As a person does after a crash: the same page again, and the yes again where it asks. The run's page is shown."""
    page.goto(f"{ui.url}drafts/{draft}/buy")
    element = there(page, "#yes, #told, #to-run")
    if element.get_attribute("id") == "yes":
        page.click("#yes")
        there(page, "#warning:not([hidden]), #told")
    if page.locator("#warning:not([hidden])").count() and not (run / "process.log").exists():
        # The yes was written down, and the server was killed before its process began: it is asked anew.
        page.reload()
        there(page, "#yes").click()
        there(page, "#told")
    elif page.locator("#warning:not([hidden])").count():  # it was used: the run has begun
        page.goto(ui.url)
        there(page, "a.name[href*='runs/']").click()
    elif page.locator("#to-run").count():
        page.click("#to-run")


@pytest.mark.parametrize("when", ["the yes is on its way", "pictures come"])
def test_a_server_killed_in_the_middle_of_buying_buys_what_was_confirmed(
    watch: Watch, tmp_path: Path, when: str
) -> None:
    (tmp_path / "lamps.zip").write_bytes(shop(6))
    run = tmp_path / "outputs" / "lamps"
    with browsing(tmp_path) as ui:
        page = watch().page
        draft = to_the_question(page, ui, tmp_path / "lamps.zip")
        expect(page.locator("h1")).to_have_text("Buy 6 pictures for $0.24?")
        page.click("#yes")
        if when == "pictures come":
            page.wait_for_url("**/runs/*")
            becomes(page, lambda: (run / "sandbox.jsonl").exists() and bought(run) > 0, wanted=True)
        ui.process.kill()
        ui.process.wait()
        if when == "pictures come":
            expect_message(
                page, "The page’s server does not answer. The run goes on; start the page again with: batchedit ui"
            )
        else:
            expect(page.locator("#warning")).to_contain_text("Start it again with: batchedit ui.")
        page.close()
    with browsing(tmp_path) as ui:
        page = watch().page
        go_on(page, ui, draft, run)
        expect_message(page, "Finished: every picture is there.")
        expect(page.locator("#spent")).to_have_text("$0.24")
        assert bought(run) == 6


def buy(page: Any, ui: Ui, sheet: Path) -> None:
    """From the dropped sheet to the page of the run that has begun."""
    to_the_question(page, ui, sheet)
    page.click("#yes")
    page.wait_for_url("**/runs/*")
    there(page, "#told")


def test_pictures_that_come_during_the_review_are_offered(watch: Watch, tmp_path: Path) -> None:
    """The page showed what it was opened on, and said nothing of what came since."""
    (tmp_path / "lamps.zip").write_bytes(shop(40))
    with browsing(tmp_path) as ui:
        mine = watch()
        buy(mine.page, ui, tmp_path / "lamps.zip")
        mine.page.goto(f"{mine.page.url}/review/")
        there(mine.page, ".card")
        opened = mine.page.locator(".card img").count()
        assert opened < 40
        expect(mine.page.locator("#newer")).to_contain_text("since this page was opened", timeout=60_000)
        mine.page.click("#show-newer")
        expect(mine.page.locator("#newer")).to_be_hidden()
        becomes(mine.page, lambda: mine.page.locator(".card img").count() > opened, wanted=True)
        well(mine, ui)


def test_a_colleague_marks_in_a_second_browser_while_pictures_come(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "lamps.zip").write_bytes(shop(40))
    run = tmp_path / "outputs" / "lamps"
    with browsing(tmp_path) as ui:
        mine = watch()
        buy(mine.page, ui, tmp_path / "lamps.zip")
        invited = ui.call(f"runs/{mine.page.url.rpartition('/')[2]}/invite", name="Robin")
        assert invited.status_code == 200
        (link,) = [guest.token for guest in GuestFile(ui.state / "ui").all()]
        theirs = watch()
        becomes(theirs.page, lambda: len(list((run / "files").glob("*"))) > 0 if run.exists() else False, wanted=True)
        theirs.page.goto(f"{ui.origin}/{link}/")
        if not theirs.page.locator(".card img").count():  # the page shows what it was opened on
            expect(theirs.page.locator("#newer")).to_contain_text("since this page was opened")
            theirs.page.click("#show-newer")
        there(theirs.page, ".card img")
        theirs.page.locator("#grid .picture:has(img)").first.focus()
        theirs.page.keyboard.press("a")
        becomes(theirs.page, lambda: [mark.who for mark in FolderDecisions(run).all().values()], ["Robin"])
        expect_message(mine.page, "Finished: every picture is there.")
        expect(mine.page.locator("#spent")).to_have_text("$1.60")
        assert bought(run) == 40
        mine.page.click("#review")
        there(mine.page, ".card img")
        expect(mine.page.locator("#looked")).to_have_text("1")
        well(mine, ui)
        well(theirs, ui)
