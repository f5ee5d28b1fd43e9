"""Jobs that were cancelled, on a real socket: free only where the service says so or we asked while they were queued, else in
the books with what they cost, whenever that is told.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batchedit.commands.audit import audit
from batchedit.core.model import State
from batchedit.ledger.opening import open_for_reading
from tests.e2e.test_odd_service import PNG
from tests.support.cli import manifest
from tests.support.cli import run_cli as batchedit

ROWS = 3
PRICE = 40_000


@dataclass
class Service:
    """A service at which every job is queued until a test says otherwise.

    ``standing`` is what ``/result`` and ``/status`` say of a job, "" that the request is not known; ``cancel`` is what a
    cancel is answered with, by status and body, and ``becomes`` what the job is afterwards.
    """

    standing: dict[str, Any] = field(default_factory=lambda: {"status": "in_queue"})
    cancel: tuple[int, Any] = (202, {"outcome": "cancelled", "status": "cancelled"})
    becomes: dict[str, Any] | None = None
    posts: int = 0
    cancels: int = 0
    url: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        if path.endswith("/picture.png"):
            return 200, PNG
        if method == "POST" and path.endswith("/cancel"):
            self.cancels += 1
            if self.becomes is not None:
                self.jobs[path.split("/")[3]] = self.becomes
            return self.cancel
        if method == "POST":
            self.posts += 1
            self.jobs[f"r{self.posts}"] = {}
            return 200, {"request_id": f"r{self.posts}"}
        if "/v1/requests/" not in path:
            return 404, {"detail": "Not Found"}
        request = path.split("/")[3]
        standing = self.jobs[request] or self.standing
        if standing.get("status") == "completed":
            standing = {"output": {"image": f"{self.url}/picture.png"}, **standing}
        return 200, {"request_id": request, **standing}


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = running.answer(self.command, self.path.partition("?")[0])
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield running
    server.shutdown()
    thread.join()
    server.server_close()


def buy_all(service: Service, folder: Path) -> Path:
    """A run of three rows whose jobs were all bought and not collected."""
    manifest(folder / "m.csv", ROWS)
    options = ("--base-url", service.url, "--yes", "--price", "0.04", "--poll-seconds", 0.2, "--stuck-after", 1)
    batchedit("run", "m.csv", *options, "-j", ROWS, cwd=folder, code=75)
    return folder / "outputs" / "m"


def read_books(run: Path) -> tuple[int, int, Counter[State]]:
    """Spent, held, and the jobs by state; the audit finds nothing."""
    assert audit(str(run), {})[1].findings == []
    with open_for_reading(run / "checkpoint.sqlite") as checkpoint:
        money = checkpoint.money()
        return money.spent, money.reserved, Counter(checkpoint.counts().by_state)


def test_what_was_cancelled_and_charged_counts_under_the_cap(service: Service, tmp_path: Path) -> None:
    """$0.40 was charged under a cap of $0.12, with $0.00 in the books."""
    run = buy_all(service, tmp_path)
    service.cancel = (202, {"outcome": "cancelled", "status": "cancelled", "cost": 0.04})
    batchedit("cancel", run, cwd=tmp_path)
    assert read_books(run) == (3 * PRICE, 0, {State.CANCELLED: 3})
    batchedit("retry", run, "--cancelled", "--max-cost", "0.13", "--yes", cwd=tmp_path, code=None)
    assert service.posts == 3


def test_what_we_cancelled_in_the_queue_is_free_and_is_bought_anew_under_the_same_cap(
    service: Service, tmp_path: Path
) -> None:
    run = buy_all(service, tmp_path)
    batchedit("cancel", run, cwd=tmp_path)
    assert read_books(run) == (0, 0, {State.CANCELLED: 3})
    service.standing = {"status": "completed", "cost": 0.04}
    batchedit("retry", run, "--cancelled", "--max-cost", "0.13", "--yes", cwd=tmp_path)
    assert (service.posts, read_books(run)) == (6, (3 * PRICE, 0, {State.DONE: 3}))


@pytest.mark.parametrize("cost", [0, 0.04])
def test_a_job_cancelled_elsewhere_counts_as_spent_until_its_cost_is_told(
    service: Service, tmp_path: Path, cost: float
) -> None:
    run = buy_all(service, tmp_path)
    service.standing = {"status": "cancelled"}
    batchedit("fetch", run, cwd=tmp_path, code=None)
    assert read_books(run) == (3 * PRICE, 0, {State.CANCELLED: 3})
    service.standing = {"status": "cancelled", "cost": cost}
    batchedit("fetch", run, cwd=tmp_path, code=None)
    assert read_books(run) == (3 * PRICE if cost else 0, 0, {State.CANCELLED: 3})
    service.standing = {"status": "completed", "cost": 0.04}
    batchedit("retry", run, "--cancelled", "--max-cost", "0.13", "--yes", cwd=tmp_path, code=None)
    assert (service.posts, read_books(run)[0]) == ((3, 3 * PRICE) if cost else (6, 3 * PRICE))


def test_a_cancel_that_comes_twice(service: Service, tmp_path: Path) -> None:
    """The first answer was lost; to the second the service says that there is nothing to cancel any more."""
    run = buy_all(service, tmp_path)
    service.cancel, service.becomes = (409, {"outcome": "not_cancellable"}), {"status": "cancelled", "cost": 0.04}
    batchedit("cancel", run, cwd=tmp_path)
    batchedit("cancel", run, cwd=tmp_path)
    batchedit("fetch", run, cwd=tmp_path, code=None)
    assert read_books(run) == (3 * PRICE, 0, {State.CANCELLED: 3})
    cancels_before = service.cancels
    batchedit("cancel", run, cwd=tmp_path)
    batchedit("fetch", run, cwd=tmp_path, code=None)
    assert (service.cancels, service.posts) == (cancels_before, 3)


def test_a_job_that_came_out_all_the_same_is_collected_after_its_cancel(service: Service, tmp_path: Path) -> None:
    run = buy_all(service, tmp_path)
    service.cancel = (409, {"outcome": "not_cancellable"})
    service.becomes = {"status": "completed", "cost": 0.04}
    batchedit("cancel", run, cwd=tmp_path)
    batchedit("fetch", run, cwd=tmp_path)
    assert (service.posts, read_books(run)) == (3, (3 * PRICE, 0, {State.DONE: 3}))


@pytest.mark.parametrize("cost", [{}, {"cost": 0.04}])
def test_a_cancel_does_not_unpay_what_has_come_out(service: Service, tmp_path: Path, cost: dict[str, float]) -> None:
    """A picture was finished and charged, its file could not be had, and a cancel of it was answered with “cancelled”: the
    books forgot what it had cost.
    """
    run = buy_all(service, tmp_path)
    service.standing = {"status": "completed", **cost, "output": {"image": "https://files.runcomfy.net:99999/a.png"}}
    batchedit("fetch", run, cwd=tmp_path, code=75)
    assert read_books(run) == (3 * PRICE, 0, {State.UNCOLLECTED: 3})
    batchedit("cancel", run, cwd=tmp_path)
    spent, held, states = read_books(run)
    assert (spent, held) == (3 * PRICE, 0), states
