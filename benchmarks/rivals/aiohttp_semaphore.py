"""The other script that everybody writes: aiohttp and a semaphore. Asks for the status every so many seconds.

python benchmarks/rivals/aiohttp_semaphore.py URL MANIFEST FOLDER [AT_ONCE] [SECONDS]
"""

from __future__ import annotations

import asyncio
import csv
import sys
from pathlib import Path

import aiohttp

MODEL = "openai/gpt-4o-image/edit"
TOKEN = {"Authorization": "Bearer benchmark"}


async def make(session: aiohttp.ClientSession, url: str, row: dict[str, str], folder: Path, pause: float) -> None:
    body = {"prompt": row["prompt"], "image": [row["image"]], "size": "1:1"}
    async with session.post(f"{url}/v1/models/{MODEL}", json=body, headers=TOKEN) as bought:
        bought.raise_for_status()
        request = (await bought.json())["request_id"]
    while True:
        await asyncio.sleep(pause)
        # The result of a running job tells its state: one call where there might be two.
        async with session.get(f"{url}/v1/requests/{request}/result", headers=TOKEN) as response:
            answer = await response.json()
        if answer.get("output"):
            break
    async with session.get(answer["output"]["image"]) as picture:
        picture.raise_for_status()
        (folder / f"{row['sku']}.png").write_bytes(await picture.read())


async def make_all(url: str, rows: list[dict[str, str]], there: Path, at_once: int, pause: float) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(session: aiohttp.ClientSession, row: dict[str, str]) -> None:
        async with places:
            await make(session, url, row, there, pause)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        await asyncio.gather(*(one(session, row) for row in rows))


def main(url: str, manifest: str, folder: str, at_once: str = "50", pause: str = "2") -> None:
    there = Path(folder)
    there.mkdir(parents=True, exist_ok=True)
    with Path(manifest).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    asyncio.run(make_all(url, rows, there, int(at_once), float(pause)))


if __name__ == "__main__":
    main(*sys.argv[1:])
