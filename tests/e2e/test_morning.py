"""The morning after, end to end: look, reject, redo, deliver, and the summary to a web hook."""

from __future__ import annotations

import csv
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, rows
from tests.support.cli import run_cli as batchedit


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.1", plain_files=8_000)) as running:
        yield running


def decide(folder: Path, verdicts: dict[str, tuple[str, str]]) -> Path:
    """A decisions.csv as the gallery exports it: sku → (verdict, note)."""
    keys = {str(row["sku"]): str(row["result_key"]) for row in rows(folder)}
    path = folder / "decisions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["decision", "note", "when", "job"])
        for sku, (verdict, note) in verdicts.items():
            table.writerow([verdict, note, "2026-11-22T08:00:00Z", f"k{keys[sku]}"])
    return path


def test_three_of_twenty_rejected_are_bought_once_more(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 20)
    folder = tmp_path / "outputs" / "m"
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    rejected = {f"sku-{n}": ("rejected", f"brighter {n}") for n in (3, 11, 20)}
    decisions = decide(folder, {"sku-1": ("approved", ""), **rejected})
    completed = batchedit("review", "m.csv", "--import", decisions, cwd=tmp_path)
    assert "4" in completed.stdout
    decision_of = {str(row["sku"]): (row["result_decision"], row["result_note"]) for row in rows(folder)}
    assert decision_of["sku-1"] == ("approve", None)
    assert decision_of["sku-3"] == ("reject", "brighter 3")
    assert decision_of["sku-2"] == (None, None)
    with (folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["result_note"] for row in csv.DictReader(file)][2] == "brighter 3"
    batchedit("redo", "m.csv", "--use-notes", "--yes", cwd=tmp_path)
    ledger = sandbox.ledger(full=True)
    assert (ledger["accepted"], ledger["duplicates"]) == (23, 0)
    new = sorted(job["prompt"] for job in ledger["requests"])
    assert sum("brighter" in prompt for prompt in new) == 3
    row_of = {str(row["sku"]): row for row in rows(folder)}
    for sku in rejected:
        assert row_of[sku]["result_version"] == 2
        assert row_of[sku]["result_file"] == f"files/{sku}-1x1-1-v2.png"
        assert (folder / "files" / f"{sku}-1x1-1.png").exists(), "the rejected one stays"
        assert (folder / "files" / f"{sku}-1x1-1-v2.png").exists()
    assert Counter(row["result_status"] for row in row_of.values()) == {"done": 20}
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    batchedit("redo", "m.csv", "--yes", cwd=tmp_path, code=64)
    assert sandbox.ledger()["accepted"] == 23
    assert "everything adds up" in batchedit("audit", "m.csv", cwd=tmp_path).stdout


def test_deliver_the_approved(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 4)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    folder = tmp_path / "outputs" / "m"
    decide(folder, {"sku-2": ("approved", ""), "sku-4": ("approved", "nice"), "sku-1": ("rejected", "")})
    batchedit("review", "m.csv", "--import", folder / "decisions.csv", cwd=tmp_path)
    batchedit("deliver", "m.csv", "--to", "handover", cwd=tmp_path)
    pictures = {path.name for path in (tmp_path / "handover").rglob("*.png")}
    assert pictures == {"sku-2-1x1-1.png", "sku-4-1x1-1.png"}
    batchedit("deliver", "m.csv", "--to", "handover", cwd=tmp_path, code=64)


class Hook(BaseHTTPRequestHandler):
    got: list[tuple[dict[str, str], dict[str, object]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_the_summary_goes_to_a_web_hook_without_the_token(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.got = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            hook = f"http://127.0.0.1:{server.server_port}/hook"
            batchedit("run", "m.csv", *on(sandbox, "--notify", hook), cwd=tmp_path)
        finally:
            server.shutdown()
            thread.join()
        (_, first), (headers, body) = server.got  # type: ignore[attr-defined]
    assert (first["event"], body["event"]) == ("started", "finished")
    assert "2 of 2 pictures" in str(body["text"])
    assert body["report"]["jobs"] == {"done": 2}  # type: ignore[index]
    assert "test-token" not in json.dumps(headers) + json.dumps(body)
    batchedit("run", "m.csv", *on(sandbox, "--notify", "http://example.com/x"), cwd=tmp_path, code=64)
