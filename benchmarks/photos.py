"""CPU of a job by the picture that it brings: the benchmarks' cheap one, and one as heavy to decode as a photograph.

The child's user and system seconds over its jobs, its start included; beside it what one bare decode of such a picture
takes here and now (Pillow's ``load``, the median of 20 on this process's CPU clock). What is left is everything else:
HTTP, polling, the checkpoint, the file, its digest, thumbnail and features. The yardstick is a bare script of the same
libraries and the same calls (``rivals/httpx_pictures.py``), beyond the same decode.

    python benchmarks/photos.py [--quick] [--json FILE]
"""

from __future__ import annotations

import os
import sys
import time
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from common import HERE, buy, hand_over, manifest, quick, run, sandbox, scratch
from PIL import Image

sys.path.insert(0, str(HERE.parent))

from batchedit.sandbox.config import PHOTOS

AT_ONCE = 50
BARE = HERE / "rivals" / "httpx_pictures.py"
SERVICE = ("--latency", "lognormal:4,0.5")
PICTURES = {"cheap PNG, 200 kB": ("--plain-files", "200000"), **{kind: ("--photo-files", kind) for kind in PHOTOS}}


def decode_ms(data: bytes) -> float:
    """CPU of one decode, in ms."""
    times = []
    for _ in range(20):
        began = time.process_time()
        with Image.open(BytesIO(data)) as picture:
            picture.load()
        times.append(1000 * (time.process_time() - began))
    return median(times)


def measure(name: str, jobs: int, folder: Path) -> dict[str, Any]:
    """One run."""
    out = folder / "out"
    source = manifest(folder / "m.csv", jobs)
    with sandbox(*SERVICE, *PICTURES[name], "--seed", "1") as service:
        bare = run(sys.executable, BARE, service.url, source, folder / "bare", str(AT_ONCE), folder=folder)
    with sandbox(*SERVICE, *PICTURES[name], "--seed", "1") as service:
        ran = buy(service, source, out, "-j", str(AT_ONCE), "--price", "0.04")
    files = [path for path in (out / "files").rglob("*") if path.is_file()]
    assert len(files) == jobs == len(list((out / "thumbs").glob("?" * 40 + ".jpg"))), len(files)
    cpu, decode = 1000 * ran.cpu / jobs, decode_ms(files[0].read_bytes())
    return {
        "picture": name,
        "jobs": jobs,
        "bytes": files[0].stat().st_size,
        "seconds": ran.seconds,
        "cpu_ms": cpu,
        "decode_ms": decode,
        "beyond_ms": cpu - decode,
        "bare_ms": 1000 * bare.cpu / jobs - decode,
        "peak": ran.peak,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    rows = []
    for _ in range(1 if quick() else 3):
        for name in PICTURES:
            with scratch() as folder:
                rows.append(measure(name, 200 if quick() else 500, folder))
    hand_over({"rows": rows})


if __name__ == "__main__":
    main()
