"""What PgBouncer does in transaction mode: a client's next transaction is another server process's.

PgBouncer does so where somebody else has taken the process meanwhile; here it is so each time.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from tests.support.door import Door

READY = b"Z\0\0\0\5I"
"""The server has no transaction open."""


class Pooler(Door):
    """``handed`` counts the changes of process."""

    def __init__(self, target: str) -> None:
        self.handed = 0
        super().__init__(target)

    def serve(self, client: socket.socket) -> None:
        """Each transaction by the other of two server processes."""
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(client)
            first_server, second_server = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
            hello = client.recv(65536)
            for server in (first_server, second_server):
                server.connect(self.server)
                server.sendall(hello)
            second_messages = _messages(second_server)
            while next(second_messages, READY) != READY:
                pass
            self._hand_on(client, (first_server, _messages(first_server)), (second_server, second_messages))

    def _hand_on(self, client: socket.socket, *servers: tuple[socket.socket, Iterator[bytes]]) -> None:
        turn = 0
        while True:
            server, messages = servers[turn]
            speaks, _, _ = select.select([client, server], [], [])
            if client in speaks:
                if not (data := client.recv(65536)):
                    return
                server.sendall(data)
            else:
                if not (message := next(messages, b"")):
                    return
                client.sendall(message)
                if message == READY:
                    turn, self.handed = 1 - turn, self.handed + 1


def _messages(server: socket.socket) -> Iterator[bytes]:
    """The messages of ``server`` until it hangs up. It reads no further than the end of each."""
    while head := server.recv(5, socket.MSG_WAITALL):
        length = int.from_bytes(head[1:], "big") - 4
        yield head + (server.recv(length, socket.MSG_WAITALL) if length else b"")
