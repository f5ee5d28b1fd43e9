"""The vendors behind ``--notify`` on 127.0.0.1: a proxy that ends TLS itself, keeps what came and answers as they do."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import trustme

SLACK_HOOKS, SLACK, SLACK_FILES = "hooks.slack.com", "slack.com", "files.slack.com"
TEAMS, TELEGRAM = "prod-01.westeurope.logic.azure.com", "api.telegram.org"
_HOSTS = (SLACK_HOOKS, SLACK, SLACK_FILES, TEAMS, TELEGRAM)


@dataclass(frozen=True)
class VendorRequest:
    """One request as it came out of TLS."""

    host: str
    path: str
    query: str
    kind: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def parts(self) -> dict[str, tuple[str | None, bytes]]:
        """The fields of a form: the file's name, where it is one, and the content."""
        form = message_from_bytes(f"Content-Type: {self.kind}\r\n\r\n".encode() + self.body)
        assert form.is_multipart(), self.kind
        return {
            str(part.get_param("name", header="content-disposition")): (
                part.get_filename(),
                cast("bytes", part.get_payload(decode=True)),
            )
            for part in cast("list[Any]", form.get_payload())
        }


@dataclass
class Vendors:
    """``refuses`` has by the end of a path what is answered there instead, a status and a body."""

    proxy: str
    authority: Path
    received: list[VendorRequest] = field(default_factory=list)
    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a program here: the proxy, and whose certificates are good (requests, then httpx)."""
        return {
            "HTTPS_PROXY": self.proxy,
            "REQUESTS_CA_BUNDLE": str(self.authority),
            "SSL_CERT_FILE": str(self.authority),
        }

    def answer(self, request: VendorRequest) -> tuple[int, bytes]:
        refusal = next((content for end, content in self.refuses.items() if request.path.endswith(end)), None)
        status, content = refusal or (202 if request.host == TEAMS else 200, _make_success(request, len(self.received)))
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()


def _make_success(request: VendorRequest, count: int) -> Any:
    if request.host == SLACK_HOOKS:
        return b"ok"
    if request.host == TEAMS:
        return b""
    if request.host == SLACK_FILES:
        return f"OK - {len(request.body)}".encode()
    if request.host == TELEGRAM:
        return {"ok": True, "result": {"message_id": count, "chat": {"id": 987654321, "type": "private"}}}
    return {
        "/api/chat.postMessage": {"ok": True, "channel": "C0123456789", "ts": "1503435956.000247"},
        "/api/files.getUploadURLExternal": {
            "ok": True,
            "upload_url": f"https://{SLACK_FILES}/upload/v1/{count}",
            "file_id": f"F{count}",
        },
        "/api/files.completeUploadExternal": {"ok": True, "files": [{"id": "F0", "title": "a picture"}]},
    }[request.path]


@contextmanager
def run_vendors(folder: Path) -> Iterator[Vendors]:
    """They listen; the certificate of their authority lies in ``folder``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*_HOSTS).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "authority.pem")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.host = self.path.removesuffix(":443")
            if self.host not in _HOSTS:
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = VendorRequest(self.host, parts.path, parts.query, self.headers.get("Content-Type", ""), body)
            here.received.append(request)
            status, content = here.answer(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = False  # closing waits for them
        here = Vendors(f"http://127.0.0.1:{server.server_port}", folder / "authority.pem")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
