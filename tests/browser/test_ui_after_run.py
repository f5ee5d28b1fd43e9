"""The morning after in ``batchedit ui``: doubt, redo, deliver, and a colleague's link."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from batchedit.commands.live_file import LiveFile
from batchedit.core.money import format_usd
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.lock import hold_run_lock
from batchedit.ledger.opening import open_for_reading
from batchedit.ledger.pause_stop_wishes import Wishes
from batchedit.run_folder import RunFolder
from batchedit.web.run_folders import run_id
from tests.browser.conftest import Watched, becomes, expect, no_wider, serious, there, until
from tests.browser.test_ui import well
from tests.support.finished_run import Showroom, picture
from tests.support.ui import Ui, browsing

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]
SAID = {1: ("approve", ""), 2: ("reject", "too <b>dark</b>"), 3: ("reject", ""), 4: ("hold", "")}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("home")
    room = Showroom(RunFolder(home / "outputs" / "spring"))
    source = home / "source.png"
    picture(77, (64, 48)).save(source)
    for number in range(1, 9):
        room.row(f"SKU-{number}", image=str(source))
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        if record.id < 7:
            room.done(checkpoint, record, picture(record.id, (120, 120)))
        else:
            room.lost(checkpoint, record)
    for job, (verdict, note) in SAID.items():
        FolderDecisions(checkpoint).put(PictureDecision(job, Verdict(verdict), note, 0, "Dana", 5.0))
    checkpoint.close()
    with browsing(home, environ={"BATCHEDIT_STATE": str(tmp_path_factory.mktemp("state"))}) as ui:
        yield ui


def run_of(ui: Ui) -> str:
    return f"runs/{run_id(ui.home / 'outputs' / 'spring')}"


def opened(watch: Watch, ui: Ui, screen: str) -> Watched:
    watched = watch()
    watched.page.goto(f"{ui.url}{run_of(ui)}/{screen}".removesuffix("/"))
    return watched


def test_the_rejected_are_listed_with_their_notes_to_edit_and_priced(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui, "redo")
    page = watched.page
    expect(page.locator("h1")).to_have_text("2 pictures to make again")
    expect(page.locator("textarea").first).to_have_value("too <b>dark</b>")
    until(page, "[...document.querySelectorAll('.redo img')].every((i) => i.complete && i.naturalWidth > 0)")
    page.fill("#note-3", "a red lamp")
    page.fill("#add", "soft light")
    page.click("#redo")
    page.locator("#ask", has_text="Buy 2 pictures for $0.08?").wait_for()
    becomes(page, lambda: FolderDecisions(ui.home / "outputs" / "spring").all()[3].note, "a red lamp")
    page.click("#no")
    expect(page.locator("#question")).to_be_hidden()
    well(watched, ui)


def test_each_in_doubt_is_two_questions(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui, "doubt")
    page = watched.page
    expect(page.locator("h1")).to_have_text("2 pictures are in doubt")
    page.locator("[data-buy]").first.click()
    page.locator("#ask", has_text="Buy 1 picture for $0.04?").wait_for()
    page.click("#no")
    page.locator("[data-give-up]").first.click()
    page.locator("h1", has_text="1 picture is in doubt").wait_for()
    well(watched, ui)


def test_the_zip_holds_what_was_approved(watch: Watch, ui: Ui) -> None:
    watched = opened(watch, ui, "deliver")
    page = watched.page
    expect(page.locator("h1")).to_have_text("Hand on 1 picture")
    expect(page.locator("main")).to_contain_text("2 pictures nobody looked at: they will not be in it.")
    page.click("#make")
    there(page, "text=Made so far")
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    papers = {"manifest.csv", "manifest.jsonl", "approvals.csv", "contact-sheet.pdf", "SHA256SUMS"}
    assert names == {"files/SKU-1-1x1-1.png", *papers}
    assert ui.http.get(f"{run_of(ui)}/deliver/..%2Fcheckpoint.sqlite").status_code == 404
    well(watched, ui)


def test_a_colleague_looks_and_marks_under_a_name_until_it_is_revoked(watch: Watch, ui: Ui) -> None:
    mine = opened(watch, ui, "colleagues").page
    mine.fill("#name", "Robin")
    mine.click("text=Make a link")
    link = mine.locator(".row code").inner_text()
    watched = watch()
    page = watched.page
    page.goto(link)
    page.wait_for_url("**/review/")
    there(page, ".card img")
    page.fill("#page-row", "6")
    page.keyboard.press("Enter")
    page.wait_for_url("**row=6**")
    there(page, ".card img")
    page.locator("#grid .picture").first.click()
    page.keyboard.press("h")
    until(page, "fetch('api/marks?since=0').then((a) => a.json()).then((n) => n.marks.some((m) => m.who === 'Robin'))")
    well(watched, ui)
    mine.click("[data-revoke=Robin]")
    there(mine, "text=Nobody has a link.")
    assert httpx.get(link, trust_env=False).status_code == 403


def test_a_run_that_goes_on_is_paused_steered_and_stopped_from_its_page(watch: Watch, ui: Ui) -> None:
    folder = ui.home / "outputs" / "spring"
    before = Wishes(folder).last()
    with hold_run_lock(folder, "run"), closing(LiveFile(folder, "run")) as live:
        watched = opened(watch, ui, "")
        page = watched.page
        page.locator("#told", has_text="Going on.").wait_for()
        with open_for_reading(folder / "checkpoint.sqlite") as checkpoint:  # a doubt that was given up counts as spent
            spent = re.escape(format_usd(checkpoint.money().spent))
        expect(page.locator("#chart svg")).to_have_attribute("aria-label", re.compile(rf"^6 pictures and {spent} in "))
        page.click("#pause")
        live.pause(paused=True)
        page.locator("#told", has_text="Paused").wait_for()
        page.click("#resume")
        live.pause(paused=False)
        page.locator("#told", has_text="Going on.").wait_for()
        page.fill("#new-cap", "12.5")
        page.fill("#speed", "3")
        page.click("#steer button")
        page.click("#stop")
        wanted = {("pause", ""), ("resume", ""), ("max_cost", "12500000"), ("concurrency", "3"), ("stop", "")}
        becomes(page, lambda: {(wished.wish.value, wished.value) for wished in Wishes(folder).since(before)}, wanted)
        well(watched, ui)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_morning(watch: Watch, ui: Ui, scheme: str) -> None:
    page = watch(color_scheme=scheme, reduced_motion="reduce").page
    for screen in ("", "/redo", "/doubt", "/deliver", "/colleagues"):
        page.goto(f"{ui.url}{run_of(ui)}{screen}")
        there(page, "h1")
        assert serious(page) == [], screen
        page.set_viewport_size({"width": 390, "height": 844})
        no_wider(page, 390)
        page.set_viewport_size({"width": 1280, "height": 860})
