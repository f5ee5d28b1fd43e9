"""Marks from the page while the run goes on: each of them is kept, and each picture is bought once."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from batchedit.ledger.decisions import FolderDecisions
from batchedit.sandbox import SandboxConfig, serve
from batchedit.web.run_folders import run_id
from tests.support.cli import manifest, on, rows, run_cli, start, until
from tests.support.ui import browsing


def test_a_hundred_marks_beside_three_hundred_purchases_are_all_kept(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 300)
    run = tmp_path / "outputs" / "m"
    wanted = {job: (("approve", "reject", "hold")[job % 3], f"n{job}") for job in range(1, 101)}
    with serve(SandboxConfig(latency="1.5", plain_files=4_000)) as it, browsing(tmp_path) as ui:
        buying = start("run", "m.csv", *on(it, "-j", 25), cwd=tmp_path)
        until(lambda: len(list((run / "files").glob("*.png"))) >= 5)
        address = f"runs/{run_id(run)}/review/api/mark"
        waiting, beside = deque(wanted), 0
        while waiting:
            job = waiting.popleft()
            decision = {"job": job, "verdict": wanted[job][0], "note": wanted[job][1], "serial": 0}
            if ui.http.post(address, json=decision).status_code != 200:  # it has no picture yet
                waiting.append(job)
            else:
                beside += buying.poll() is None
        buying.communicate(timeout=300)
        assert (buying.returncode, it.ledger()["accepted"]) == (0, 300)
    assert beside > 50, "the purchases were over too soon to tell anything"
    assert {job: (mark.verdict.value, mark.note) for job, mark in FolderDecisions(run).all().items()} == wanted
    assert run_cli("results", str(run), cwd=tmp_path).returncode == 0
    assert {note for _, note in wanted.values()} <= {row["result_note"] for row in rows(run)}
