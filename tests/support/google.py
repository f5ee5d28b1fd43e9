"""Google Cloud Storage on 127.0.0.1: a proxy that ends TLS itself and answers at Google's own addresses as its XML API does.

No server from a registry does: the emulators send no ETag with the XML API, and ask nobody who it is. So credentials are
Google's: a service account's file whose signature is verified, the file of ``gcloud auth application-default login`` whose
refresh token is exchanged, and the machine's own account at the metadata server.

Rights are as Google has them (cloud.google.com/storage/docs/access-control/iam-xml): what overwrites an object needs the
right to delete too. OWNER has all, WRITER may not delete, READER may only read and list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import trustme
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BUCKET = "ads-of-spring"
STORAGE, ACCOUNTS = "storage.googleapis.com", "accounts.google.com"
OWNER, WRITER, READER = "owner", "writer", "reader"
_RIGHTS = {
    OWNER: {"create", "get", "list", "delete"},
    WRITER: {"create", "get", "list"},
    READER: {"get", "list"},
}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_MAIL = "@ads.iam.gserviceaccount.com"
PAGE = 2
"""Names that one answer to a list has: Google's has 1000."""


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - it is never written to


@dataclass(frozen=True)
class Stored:
    """One object. ``headers`` are those that come back with it."""

    content: bytes
    generation: int
    headers: dict[str, str]

    @property
    def about(self) -> dict[str, str]:
        md5 = hashlib.md5(self.content, usedforsecurity=False)
        return self.headers | {
            "ETag": f'"{md5.hexdigest()}"',
            "x-goog-generation": str(self.generation),
            "x-goog-hash": f"md5={base64.b64encode(md5.digest()).decode()}",
            "Last-Modified": formatdate(self.generation / 1e6, usegmt=True),
        }


@dataclass
class Google:
    """``script`` answers instead of the storage, for as long as it returns something. ``exists_first``: what may not
    overwrite is told that the object exists (412), and not that it may not (403); Google's pages leave that open.
    """

    folder: Path
    proxy: str = ""
    objects: dict[str, Stored] = field(default_factory=dict)
    script: Callable[[str, str], Answer | None] = lambda _method, _key: None
    exists_first: bool = True
    grant: Answer | None = None
    """What the exchange of a refresh token is answered instead."""

    def __post_init__(self) -> None:
        self._keys = {
            name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in (OWNER, WRITER, READER)
        }
        self._generations = count(int(time.time() * 1e6))
        self._writing = threading.Lock()

    # --- what a person has ------------------------------------------------------------------------

    def environment(self, who: str = OWNER) -> dict[str, str]:
        """What a command needs to find it: a service account, as Google's own tools take it."""
        return self.way_here | {"GOOGLE_APPLICATION_CREDENTIALS": str(self.service_account(who))}

    @property
    def way_here(self) -> dict[str, str]:
        """The proxy, and whose certificates are good. HOME holds no credentials, and the machine has none."""
        return {
            "HTTPS_PROXY": self.proxy,
            "SSL_CERT_FILE": str(self.folder / "authority.pem"),
            "HOME": str(self.folder / "home"),
            "GCE_METADATA_HOST": "127.0.0.1:9",
            "GCE_METADATA_IP": "127.0.0.1:9",
        }

    def service_account(self, who: str, *, signed_by: str = "") -> Path:
        """The file that the console gives out. ``signed_by``: whose key it has, if not its own."""
        pem = self._keys[signed_by or who].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        credentials = {
            "type": "service_account",
            "project_id": "ads",
            "private_key_id": f"key-of-{who}",
            "private_key": pem.decode(),
            "client_email": f"{who}{_MAIL}",
            "client_id": "117",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        path = self.folder / f"{who}{signed_by}.json"
        path.write_text(json.dumps(credentials))
        return path

    def signed_in(self) -> dict[str, str]:
        """The environment of a person after ``gcloud auth application-default login``."""
        gcloud_folder = self.folder / "signed-in" / ".config" / "gcloud"
        gcloud_folder.mkdir(parents=True, exist_ok=True)
        credentials = {
            "type": "authorized_user",
            "client_id": "app",
            "client_secret": "hush",
            "refresh_token": "hush-hush",
        }
        (gcloud_folder / "application_default_credentials.json").write_text(json.dumps(credentials))
        return self.way_here | {"HOME": str(self.folder / "signed-in")}

    def machine(self) -> dict[str, str]:
        """The environment on a machine of Google's, which has an account of its own."""
        return self.way_here | {"GCE_METADATA_HOST": self.proxy.removeprefix("http://")}

    # --- without the program  ----------------------------------------------------------------

    def put(self, key: str, content: bytes, **headers: str) -> None:
        self.objects[key] = Stored(content, next(self._generations), headers)

    def keys(self, prefix: str) -> dict[str, int]:
        return {key: len(stored.content) for key, stored in self.objects.items() if key.startswith(prefix)}

    # --- the service ------------------------------------------------------------------------------

    def answer(self, host: str, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        if host == ACCOUNTS:
            return self._exchange(parts.path, parse_qs(body.decode()))
        bucket, _, key = parts.path.lstrip("/").partition("/")
        bucket, key = unquote(bucket), unquote(key)
        scripted = self.script(method, key)
        if scripted is not None:
            return scripted
        who = self._known(headers.get("authorization", ""))
        if who is None:
            return _error(401, "AuthenticationRequired", "Authentication required.")
        if bucket != BUCKET:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist.")
        rights = _RIGHTS[who]
        if method == "PUT":
            return self._put(key, headers, body, rights)
        if not key:
            return self._list(parse_qs(parts.query), rights)
        return self._get(method, key, rights)

    def _known(self, authorization: str) -> str | None:
        """Whose token it is: one that was given out here, or one that a service account signed itself."""
        token = authorization.removeprefix("Bearer ")
        if token.startswith("ya29."):
            return token.removeprefix("ya29.")
        try:
            message, _, signature = token.rpartition(".")
            claims = json.loads(_decoded(message.split(".")[1]))
            who = claims["iss"].removesuffix(_MAIL)
            self._keys[who].public_key().verify(
                _decoded(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError, LookupError):
            return None
        good = claims["scope"] == _SCOPE and claims["iat"] - 60 < time.time() < claims["exp"]
        return who if good else None

    def _exchange(self, path: str, form: dict[str, list[str]]) -> Answer:
        if self.grant is not None:
            return self.grant
        good = path == "/o/oauth2/token" and form["grant_type"] == ["refresh_token"]
        if not good or form["refresh_token"] != ["hush-hush"]:
            return Answer(400, b'{"error": "invalid_grant", "error_description": "Bad Request"}')
        return _token()

    def _put(self, key: str, headers: dict[str, str], body: bytes, rights: set[str]) -> Answer:
        with self._writing:
            stored = self.objects.get(key)
            expected_generation = headers.get("x-goog-if-generation-match")
            fails = expected_generation is not None and int(expected_generation) != (stored.generation if stored else 0)
            if "create" not in rights:
                return _denied("create")
            if fails and self.exists_first:
                return _error(
                    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
                )
            if stored and "delete" not in rights:
                return _denied("delete")
            if fails:
                return _error(
                    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
                )
            metadata = {name: text for name, text in headers.items() if name.startswith("x-goog-meta-")}
            metadata["Content-Type"] = headers.get("content-type", "")
            self.put(key, body, **metadata)
            about = self.objects[key].about
            return Answer(200, b"", {name: about[name] for name in ("ETag", "x-goog-generation", "x-goog-hash")})

    def _get(self, method: str, key: str, rights: set[str]) -> Answer:
        stored = self.objects.get(key)
        if "get" not in rights:
            return _denied("get")
        if stored is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        if method == "DELETE":
            if "delete" not in rights:
                return _denied("delete")
            del self.objects[key]
            return Answer(204)
        return Answer(200, stored.content, stored.about)

    def _list(self, query: dict[str, list[str]], rights: set[str]) -> Answer:
        if "list" not in rights:
            return _denied("list")
        assert query["list-type"] == ["2"], query
        (prefix,), (begin,) = query.get("prefix", [""]), query.get("continuation-token", [""])
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > begin)
        here, more = keys[:PAGE], len(keys) > PAGE
        entries_xml = "".join(_entry(key, self.objects[key]) for key in here)
        token = f"<NextContinuationToken>{escape(here[-1])}</NextContinuationToken>" if more else ""
        return Answer(
            200,
            f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(here)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries_xml}</ListBucketResult>".encode(),
        )


def _entry(key: str, stored: Stored) -> str:
    changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.generation / 1e6))
    return (
        f"<Contents><Key>{escape(key)}</Key><Generation>{stored.generation}</Generation><MetaGeneration>1</MetaGeneration>"
        f"<LastModified>{changed}</LastModified><ETag>{escape(stored.about['ETag'])}</ETag>"
        f"<Size>{len(stored.content)}</Size></Contents>"
    )


def _error(status: int, code: str, message: str) -> Answer:
    error_xml = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, error_xml.encode())


def _denied(right: str) -> Answer:
    return _error(403, "AccessDenied", f"The account does not have storage.objects.{right} access.")


def _token() -> Answer:
    return Answer(
        200, json.dumps({"access_token": f"ya29.{OWNER}", "expires_in": 3599, "token_type": "Bearer"}).encode()
    )


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def google(folder: Path) -> Iterator[Google]:
    """It listens; what a command needs to find it lies in ``folder``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(STORAGE, ACCOUNTS).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    here = Google(folder)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            self.host = self.path.removesuffix(":443")
            if self.host not in {STORAGE, ACCOUNTS}:
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): text for name, text in self.headers.items()}
            if self.host:
                answer = here.answer(self.host, self.command, self.path, headers, body)
            else:  # in plain HTTP: the metadata server, which only who names it may ask
                assert headers["metadata-flavor"] == "Google", headers
                assert self.path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"), self.path
                answer = _token()
            self.send_response(answer.status)
            for name, text in ({"Content-Type": "application/xml"} | answer.headers).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 - the names are the library's

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True  # who keeps a connection open may not keep the tests open
        here.proxy = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
