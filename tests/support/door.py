"""A socket before a PostgreSQL: who connects to it is handed to ``serve``, which has the server's own socket."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from pathlib import Path


class Door:
    """Listens at ``url``, in a folder of its own, for the server of ``target``."""

    def __init__(self, target: str) -> None:
        before, _, host = target.partition("host=")
        self._folder = Path(tempfile.mkdtemp(prefix="bpx", dir="/tmp"))
        self.url = f"{before}host={self._folder}"
        self.server = f"{host}/.s.PGSQL.5432"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / ".s.PGSQL.5432"))
        self._listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """Until ``client`` hangs up, or is not wanted. In a thread of its own."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
