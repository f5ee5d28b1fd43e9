r"""What a sheet or the service says never reaches the terminal raw.

On the first edition ``\x1b[2J`` in a prompt cleared the screen above the question, ``\x1b]0;`` named the window, and
``\nBuy 0 pictures?`` was a line that looked like ours.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchedit.core.safe_text import as_lines, escape_controls, escape_json_controls, to_one_line
from batchedit.sandbox import SandboxConfig, serve
from tests.e2e.test_terminal import run_at_terminal
from tests.support.cli import make_env

COMMAND = [sys.executable, "-m", "batchedit"]
CONTROLS = "".join(map(chr, [*range(1, 9), 11, 12, *range(14, 32), *range(127, 160)]))
MARKS = (
    "\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
FORGED = "Buy 0 pictures for free? [y/N]:"
NASTY = f"\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x9b31m\u202eabc\u2066\r\n{FORGED}\r\x7f\x85\u2028{FORGED}"
"""Clears the screen, goes home, names the window, colours, turns the reading order, and begins lines of its own."""


def find_raw_controls(screen: str) -> set[str]:
    """What must not be on a screen. A carriage return is taken as the terminal's own line end or the bar's way back."""
    return set(re.sub(r"[\r\n]", "", screen)) & set(CONTROLS + MARKS)


def find_forged_lines(screen: str) -> list[str]:
    """The lines that begin as a line of ours would."""
    return [line for line in re.split(r"[\r\n\x85\u2028\u2029]", screen) if line.strip().startswith(FORGED)]


def check_screen(screen: str) -> None:
    assert not find_raw_controls(screen), (sorted(find_raw_controls(screen)), screen)
    assert not find_forged_lines(screen), screen


def write_sheet(folder: Path, image: str = "https://images.example.com/a.png", *, header: str = f"note{NASTY}") -> str:
    """A CSV with planted sequences in its name, header, ids and prompts."""
    name = "m\x1b[31m\u202e.csv"
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "image", "prompt", header])
        table.writerow([f"sku{NASTY}", image, f"an ad{NASTY}", NASTY])
        table.writerow(["sku-2", image, f"another ad \x1b[8m{CONTROLS}{MARKS}", ""])
    return name


def make_answer_handler(status: int, payload: dict[str, object]) -> type[BaseHTTPRequestHandler]:
    """A service that answers each submit with ``payload``."""

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self, code: int, payload: object) -> None:
            body = json.dumps(payload).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._reply(status, payload)

        def do_GET(self) -> None:
            self._reply(404, {"error_code": 404001, "message": f"no such request{NASTY}", "detail": NASTY})

        def log_message(self, *_: object) -> None: ...

    return Service


@contextmanager
def service(status: int, payload: dict[str, object]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_answer_handler(status, payload))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_at(*arguments: str, cwd: Path) -> tuple[str, int]:
    return run_at_terminal(list(arguments), cwd)


@pytest.mark.parametrize("letter", [*CONTROLS, *MARKS, "\r", "\t", "\U000e0041", "\ud800"], ids=ascii)
def test_each_mark_is_shown_as_its_number(letter: str) -> None:
    number = letter.encode("unicode_escape").decode()
    assert escape_controls(f"a{letter}b\n") == f"a{number}b\n"
    assert json.loads(escape_json_controls(f'"a{letter}b"') if letter > "\x1f" else '"a"') in (f"a{letter}b", "a")


def test_print_stays_as_it_is() -> None:
    text = "Crème brûlée à 5\xa0€, 日本\u3000語, עברית, 🎂 → ×"
    assert escape_controls(text) == escape_json_controls(text) == text
    assert to_one_line("a\nb") == r"a\nb"
    assert as_lines(["a\nb", "c"]) == "a\\nb\nc"


def test_a_planted_sheet_is_planned_and_asked_about(tmp_path: Path) -> None:
    """A prompt's ``\x1b[2J`` wiped the plan off the screen right above the question."""
    name = write_sheet(tmp_path)
    screen, code = run_at("plan", name, "--sandbox", cwd=tmp_path)
    check_screen(screen)
    assert (code, r"\x1b[2J" in screen, r"\u202e" in screen) == (0, True, True), screen
    with serve(SandboxConfig(latency="0.1", plain_files=4_000)) as sandbox:
        arguments = ["run", name, "--base-url", sandbox.url, "--out", "out", "--verbose"]
        screen, code = run_at_terminal(arguments, tmp_path, ("Buy 2 pictures for about $0.08?", "y\n"))
        check_screen(screen)
        assert (code, sandbox.ledger()["accepted"]) == (0, 2), screen
        assert "2/2 done" in screen  # the bar is still drawn
        assert "\r" in screen.replace("\r\n", "\n"), screen  # and goes back to the start of its line
    for command in ("status", "audit", "results", "config"):
        screen, code = run_at(command, "out", cwd=tmp_path)
        check_screen(screen)
        assert code == 0, screen


def test_invalid_rows_of_a_planted_sheet_are_listed(tmp_path: Path) -> None:
    for image, header in (
        (f"file://x{NASTY}", "note"),
        (f"http://{NASTY}/a.png", "prompt "),
        (NASTY, f"prompt{NASTY}"),
    ):
        screen, code = run_at("plan", write_sheet(tmp_path, image, header=header), "--sandbox", cwd=tmp_path)
        check_screen(screen)
        assert code == 65, screen


@pytest.mark.parametrize(
    ("status", "payload", "code"),
    [
        (400, {"error_code": 400001, "message": f"bad{NASTY}", "detail": NASTY}, None),
        (422, {"error_code": 422001, "detail": [{"loc": ["body", f"image{NASTY}"], "msg": f"bad{NASTY}"}]}, None),
        (500, {"error_code": 500001, "message": f"broken{NASTY}", "detail": NASTY}, 76),
        (401, {"error_code": 401001, "message": f"who{NASTY}"}, 77),
    ],
)
def test_what_the_service_says_is_text(
    tmp_path: Path, status: int, payload: dict[str, object], code: int | None
) -> None:
    name = write_sheet(tmp_path)
    with service(status, payload) as url:
        run = ("run", name, "--yes", "--base-url", url, "--out", "out", "--stuck-after", "1", "--verbose")
        screen, exit_code = run_at(*run, cwd=tmp_path)
        check_screen(screen)
        assert code in (None, exit_code), screen
        assert "owned" in screen, screen
        for command in ("status", "doubt", "audit"):
            screen, _ = run_at(command, "out", cwd=tmp_path)
            check_screen(screen)


def test_log_json_is_still_json(tmp_path: Path) -> None:
    """An id goes into the log with the very letters that it has, and none of them steers the terminal."""
    request_id = f"r/1{NASTY}"
    with service(200, {"request_id": request_id}) as url:
        completed = subprocess.run(
            [*COMMAND, "run", write_sheet(tmp_path), "--yes", "--base-url", url, "--log-json", "--stuck-after", "1"],
            cwd=tmp_path,
            env=make_env(),
            capture_output=True,
            check=False,
        )
    check_screen(completed.stderr.decode())
    lines = [json.loads(line) for line in completed.stderr.decode().split("\n") if line.startswith("{")]
    assert request_id in {line.get("request_id") for line in lines}, completed.stderr
    for command in ("status", "audit"):
        check_screen(run_at(command, "outputs/" + next((tmp_path / "outputs").iterdir()).name, cwd=tmp_path)[0])


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_an_argument_with_a_sequence_is_refused_as_text(tmp_path: Path, encoding: str) -> None:
    """Under an ASCII locale click wrote to the bytes below the stream, and so around what guards it."""
    name = write_sheet(tmp_path)
    for arguments in (["status", f"no{NASTY}"], ["plan", f"no{NASTY}.csv"], ["plan", "x.csv", f"--no{NASTY}"]):
        completed = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=make_env(PYTHONIOENCODING=encoding),
            capture_output=True,
            check=False,
        )
        assert completed.returncode in {64, 66}, completed.stderr
        assert not find_raw_controls(completed.stderr.decode(encoding)), completed.stderr
    planned = subprocess.run(
        [*COMMAND, "plan", name, "--sandbox"],
        cwd=tmp_path,
        env=make_env(PYTHONIOENCODING=encoding),
        capture_output=True,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    check_screen((planned.stdout + planned.stderr).decode(encoding))
