"""What ``--notify`` sends: started, the canary waits, stopped and why, finished; an exception too, and never the address."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

from batchedit.commands.thumbnails_on_demand import read_first_pictures
from batchedit.sandbox import SandboxConfig, serve
from tests.e2e.test_terminal import run_at_terminal
from tests.support.cli import make_env, manifest, on, run_cli

QUICK = SandboxConfig(latency="0", plain_files=2_000)


@contextmanager
def hook(scheme: str = "http", most: int = 10_000_000) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Messages of more than ``most`` bytes are refused."""
    received: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) <= most:
                received.append(json.loads(body))
            self.send_response(200 if len(body) <= most else 413)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.server_port}/secret", received
        finally:
            server.shutdown()
            thread.join()


def test_a_run_says_that_it_started_and_why_it_stopped_and_what_to_do(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with hook() as (url, received), serve(QUICK) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", "0.05", "--notify", url), cwd=tmp_path, code=75)
        start_message, stop_message = received
        assert [message["event"] for message in received] == ["started", "stopped"]
        assert start_message["text"].splitlines() == [
            "m has started: 3 pictures for about $0.12",
            "→ to see how it goes: batchedit status outputs/m --watch",
        ]
        assert stop_message["text"].startswith("m has stopped: 1 of 3 pictures, $0.04 spent\nwhy: ")
        assert "→ its --max-cost is reached; to go on: batchedit run outputs/m --max-cost 0.12" in stop_message["text"]
        assert stop_message["report"]["jobs"] == {"done": 1, "planned": 2}
        run_cli("run", "outputs/m", "--max-cost", "1", "--yes", "--notify", url, cwd=tmp_path)
        assert [message["event"] for message in received] == ["started", "stopped", "started", "finished"]
        assert received[-1]["text"].startswith("m is finished: 3 of 3 pictures, $0.12 spent\n")
        assert "→ to look at them: batchedit review outputs/m" in received[-1]["text"]
        assert "secret" not in json.dumps(received)


def test_what_ends_a_command_before_it_begins_is_told_too(tmp_path: Path) -> None:
    """A night's run that found no token was silence in the morning."""
    manifest(tmp_path / "m.csv", 3)
    nobody = make_env()
    del nobody["RUNCOMFY_API_TOKEN"]
    with hook() as (url, received):
        run_cli("run", "m.csv", "--yes", "--notify", url, cwd=tmp_path, env=nobody, code=77)
    (message,) = received
    assert (message["event"], message["run"], message["report"]) == ("stopped", "m", None)
    assert message["text"].startswith("m has stopped\nwhy: ")
    assert "\n→ " in message["text"]


def test_play_money_is_labelled_in_a_message(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with hook() as (url, received):
        run_cli("run", "m.csv", "--sandbox", "--notify", url, cwd=tmp_path)
    sums = [line for message in received for line in message["text"].splitlines() if "$" in line]
    assert len(sums) == 2
    assert all("(play money)" in line for line in sums)


def test_a_canary_that_waits_for_its_answer_is_told(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    with hook() as (url, received), serve(QUICK) as sandbox:
        dialogue = (("Buy 2 first", "y\n"), ("Buy the other 3", "n\n"))
        arguments = ["run", "m.csv", "--base-url", sandbox.url, "--canary", "2", "--notify", url]
        screen, code = run_at_terminal(arguments, tmp_path, *dialogue)
    assert code == 64, screen
    assert [message["event"] for message in received][:2] == ["started", "canary_waiting"]
    assert "The other 3 wait for your yes for about $0.12." in received[1]["text"]
    assert "→ look at them: " in received[1]["text"]


def test_the_first_pictures_come_along_in_the_morning_where_the_channel_takes_them(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    with hook("json") as (url, received):
        run_cli("run", "m.csv", "--sandbox", "--notify", url, cwd=tmp_path)
    start_message, end_message = received
    assert not start_message["attachments"]
    pictures = [base64.b64decode(sent["base64"]) for sent in end_message["attachments"]]
    assert len(pictures) == 3
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as opened:
            opened.load()
    assert {sent["filename"] for sent in end_message["attachments"]} <= {
        f"{path.stem}.jpg" for path in list_files(tmp_path)
    }


def test_a_channel_that_refuses_pictures_gets_the_words(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    with hook("json", most=5_000) as (url, received):
        run_cli("run", "m.csv", "--sandbox", "--notify", url, cwd=tmp_path)
    assert [bool(message["attachments"]) for message in received] == [False, False]
    assert "2 of 2 pictures" in received[-1]["message"]


def test_a_file_that_took_the_place_of_a_picture_is_not_sent(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    run_cli("run", "m.csv", "--sandbox", cwd=tmp_path)
    first, second, third = list_files(tmp_path)
    Image.new("RGB", (9, 9)).save(first)
    second.unlink()
    second.symlink_to(third)
    assert [name for name, _, _ in read_first_pictures(tmp_path / "outputs" / "m")] == [f"{third.stem}.jpg"]


def list_files(folder: Path) -> list[Path]:
    return sorted((folder / "outputs" / "m" / "files").iterdir())


def test_a_second_notify_silenced_the_first(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 1)
    with hook() as (first, first_received), hook() as (second, second_received), serve(QUICK) as sandbox:
        both = ("--notify", first, "--notify", second, "--notify", first)
        run_cli("run", "m.csv", *on(sandbox, *both), cwd=tmp_path)
        assert [[message["event"] for message in received] for received in (first_received, second_received)] == [
            ["started", "finished"]
        ] * 2
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env(BATCHEDIT_NOTIFY=f"{first}; {second}"))
        assert [len(first_received), len(second_received)] == [3, 3]
        (tmp_path / "mine.toml").write_text(f'notify = ["{first}", "{second}"]\n', encoding="utf-8")
        run_cli("run", "m.csv", *on(sandbox, "--config", "mine.toml"), cwd=tmp_path)
        assert [len(first_received), len(second_received)] == [4, 4]
        (tmp_path / "mine.toml").write_text(f'notify = "{second}"\n', encoding="utf-8")
        run_cli("run", "m.csv", *on(sandbox, "--config", "mine.toml"), cwd=tmp_path)
        assert [len(first_received), len(second_received)] == [4, 5]


def test_an_address_that_does_not_answer_leaves_the_others_told(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 1)
    with hook(most=0) as (refusing, _), hook() as (url, received), serve(QUICK) as sandbox:
        completed = run_cli("run", "m.csv", *on(sandbox, "--notify", refusing, "--notify", url), cwd=tmp_path)
    assert [message["event"] for message in received] == ["started", "finished"]
    assert "--notify, address 1 of 2: 127.0.0.1 refused the message: HTTP 413" in completed.stderr
    assert "secret" not in completed.stderr
