"""An Excel sheet of 100,000 rows: reading it as batchedit does, beside what python-calamine alone needs.

Target: at most three times as long, plus the pass over formats, links and hidden rows, which is told by itself. Seconds are
of this process alone: other work on the machine counts little. Each of five rounds times the three in turn.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import openpyxl
from openpyxl.cell import WriteOnlyCell
from python_calamine import CalamineWorkbook

from batchedit.manifest.ooxml import WorkbookMarkup
from batchedit.manifest.read import open_manifest

ROWS = 100_000
ROUNDS = 5


def make(path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Products")
    sheet.append(["sku", "image", "prompt", "Title", "Price", "Stock"])
    for row in range(ROWS):
        price = WriteOnlyCell(sheet, 19.99 + row % 5000)
        price.number_format = r"#,##0.00\ [$€-407]"
        link = f"https://cdn.example.com/p/{row}.jpg"
        sheet.append([f"A-{row}", link, f"make an ad for item {row}", f"Mug {row}", price, row % 50])
    book.save(path)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def peak(work: Callable[[], object]) -> float:
    """The most that Python held at once, in MB; what python-calamine holds is no part of it."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.xlsx"
        make(path)
        data = path.read_bytes()
        alone, looks, ours = [], [], []
        for _ in range(ROUNDS):
            alone.append(
                seconds(lambda: CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python())
            )
            looks.append(seconds(lambda: sum(1 for _ in WorkbookMarkup(path).read_rows("Products"))))
            ours.append(seconds(lambda: sum(1 for _ in open_manifest(path).rows())))
        held = peak(lambda: sum(1 for _ in WorkbookMarkup(path).read_rows("Products")))
    print(f"python-calamine alone {spread(alone)} s, formats {spread(looks)} s, batchedit {spread(ours)} s")
    without = [(our - look) / one for our, look, one in zip(ours, looks, alone, strict=True)]
    print(f"without the formats {spread(without)} times python-calamine (target: 3); formats hold {held:.0f} MB")
    print(f"with the formats {spread([our / one for our, one in zip(ours, alone, strict=True)])} times")


if __name__ == "__main__":
    main()
