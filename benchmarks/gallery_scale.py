"""The gallery at ten thousand pictures: seconds to build, size of the page, time to first paint in Chromium.

python benchmarks/gallery_scale.py [--quick]
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from batchedit.commands.gallery import gallery
from batchedit.images.thumbnails_and_features import Album, derive
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture

SIDE = 1024
MARKETS = ("Germany", "France", "United Kingdom", "Spain", "Poland")
PROMPT = "make an ad for this {}, of a grandma carving turkey at thanksgiving dinner table, number {}. add a tag line"

Row = tuple[str, str]


def run(quick: bool = False) -> list[Row]:
    """Measure, and return what was measured as rows of a table."""
    pictures = 300 if quick else 10_000
    with tempfile.TemporaryDirectory(prefix="batchedit-bench-") as scratch:
        folder = Path(scratch) / "gallery"
        make_run(folder, pictures)
        rows = [("pictures", f"{pictures:,}, PNG, {SIDE} by {SIDE}")]
        for name in ("kept by the run", "all made here", "all there"):
            if name == "all made here":
                shutil.rmtree(folder / "thumbs")
            seconds, made = _timed(lambda: gallery(str(folder), {}))
            rows.append((f"build, thumbnails {name}", f"{seconds:.1f} s ({pictures / seconds:,.0f} pictures a second)"))
        thumbs = sum(path.stat().st_size for path in (folder / "thumbs").glob("*.jpg"))
        rows.append(("size of the page", f"{made.path.stat().st_size / 1e6:.2f} MB"))
        rows.append(("size of the thumbnails", f"{thumbs / 1e6:,.0f} MB"))
        return rows + in_chromium(made.path)


def _timed(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def make_run(folder: Path, pictures: int) -> None:
    """A run with so many different files: a hundred pictures, each a hundred times with another comment inside."""
    room = Showroom(RunFolder(folder))
    for number in range(pictures):
        room.row(f"SKU-{number:05}", market=MARKETS[number % 5], prompt=PROMPT.format("lamp", number))
    checkpoint = room.open()
    checkpoint._db.execute("PRAGMA synchronous = OFF")  # noqa: SLF001 - the benchmark's own set-up, not what is measured
    images = [_heavy(number) for number in range(100)]
    derived = [derive(Image.open(io.BytesIO(image)), len(image)) for image in images]
    album = Album(folder / "thumbs")
    for record in checkpoint.records("1 ORDER BY id"):
        done = room.done(checkpoint, record, _told_apart(images[record.id % 100], record.id))
        # As the download does, but decoded a hundred times only.
        album.keep(done.files[0].sha256, derived[record.id % 100])
    checkpoint.close()


def _heavy(number: int) -> bytes:
    """A PNG about as heavy to decode as a photograph's."""
    grain = Image.effect_noise((SIDE, SIDE), 12).convert("RGB")
    out = io.BytesIO()
    Image.blend(picture(number, (SIDE, SIDE)), grain, 0.02).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _told_apart(png: bytes, number: int) -> bytes:
    body = b"tEXtnumber\0%d" % number
    chunk = len(body[4:]).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:-12] + chunk + png[-12:]


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def in_chromium(page: Path) -> list[Row]:
    """First paint, the first pictures on the screen, a filter, a jump to the end; the median of five new tabs."""
    timings: dict[str, list[float]] = {}
    with chromium() as browser:
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            tab.goto(page.as_uri(), wait_until="load")
            while not tab.evaluate(_EIGHT):
                tab.wait_for_timeout(5)
            measured = tab.evaluate(_MEASURE)
            for name, value in measured.items():
                timings.setdefault(name, []).append(value)
            tab.close()
    return [
        (name, f"{sorted(values)[2]:,.0f}{'' if name.startswith('cards') else ' ms'}")
        for name, values in timings.items()
    ]


_EIGHT = """performance.getEntriesByName("first-contentful-paint").length &&
    [...document.querySelectorAll(".card img")].filter((image) => image.naturalWidth).length > 7"""
_MEASURE = """async () => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const until = async (work, done) => {
    const began = performance.now();
    work();
    while (!done()) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return performance.now() - began;
  };
  const market = document.querySelector("[data-name=market]");
  const before = document.getElementById("count").textContent;
  return {
    "first paint": paint.startTime,
    "page ready (script has drawn the grid)": performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
    "eight pictures on the screen": performance.now(),
    "filter by market": await until(
      () => { market.value = "Spain"; market.dispatchEvent(new Event("change")); },
      () => document.getElementById("count").textContent !== before),
    "jump to the end": await until(
      () => window.scrollTo(0, document.body.scrollHeight),
      () => [...document.querySelectorAll(".card")].some((c) => c.ariaPosInSet === c.ariaSetSize)),
    "cards in the document": document.querySelectorAll(".card").length,
  };
}"""


def main() -> None:
    print("| gallery | |\n| --- | --- |")
    for name, value in run(quick="--quick" in sys.argv):
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
