"""A service that writes the picture into its answer, or says in a word of its own that it could not make one."""

from __future__ import annotations

import csv
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.cli import manifest
from tests.support.cli import run_cli as batchedit
from tests.support.raw_server import RawServer, Request


class Service(RawServer):
    """Takes every job, and answers each look with ``ending``."""

    ending: dict[str, Any]

    def answer(self, connection: Any, request: Request) -> None:
        """Like the page, but for the ending."""
        if request.method == "POST":
            payload: dict[str, Any] = {"request_id": f"r{self.bought()}"}
        else:
            payload = {} if "/models/" in request.target else {"status": "completed", **self.ending}
        connection.sendall(self.json(payload))

    def bought(self) -> int:
        return sum(request.method == "POST" for request in self.requests)


@pytest.fixture
def service() -> Any:
    running = Service()
    running.script = [running.answer]
    try:
        yield running
    finally:
        running.stop()


def _make_png() -> bytes:
    buffer = BytesIO()
    Image.effect_noise((64, 48), 90).save(buffer, "PNG")
    return buffer.getvalue()


def _run_one_row(tmp_path: Path, service: Service, code: int | None) -> dict[str, str]:
    manifest(tmp_path / "m.csv", 1)
    options = ["--base-url", service.url, "--no-check-images", "--yes", "--stuck-after", "1", "--poll-seconds", "0.2"]
    batchedit("run", "m.csv", *options, cwd=tmp_path, code=code)
    with (tmp_path / "outputs" / "m" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return next(csv.DictReader(file))


@pytest.mark.parametrize("shape", ["data URI", "b64_json"])
def test_a_picture_inside_the_answer_was_paid_for_and_kept_nowhere(
    tmp_path: Path, service: Service, shape: str
) -> None:
    png = _make_png()
    text = b64encode(png).decode()
    output = {"image": f"data:image/png;base64,{text}"} if shape == "data URI" else {"images": [{"b64_json": text}]}
    service.ending = {"output": output}
    row = _run_one_row(tmp_path, service, code=0)
    assert row["result_status"] == "done"
    [saved] = (tmp_path / "outputs" / "m" / "files").rglob("*.png")
    assert saved.read_bytes() == png
    assert service.bought() == 1
    checkpoint = (tmp_path / "outputs" / "m" / "checkpoint.sqlite").read_bytes()
    assert text[:200].encode() not in checkpoint  # megabytes a row would be too many


def test_the_services_own_word_and_reason_did_not_reach_the_row(tmp_path: Path, service: Service) -> None:
    service.ending = {"status": "ERROR", "error": "boom"}
    row_text = " ".join(_run_one_row(tmp_path, service, code=None).values())
    assert "error" in row_text
    assert "boom" in row_text
    assert service.bought() == 1


def test_a_row_without_a_file_says_which_keys_were_there(tmp_path: Path, service: Service) -> None:
    service.ending = {"output": {"seed": 7}, "message": "upload pending"}
    row_text = " ".join(_run_one_row(tmp_path, service, code=None).values())
    assert "seed" in row_text
    assert "upload pending" in row_text
