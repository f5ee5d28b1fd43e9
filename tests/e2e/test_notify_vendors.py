"""What Slack, Teams and Telegram are sent: each is reached through a proxy that stands in for it, by TLS and by name."""

from __future__ import annotations

import html
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import environment, inside, manifest, on

QUICK = SandboxConfig(latency="0", plain_files=2_000)
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7/#general"
SLACK_BOT = "slack://xoxb-1234-1234-abc124/#general"
TEAMS_HOST = "prod-00.westus.logic.azure.com"
TEAMS = f"workflows://{TEAMS_HOST}:443/0a1b2c3d/sigNature-of-1/"
TELEGRAM = "tgram://123456789:abcdefghijklmnop_qrst/12315544/"
OK: dict[str, Any] = {"ok": True}
ANSWERS: dict[str, Any] = {
    "/api/files.getUploadURLExternal": OK | {"upload_url": "https://files.slack.com/upload/v1/x", "file_id": "F1"},
    "/api/files.completeUploadExternal": OK | {"files": [{"id": "F1"}]},
    "/api/chat.postMessage": OK | {"channel": "C012345", "ts": "1.0"},
}


@dataclass
class Vendors:
    """``came`` is what they were sent, each ``(host, path, body)``. ``status`` is what they answer."""

    proxy: str = ""
    status: int = 200
    came: list[tuple[str, str, bytes]] = field(default_factory=list)

    def json(self, host: str) -> list[dict[str, Any]]:
        return [json.loads(body) for there, _, body in self.came if there == host and body.startswith(b"{")]


@contextmanager
def vendors(folder: Path) -> Iterator[tuple[Vendors, dict[str, str]]]:
    """The vendors, and the environment in which everything that is asked by https:// is asked of them."""
    authority, found = trustme.CA(), Vendors()
    authority.cert_pem.write_to_path(folder / "authority.pem")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            self.send_response_only(200)
            self.end_headers()
            self.host = self.path.partition(":")[0]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(self.host).configure_cert(context)
            self.tls = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.tls.makefile("rb"), self.tls.makefile("wb", 0)
            self.close_connection = False

        def do_POST(self) -> None:
            found.came.append((self.host, self.path, self.rfile.read(int(self.headers["Content-Length"] or 0))))
            answer = ANSWERS.get(self.path.partition("?")[0], OK | {"result": {"message_id": 1}})
            body = b"ok" if self.host == "hooks.slack.com" else json.dumps(answer).encode()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def finish(self) -> None:
            super().finish()
            if self.host:
                self.tls.close()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        found.proxy = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield (
                found,
                environment(HTTPS_PROXY=found.proxy, REQUESTS_CA_BUNDLE=str(folder / "authority.pem"), NO_PROXY=""),
            )
        finally:
            server.shutdown()
            thread.join()


def _slack(found: Vendors) -> list[str]:
    return [
        card["text"]
        for host in ("hooks.slack.com", "slack.com")
        for m in found.json(host)
        for card in m.get("attachments", ())
    ]


def _teams(found: Vendors) -> list[str]:
    cards = [message["attachments"][0]["content"]["body"] for message in found.json(TEAMS_HOST)]
    return [re.sub(r"\\(.)", r"\1", part["text"]) for card in cards for part in card if part.get("id") == "body"]


def _telegram(found: Vendors) -> list[str]:
    plain = [message["text"] for message in found.json("api.telegram.org")]
    captions = [
        body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--")[0].decode() for _, path, body in found.came if b"caption" in body
    ]
    shown = [text.replace("\r\n", "\n").partition("</b>\n")[2] for text in plain + captions]
    assert not any("<" in text for text in shown), "it is read as HTML there"
    return shown


def pictures(found: Vendors) -> list[str]:
    """The names of the pictures that came, each with the bytes of a JPEG."""
    sent = [re.search(rb'filename="([^"]+)"\r\n(?:[^\r\n]+\r\n)*\r\n\xff\xd8\xff', body) for _, _, body in found.came]
    return [match[1].decode() for match in sent if match]


def assert_secret(url: str, shown: str) -> None:
    """Nothing of the address is shown: whoever has it may write there."""
    parts = [part for part in url.partition("://")[2].split("/") if part]
    assert [part for part in parts if part.strip("#") in shown] == []


@pytest.mark.parametrize(
    ("url", "texts", "takes_pictures"),
    [(SLACK, _slack, False), (SLACK_BOT, _slack, True), (TEAMS, _teams, False), (TELEGRAM, _telegram, True)],
    ids=["Slack", "Slack bot", "Teams", "Telegram"],
)
def test_a_message_came_line_by_line_and_with_the_first_pictures(
    tmp_path: Path, url: str, texts: Callable[[Vendors], list[str]], takes_pictures: bool
) -> None:
    """What a run's name has of Markdown and of HTML stays what it is, and nothing is called Apprise's."""
    run = "spring_sale_*1* & <b>co"
    manifest(tmp_path / "sheet.csv", 2)
    with vendors(tmp_path) as (found, env), serve(QUICK) as sandbox:
        told = ("run", "sheet.csv", "--out", f"outputs/{run}", *on(sandbox, "--notify", url))
        ran = inside(*told, cwd=tmp_path, env=env)
    begun, ended = ([html.unescape(line) for line in text.splitlines()] for text in texts(found))
    assert begun[0] == f"{run} has started: 2 pictures for about $0.08"
    assert begun[1].startswith("→ to see how it goes: batchedit status ")
    assert ended[0] == f"{run} is finished: 2 of 2 pictures, $0.08 spent"
    assert ended[1].startswith("→ the pictures: ")
    assert len(ended) == 3
    assert pictures(found) == (["sku-1-1x1-1.jpg", "sku-2-1x1-1.jpg"] if takes_pictures else [])
    assert b"pprise" not in b"".join(body for _, _, body in found.came)
    assert_secret(url, ran.stdout + ran.stderr)


@pytest.mark.parametrize("url", [SLACK, SLACK_BOT, TEAMS, TELEGRAM])
def test_a_vendor_that_refuses_is_told_in_a_sentence_and_ends_nothing(tmp_path: Path, url: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    with vendors(tmp_path) as (found, env), serve(QUICK) as sandbox:
        found.status = 400
        ran = inside("run", "m.csv", *on(sandbox, "--notify", url), cwd=tmp_path, env=env)
    scheme = url.partition(":")[0]
    assert f"batchedit: a message did not arrive: the channel {scheme}:// did not take the message" in ran.stderr
    assert "1 done" in ran.stdout
    assert_secret(url, ran.stdout + ran.stderr)
