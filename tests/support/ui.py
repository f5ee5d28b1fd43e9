"""``batchedit ui`` as a real process, for the tests that talk to it by HTTP or in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx


class Ui:
    """A running ``batchedit ui``, started in ``home``."""

    def __init__(self, home: Path, *options: str, environ: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "batchedit", "ui", "--no-open", *options]
        self.home = home
        env = clean(home) | (environ or {})
        self.state = Path(env["BATCHEDIT_STATE"])
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home,
            env=env,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            assert self.process.stderr is not None
            raise AssertionError(self.process.stderr.read())
        parts = urlsplit(self.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.token = parts.path.strip("/")
        self.http = httpx.Client(base_url=self.url, headers={"Origin": self.origin}, timeout=90, trust_env=False)

    def call(self, path: str, **payload: Any) -> httpx.Response:
        return self.http.post(f"api/{path}", json=payload)

    def put(self, draft: str, content: bytes, name: str, *, inside: bool = False) -> httpx.Response:
        query = {"name": name, "inside": "1" if inside else "0"}
        return self.http.put(f"api/drafts/{draft}/file", params=query, content=content)

    def drop(self, content: bytes, name: str, *, play: bool = True) -> str:
        """The id of a draft whose sheet is taken in."""
        draft = self.call("drafts", play=play).json()["id"]
        assert self.put(draft, content, name).status_code == 200
        assert self.call(f"drafts/{draft}/arrived", name=name).status_code == 200
        assert self.until(draft, "take")["error"] is None
        return str(draft)

    def until(self, draft: str, step: str, seconds: float = 300) -> dict[str, Any]:
        """Wait until a step is done."""
        end = time.monotonic() + seconds
        while True:
            reply = self.http.get(f"api/drafts/{draft}/state", params={"step": step}).json()
            if reply["stand"] == "done":
                return dict(reply)
            assert reply["stand"] == "working", (reply, self.log(draft, step))
            assert time.monotonic() < end
            time.sleep(0.05)

    def log(self, draft: str, step: str) -> str:
        return (self.folder(draft) / f"{step}.log").read_text()

    def folder(self, draft: str) -> Path:
        return self.state / "drafts" / draft

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=90)
        return self.process.returncode


def clean(home: Path) -> dict[str, str]:
    """No token of this machine, and a home folder of the test's own."""
    inherited = {
        name: value for name, value in os.environ.items() if "RUNCOMFY" not in name and "PROXY" not in name.upper()
    }
    inherited.pop("YOUR_API_TOKEN", None)
    inherited.pop("XDG_CONFIG_HOME", None)
    return {**inherited, "HOME": str(home)}


@contextmanager
def browsing(home: Path, *options: str, environ: dict[str, str] | None = None) -> Iterator[Ui]:
    ui = Ui(home, *options, environ=environ)
    try:
        yield ui
    finally:
        ui.http.close()
        if ui.process.poll() is None:
            ui.process.kill()
        ui.process.communicate(timeout=90)
