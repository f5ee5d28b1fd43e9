"""--notify through Apprise, to a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from batchedit.core.errors import UsageError
from batchedit.review.notify import check_hook, notify, summary


@contextmanager
def hook(status: int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    came: list[dict[str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"json://127.0.0.1:{server.server_port}/secret", came
        finally:
            server.shutdown()
            thread.join()


def test_a_channel_of_apprise_gets_the_summary() -> None:
    with hook(200) as (url, came):
        assert notify(url, summary("spring", {}, "spring: 3 done")) == ""
    assert (came[0]["title"], came[0]["message"]) == ("batchedit: spring", "spring: 3 done")


def test_a_channel_that_refuses_is_told_without_its_address(capfd: pytest.CaptureFixture[str]) -> None:
    with hook(403) as (url, _):
        told = notify(url, summary("spring", {}, "spring: 3 done"))
    assert told == "the channel json:// did not take the message"
    assert "secret" not in "".join(capfd.readouterr())


def test_a_channel_that_nobody_knows_is_told_before_anything_is_bought() -> None:
    with pytest.raises(UsageError, match="knows no channel"):
        check_hook("nonsense://x")
