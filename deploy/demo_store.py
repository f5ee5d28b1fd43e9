"""``make demo-store``: PostgreSQL, an object store and three workers on this machine, one of them killed. Play money.

Both servers come from PyPI and listen on this machine alone; everything is in a folder that is left for you to look at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from batchedit.ledger.own_sandbox import hold_sandbox_lock
from batchedit.sandbox import SandboxConfig, serve
from tests.support import seaweed
from tests.support.postgres import Server, with_database

ROWS = 24
FOLDER = Path("outputs") / "demo-store"
STATE = {"BATCHEDIT_STATE": str(FOLDER.absolute() / "state")}


def say(text: str) -> None:
    """What happens now."""
    print(f"\n— {text}", flush=True)


def sheet(folder: Path) -> Path:
    """Half of the rows name a link, half a picture on this disk."""
    (folder / "pictures").mkdir(parents=True)
    lines = ["sku,image,prompt"]
    for n in range(1, ROWS + 1):
        picture = f"pictures/{n}.png" if n % 2 else "https://images.example.com/mug.png"
        if n % 2:
            Image.new("RGB", (320, 320), (10 * n, 120, 200 - 5 * n)).save(folder / picture)
        lines.append(f'sku-{n},{picture},"make an ad, a summer evening, number {n}"')
    (folder / "spring.csv").write_text("\n".join(lines) + "\n")
    return folder / "spring.csv"


def until(true: Callable[[], bool], seconds: float = 180.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            sys.exit("it never came true")
        time.sleep(0.1)


class Demo:
    """Commands that share a store, a bucket and a sandbox."""

    def __init__(self, url: str, objects: seaweed.SeaweedServer, base_url: str) -> None:
        self.environment = {
            **os.environ,
            **objects.environment(),
            "RUNCOMFY_API_TOKEN": "play-money",
            **STATE,
            "BATCHEDIT_STORE": url,
            "BATCHEDIT_FILES": f"s3://{seaweed.BUCKET}/demo",
            "BATCHEDIT_BASE_URL": base_url,
        }

    def start(self, where: str, *words: str) -> subprocess.Popen[bytes]:
        """A command on the machine ``where``, which is a folder of its own."""
        folder = FOLDER / where
        folder.mkdir(exist_ok=True)
        print(f"  {where}$ batchedit {' '.join(words)}", flush=True)
        return subprocess.Popen([sys.executable, "-m", "batchedit", *words], cwd=folder, env=self.environment)

    def run(self, where: str, *words: str) -> int:
        """The same, to its end."""
        return self.start(where, *words).wait()


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    desk = FOLDER / "desk"
    sheet(desk)
    say("PostgreSQL and SeaweedFS start")
    url, objects = with_database(Server().url, "postgres"), seaweed.shared()
    with (
        serve(SandboxConfig(latency="uniform:1,4")) as sandbox,
        hold_sandbox_lock(sandbox.port, sandbox.addresses, {**os.environ, **STATE}),
    ):
        demo = Demo(url, objects, sandbox.url)
        demo.run("desk", "store", "init")
        say(f"{ROWS} pictures, three workers on three machines")
        first = demo.start("desk", "run", "spring.csv", "--yes", "-j", "3")
        until(lambda: sandbox.ledger()["accepted"] >= 2)
        others = [demo.start(f"machine-{n}", "work", "--until-idle", "-j", "3", "-q") for n in (1, 2)]
        until(lambda: sandbox.ledger()["accepted"] >= ROWS // 2)
        say("kill -9 for the one at the desk")
        first.kill()
        first.wait()
        say("the others take over what it had, half a minute after it was last heard")
        for other in others:
            other.wait()
        demo.run("desk", "workers")
        code = demo.run("desk", "run", "spring.csv", "--yes")
        demo.run("desk", "audit", "spring.csv")
        found = objects.keys("demo/spring/files")
        ledger = sandbox.ledger()
        say(f"{len(found)} pictures are in {demo.environment['BATCHEDIT_FILES']}, {sum(found.values()):,} bytes")
        demo.run("desk", "gallery", "spring.csv")
        say(f"the service's own books: {ledger['accepted']} accepted, {ledger['duplicates']} bought twice")
        if code == 76:
            say("what the killed worker was just sending may have been bought: batchedit doubt spring.csv says which")
        return 0 if not ledger["duplicates"] and code in {0, 76} else 1


if __name__ == "__main__":
    sys.exit(main())
