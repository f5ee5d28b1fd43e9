"""A real Chromium, and a page that fails the test if it logs an error or asks for anything outside of itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.gallery import gallery
from batchedit.commands.redo import redo_lines
from batchedit.core.review import Mark, Verdict
from batchedit.ledger.decisions import Marks
from batchedit.ledger.repurchases import add_repurchases
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture

HOSTILE = {
    "markup": "<img src=x onerror=document.title='owned'>",
    "script": "</script><script>document.title='owned'</script>",
    "braces": "{{7*7}} ${7*7} {% if x %}",
    "quotes": "\"quoted\" 'and' `ticked` & <b>bold</b>",
    "rtl": "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "emoji": "\U0001f469\u200d\U0001f680 \U0001f3f3\ufe0f\u200d\U0001f308",
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def until(page: Any, expression: str, seconds: float = 10) -> None:
    """Wait until a JavaScript expression is true; the page's policy forbids Playwright's own way, which evaluates text."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


class Watched:
    """A page, everything it logged, and every address that it asked for."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.context.on("request", lambda request: self.asked.append(request.url))

    def strangers(self, *ours: str) -> list[str]:
        """Requests to anywhere but these."""
        return [url for url in self.asked if not url.startswith((*ours, "data:", "blob:"))]


@pytest.fixture
def watch(browser: Any) -> Iterator[Any]:
    opened: list[Watched] = []

    def make(**options: Any) -> Watched:
        opened.append(Watched(browser, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.context.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows: six good ones in two markets (one with a second version), four hostile, one failed, one invalid."""
    folder = tmp_path_factory.mktemp("gallery")
    room = Showroom(RunFolder(folder / "spring ads #1"))
    source = room.folder.path / "source #1.png"  # shown whoever made the run: the register is another one for each test
    source.parent.mkdir()
    picture(77, (640, 480)).save(source)
    for number in range(6):
        room.row(f"SKU-{number}", market="Germany" if number % 2 else "France", size=("1:1", "3:2")[number % 2])
    room.rows[0]["image"] = str(source)
    for name, text in HOSTILE.items():
        room.row(f"{name} {text}"[:80], title=text, prompt=f"an ad: {text}", market="France")
    failed = room.row("SKU-failed", prompt="something forbidden")
    invalid = room.row("SKU-invalid", size="4:5", title=HOSTILE["markup"])
    checkpoint = room.open(invalid={invalid: f"is not possible {HOSTILE['markup']}"})
    for record in checkpoint.records("1 ORDER BY id"):
        if record.id == failed:
            room.failed(checkpoint, record, f"the service refused it: {HOSTILE['script']}")
        else:
            shape = (900, 600) if record.job.size == "3:2" else (512, 512)
            room.done(checkpoint, record, picture(record.id, shape))
    marks = Marks(checkpoint)
    marks.put(Mark(2, Verdict.REJECT, "too dark", 0, "Dana", 5.0))
    (again,) = add_repurchases(checkpoint, redo_lines(checkpoint))
    (record,) = checkpoint.records("id = ?", (again,))
    room.done(checkpoint, record, picture(again, (900, 600)))
    checkpoint.close()
    gallery(str(room.folder.path), {})
    return room.folder.path
