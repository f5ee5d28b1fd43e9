"""Every screen of ``batchedit ui`` as a picture, light and dark, for docs/screens and for whoever looks at a change.

python -m tests.browser.screens [FOLDER]   (from the top folder; needs Chromium and the extra ``browser``; make screenshots)
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from batchedit.sandbox.samples import draw_sample_shot
from tests.browser.showcase import campaign
from tests.support.ui import Ui, browsing

TOP = Path(__file__).parents[2]
WIDTH, HIGH = 1100, 760
PRODUCTS = ("Oslo lamp", "Bergen chair", "Malmö kettle with a very long name that goes on and on", "Turku tent")


def shop(folder: Path) -> Path:
    """A zip with forty rows, three of them with a problem, and four pictures."""
    path = folder / "Autumn campaign.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(("lamp", "chair", "kettle", "tent")):
            archive.writestr(f"{name}.jpg", draw_sample_shot(f"shot-{number}", "jpg"))
        photos = [f"{name}.jpg" for name in ("lamp", "chair", "kettle", "tent")] * 10
        photos[7] = photos[19] = "http://example.com/old.jpg"
        photos[23] = ""
        rows = [f"AC-{n:03},{PRODUCTS[n % 4]},{photo},DE" for n, photo in enumerate(photos)]
        archive.writestr("products.csv", "SKU,Product,Photo,Market\n" + "\n".join(rows) + "\n")
    return path


def screens(ui: Ui, page: Any, empty: Ui, folder: Path) -> Iterator[str]:
    """Walk the way; yields a name where a picture is to be taken."""
    page.goto(empty.url)
    yield "start-empty"
    page.goto(ui.url)
    yield "start"
    run = page.locator("a.name", has_text="autumn-campaign").get_attribute("href")
    for name in ("", "/redo", "/doubt", "/deliver", "/colleagues"):
        page.goto(f"{ui.url}{run.removeprefix('./')}{name}")
        page.wait_for_selector("h1")
        yield f"run{name.replace('/', '-')}"
    page.goto(f"{ui.url}{run.removeprefix('./')}/review/")
    page.wait_for_selector(".card img")
    yield "review"
    page.locator(".picture").nth(1).click()
    yield "review-one"
    page.goto(f"{ui.url}new?play=1")
    yield "drop"
    page.set_input_files("#file", str(shop(folder)))
    page.wait_for_url("**/sheet")
    page.wait_for_selector("#rows")
    draft = page.url.rpartition("/")[0]
    yield "sheet"
    page.goto(f"{draft}/columns")
    page.wait_for_selector("#prompt")
    page.fill("#prompt", "a warm evening ad for the {Product}, {SKU}")
    yield "columns"
    page.click("#keep")
    page.wait_for_selector("text=Next: preview")
    for name, wanted in (("preview", "#previews img"), ("problems", "#faults"), ("problems?cause=1", "#alike")):
        page.goto(f"{draft}/{name}")
        page.wait_for_selector(wanted)
        yield name.replace("?cause=1", "-alike")
    page.goto(f"{draft}/problems")
    page.click("#leave-all")
    page.wait_for_selector("h1:has-text('left out')")
    page.goto(f"{draft}/price")
    page.wait_for_selector("#buy")
    yield "price"
    page.click("#buy button.primary")
    page.wait_for_selector("#yes")
    yield "question"
    page.click("#yes")
    page.wait_for_selector("#told:has-text('are there')")  # the first five
    page.wait_for_selector("#pictures img")
    yield "few"
    page.goto(f"{ui.url}nowhere")
    yield "nowhere"


def shoot(page: Any, path: Path) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(1200)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(path, quality=60, method=6)


def take(chromium: Any, to: Path, scheme: str, width: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        for name in ("home", "empty"):
            (home / name).mkdir()
        os.environ["BATCHEDIT_STATE"] = str(home / "state")
        (home / "home" / "outputs").mkdir()
        campaign(home / "home" / "outputs")
        bare = {"BATCHEDIT_STATE": str(home / "bare")}
        with browsing(home / "home") as ui, browsing(home / "empty", environ=bare) as empty:
            context = chromium.new_context(viewport={"width": width, "height": HIGH}, color_scheme=scheme)
            context.set_default_timeout(300_000)
            page = context.new_page()
            for name in screens(ui, page, empty, home):
                shoot(page, to / f"{name}-{scheme}{'' if width == WIDTH else f'-{width}'}.webp")
            context.close()


def main(to: Path) -> None:
    from playwright.sync_api import sync_playwright

    to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            take(chromium, to, scheme, WIDTH)
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "docs" / "screens")
