"""The work of a job and nothing else, with the same libraries: httpx, digest, one decode, thumbnail, preview, two syncs.

No checkpoint, no learned polling, no check of an answer: what CPU a job can't go below with these libraries.

    python benchmarks/rivals/httpx_pictures.py URL MANIFEST FOLDER [AT_ONCE] [SECONDS]
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
import sys
from pathlib import Path

import httpx
from PIL import Image

MODEL = "openai/gpt-4o-image/edit"
TOKEN = {"Authorization": "Bearer benchmark"}
HEAVY = 500_000


async def make(client: httpx.AsyncClient, url: str, row: dict[str, str], folder: Path, pause: float) -> None:
    body = {"prompt": row["prompt"], "image": [row["image"]], "size": "1:1"}
    bought = await client.post(f"{url}/v1/models/{MODEL}", json=body, headers=TOKEN)
    bought.raise_for_status()
    request = bought.json()["request_id"]
    while True:
        await asyncio.sleep(pause)
        answer = (await client.get(f"{url}/v1/requests/{request}/result", headers=TOKEN)).json()
        if answer.get("output"):
            break
    picture = await client.get(answer["output"]["image"])
    picture.raise_for_status()
    await asyncio.to_thread(keep, picture.content, folder, row["sku"])


def keep(data: bytes, folder: Path, name: str) -> None:
    hashlib.sha256(data).hexdigest()
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        whole = image if image.mode == "RGB" else image.convert("RGB")
        if len(data) > HEAVY:
            whole.save(folder / f"{name}-large.jpg", quality=80)
        whole.reduce(max(whole.size) // 512).save(folder / f"{name}-thumb.jpg", quality=80)
    part = folder / f"{name}.part"
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / f"{name}.png")
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


async def make_all(url: str, rows: list[dict[str, str]], there: Path, at_once: int, pause: float) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(client: httpx.AsyncClient, row: dict[str, str]) -> None:
        async with places:
            await make(client, url, row, there, pause)

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=16), timeout=60) as client:
        await asyncio.gather(*(one(client, row) for row in rows))


def main(url: str, manifest: str, folder: str, at_once: str = "50", pause: str = "0.9") -> None:
    there = Path(folder)
    there.mkdir(parents=True, exist_ok=True)
    with Path(manifest).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    asyncio.run(make_all(url, rows, there, int(at_once), float(pause)))


if __name__ == "__main__":
    main(*sys.argv[1:])
