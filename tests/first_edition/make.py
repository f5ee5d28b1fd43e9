"""How ``run/`` was made: by the first edition (commit d2072d7 and before), killed twice, against a sandbox on PORT.

Run it with that edition's Python, in its checkout, and an empty folder: ``python make.py FOLDER``. Nothing else imports this.

Rows: 1 and 2 done (1 approved, 2 rejected), 3 moderated, 4 in doubt, 5 failed because the service answered with 404 for a
minute, 6 waiting, 7 and 8 never bought. The cap is $0.90.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from batchedit.sandbox import SandboxConfig, serve

PORT = 18413
FOLDER = Path(sys.argv[1])
STATE = FOLDER / "service.jsonl"
RUN = FOLDER / "outputs" / "m"


def sheet(rows: int) -> None:
    with (FOLDER / "m.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "image", "prompt"])
        for n in range(1, rows + 1):
            table.writerow([f"sku-{n}", "https://images.example.com/mug.png", f"make an ad, number {n}"])


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "batchedit", *arguments]
    return subprocess.Popen(command, cwd=FOLDER, env={**os.environ, "RUNCOMFY_API_TOKEN": "test-token"})


def run(*more: str) -> subprocess.Popen[bytes]:
    cap = ("--base-url", f"http://127.0.0.1:{PORT}", "--max-cost", "0.90", "--yes", "-j", "1", "--poll-seconds", "1")
    return start("run", "m.csv", *cap, *more)


def until(true: Callable[[], object]) -> None:
    while not true():
        time.sleep(0.1)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def service(latency: str, *faults: str) -> object:
    return serve(SandboxConfig(port=PORT, state=STATE, latency=latency, plain_files=1500, faults=faults))


def accepted() -> list[dict[str, object]]:
    return [e for e in map(json.loads, STATE.read_text().splitlines()) if e["event"] == "accept"]


def main() -> None:
    with service("0", "job:moderated=at:3", "submit:drop_after=at:4"):
        sheet(4)
        run().wait()
    keys = {row["sku"]: row["result_key"] for row in csv.DictReader((RUN / "results.csv").open(encoding="utf-8"))}
    with (FOLDER / "decisions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["decision", "note", "when", "job"],
                ["approved", "", "2026-11-22T08:00:00Z", f"k{keys['sku-1']}"],
                ["rejected", "warmer", "2026-11-22T08:00:00Z", f"k{keys['sku-2']}"],
            ]
        )
    start("review", "m.csv", "--import", "decisions.csv").wait()
    with service("100"):
        sheet(8)
        going = run("-j", "2")
        until(lambda: len(accepted()) == 6)
        time.sleep(3)
        kill(going)
    lost = accepted()[4]["id"]
    lines = [line for line in STATE.read_text().splitlines(keepends=True) if str(lost) not in line]
    STATE.write_text("".join(lines))
    with service("100"):
        going = start("fetch", "outputs/m")
        until(lambda: '"event":"Gone"' in (RUN / "run.jsonl").read_text())
        kill(going)
    for name in ("decisions.csv", "outputs/m/.lock", "outputs/m/.spare", "outputs/m/checkpoint.sqlite-shm"):
        (FOLDER / name).unlink(missing_ok=True)
    shutil.rmtree(RUN / "thumbs", ignore_errors=True)


main()
