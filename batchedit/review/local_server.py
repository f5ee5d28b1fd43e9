"""A server for this person's browser alone: on 127.0.0.1, behind the guard, until ``end`` is called."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from ..core.errors import InterruptedRunError, UsageError
from .guard import Guard


class LocalServer(uvicorn.Server):
    """Listens on 127.0.0.1 from its construction on; ``url`` holds the token. ``run_until_done`` serves."""

    def __init__(
        self,
        app: ASGIApp,
        on_ready: Callable[[str], None],
        *,
        policy: str,
        token: Callable[[], str],
        port: int = 0,
        guest: Callable[[str], object | None] = lambda _: None,
    ) -> None:
        """UsageError if ``port`` is taken. ``port`` 0 is any free one. ``policy``, ``token`` and ``guest`` are the guard's.

        ``on_ready`` is called with the address once pages are served and Ctrl-C is handled: a person may use the address, or
        press Ctrl-C, at once, and the decisions are still reported.
        """
        try:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            raise UsageError(
                f"port {port} can't be had: {error.strerror or error}", hint="leave --port out: any free port will do"
            ) from error
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/{token()}/"
        # Connections inherit it. asyncio sets it where a socket's protocol is TCP by number, which `create_server` does not
        # say; without it Nagle and delayed ACKs add 40 ms to every answer.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._signal = 0
        self._on_ready = on_ready
        guarded = Guard(app, token=token, port=self.port, policy=policy, guest=guest)
        super().__init__(
            uvicorn.Config(
                guarded, log_level="warning", access_log=False, lifespan="off", server_header=False, ws="none",
                timeout_graceful_shutdown=2,
            )
        )  # fmt: skip

    def run_until_done(self) -> None:
        """Serve until ``end``. InterruptedRunError (130, 143) for Ctrl-C and SIGTERM."""
        try:
            self.run(sockets=[self._listener])
        finally:
            self._listener.close()
        if self._signal:
            raise InterruptedRunError(self._signal)

    def end(self) -> None:
        """Stop serving once the requests in progress are answered."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then ``on_ready`` is called."""
        await super().startup(sockets)
        self._on_ready(self.url)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but ``run_until_done`` reports the signal as an exception instead of raising it again."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._signal = number
            self.handle_exit(number, frame)

        previous = {number: signal.signal(number, on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


_SIGNALS: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
