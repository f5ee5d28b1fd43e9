"""Review in Chromium: a mark is on the disk before the page shows it as kept; tabs, reloads and a killed server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from batchedit.ledger.decisions import FolderDecisions
from batchedit.run_folder import RunFolder
from tests.browser.conftest import Watched, becomes, expect, there, until
from tests.support.finished_run import Showroom, picture
from tests.support.review_process import Review, start_review

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    room = Showroom(RunFolder(tmp_path / "run"))
    for number in range(6):
        room.row(f"SKU-{number}")
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (300, 300)))
    checkpoint.close()
    return room


def opened(watch: Watch, review: Review) -> Watched:
    watched = watch()
    watched.page.goto(review.url)
    there(watched.page, ".card img")
    return watched


def verdicts(page: Any, *wanted: str) -> None:
    """The cards show these, one after the other."""
    becomes(
        page, lambda: page.evaluate("[...document.querySelectorAll('.card')].map((c) => c.dataset.verdict)"), [*wanted]
    )


def standing(room: Showroom) -> dict[int, tuple[str, str]]:
    checkpoint = room.reopen()
    try:
        return {job: (mark.verdict.value, mark.note) for job, mark in FolderDecisions(checkpoint).all().items()}
    finally:
        checkpoint.close()


def kept(review: Review) -> list[tuple[int, str]]:
    """The marks that are on the disk, as the server tells anybody who asks."""
    return [(mark["job"], mark["verdict"]) for mark in review.http.get("api/marks?since=0").json()["marks"]]


def marked(page: Any, count: int) -> None:
    """So many marks are on the disk: the server says so."""
    until(page, f"fetch('api/marks?since=0').then((a) => a.json()).then((n) => n.marks.length >= {count})")


def test_marks_survive_a_reload_and_a_killed_server(watch: Watch, room: Showroom) -> None:
    with start_review(room) as review:
        watched = opened(watch, review)
        page = watched.page
        page.locator("#grid .picture").first.focus()
        for key in ("a", "r", "h"):
            page.keyboard.press(key)
        marked(page, 3)  # else a note that is typed meanwhile goes out with its verdict, as one mark
        page.locator(".picture").nth(1).click()
        page.keyboard.press("n")
        page.keyboard.type("brighter, no text")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#looked")).to_have_text("3")
        page.reload()
        there(page, ".card img")
        verdicts(page, "approve", "reject", "hold", "", "", "")
        until(page, "fetch('api/marks?since=3').then((a) => a.json()).then((n) => n.marks.length === 1)")
        assert watched.strangers(review.origin) == []
        assert watched.errors == []
        review.process.kill()
        review.wait()
    assert standing(room) == {1: ("approve", ""), 2: ("reject", "brighter, no text"), 3: ("hold", "")}
    with start_review(room) as review:
        page = opened(watch, review).page
        verdicts(page, "approve", "reject", "hold", "", "", "")
        page.locator(".picture").nth(1).click()
        expect(page.locator("#note")).to_have_value("brighter, no text")
        expect(page.locator(".said")).to_have_text("Rejected by Dana")


def test_the_later_of_two_tabs_is_told(watch: Watch, room: Showroom) -> None:
    with start_review(room) as review:
        one, two = opened(watch, review).page, opened(watch, review).page
        for page in (one, two):  # neither hears of the other before it speaks
            page.route("**/api/marks*", lambda route: route.abort())
        one.locator("#grid .picture").first.focus()
        one.keyboard.press("a")
        until(one, "document.querySelector('.card').dataset.verdict === 'approve'")
        becomes(one, lambda: kept(review), [(1, "approve")])
        two.locator("#grid .picture").first.focus()
        two.keyboard.press("r")
        expect(two.locator(".toast")).to_contain_text("SKU-0 was marked elsewhere in the meantime: Approved.")
        until(two, "document.querySelector('.card').dataset.verdict === 'approve'")
        two.click(".toast button:first-of-type")
        becomes(two, lambda: kept(review), [(1, "reject")])
    assert standing(room) == {1: ("reject", "")}


def test_a_tab_hears_what_another_one_decides(watch: Watch, room: Showroom) -> None:
    with start_review(room) as review:
        one, two = opened(watch, review).page, opened(watch, review).page
        one.bring_to_front()
        assert review.mark(4, "approve").status_code == 200
        until(one, "document.querySelectorAll('.card')[3].dataset.verdict === 'approve'")
        two.bring_to_front()
        until(two, "document.querySelector('#looked').textContent === '1'")


def test_a_server_that_is_gone_is_said_and_the_marks_can_be_taken_along(
    watch: Watch, room: Showroom, tmp_path: Path
) -> None:
    with start_review(room) as review:
        page = opened(watch, review).page
        review.process.kill()
        review.wait()
        page.locator("#grid .picture").first.focus()
        page.keyboard.press("r")
        expect(page.locator("#warning")).to_be_visible()
        expect(page.locator("#warning")).to_contain_text("1 mark not saved")
        with page.expect_download() as download:
            page.click("#export")
        download.value.save_as(tmp_path / "decisions.csv")
    assert standing(room) == {}
    from batchedit.commands.review import import_decisions

    taken, looked = import_decisions(str(room.folder.path), {}, tmp_path / "decisions.csv")
    assert (taken.written, looked.progress.rejected) == (1, 1)


def test_undo_and_finish(watch: Watch, room: Showroom) -> None:
    with start_review(room) as review:
        page = opened(watch, review).page
        page.locator("#grid .picture").first.focus()
        for number, key in enumerate("aur", 1):
            page.keyboard.press(key)
            # Each on disk before the next: what is pressed while a mark is on its way goes as one with it.
            until(page, f"fetch('api/marks?since=0').then((a) => a.json()).then((n) => n.seq === {number})")
            if key == "u":
                until(page, "document.querySelector('.card').dataset.verdict === ''")
        page.click("#finish")
        expect(page.locator(".goodbye")).to_be_visible()
        assert review.wait()[0] == 0
    checkpoint = room.reopen()
    assert [event.verdict.value for event in FolderDecisions(checkpoint).events()] == ["approve", "", "reject"]
    checkpoint.close()


def test_the_address_alone_shows_nothing(watch: Watch, room: Showroom) -> None:
    with start_review(room) as review:
        parts = urlsplit(review.url)
        page = watch().page
        assert page.goto(f"{parts.scheme}://{parts.netloc}/").status == 403


def test_the_preview_of_a_heavy_picture_comes_before_it(watch: Watch, tmp_path: Path) -> None:
    room = Showroom(RunFolder(tmp_path / "run"))
    room.row("SKU-1")
    checkpoint = room.open()
    (record,) = checkpoint.records("1")
    room.done(checkpoint, record, Image.effect_noise((900, 900), 80).convert("RGB"))
    checkpoint.close()
    with start_review(room) as review:
        page = opened(watch, review).page
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("#grid .picture").first.click()
        until(page, "document.querySelector('.stage figure img').src.endsWith('-large.jpg')")
        until(page, "document.querySelector('.stage figure img').src.includes('/files/')")
        previews = [address for address in asked if address.endswith("-large.jpg")]
        wholes = [address for address in asked if "files/" in address]
        assert previews, asked
        assert asked.index(previews[0]) < asked.index(wholes[0])
