"""A socket between a worker and its PostgreSQL that can lose the answer to a COMMIT."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.support.door import Door


class Proxy(Door):
    """Passes everything on to the server, except answers that it is to ``lose``."""

    def __init__(self, target: str) -> None:
        self._text, self._losses_left, self.lost = b"", 0, 0
        self.admits = True
        """False: connected clients stay connected, and no new one is accepted."""
        super().__init__(target)

    def lose(self, text: str, times: int = 1) -> None:
        """Of the next ``times`` statements that hold ``words`` the answers are lost, and their connections with them."""
        self._text, self._losses_left = text.encode(), times

    def serve(self, client: socket.socket) -> None:
        """Both ways at once."""
        if not self.admits:
            client.close()
            return
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.server)
        except OSError:  # the server is away: so is this
            server.close()
            client.close()
            return
        doomed = threading.Event()
        for source, target, watches in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=(source, target, doomed, watches), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, doomed: threading.Event, watches: bool) -> None:
        try:
            while data := source.recv(65536):
                if watches and self._losses_left and self._text in data:
                    self._losses_left -= 1
                    doomed.set()
                elif doomed.is_set() and not watches:
                    self.lost += 1  # the server has answered, so it has committed
                    break
                target.sendall(data)
        except OSError:
            pass  # the other direction has closed it
        finally:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            source.close()
