"""Runs the app: uvicorn in a thread, bound to loopback, started and stopped within a fraction of a second."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchedit.sandbox.app import Endpoints, create_app
from batchedit.sandbox.config import SandboxConfig

_T = TypeVar("_T")
HOST, HOST_6 = "127.0.0.1", "::1"


class _Protocol(H11Protocol):
    """Gives the application access to the connection, as `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        # asyncio does this only where the listening socket was made with an explicit protocol number, which
        # `socket.create_server` does not do; without it Nagle and delayed ACKs add 40 ms to every answer.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """uvicorn's server with an event that is set once it listens."""

    def __init__(self, app: Starlette, config: SandboxConfig) -> None:
        settings = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_keep_alive=config.keep_alive,
        )
        super().__init__(settings)
        self.listening = threading.Event()
        self._stop_requested = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait for the stop event instead of polling ten times a second as uvicorn does; tick for the Date header."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop_requested.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down at once: cut connections, or one that a fault keeps hanging would keep the server running."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await self._accept_the_rest()
        for listener in self.servers:
            listener.close()
        for listening_socket in sockets or []:
            listening_socket.close()
        self._cut_connections()
        if self.server_state.tasks:
            _, late = await asyncio.wait(self.server_state.tasks, timeout=0.3)
            for task in late:
                task.cancel()

    async def _accept_the_rest(self) -> None:
        """Wait for connections in the making: asyncio never closes one whose listener closes meanwhile."""
        while connecting := asyncio.all_tasks() - self.server_state.tasks - {asyncio.current_task()}:
            await asyncio.wait(connecting)

    def stop(self) -> None:
        self.should_exit = True
        self._stop_requested.set()

    def _cut_connections(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def _listen_at_both(listener: socket.socket) -> list[socket.socket]:
    """Add a listener at the same port of ``::1``, if that is free: ``localhost`` may be either address."""
    with suppress(OSError):
        port = listener.getsockname()[1]
        return [listener, socket.create_server((HOST_6, port), family=socket.AF_INET6, backlog=2048)]
    return [listener]


class RunningSandbox:
    """A sandbox that listens. Every method may be called from any thread.

    OSError if the port is not available, StateError (an OSError, too) if the state file is not.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self._socket = socket.create_server((HOST, config.port), backlog=2048)
        try:
            app = create_app(config)
        except BaseException:
            self._socket.close()
            raise
        self._sockets = _listen_at_both(self._socket)
        self.addresses = [str(listener.getsockname()[0]) for listener in self._sockets]
        """The addresses it listens at, 127.0.0.1 first."""
        self._endpoints: Endpoints = app.state.endpoints
        self._server = _Server(app, config)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._thread.start()
        if not self._server.listening.wait(10):
            raise RuntimeError("the sandbox did not start within 10 s")

    @property
    def listens(self) -> bool:
        """True while the server runs."""
        return self._thread.is_alive()

    def ledger(self, *, full: bool = False) -> dict[str, Any]:
        """The answer of `GET /_sandbox/ledger`, without a call; it can still be read after `close()`."""
        return self._run_in_loop(lambda: self._endpoints.report(full=full))

    def set_faults(self, faults: list[str] | tuple[str, ...]) -> None:
        """Replace the fault plan; ValueError for a rule that is not one."""
        self._run_in_loop(lambda: self._endpoints.set_faults(list(faults)))

    def renew_token(self, token: str) -> None:
        """Expire the current token: from now on the account accepts ``token``."""
        self._run_in_loop(lambda: self._endpoints.service.renew_token(token))

    def close(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop may end between the check and the call
                self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(5)
        self._endpoints.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=self._sockets)

    def _run_in_loop(self, function: Callable[[], _T]) -> _T:
        """Run in the server's thread, as all other access to the ledger; in this thread once that has ended."""
        if self._loop is None or not self._thread.is_alive():
            return function()

        async def call() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)


@contextmanager
def serve(config: SandboxConfig | None = None) -> Iterator[RunningSandbox]:
    """A sandbox on a free port of 127.0.0.1 for as long as the block lasts."""
    sandbox = RunningSandbox(config or SandboxConfig())
    try:
        yield sandbox
    finally:
        sandbox.close()
