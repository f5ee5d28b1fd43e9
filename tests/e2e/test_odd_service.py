"""A service whose answers are odd, on a real socket: one odd reply harms one job, and every later run goes on."""

from __future__ import annotations

import base64
import csv
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
from tests.support.cli import manifest, rows
from tests.support.fork_server import ForkServer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HUGE = 10**400
"""Python's float can't hold it."""


@dataclass
class Service:
    """``ids`` and ``results`` are what the rows' jobs are called and the links to their pictures, "" for one that is there.
    ``position`` is the last row's place in the queue at its first look.
    """

    results: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    position: int | None = None
    posts: int = 0
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path.endswith("/picture.png"):
            return 200, PNG
        if method == "POST":
            self.posts += 1
            row = int(json.loads(body)["prompt"].rpartition("sku")[2].rstrip("x"))
            return 200, {"request_id": self.ids[row - 1]}
        if "/v1/requests/" not in path:
            return 404, {"detail": "Not Found"}
        request = path.split("/")[3]
        if self.position is not None and request == self.ids[-1]:
            position, self.position = self.position, None
            return 200, {"request_id": request, "status": "in_queue", "queue_position": position}
        link = self.results[self.ids.index(request)] or f"{self.url}/picture.png"
        return 200, {"request_id": request, "status": "completed", "output": {"image": link}, "cost": 0.04}


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = running.answer(self.command, self.path.partition("?")[0], sent)
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


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


def make_command(service: Service) -> list[object]:
    return ["run", "m.csv", "--base-url", service.url, "--yes", "--price", "0.04", "--poll-seconds", 0.2]


def test_a_link_with_port_99999_a_host_that_is_no_idna_and_a_number_of_400_digits(
    tmp_path: Path, service: Service, fork_server: ForkServer
) -> None:
    """Each of them ended the program with a traceback, and every later run too."""
    manifest(tmp_path / "m.csv", 4)
    service.ids = ["r1", "r2", "r3", "r4"]
    service.results = ["https://files.runcomfy.net:99999/a.png", "https://xn--a.runcomfy.net/a.png", "", ""]
    service.position = HUGE
    fork_server.run(*make_command(service), cwd=tmp_path, code=75)
    states = Counter(row["result_status"] for row in rows(tmp_path / "outputs" / "m"))
    assert states == {"uncollected": 2, "done": 2}
    errors = [row["result_error"] for row in rows(tmp_path / "outputs" / "m")]
    assert all("link" in str(error) for error in errors[:2])
    service.results = [""] * 4  # the service has found out
    for _ in range(2):
        fork_server.run(*make_command(service), cwd=tmp_path)
    assert service.posts == 4
    assert audit(str(tmp_path / "outputs" / "m"), {})[1].findings == []


def test_an_id_that_the_service_gave_before_is_kept_with_the_doubt(
    tmp_path: Path, service: Service, fork_server: ForkServer
) -> None:
    """Two jobs got one id: the second is in doubt, and the id that it was given is what a person has to ask with."""
    manifest(tmp_path / "m.csv", 2)
    service.ids, service.results = ["r-twice", "r-twice"], ["", ""]
    fork_server.run(*make_command(service), cwd=tmp_path, code=76)
    run = tmp_path / "outputs" / "m"
    assert {row["result_status"] for row in rows(run)} == {"done", "in_doubt"}
    assert "r-twice" in fork_server.run("doubt", "outputs/m", cwd=tmp_path, code=76).stdout
    with (run / "in_doubt.csv").open(newline="", encoding="utf-8-sig") as file:
        assert ["r-twice" in row["result_error"] for row in csv.DictReader(file)] == [True]
    fork_server.run(*make_command(service), cwd=tmp_path, code=76)
    assert service.posts == 2
