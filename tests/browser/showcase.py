"""The README's screenshots: a campaign as the sandbox draws it, the morning after.

python -m tests.browser.showcase   (from the top folder; needs Chromium and the extra ``browser``)
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson
from PIL import Image

from batchedit.commands.gallery import gallery
from batchedit.commands.redo import list_redo_lines
from batchedit.core.model import Job
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.repurchases import add_repurchases
from batchedit.run_folder import RunFolder
from batchedit.sandbox.job_clock import Order
from batchedit.sandbox.pictures import compose
from batchedit.sandbox.samples import draw_sample_shot
from tests.support.finished_run import Showroom

TOP = Path(__file__).parents[2]
COLUMNS = ("sku", "title", "market", "image", "size", "prompt")
MARKS = (
    (1, "approve", ""),
    (2, "reject", "too dark, and the dog should be smaller"),
    (3, "approve", ""),
    (6, "hold", "ask legal about the goat"),
)


def campaign(folder: Path) -> Path:
    """A run of 30 rows in three markets, with a second version, a failure, a doubt, an invalid row; its gallery."""
    room = Showroom(RunFolder(folder / "autumn-campaign"), COLUMNS)
    with (TOP / "manifests" / "demo.csv").open(newline="", encoding="utf-8") as file:
        demo = list(csv.DictReader(file))
    for market in ("Germany", "France", "United Kingdom"):
        for row in demo:
            shot = folder / f"{Path(row['image']).stem}.jpg"
            shot.write_bytes(draw_sample_shot(shot.stem, "jpg"))
            inputs = {"title": row["title"], "size": row["size"], "prompt": row["prompt"]}
            room.row(f"{row['sku']}-{market[:2].upper()}", market=market, image=str(shot), **inputs)
            inputs["prompt"] += f", for {market}"
            room.rows[-1]["prompt"] = inputs["prompt"]
    room.rows[12]["size"] = "4:5"
    checkpoint = room.open(invalid={13: "is not possible: the model makes 3:2, 1:1 and 2:3"})
    records = checkpoint.records("1 ORDER BY id")
    for number, record in enumerate(records):
        if number == 4:
            room.failed(checkpoint, record, "The service refused the content: it may show a trademark")
        elif number == 16:
            room.lost(checkpoint, record)
        elif number == 7:
            room.done(checkpoint, record, Image.new("RGB", (1536, 1024), (243, 241, 238)))
        else:
            room.done(checkpoint, record, ad(records[0].job, 1) if number == 20 else ad(record.job, number + 1))
    marks = FolderDecisions(checkpoint)
    for job, verdict, note in MARKS:
        marks.put(PictureDecision(job, Verdict(verdict), note, 0, "Dana", room.clock))
    for again in add_repurchases(checkpoint, list_redo_lines(checkpoint, use_notes=True)):
        (record,) = checkpoint.records("id = ?", (again,))
        room.done(checkpoint, record, ad(record.job, 99))
    checkpoint.close()
    snapshot = room.folder.find_snapshot()
    assert snapshot is not None
    # As a person would have typed it: no path of this machine in a published picture.
    snapshot.write_text(snapshot.read_text(encoding="utf-8").replace(f"{folder}/", ""), encoding="utf-8")
    return gallery(str(room.folder.path), {}).path


def ad(job: Job, number: int) -> Image.Image:
    """What the sandbox would have drawn for this job."""
    inputs = orjson.loads(job.inputs)
    digest = hashlib.sha256(job.key).hexdigest()
    image = (inputs["image"][0]["$file"],)
    order = Order(f"{number:08}", number, job.model, inputs["prompt"], inputs["size"], image, digest, 2.0, None, {})
    return Image.open(io.BytesIO(compose(order, 0, None)))


def shoot(page: Any, name: str) -> None:
    page.wait_for_timeout(800)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(TOP / "docs" / f"{name}.webp", quality=88, method=6)


def main() -> None:
    from playwright.sync_api import sync_playwright

    (TOP / "docs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        address = campaign(Path(folder)).as_uri()
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = chromium.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
            page.goto(address)
            shoot(page, f"gallery-{scheme}")
            page.locator(".picture").nth(1).click()
            shoot(page, f"lightbox-{scheme}")
        chromium.close()


if __name__ == "__main__":
    main()
