"""``batchedit review`` as a real process, for the tests that talk to it by HTTP or in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.finished_run import Showroom


class Review:
    """A running ``batchedit review``."""

    def __init__(
        self, run: Path | str, *more: str, who: str = "Dana", cwd: Path | None = None, state: Path | None = None
    ) -> None:
        command = [sys.executable, "-m", "batchedit", "review", str(run), "--no-open", "--as", who, *more]
        env = os.environ | ({"BATCHEDIT_STATE": str(state)} if state else {})
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=env
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            assert self.process.stderr is not None
            raise AssertionError(self.process.stderr.read())
        parts = urlsplit(self.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.http = httpx.Client(base_url=self.url, headers={"Origin": self.origin}, timeout=60, trust_env=False)

    def mark(self, job: int, verdict: str, serial: int = 0, note: str = "") -> httpx.Response:
        return self.http.post("api/mark", json={"job": job, "verdict": verdict, "note": note, "serial": serial})

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, stderr = self.process.communicate(timeout=90)
        return self.process.returncode, stderr


@contextmanager
def start_review(room: Showroom) -> Iterator[Review]:
    review = Review(room.folder.path)
    try:
        yield review
    finally:
        review.http.close()
        if review.process.poll() is None:
            review.process.kill()
        review.process.communicate(timeout=90)
