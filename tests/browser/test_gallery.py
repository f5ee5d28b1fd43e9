"""The gallery as a marketer opens it: from disk, in Chromium, without a network."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import HOSTILE, Watched, until

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]


def opened(watch: Watch, run: Path, **options: Any) -> Watched:
    watched = watch(**options)
    watched.page.goto((run / "gallery.html").as_uri())
    watched.page.wait_for_selector(".card img")
    return watched


def names(page: Any) -> list[str]:
    return [text.split()[0] for text in page.locator(".card .name").all_inner_texts()]


def test_pictures_load_and_nothing_leaves_the_page(watch: Watch, run: Path) -> None:
    watched = opened(watch, run)
    page = watched.page
    until(page, "[...document.querySelectorAll('.card img')].every((i) => i.complete && i.naturalWidth > 0)")
    assert page.locator(".card").count() == 14
    assert page.locator("#summary").inner_text() == "12 of 14 pictures are there · 1 failed · 1 invalid · $0.52 spent"
    assert watched.strangers("file://") == []
    assert watched.errors == []


def test_hostile_cells_stay_text(watch: Watch, run: Path) -> None:
    watched = opened(watch, run)
    page = watched.page
    cards = page.locator(".card")
    for name, text in HOSTILE.items():
        page.fill("#text", name)
        until(page, f"document.querySelector('.card .name')?.textContent.startsWith('{name}')")
        assert text in (cards.locator(".prompt").first.text_content() or ""), name
        cards.locator(".picture").first.click()
        assert text in page.locator("aside .words").inner_text() or name == "rtl"
        assert text in (page.locator("aside").text_content() or "")
        page.keyboard.press("Escape")
    assert page.locator(".card b, .card script, aside img[src=x], img[onerror]").count() == 0
    assert page.title() == "spring ads #1 · batchedit"
    assert watched.errors == []


def test_filters_search_and_sort(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.click("[data-status=failed]")
    assert names(page) == ["SKU-failed"]
    assert "the service refused it: </script>" in page.locator(".card .why").inner_text()
    page.click("[data-status=invalid]")
    assert names(page) == ["SKU-invalid"]
    page.click("[data-status='']")
    page.select_option("[data-name=market]", "Germany")
    assert names(page)[:3] == ["SKU-1", "SKU-3", "SKU-5"]
    page.select_option("[data-name=Size]", "3:2")
    assert names(page) == ["SKU-1", "SKU-3", "SKU-5"]
    assert page.locator("#count").inner_text() == "3 of 14 pictures"
    page.fill("#text", "nothing has this")
    page.wait_for_selector("#nothing:visible")
    page.click("#reset")
    assert page.locator(".card").count() == 14
    page.select_option("#sort", "status")
    assert names(page)[:2] == ["SKU-invalid", "SKU-failed"]


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
    assert page.locator(".card").nth(0).get_attribute("data-verdict") == "approve"
    page.keyboard.press("r")
    assert page.locator(".card").nth(1).get_attribute("data-verdict") == "reject"
    assert page.locator("#looked").inner_text() == "2"
    page.keyboard.press("u")
    assert page.locator(".card").nth(1).get_attribute("data-verdict") == ""
    page.keyboard.press("Enter")
    page.wait_for_selector("#box[open]")
    assert page.locator("#box-title").inner_text() == "SKU-1"
    page.keyboard.press("ArrowRight")
    assert page.locator("#box-title").inner_text() == "SKU-2"
    page.keyboard.press("n")
    page.keyboard.type("a arr u")  # keys are letters in a note
    page.keyboard.press("Control+Enter")
    page.keyboard.press("h")
    assert page.locator("#box-title").inner_text() == "SKU-3"
    page.keyboard.press("Escape")
    page.wait_for_selector("#box:not([open])", state="attached")
    assert page.locator(":focus").get_attribute("aria-label").startswith("SKU-3")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector(".card img")
    assert page.locator("#tally").inner_text() == "1 approved · 1 on hold"
    assert watched.errors == []


def test_versions_and_the_source_stand_side_by_side(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.locator(".picture").nth(1).click()
    assert page.locator("figcaption").all_inner_texts() == ["Version 1 Rejected", "Version 2"]
    page.keyboard.press("ArrowUp")
    assert page.locator("figure.chosen").get_attribute("data-version") == "1"
    assert page.locator("#note").input_value() == "too dark"
    page.keyboard.press("ArrowLeft")
    assert page.locator("figcaption").all_inner_texts() == ["Before source #1.png", "After"]
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
        told = {row["row"]: row for row in csv.DictReader(file)}
    assert told["8"]["decision"] == "reject"
    assert told["8"]["note"] == '\'=HYPERLINK("x"), brighter'
    assert told["3"]["note"] == "too dark"  # from the checkpoint, on the version before
    assert len(told["8"]["job"]) == 33


def test_a_thousand_scrolls_draw_only_what_is_near(watch: Watch, run: Path) -> None:
    page = opened(watch, run).page
    page.set_viewport_size({"width": 400, "height": 500})
    page.keyboard.press("End")
    until(page, "document.querySelectorAll('.card').length < 14")
    page.locator("#grid .picture").first.focus()
    page.keyboard.press("End")
    until(page, "document.activeElement.getAttribute('aria-label').startsWith('SKU-invalid')")
    assert page.locator(".card").count() < 14


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watch: Watch, run: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(watch, run, color_scheme=scheme, reduced_motion="reduce").page

    def serious(place: str) -> list[str]:
        found = axe.run(page).response["violations"]
        return [
            f"{place}: {v['id']} {node['target']} {node['failureSummary']}"
            for v in found
            if v["impact"] in {"serious", "critical"}
            for node in v["nodes"]
        ]

    assert serious("grid") == []
    for key in ("a", "r", "h"):
        page.locator("#grid .picture").nth(4).focus()
        page.keyboard.press(key)
        assert serious(f"grid, {key}") == []
    page.locator(".picture").nth(1).click()
    assert serious("lightbox with versions") == []
    page.keyboard.press("Escape")
    page.click("[data-status=failed]")
    assert serious("failed") == []
    page.locator(".picture").nth(0).click()
    assert serious("lightbox of a failed one") == []
    page.keyboard.press("Escape")
    page.click("#keys")
    assert serious("help") == []
