"""The gallery as a marketer opens it: from disk, in Chromium, without a network."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import HOSTILE, Watched, beginning, expect, serious, there, until

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]


def opened(watch: Watch, run: Path, **options: Any) -> Watched:
    watched = watch(**options)
    watched.page.goto((run / "gallery.html").as_uri())
    there(watched.page, ".card img")
    return watched


def listed(page: Any, *names: str) -> None:
    """These cards and no others."""
    expect(page.locator(".card .name")).to_have_text([beginning(name) for name in names])


def first(page: Any, *names: str) -> None:
    """These cards come first."""
    for place, name in enumerate(names):
        expect(page.locator(".card .name").nth(place)).to_have_text(beginning(name))


def test_pictures_load_and_nothing_leaves_the_page(watch: Watch, run: Path) -> None:
    watched = opened(watch, run)
    page = watched.page
    until(page, "[...document.querySelectorAll('.card img')].every((i) => i.complete && i.naturalWidth > 0)")
    expect(page.locator(".card")).to_have_count(14)
    summary = "12 of 14 pictures are there · 1 failed · 1 invalid · $0.52 spent (play money)"
    expect(page.locator("#summary")).to_have_text(summary)
    assert watched.strangers("file://") == []
    assert watched.errors == []


def test_hostile_cells_stay_text(watch: Watch, run: Path) -> None:
    watched = opened(watch, run)
    page = watched.page
    cards = page.locator(".card")
    for name, text in HOSTILE.items():
        page.fill("#text", name)
        until(page, f"document.querySelector('.card .name')?.textContent.startsWith('{name}')")
        expect(cards.locator(".prompt").first).to_contain_text(text)
        cards.locator(".picture").first.click()
        expect(page.locator("aside .words")).to_contain_text(text)
        expect(page.locator("aside")).to_contain_text(text)
        page.keyboard.press("Escape")
    expect(page.locator(".card b, .card script, aside img[src=x], img[onerror]")).to_have_count(0)
    expect(page).to_have_title("spring ads #1 · batchedit")
    assert watched.errors == []


def test_filters_search_and_sort(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.click("[data-status=failed]")
    listed(page, "SKU-failed")
    expect(page.locator(".card .why")).to_contain_text("the service refused it: </script>")
    page.click("[data-status=invalid]")
    listed(page, "SKU-invalid")
    page.click("[data-status='']")
    page.select_option("[data-name=market]", "Germany")
    first(page, "SKU-1", "SKU-3", "SKU-5")
    page.select_option("[data-name=Size]", "3:2")
    listed(page, "SKU-1", "SKU-3", "SKU-5")
    expect(page.locator("#count")).to_have_text("3 of 14 pictures")
    page.fill("#text", "nothing has this")
    expect(page.locator("#nothing")).to_be_visible()
    page.click("#reset")
    expect(page.locator(".card")).to_have_count(14)
    page.select_option("#sort", "status")
    first(page, "SKU-invalid", "SKU-failed")


def test_the_whole_way_by_keyboard(watch: Watch, run: Path) -> None:
    watched = opened(watch, run)
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("SKU-")
    until(page, "document.querySelectorAll('.card').length === 8")
    page.locator("#grid .picture").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("a")
    expect(page.locator(".card").nth(0)).to_have_attribute("data-verdict", "approve")
    page.keyboard.press("r")
    expect(page.locator(".card").nth(1)).to_have_attribute("data-verdict", "reject")
    expect(page.locator("#looked")).to_have_text("2")
    page.keyboard.press("u")
    expect(page.locator(".card").nth(1)).to_have_attribute("data-verdict", "")
    page.keyboard.press("Enter")
    page.wait_for_selector("#box[open]")
    expect(page.locator("#box-title")).to_have_text("SKU-1")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#box-title")).to_have_text("SKU-2")
    page.keyboard.press("n")
    page.keyboard.type("a arr u")  # keys are letters in a note
    page.keyboard.press("Control+Enter")
    page.keyboard.press("h")
    expect(page.locator("#box-title")).to_have_text("SKU-3")
    page.keyboard.press("Escape")
    page.wait_for_selector("#box:not([open])", state="attached")
    until(page, "document.activeElement.getAttribute('aria-label')?.startsWith('SKU-3')")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.reload()
    there(page, ".card img")
    expect(page.locator("#tally")).to_have_text("1 approved · 1 on hold")
    assert watched.errors == []


def test_versions_and_the_source_stand_side_by_side(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.locator(".picture").nth(1).click()
    expect(page.locator("figcaption")).to_have_text(["Version 1 Rejected", "Version 2"])
    page.keyboard.press("ArrowUp")
    expect(page.locator("figure.chosen")).to_have_attribute("data-version", "1")
    expect(page.locator("#note")).to_have_value("too dark")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("figcaption")).to_have_text(["Before source #1.png", "After"])
    until(page, "[...document.querySelectorAll('.stage img')].every((i) => i.complete && i.naturalWidth > 500)")


def test_decisions_are_exported(watch: Watch, run: Path, tmp_path: Path) -> None:
    page = opened(watch, run).page
    page.locator(".picture").nth(6).click()
    page.keyboard.press("n")
    page.keyboard.type('=HYPERLINK("x"), brighter')
    page.keyboard.press("Control+Enter")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "decisions.csv")
    with (tmp_path / "decisions.csv").open(newline="", encoding="utf-8-sig") as file:
        exported = {row["row"]: row for row in csv.DictReader(file)}
    assert exported["8"]["decision"] == "reject"
    assert exported["8"]["note"] == '\'=HYPERLINK("x"), brighter'
    assert exported["3"]["note"] == "too dark"  # from the checkpoint, on the version before
    assert len(exported["8"]["job"]) == 33


def test_a_thousand_scrolls_draw_only_what_is_near(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.set_viewport_size({"width": 400, "height": 500})
    page.keyboard.press("End")
    until(page, "document.querySelectorAll('.card').length < 8")
    page.locator("#grid .picture").first.focus()
    page.keyboard.press("End")
    until(page, "document.activeElement.getAttribute('aria-label').startsWith('SKU-invalid')")
    until(page, "document.querySelectorAll('.card').length < 8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watch: Watch, run: Path, scheme: str) -> None:
    page = opened(watch, run, color_scheme=scheme, reduced_motion="reduce").page
    assert serious(page) == []
    for key in ("a", "r", "h"):
        page.locator("#grid .picture").nth(4).focus()
        page.keyboard.press(key)
        assert serious(page) == [], key
    page.locator(".picture").nth(1).click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.click("[data-status=failed]")
    assert serious(page) == []
    page.locator(".picture").nth(0).click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.click("#keys")
    assert serious(page) == []
