"""A socket between a worker and its PostgreSQL that can lose the answer to a COMMIT."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path


class Proxy:
    """Listens at ``url``; hands everything on to the server of ``target`` until it is told to ``lose`` answers."""

    def __init__(self, target: str) -> None:
        before, _, host = target.partition("host=")
        self._folder = Path(tempfile.mkdtemp(prefix="bpx", dir="/tmp"))
        self.url = f"{before}host={self._folder}"
        self._server = f"{host}/.s.PGSQL.5432"
        self._words, self._left, self.lost = b"", 0, 0
        self.admits = True
        """False: who is connected stays so, and nobody else is let in."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / ".s.PGSQL.5432"))
        self._listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, words: str, times: int = 1) -> None:
        """Of the next ``times`` statements that hold ``words`` the answers are lost, and their connections with them."""
        self._words, self._left = words.encode(), times

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.admits:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:  # the server is away: so is this
                server.close()
                client.close()
                continue
            doomed = threading.Event()
            for one, other, watches in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(one, other, doomed, watches), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, doomed: threading.Event, watches: bool) -> None:
        try:
            while data := source.recv(65536):
                if watches and self._left and self._words in data:
                    self._left -= 1
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

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
