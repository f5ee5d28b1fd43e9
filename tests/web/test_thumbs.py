"""Thumbnails that the server makes when somebody looks: in a process of its own, which a picture may end."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import httpx
from PIL import Image

from batchedit.commands.thumbnails_on_demand import make_placeholder
from batchedit.run_folder import RunFolder
from batchedit.web.run_folders import run_id
from tests.support.finished_run import Showroom, picture
from tests.support.ui import Ui, browsing


def makers(ui: Ui) -> list[int]:
    """The processes of this server that make pictures small."""
    children = Path(f"/proc/{ui.process.pid}/task/{ui.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"to_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_picture_that_ended_what_makes_it_small_is_shown_as_none_and_the_server_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    Image.effect_noise((5000, 4000), 90).convert("RGB").save(source, compress_level=1)
    room = Showroom(RunFolder(tmp_path / "outputs" / "night"))
    room.row("A", image=str(source))
    checkpoint = room.open()
    room.done(checkpoint, checkpoint.records("1")[0], picture(1, (120, 120)))
    checkpoint.close()
    with browsing(tmp_path) as ui:
        at = f"runs/{run_id(tmp_path / 'outputs' / 'night')}/review"
        address = f"{at}/thumbs/1/s0-large.jpg"
        assert makers(ui) == []
        responses: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: responses.append(ui.http.get(address)))
        asking.start()
        end = time.monotonic() + 60
        while not (pids := makers(ui)):
            assert time.monotonic() < end
            time.sleep(0.005)
        os.kill(pids[0], signal.SIGKILL)
        asking.join()
        assert (responses[0].status_code, responses[0].content) == (200, make_placeholder())
        assert responses[0].headers["cache-control"] == "no-store"

        again = ui.http.get(address)
        assert (again.status_code, again.headers["content-type"]) == (200, "image/jpeg")
        assert again.content != make_placeholder()
        assert ui.http.get(f"{at}/api/pictures").json()["pictures"] == 1
