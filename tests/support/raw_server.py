"""A server that does to a socket exactly what a test scripts, byte for byte: a witness that knows no HTTP library.

A script is a list of replies, one for each request in order of arrival (the last one repeats). A reply is bytes, sent
as they are and then kept open, or a callable that gets the connection's socket and the request and does what it likes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson
import pytest


@dataclass(frozen=True)
class Request:
    """A request that arrived. ``connection`` is the number of the connection that it came on, from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class RawServer:
    """Threads and sockets, so that it serves asyncio and trio alike."""

    script: list[bytes | Callable[[socket.socket, Request], None]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._spawn(self._accept)

    # --- replies --------------------------------------------------------------------------------

    @staticmethod
    def http(status: int, body: bytes = b"", **headers: str) -> bytes:
        """A whole reply; ``content_length="5"`` overrides the true one."""
        all_headers = {"content-type": "application/json", "content-length": str(len(body))}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items() if value != "none")
        return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body

    @classmethod
    def json(cls, payload: object, status: int = 200, **headers: str) -> bytes:
        return cls.http(status, orjson.dumps(payload), **headers)

    @staticmethod
    def close(connection: socket.socket, request: Request) -> None:
        """FIN, without a byte."""
        connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def reset(connection: socket.socket, request: Request) -> None:
        """RST, without a byte."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def hang(self, connection: socket.socket, request: Request) -> None:
        self._stop.wait(20)

    @staticmethod
    def then_close(data: bytes) -> Callable[[socket.socket, Request], None]:
        """These bytes, then FIN."""

        def act(connection: socket.socket, request: Request) -> None:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_RDWR)

        return act

    # --- the server -----------------------------------------------------------------------------

    def stop(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._open.add(connection)
            self._spawn(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            while (request := self._read(connection, number)) is not None:
                with self._lock:
                    reply = self.script[min(len(self.requests), len(self.script) - 1)]
                    self.requests.append(request)
                    self.at_once += 1
                    self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    connection.sendall(reply) if isinstance(reply, bytes) else reply(connection, request)
                finally:
                    with self._lock:
                        self.at_once -= 1
        with self._lock:
            self._open.discard(connection)

    @staticmethod
    def _read(connection: socket.socket, number: int) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            if not (more := connection.recv(65536)):
                return None
            body += more
        method, target, _ = first.split(" ")
        return Request(method, target, headers, body, number)


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Fill ``server.script`` and talk to ``server.url``."""
    running = RawServer()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def other_server() -> Iterator[RawServer]:
    """Another origin."""
    running = RawServer()
    try:
        yield running
    finally:
        running.stop()
