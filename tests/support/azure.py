"""Azure Blob Storage on 127.0.0.1: the calls that obstore makes, answered as Azurite answers them, Microsoft's own emulator.

Azurite comes by npm alone, which no other test needs. ``BATCHEDIT_TEST_AZURITE=http://127.0.0.1:10000/devstoreaccount1`` runs
the tests against one that listens. Both know the account and the key that Microsoft has printed for emulators.

Who asks is known as Azure knows them: by a signature with the account's key (SharedKey), or by a shared access signature,
whose rights are in it. Its letters: r reads, l lists, c writes what is not there, w overwrites too.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

import obstore
from obstore.store import AzureStore

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "ads-of-spring"
GIVEN = "BATCHEDIT_TEST_AZURITE"
VERSION = "2023-11-03"
PAGE = 2
"""Names that one answer to a list has: Azure's has 5000."""
_SIGNED = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
]
_SAS = [
    "sp",
    "st",
    "se",
    "canonical",
    "si",
    "sip",
    "spr",
    "sv",
    "sr",
    "snapshot",
    "ses",
    "rscc",
    "rscd",
    "rsce",
    "rscl",
    "rsct",
]


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def _hmac(text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()


def shared_key(method: str, target: str, headers: Mapping[str, str]) -> str:
    """The header Authorization of a request, whose headers have small letters."""
    parts = urlsplit(target)
    signed_headers = [headers.get(name, "") for name in _SIGNED]
    signed_headers[2] = "" if signed_headers[2] == "0" else signed_headers[2]
    ours = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    query = "".join(f"\n{name}:{text}" for name, text in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    signature = _hmac("\n".join([method, *signed_headers, ours]) + f"/{ACCOUNT}{parts.path}{query}")
    return f"SharedKey {ACCOUNT}:{signature}"


def access_signature(rights: str) -> str:
    """What a person is given who may do only this in the container, until 2040."""
    parameters = {"sp": rights, "se": "2040-01-01T00:00:00Z", "sv": VERSION, "sr": "c"}
    return urlencode(parameters | {"sig": _sas_signature(parameters)})


def _sas_signature(parameters: Mapping[str, str]) -> str:
    canonical = {"canonical": f"/blob/{ACCOUNT}/{CONTAINER}"}
    return _hmac("\n".join((parameters | canonical).get(name, "") for name in _SAS))


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Stored(NamedTuple):
    content: bytes
    headers: Mapping[str, str]


@dataclass
class Azure:
    """``url`` has the account after the host, as an emulator's has."""

    url: str

    def environment(self, rights: str = "") -> dict[str, str]:
        """What a command needs: the account's key, or a signature for these rights."""
        keys = {"AZURE_STORAGE_SAS_TOKEN": access_signature(rights)} if rights else {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        return {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ENDPOINT": self.url} | keys

    def client(self) -> AzureStore:
        """The container, read by the tests without the program."""
        return AzureStore(
            CONTAINER, account_name=ACCOUNT, account_key=KEY, endpoint=self.url, client_options={"allow_http": True}
        )

    def keys(self, prefix: str) -> dict[str, int]:
        """The names below ``prefix``, with their bytes."""
        return {entry["path"]: entry["size"] for page in obstore.list(self.client(), prefix) for entry in page}

    def make_container(self) -> None:
        """Harmless where it is."""
        parts = urlsplit(self.url)
        target = f"{parts.path}/{CONTAINER}?restype=container"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, "content-length": "0"}
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request("PUT", target, headers=headers | {"authorization": shared_key("PUT", target, headers)})
        status = connection.getresponse().status
        connection.close()
        assert status in {201, 409}, status


@dataclass
class _Service:
    """The service that answers where no emulator was given."""

    containers: dict[str, dict[str, Stored]] = field(default_factory=dict)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        _, account, container, *rest = parts.path.split("/")
        key = unquote("/".join(rest))
        rights = _rights(method, target, headers, query)
        if account != ACCOUNT or rights is None:
            return _error(
                403,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the value of the Authorization header is formed "
                "correctly including the signature.",
            )
        if method == "PUT" and query.get("restype") == "container":
            self.containers.setdefault(container, {})
            return Answer(201)
        if container not in self.containers:
            return _error(404, "ContainerNotFound", "The specified container does not exist.")
        blobs = self.containers[container]
        if method == "PUT":
            return self._put(blobs, key, headers, body, rights)
        if query.get("comp") == "list":
            return _list(blobs, query) if "l" in rights else _NO_RIGHT
        if "r" not in rights:
            return _NO_RIGHT
        if key not in blobs:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        return Answer(200, blobs[key].content, blobs[key].headers)

    def _put(self, blobs: dict[str, Stored], key: str, headers: Mapping[str, str], body: bytes, rights: str) -> Answer:
        assert headers["x-ms-blob-type"] == "BlockBlob", headers
        with self.writing:
            if "w" not in rights and ("c" not in rights or key in blobs):
                return _NO_RIGHT
            if key in blobs and headers.get("if-none-match") == "*":
                return _error(409, "BlobAlreadyExists", "The specified blob already exists.")
            now = formatdate(usegmt=True)
            about = {name: text for name, text in headers.items() if name.startswith("x-ms-meta-")}
            about |= {"Content-Type": headers.get("x-ms-blob-content-type", "application/octet-stream")}
            about |= {"ETag": f'"0x{abs(hash((key, body))):X}"', "Last-Modified": now, "x-ms-blob-type": "BlockBlob"}
            blobs[key] = Stored(body, about)
            return Answer(201, b"", {"ETag": about["ETag"], "Last-Modified": now})


def _rights(method: str, target: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """None for who is not known."""
    if "sig" in query:
        good = hmac.compare_digest(query["sig"], _sas_signature({name: query[name] for name in _SAS if name in query}))
        return query["sp"] if good and f"/{CONTAINER}" in target else None
    return (
        "rlcw" if hmac.compare_digest(headers.get("authorization", ""), shared_key(method, target, headers)) else None
    )


def _list(blobs: Mapping[str, Stored], query: Mapping[str, str]) -> Answer:
    keys = sorted(key for key in blobs if key.startswith(query.get("prefix", "")) and key >= query.get("marker", ""))
    here, rest = keys[:PAGE], keys[PAGE:]
    blobs_xml = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>{blobs[key].headers['Last-Modified']}</Last-Modified>"
        f"<Etag>{blobs[key].headers['ETag'][1:-1]}</Etag><Content-Length>{len(blobs[key].content)}</Content-Length>"
        f"<Content-Type>{blobs[key].headers['Content-Type']}</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for key in here
    )
    more = f"<NextMarker>{escape(rest[0])}</NextMarker>" if rest else "<NextMarker/>"
    return Answer(
        200,
        f"{_XML}<EnumerationResults><Prefix/><Blobs>{blobs_xml}</Blobs>{more}</EnumerationResults>".encode(),
    )


def _error(status: int, code: str, message: str) -> Answer:
    error_xml = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, f"{_XML}{error_xml}".encode(), {"x-ms-error-code": code})


_NO_RIGHT = _error(
    403,
    "AuthorizationPermissionMismatch",
    "This request is not authorized to perform this operation using this permission.",
)


@contextmanager
def azure() -> Iterator[Azure]:
    """A container at an emulator that was given, or here."""
    if given_url := os.environ.get(GIVEN):
        here = Azure(given_url.rstrip("/"))
        here.make_container()
        yield here
        return
    service = _Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): text for name, text in self.headers.items()}
            answer = service.answer(self.command, self.path, headers, body)
            self.send_response(answer.status)
            for name, text in ({"Content-Type": "application/xml"} | dict(answer.headers)).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)

        do_GET = do_HEAD = do_PUT  # noqa: N815 - the names are the library's

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True  # who keeps a connection open may not keep the tests open
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            here = Azure(f"http://127.0.0.1:{server.server_port}/{ACCOUNT}")
            here.make_container()
            yield here
        finally:
            server.shutdown()
            thread.join()
