"""The browser's app at a million rows, and ten thousand pictures reviewed at twenty keys a second.

A real ``batchedit ui``: a sheet of a million rows, a tenth of them faulty, is dropped; while every row is checked another
client asks for pages; then problems, price and review are opened. Then a script presses a key each 50 ms in Chromium until
ten thousand pictures are decided, and the marks on disk are counted.

    python benchmarks/ui_scale.py [--rows N] [--keys N] [--quick]
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Self, TypeVar

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import hand_over, quick

from batchedit.images.thumbnails_and_features import Album, derive
from batchedit.ledger.decisions import FolderDecisions
from batchedit.run_folder import RunFolder
from batchedit.web.run_folders import run_id
from tests.support.finished_run import Showroom, picture
from tests.support.ui import Ui, browsing

Row = tuple[str, str]
T = TypeVar("T")
HEAD = b"sku,image,title,price,prompt\n"
FAULTY = 10  # each tenth row's link is of a kind that no service takes


def blocks(rows: int) -> Iterator[bytes]:
    """The sheet, some 100 bytes a row."""
    yield HEAD
    for begin in range(0, rows, 10_000):
        yield b"".join(
            b"S%07d,%s://cdn.example.com/shop/%07d.jpg,Lamp number %d,%d.90,an ad for the lamp number %d\n"
            % (n, b"ftp" if n % FAULTY == 0 else b"https", n, n, n % 100, n)
            for n in range(begin, min(rows, begin + 10_000))
        )


class Meanwhile:
    """Another client, who asks for a page ten times a second for as long as the block lasts."""

    def __init__(self, ui: Ui, *paths: str) -> None:
        self._ui, self._paths, self._over = ui, paths, threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            for path in self._paths:
                self.seconds.append(timed(lambda path=path: self._ui.http.get(path).raise_for_status())[0])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __str__(self) -> str:
        hundredths = quantiles(self.seconds, n=100)
        return (
            f"median {1000 * median(self.seconds):.0f} ms, 99 % within {1000 * hundredths[98]:.0f} ms, "
            f"longest {1000 * max(self.seconds):.0f} ms ({len(self.seconds)} asked)"
        )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def peak(pid: int) -> str:
    status_text = Path(f"/proc/{pid}/status").read_text()
    return f"{int(status_text.partition('VmHWM:')[2].split()[0]) / 1024:.0f} MB"


def plan_rows(home: Path, rows: int) -> Iterator[Row]:
    """A sheet of so many rows from the drop to the price."""
    with browsing(home) as ui:
        seconds = timed(lambda: ui.http.get("").raise_for_status())[0]  # everybody begins here
        yield "the start page, the first time", f"{seconds:.2f} s"
        draft = str(ui.call("drafts", play=True).json()["id"])
        query = {"name": "million.csv", "inside": "0"}
        seconds, answer = timed(
            lambda: ui.http.put(f"api/drafts/{draft}/file", params=query, content=blocks(rows), timeout=600)
        )
        yield "upload", f"{answer.json()['bytes'] / 1e6:.0f} MB in {seconds:.1f} s"
        ui.call(f"drafts/{draft}/arrived", name="million.csv")
        ui.until(draft, "take")
        yield "sheet, until its first rows are shown", f"{timed(lambda: whole(ui, draft, 'sheet', 'look'))[0]:.2f} s"
        with Meanwhile(ui, "", f"api/drafts/{draft}/state?step=check", f"drafts/{draft}/sheet") as meanwhile:
            seconds = timed(lambda: whole(ui, draft, "problems", "check"))[0]
        yield f"all {rows:,} rows checked and counted", f"{seconds:.1f} s"
        yield "an answer while they are checked", str(meanwhile)
        places = {"problems": "", "problems, the last hundred": f"?row={rows - FAULTY + 2}"}
        for name, at in places.items():
            seconds, response = timed(lambda at=at: ui.http.get(f"drafts/{draft}/problems{at}"))
            assert response.status_code == 200
            yield name, f"{seconds:.2f} s, {len(response.content) / 1e3:.0f} kB"
        for name in ("preview", "price"):
            yield name, f"{timed(lambda name=name: ui.http.get(f'drafts/{draft}/{name}').raise_for_status())[0]:.2f} s"
        yield "the server's memory, at most", peak(ui.process.pid)


def whole(ui: Ui, draft: str, screen: str, step: str) -> None:
    """Open a screen as a browser does: what it waits for, then the screen itself."""
    ui.http.get(f"drafts/{draft}/{screen}").raise_for_status()
    ui.until(draft, step, 1200)
    ui.http.get(f"drafts/{draft}/{screen}").raise_for_status()


def review_rows(home: Path, rows: int) -> Iterator[Row]:
    """A run of so many rows, the first hundred and the last of which have their pictures."""
    room = Showroom(RunFolder(home / "outputs" / "night"))
    for number in range(1, rows + 1):
        room.row(f"S{number:07}")
    checkpoint = room.open()
    for record in checkpoint.records(f"id <= 100 OR id = {rows} ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (120, 120)))
    checkpoint.close()
    with browsing(home) as ui:
        at = f"runs/{run_id(home / 'outputs' / 'night')}"
        yield "the run's own page", f"{timed(lambda: ui.http.get(at).raise_for_status())[0]:.2f} s"
        for name, query in (("review, first screen", ""), ("review, the last row", f"?row={rows + 1}")):
            seconds, response = timed(lambda query=query: ui.http.get(f"{at}/review/{query}"))
            assert response.status_code == 200
            assert (f"S{rows:07}" in response.text) == bool(query)
            yield name, f"{seconds:.2f} s, {len(response.content) / 1e3:.0f} kB"
        yield "the server's memory, at most", peak(ui.process.pid)


def press_keys(home: Path, pictures: int) -> Iterator[Row]:
    """A decision each 50 ms, in Chromium, through all pages."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra

    room = Showroom(RunFolder(home / "outputs" / "night"))
    for number in range(1, pictures + 1):
        room.row(f"S{number:05}")
    checkpoint, album = room.open(), Album(home / "outputs" / "night" / "thumbs")
    checkpoint._db.execute("PRAGMA synchronous = OFF")  # noqa: SLF001 - the benchmark's own set-up, not what is measured
    for record in checkpoint.records("1 ORDER BY id"):
        file = io.BytesIO()
        image = Image.new("RGB", (64, 64), (record.id % 256, record.id // 256 % 256, 90))
        image.save(file, "PNG")
        album.keep(room.done(checkpoint, record, file.getvalue()).files[0].sha256, derive(image, file.tell()))
    checkpoint.close()
    with browsing(home) as ui, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{ui.url}runs/{run_id(home / 'outputs' / 'night')}/review/")
        page.locator("#grid .picture").first.click()
        began, late = time.perf_counter(), 0.0
        for number in range(1, pictures + 1):
            due = time.perf_counter() + 0.05
            page.keyboard.press("a")
            late = max(late, time.perf_counter() - due)
            time.sleep(max(0.0, due - time.perf_counter()))
            if number % 100 == 0 and number < pictures:  # the next page comes up by itself
                page.locator("#box-title", has_text=f"S{number + 1:05}").wait_for()
        seconds = time.perf_counter() - began
        end = time.monotonic() + 30
        while (kept := len(FolderDecisions(home / "outputs" / "night").all())) < pictures and time.monotonic() < end:
            time.sleep(0.2)
        heap = page.evaluate("performance.memory.usedJSHeapSize")
        browser.close()
    yield (
        "keys pressed, one each 50 ms",
        f"{pictures:,} in {seconds:.0f} s with the pages that come up; latest {1000 * late:.0f} ms",
    )
    yield "marks on disk", f"{kept:,} of {pictures:,}"
    yield "memory of the page", f"{heap / 1e6:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000 if quick() else 1_000_000)
    parser.add_argument("--keys", type=int, default=200 if quick() else 10_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    rows_by_name: dict[str, list[Row]] = {}
    for name, take, size in (
        ("plan", plan_rows, arguments.rows),
        ("review", review_rows, arguments.rows),
        ("keys", press_keys, arguments.keys),
    ):
        with tempfile.TemporaryDirectory(prefix="batchedit-bench-") as home:
            os.environ["BATCHEDIT_STATE"] = f"{home}/state"
            for row in take(Path(home), size) if size else ():
                rows_by_name.setdefault(name, []).append(row)
                print(f"| {name} | {row[0]} | {row[1]} |", flush=True)
    if arguments.json:
        hand_over({"rows": rows_by_name})


if __name__ == "__main__":
    main()
