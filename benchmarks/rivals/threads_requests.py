"""What a person would write first: pandas, fifty threads, requests. Asks for the status every two seconds.

python benchmarks/rivals/threads_requests.py URL MANIFEST FOLDER [AT_ONCE] [SECONDS]
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import requests

MODEL = "openai/gpt-4o-image/edit"


def make(url: str, row: dict[str, Any], folder: Path, pause: float) -> dict[str, Any]:
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer benchmark"
        body = {"prompt": row["prompt"], "image": [row["image"]], "size": "1:1"}
        bought = session.post(f"{url}/v1/models/{MODEL}", json=body, timeout=60)
        bought.raise_for_status()
        request = bought.json()["request_id"]
        while True:
            time.sleep(pause)
            status = session.get(f"{url}/v1/requests/{request}/status", timeout=30).json()
            if status["status"] in {"completed", "succeeded", "failed", "cancelled", "canceled"}:
                break
        result = session.get(f"{url}/v1/requests/{request}/result", timeout=30).json()
        link = result["output"]["image"]
    picture = requests.get(link, timeout=60)
    picture.raise_for_status()
    path = folder / f"{row['sku']}.png"
    path.write_bytes(picture.content)
    return {**row, "file": str(path), "status": status["status"]}


def main(url: str, manifest: str, folder: str, at_once: str = "50", pause: str = "2") -> None:
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    there = Path(folder)
    there.mkdir(parents=True, exist_ok=True)
    rows = table.to_dict("records")
    with ThreadPoolExecutor(int(at_once)) as pool:
        done = list(pool.map(lambda row: make(url, row, there, float(pause)), rows))
    pd.DataFrame(done).to_csv(there / "results.csv", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
