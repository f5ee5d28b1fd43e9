"""--notify through Apprise, to a server on this machine."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from batchedit.core.errors import UsageError
from batchedit.review.notify import build_notice, check_hook, notify


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
        assert notify(url, build_notice("spring", {}, "spring: 3 done")) == ""
    assert (came[0]["title"], came[0]["message"]) == ("batchedit: spring", "spring: 3 done")


def test_a_channel_that_refuses_is_told_without_its_address(capfd: pytest.CaptureFixture[str]) -> None:
    with hook(403) as (url, _):
        problem = notify(url, build_notice("spring", {}, "spring: 3 done"))
    assert problem == "the channel json:// did not take the message"
    assert "secret" not in "".join(capfd.readouterr())


def test_a_channel_that_nobody_knows_is_told_before_anything_is_bought() -> None:
    with pytest.raises(UsageError, match="knows no channel"):
        check_hook("nonsense://x")


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as a message needs; the text goes to the server's ``mails``."""

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.upper().partition(" ")[0]
            if word == "DATA":
                self._say("354 go on")
                mail = b""
                while (more := self.rfile.readline()) != b".\r\n":
                    mail += more
                self.server.mails.append(mail)  # type: ignore[attr-defined]
            self._say({"QUIT": "221 bye"}.get(word, "250 well"))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def test_a_mail_was_one_line_and_what_the_service_said_was_html_in_it() -> None:
    """A mail reader shows the HTML part, where the ends of lines are blanks: the message in the morning was one heap."""
    text = "m has stopped\nwhy: <b>no</b> & so on\n→ to go on: batchedit run outputs/m"
    with socketserver.TCPServer(("127.0.0.1", 0), _Mailbox) as box:
        box.mails = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=box.serve_forever, daemon=True)
        thread.start()
        url = f"mailto://127.0.0.1:{box.server_address[1]}?from=a@lab.example&to=b@lab.example"
        problems = [
            notify(address, build_notice("m", None, text, "stopped")) for address in (url, f"{url}&format=html")
        ]
        box.shutdown()
        thread.join()
        mails = [email.message_from_bytes(mail) for mail in box.mails]  # type: ignore[attr-defined]
    assert problems == ["", ""]
    assert [mail.get_content_type() for mail in mails] == ["text/plain", "multipart/alternative"]
    plain, html = (_part(mail, kind) for mail, kind in zip(mails, ("text/plain", "text/html"), strict=True))
    assert [line.strip() for line in plain.splitlines()] == text.splitlines()
    assert html.count("<br/>") == 2
    assert "<b>" not in html


def _part(mail: Message, kind: str) -> str:
    part = next(part for part in mail.walk() if part.get_content_type() == kind)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()
