"""``batchedit ui`` in Chromium: the way of a marketer, one screen after the other."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import HOSTILE, Watched, expect, no_wider, serious, there, until
from tests.support.ui import Ui, browsing

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]

SHEET = "sku,image,prompt\n" + "".join(
    f"SKU-{n},https://example.com/{n}.jpg,an ad for lamp {n}\n" for n in range(1, 31)
)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with browsing(
        tmp_path_factory.mktemp("home"), environ={"BATCHEDIT_STATE": str(tmp_path_factory.mktemp("ui"))}
    ) as ui:
        yield ui


def well(watched: Watched, ui: Ui) -> None:
    """No error was logged, and no request left for anywhere else."""
    assert watched.errors == []
    assert watched.strangers(ui.origin) == []


def dropped(page: Any, ui: Ui, file: Path, *, play: bool = True) -> str:
    """Drop a file as a person does; the draft's id."""
    page.goto(f"{ui.url}new{'?play=1' if play else ''}")
    page.set_input_files("#file", str(file))
    page.wait_for_url("**/sheet")
    there(page, "#rows, #unread")
    return str(page.url.split("/")[-2])


def by_day_and_night(page: Any) -> None:
    """axe finds nothing serious on this screen, light and dark."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert serious(page) == [], scheme


def test_a_sheet_is_dropped_and_shown(watch: Watch, ui: Ui, tmp_path: Path) -> None:
    watched = watch()
    page = watched.page
    page.goto(ui.url)
    page.click("text=Try it with play money")
    expect(page.locator(".ribbon")).to_contain_text("Play money.")
    (tmp_path / "spring lamps.csv").write_text(SHEET)
    dropped(page, ui, tmp_path / "spring lamps.csv")
    expect(page.locator("#rows tbody tr")).to_have_count(8)
    expect(page.locator("#rows tbody tr").first.locator("th, td")).to_contain_text(["2", "SKU-1"])
    expect(page.locator(".ribbon")).to_contain_text("Play money.")
    page.reload()
    expect(page.locator("#rows tbody tr")).to_have_count(8)
    page.go_back()
    page.go_forward()
    expect(page.locator("#rows tbody tr")).to_have_count(8)
    page.goto(ui.url)
    expect(page.locator(".row .name").first).to_have_text("spring lamps.csv")
    well(watched, ui)


def test_an_encoding_is_changed_by_one_choice_and_the_rows_follow(watch: Watch, ui: Ui, tmp_path: Path) -> None:
    watched = watch()
    page = watched.page
    (tmp_path / "umlaut.csv").write_bytes("sku;image;prompt\nA;https://e.com/a.jpg;Grüße aus Köln\n".encode("cp1252"))
    dropped(page, ui, tmp_path / "umlaut.csv")
    expect(page.locator("#rows")).to_contain_text("Grüße aus Köln")
    page.focus("[name=encoding]")
    page.select_option("[name=encoding]", "cp1251")
    page.locator("#rows", has_text="GrьЯe aus Kцln").wait_for()
    expect(page.locator("[name=encoding]")).to_have_value("cp1251")
    until(page, "document.activeElement.name === 'encoding'")
    well(watched, ui)


def test_what_can_t_be_read_is_said_and_something_else_can_be_dropped(watch: Watch, ui: Ui, tmp_path: Path) -> None:
    watched = watch()
    page = watched.page
    (tmp_path / "login.csv").write_text("<!doctype html><html><body>Sign in</body></html>")
    dropped(page, ui, tmp_path / "login.csv")
    expect(page.locator("#unread")).to_contain_text("login.csv is a web page, not a table")
    by_day_and_night(page)
    page.click("text=Drop another")
    there(page, "#zone")
    well(watched, ui)


def test_cells_stay_text(watch: Watch, ui: Ui, tmp_path: Path) -> None:
    watched = watch()
    page = watched.page
    rows = "".join(
        '{},https://e.com/a.jpg,"{}"\n'.format(name, text.replace('"', '""')) for name, text in HOSTILE.items()
    )
    (tmp_path / "<img src=x>.csv").write_text(f"sku,image,prompt\n{rows}")
    dropped(page, ui, tmp_path / "<img src=x>.csv")
    for hostile in HOSTILE.values():
        expect(page.locator("#rows")).to_contain_text(hostile)
    expect(page.locator("main img, main b, main script")).to_have_count(0)
    expect(page.locator(".crumb")).to_have_text("<img src=x>.csv")
    well(watched, ui)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_start_and_drop(watch: Watch, ui: Ui, tmp_path: Path, scheme: str) -> None:
    page = watch(color_scheme=scheme, reduced_motion="reduce").page
    (tmp_path / "spring lamps.csv").write_text(SHEET)
    dropped(page, ui, tmp_path / "spring lamps.csv")
    assert serious(page) == []
    for path in ("", "new", "new?play=1", "nowhere"):
        page.goto(f"{ui.url}{path}")
        assert serious(page) == [], path


@pytest.mark.parametrize("width", [390, 1920])
def test_no_screen_is_wider_than_the_window(watch: Watch, ui: Ui, tmp_path: Path, width: int) -> None:
    page = watch().page
    page.set_viewport_size({"width": width, "height": 800})
    name = f"{'a_very_long_name_' * 6}.csv"
    (tmp_path / name).write_text(SHEET)
    draft = dropped(page, ui, tmp_path / name)
    for path in ("", "new", f"drafts/{draft}/sheet"):
        page.goto(f"{ui.url}{path}")
        no_wider(page, width)


def test_the_prompt_is_written_with_chips_and_unused_columns_are_named(watch: Watch, ui: Ui, tmp_path: Path) -> None:
    watched = watch()
    page = watched.page
    rows = "".join(f"L-{n},Oslo lamp {n},https://e.com/{n}.jpg,<b>DE</b>,\n" for n in range(30))
    (tmp_path / "products.csv").write_text(f"sku,Title,foo,Market,Notes\n{rows}")
    dropped(page, ui, tmp_path / "products.csv")
    page.click("#next")
    there(page, "#inputs")
    image = page.locator("[data-input=image]")
    expect(image.locator("select")).to_have_value("foo")  # by its cells
    expect(image).to_contain_text("30 of 30 cells are links to pictures")
    expect(image.locator(".samples li")).to_have_text([f"https://e.com/{n}.jpg" for n in range(3)])
    expect(page.locator("text=Next: preview")).to_have_count(0)  # nothing could be bought without a prompt
    page.fill("#prompt", "an ad for this ")
    page.click("[data-put=Title]")
    page.keyboard.type(", for {Market}")
    expect(page.locator("#examples li").first).to_have_text("an ad for this Oslo lamp 0, for <b>DE</b>")
    expect(page.locator("#examples mark").first).to_have_text("Oslo lamp 0")
    page.click("#keep")
    there(page, "text=Next: preview")
    expect(page.locator("#prompt")).to_have_value("an ad for this {Title}, for {Market}")
    expect(page.locator("#unused")).to_contain_text("1 column is not used: Notes.")
    page.select_option("#column-prompt", "Notes")
    page.locator("#column-prompt:has(option[value=Notes]:checked)").wait_for()
    page.locator("[data-input=prompt]", has_text="Every cell of it is empty.").wait_for()
    well(watched, ui)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_columns(watch: Watch, ui: Ui, tmp_path: Path, scheme: str) -> None:
    page = watch(color_scheme=scheme, reduced_motion="reduce").page
    (tmp_path / "s.csv").write_text("sku,Title,foo\nA,Lamp,https://e.com/1.jpg\n")
    draft = dropped(page, ui, tmp_path / "s.csv")
    page.goto(f"{ui.url}drafts/{draft}/columns")
    there(page, "#inputs")
    assert serious(page) == []


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A zip with a sheet of 130 rows, of which 120 have an http link and one none, and a picture."""
    rows = [f'S{n},http://e.com/{n}.jpg,"an ad for {{Title}}",Lamp {n}' for n in range(1, 121)]
    rows += ["NONE,,an ad,x", *(f"P{n},lamp.png,an ad for {{Title}},<i>Chair {n}</i>" for n in range(9))]
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("list.csv", "sku,image,prompt,Title\n" + "\n".join(rows))
        archive.writestr("lamp.png", picture())
    return path


def step(page: Any, ui: Ui, draft: str, name: str, wanted: str) -> None:
    page.goto(f"{ui.url}drafts/{draft}/{name}")
    there(page, wanted)


def test_the_preview_shows_source_prompt_and_name(watch: Watch, ui: Ui, shop: Path) -> None:
    watched = watch()
    page = watched.page
    draft = dropped(page, ui, shop)
    step(page, ui, draft, "preview", "#previews img")
    until(page, "[...document.querySelectorAll('#previews img')].every((i) => i.complete && i.naturalWidth > 0)")
    first = page.locator(".preview").first
    expect(first.locator(".prompt")).to_have_text(re.compile("an ad for (<i>)?Chair 0"))
    expect(first.locator("mark")).to_have_text(re.compile("^(<i>)?Chair 0"))
    expect(first).to_contain_text("row 123")
    expect(page.locator(".acts")).to_contain_text("Next: 121 rows with problems")
    well(watched, ui)


def test_problems_are_mended_alike_left_out_and_reached_by_row(watch: Watch, ui: Ui, shop: Path) -> None:
    watched = watch()
    page = watched.page
    draft = dropped(page, ui, shop)
    step(page, ui, draft, "problems", "#faults")
    before = sorted(path.read_bytes() for path in ui.folder(draft).glob("upload/list.csv"))
    expect(page.locator("h1")).to_have_text("121 rows need a look")
    expect(page.locator("#faults > li")).to_have_count(100)
    page.fill("#goto input", "122")
    page.keyboard.press("Enter")
    expect(there(page, "[data-row='122']")).to_contain_text("is empty")
    page.fill("#goto input", "130")
    page.keyboard.press("Enter")
    there(page, "text=Row 130 has no problem")
    page.goto(f"{ui.url}drafts/{draft}/problems")
    page.click(".causes a:has-text('http://')")
    there(page, "#alike")
    page.fill("#alike [name=find]", "http://")
    page.fill("#alike [name=put]", "https://")
    page.keyboard.press("Enter")
    there(page, "h1:has-text('1 row needs a look')")
    page.click("[data-leave]")
    page.locator("#unchecked", has_text="1 change kept").wait_for()
    page.click("#check")
    there(page, "h1:has-text('1 row is left out')")
    assert sorted(path.read_bytes() for path in ui.folder(draft).glob("upload/list.csv")) == before
    page.click("#undo")
    there(page, "h1:has-text('121 rows need a look')")
    well(watched, ui)


def test_a_cell_is_mended_by_keyboard(watch: Watch, ui: Ui, shop: Path) -> None:
    watched = watch()
    page = watched.page
    draft = dropped(page, ui, shop)
    step(page, ui, draft, "problems", "#faults")
    page.locator(".cell-input").first.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("https://e.com/a.jpg")
    page.keyboard.press("Enter")
    page.locator("#unchecked", has_text="1 change kept").wait_for()
    until(page, "document.activeElement.closest('.fault')?.dataset.row === '3'")
    page.reload()
    there(page, "h1:has-text('120 rows need a look')")
    well(watched, ui)


def test_the_price_is_one_line_that_multiplies(watch: Watch, ui: Ui, shop: Path) -> None:
    watched = watch()
    page = watched.page
    draft = dropped(page, ui, shop)
    step(page, ui, draft, "price", "#sum")
    expect(page.locator("h1")).to_have_text("9 pictures for $0.36")
    expect(page.locator("main")).to_contain_text("121 rows with problems are not in this sum.")
    page.locator("[name=size][value='3:2']").check(force=True)
    there(page, ".formula:has-text('9 rows × 2 sizes = 18 pictures')")
    page.locator("[name=variants][value='3']").check(force=True)
    there(page, ".formula:has-text('9 rows × 2 sizes × 3 variants = 54 pictures')")
    expect(page.locator("h1")).to_have_text("54 pictures for $2.16")
    page.reload()
    expect(page.locator("h1")).to_have_text("54 pictures for $2.16")
    well(watched, ui)


def test_a_row_for_each_market_is_chosen_by_chip_and_by_name(watch: Watch, ui: Ui, shop: Path) -> None:
    watched = watch()
    page = watched.page
    draft = dropped(page, ui, shop)
    step(page, ui, draft, "price", "#sum")
    page.locator("[name=market][value='DE']").check(force=True)
    there(page, "#markets:has-text('Each row is made once for each of them.')")
    expect(page.locator(".formula")).to_have_text("9 rows = 9 pictures")
    page.fill("#another", "Österreich, Ticino")
    page.keyboard.press("Enter")
    there(page, ".formula:has-text('9 rows × 3 markets = 27 pictures')")
    expect(page.locator("main")).to_contain_text("{market}")  # no prompt names it yet, which is told
    expect(page.locator("[name=market]:checked")).to_have_count(3)
    page.reload()
    expect(page.locator("[name=market]:checked")).to_have_count(3)
    page.locator("[name=market][value='Ticino']").uncheck(force=True)
    there(page, ".formula:has-text('9 rows × 2 markets = 18 pictures')")
    assert serious(page) == []
    well(watched, ui)


def test_a_token_is_pasted_kept_and_never_shown_again(watch: Watch, tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        watched = watch()
        page = watched.page
        page.goto(ui.url)
        assert page.locator("#token-text").get_attribute("type") == "password"
        page.click("text=Keep it")  # nothing was pasted: the browser asks for it
        page.fill("#token-text", "a-token-of-the-evening")
        page.keyboard.press("Enter")
        expect(page.locator("details.foot summary")).to_contain_text("The token comes from")
        expect(page.locator("#token-text")).not_to_be_visible()
        assert "of-the-evening" not in page.content()
        page.locator("details.foot summary").click()
        page.fill("#token-text", "another-token")
        page.keyboard.press("Enter")
        expect(page.locator("#token-text")).not_to_be_visible()
        kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"another-token" in path.read_bytes()]
        assert [path.stat().st_mode & 0o077 for path in kept] == [0]
        well(watched, ui)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_before_the_purchase(watch: Watch, ui: Ui, shop: Path, scheme: str) -> None:
    page = watch(color_scheme=scheme, reduced_motion="reduce").page
    draft = dropped(page, ui, shop)
    for name, wanted in (
        ("preview", "#previews img"),
        ("problems", "#faults"),
        ("problems?cause=1", "#alike"),
        ("price", "#sum"),
    ):
        step(page, ui, draft, name, wanted)
        assert serious(page) == [], name
        page.set_viewport_size({"width": 390, "height": 844})
        no_wider(page, 390)
        page.set_viewport_size({"width": 1280, "height": 860})


def test_a_few_are_bought_then_the_rest_after_another_yes(watch: Watch, tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        watched = watch()
        page = watched.page
        with zipfile.ZipFile(tmp_path / "lamps.zip", "w") as archive:
            archive.writestr("list.csv", "sku,image,prompt\n" + "".join(f"P{n},lamp.png,an ad {n}\n" for n in range(8)))
            archive.writestr("lamp.png", picture())
        draft = dropped(page, ui, tmp_path / "lamps.zip")
        step(page, ui, draft, "price", "#buy")
        page.click("text=Buy 5 pictures first")
        there(page, "#yes")
        by_day_and_night(page)
        expect(page.locator("h1")).to_have_text("Buy 5 pictures for $0.20?")
        expect(page.locator("main")).to_contain_text("At most $1.00 in all. The other 3 wait for another yes of yours.")
        page.click("#yes")
        page.locator("#told", has_text="The first 5 of 8 are there.").wait_for()
        expect(page.locator("#pictures li")).to_have_count(5)
        until(page, "[...document.querySelectorAll('#pictures img')].every((i) => i.complete && i.naturalWidth > 0)")
        expect(page.locator(".ribbon")).to_contain_text("Play money.")
        expect(page.locator("#spent")).to_have_text("$0.20")
        by_day_and_night(page)
        page.goto(f"{ui.url}drafts/{draft}/buy")  # back is harmless: the draft is a run now
        page.wait_for_url("**/runs/*")
        page.click("#continue")
        page.locator("#ask", has_text="Buy 3 pictures for $0.12?").wait_for()
        page.reload()  # another process has written live.json by now
        expect(page.locator("#pictures li")).to_have_count(5)
        page.click("#continue")
        page.locator("#ask", has_text="Buy 3 pictures for $0.12?").wait_for()
        page.click("#yes")
        page.locator("#told", has_text="Finished: every picture is there.").wait_for()
        expect(page.locator("#spent")).to_have_text("$0.32")
        page.goto(ui.url)
        expect(page.locator(".row .chip")).to_have_text("done")
        by_day_and_night(page)
        well(watched, ui)
