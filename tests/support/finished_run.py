"""A run as it would be the morning after, made through the checkpoint's own doors: no service, no network."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from batchedit.core.events import Accepted, Completed, Errored, Lost, Refused, Reserved, Saved
from batchedit.core.lifecycle import advance
from batchedit.core.model import (
    CellProblem,
    Handle,
    InvalidLine,
    Job,
    Kind,
    Output,
    Problem,
    Record,
    ResultLine,
    SavedFile,
)
from batchedit.jobs.identity import hash_name, job_key, reduce_to_identity, to_canonical_json
from batchedit.ledger.intake import Intake
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.ledger.register import claim
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.run_folder import RunFolder, hash_file
from batchedit.settings.model import DEFAULT_MODEL, Settings

Draw = Callable[[int], Image.Image]


def picture(number: int, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """A picture unlike that of any other number: shapes and colours from a digest."""
    bits = hashlib.sha256(str(number).encode()).digest()
    image = Image.new("RGB", size, (bits[0], bits[1], bits[2]))
    draw = ImageDraw.Draw(image)
    for step in range(3, 27, 4):
        x, y, wide, tone = (bits[step + i] for i in range(4))
        left, top = x * size[0] // 320, y * size[1] // 320
        box = (left, top, left + 30 + wide * size[0] // 500, top + 30 + tone * size[1] // 500)
        (draw.ellipse if tone % 2 else draw.rectangle)(box, fill=(tone, wide, (x * 7) % 256))
    return image


@dataclass
class Showroom:
    """Rows first, then ``open``; then what became of each."""

    folder: RunFolder
    columns: tuple[str, ...] = ("sku", "title", "market", "image", "size", "prompt")
    rows: list[dict[str, str]] = field(default_factory=list)
    clock: float = 1_790_000_000.0

    def row(self, sku: str, **cells: str) -> int:
        """Add a row; returns its number."""
        defaults = {"sku": sku, "title": f"The {sku}", "market": "DE", "size": "1:1", "prompt": f"an ad for {sku}"}
        self.rows.append({"image": f"https://images.example.com/{len(self.rows)}.png", **defaults, **cells})
        return len(self.rows)

    def open(self, invalid: Mapping[int, str] | None = None) -> SqliteCheckpoint:
        """Write the manifest, take every row in, and return the checkpoint. ``invalid``: row number → reason."""
        self.folder.make()
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        source = self.folder.path / "manifest.csv"
        source.write_text(text.getvalue(), encoding="utf-8", newline="")
        checkpoint = create_checkpoint(self.folder.checkpoint, model=DEFAULT_MODEL, service="sandbox")
        claim(checkpoint, os.environ)
        intake = Intake.begin(checkpoint)
        wrong = invalid or {}
        intake.add(
            [
                InvalidLine(n, row["sku"], (CellProblem("size", row["size"], wrong[n]),))
                if n in wrong
                else line(n, row)
                for n, row in enumerate(self.rows, 1)
            ]
        )
        checkpoint.put("settings", Settings(sandbox=True).dump())
        intake.commit(f"showroom:{hash_file(source)}:")
        return checkpoint

    def reopen(self) -> SqliteCheckpoint:
        return open_checkpoint(self.folder.checkpoint)

    def done(
        self, checkpoint: SqliteCheckpoint, record: Record, image: Image.Image | bytes, ending: str = "png"
    ) -> Record:
        """Buy it, and put ``image`` where its picture goes."""
        record = self._bought(checkpoint, record)
        path = self.folder.path / "files" / f"{record.job.name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = (1024, 1024) if isinstance(image, bytes) else image.size
        path.write_bytes(image) if isinstance(image, bytes) else image.save(path, compress_level=1)
        content = path.read_bytes()
        url = f"https://files.example.com/{record.id}"
        sha256 = hashlib.sha256(content).hexdigest()
        saved = SavedFile(f"files/{record.job.name}.{ending}", sha256, len(content), width, height, url)
        record = self._save(checkpoint, record, Completed(self.clock, (Output(url),), cost=40_000))
        return self._save(checkpoint, record, Saved(self.clock + 1, (saved,)))

    def failed(self, checkpoint: SqliteCheckpoint, record: Record, message: str) -> Record:
        record = self._bought(checkpoint, record)
        return self._save(checkpoint, record, Errored(self.clock, Problem(Kind.MODERATED, message), 0))

    def refused(self, checkpoint: SqliteCheckpoint, record: Record, message: str) -> Record:
        record = self._save(checkpoint, record, Reserved(self.clock, 40_000))
        return self._save(checkpoint, record, Refused(self.clock, Problem(Kind.REFUSED, message)))

    def lost(self, checkpoint: SqliteCheckpoint, record: Record) -> Record:
        record = self._save(checkpoint, record, Reserved(self.clock, 40_000))
        return self._save(checkpoint, record, Lost(self.clock, Problem(Kind.LOST, "the answer never came")))

    def _bought(self, checkpoint: SqliteCheckpoint, record: Record) -> Record:
        record = self._save(checkpoint, record, Reserved(self.clock, 40_000))
        self.clock += 2 + record.id % 7
        return self._save(checkpoint, record, Accepted(self.clock, Handle(f"req-{record.id}")))

    @staticmethod
    def _save(checkpoint: SqliteCheckpoint, record: Record, event: Any) -> Record:
        return checkpoint.save_now(advance(record, event), event)


def line(number: int, row: Mapping[str, str], sources: Sequence[Any] | None = None) -> ResultLine:
    """The line that a row becomes."""
    image: Any = row["image"]
    path = Path(image)
    if path.is_absolute():
        image = {"$file": path.as_posix(), "$sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    inputs = {"image": list(sources or [image]), "prompt": row["prompt"], "size": row["size"]}
    name = f"{row['sku'].replace('/', '_')[:60] or number}-{row['size'].replace(':', 'x')}-1"
    key = job_key(DEFAULT_MODEL, reduce_to_identity(inputs))
    job = Job(key, DEFAULT_MODEL, to_canonical_json(inputs).decode(), name, row["size"])
    return ResultLine(number, row["sku"], job, hash_name(name))
