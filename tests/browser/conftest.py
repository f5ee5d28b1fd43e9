"""A real Chromium, and a page that fails the test if it logs an error or asks for anything outside of itself."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.gallery import gallery
from batchedit.commands.redo import list_redo_lines
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A whole evening in a browser takes longer than other tests; on a machine with other work on it, much longer."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


SECONDS = 90.0
"""How long anything is waited for. Conditions are waited for, never times, so only a failure takes as long."""

UNTOUCHABLE = """
const sheet = new CSSStyleSheet();
sheet.replaceSync("* { pointer-events: none !important }");
document.adoptedStyleSheets = [sheet];
addEventListener("load", () => { document.adoptedStyleSheets = []; });
"""
"""No click lands before the page's scripts listen: Playwright is faster than a hand."""


def expect(what: Any) -> Any:
    """Playwright's retrying assertions: what a page shows is never read once, as it may come a moment later."""
    from playwright.sync_api import expect as retrying

    retrying.set_options(timeout=SECONDS * 1000)
    return retrying(what)


def becomes(page: Any, look: Callable[[], Any], wanted: Any) -> None:
    """Wait until ``look()`` gives ``wanted``; a page that is just leaving for another one can't be looked at."""
    from playwright.sync_api import Error

    end = time.monotonic() + SECONDS
    while True:
        try:
            seen = look()
        except Error as error:
            seen = error
        if seen == wanted:
            return
        assert time.monotonic() < end, (seen, wanted)
        page.wait_for_timeout(30)


def until(page: Any, expression: str) -> None:
    """Wait until a JavaScript expression is true; the page's policy forbids Playwright's own way, which evaluates text."""
    becomes(page, lambda: bool(page.evaluate(expression)), wanted=True)


def no_wider(page: Any, width: int) -> None:
    """Nothing sticks out of a window of so many pixels."""
    until(page, f"document.documentElement.scrollWidth <= {width}")


def beginning(text: str) -> re.Pattern[str]:
    """A text that begins so and goes on after a gap, for ``to_have_text``."""
    return re.compile(rf"^\s*{re.escape(text)}(?![\w-])")


def there(page: Any, selector: str) -> Any:
    """The first such element, shown by a page whose scripts listen."""
    element = page.locator(selector).first
    expect(element).to_be_visible()
    page.wait_for_load_state("load")
    return element


def serious(page: Any) -> list[str]:
    """What axe finds and marketers would meet. What only passes by (a colour that fades in) is not a finding."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    end = time.monotonic() + 10
    while True:
        violations = [
            f"{v['id']} {node['target']} {node['failureSummary']}"
            for v in axe.run(page).response["violations"]
            if v["impact"] in {"serious", "critical"}
            for node in v["nodes"]
        ]
        if not violations or time.monotonic() > end:
            return violations
        page.wait_for_timeout(200)


class Watched:
    """A page, everything it logged, and every address that it asked for."""

    def __init__(self, browser: Any, **options: Any) -> None:
        wanted = {"viewport": {"width": 1280, "height": 860}, "accept_downloads": True, **options}
        self.context = browser.new_context(**wanted)
        self.context.set_default_timeout(SECONDS * 1000)
        self.context.set_default_navigation_timeout(SECONDS * 1000)
        self.context.add_init_script(UNTOUCHABLE)
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
    marks = FolderDecisions(checkpoint)
    marks.put(PictureDecision(2, Verdict.REJECT, "too dark", 0, "Dana", 5.0))
    (again,) = add_repurchases(checkpoint, list_redo_lines(checkpoint))
    (record,) = checkpoint.records("id = ?", (again,))
    room.done(checkpoint, record, picture(again, (900, 600)))
    checkpoint.close()
    gallery(str(room.folder.path), {})
    return room.folder.path
