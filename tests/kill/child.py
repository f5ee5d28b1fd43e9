"""The real command, with an observer that kills its own process: ``child.py POINT NTH run …``.

POINT is the name of a durable event: the process dies right after that event, the NTH of its kind, is on disk. So
``Reserved`` dies with the intention written and the POST not sent, ``Accepted`` with the id on disk and nothing after it.
"""

from __future__ import annotations

import os
import signal
import sys

from batchedit.cli import host as terminal
from batchedit.cli import main
from batchedit.core.lifecycle import Event
from batchedit.core.model import Record


class Killer:
    def __init__(self, point: str, nth: int) -> None:
        self.point, self.left = point, nth

    def saw(self, record: Record, event: Event) -> None:
        if type(event).__name__ == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def note(self, name: str, message: str, **details: object) -> None: ...


class Doomed(terminal.Terminal):
    def observers(self):
        return [*super().observers(), killer]


if __name__ == "__main__":
    killer = Killer(sys.argv[1], int(sys.argv[2]))
    terminal.Terminal = Doomed  # the command builds its host by this name
    sys.argv = ["batchedit", *sys.argv[3:]]
    main()
