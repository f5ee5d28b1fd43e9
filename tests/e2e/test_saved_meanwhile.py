"""A sheet that is saved while it is taken in, and a run whose own copy of it is gone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batchedit.commands import run
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from batchedit.manifest.read import Manifest
from batchedit.run_folder import RunFolder, open_source
from batchedit.sandbox import SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.support.cli import make_env, manifest, on, rows, run_cli


def test_a_sheet_that_is_saved_while_it_is_taken_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of one content were bought, and the copy of the other thrown away: no results could be written."""
    sheet = manifest(tmp_path / "m.csv", 3)
    stage = RunFolder.stage_snapshot

    def saved(folder: RunFolder, source: Path, ending: str) -> dict[Path, str]:
        manifest(sheet, 4, prefix="new")
        return stage(folder, source, ending)

    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "stage_snapshot", saved)
            completed = run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env(), code=65)
        assert "was saved while it was taken in" in completed.stderr
        assert "results" not in completed.stdout
        assert sandbox.ledger()["submits_seen"] == 0
        assert not list((tmp_path / "outputs" / "m").glob("staged.*"))
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
        assert sandbox.ledger()["accepted"] == 4
        run = tmp_path / "outputs" / "m"
        assert [row["sku"] for row in rows(run)] == [f"new-{n}" for n in range(1, 5)]


@pytest.mark.parametrize("becomes", ["gone", "another"])
def test_a_run_whose_own_copy_is_gone_or_another_one_takes_the_sheet_in_anew(tmp_path: Path, becomes: str) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
        run = tmp_path / "outputs" / "m"
        (run / "manifest.csv").unlink()
        if becomes == "another":
            manifest(run / "manifest.csv", 7)
        for results in run.glob("results.*"):
            results.unlink()
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
        assert (run / "manifest.csv").read_bytes() == (tmp_path / "m.csv").read_bytes()
        assert [row["result_status"] for row in rows(run)] == ["done", "done"]
        assert sandbox.ledger()["accepted"] == 2


@pytest.mark.parametrize("becomes", ["gone", "another"])
@pytest.mark.parametrize("command", ["retry", "redo", "run", "doubt"])
def test_a_run_without_its_own_copy_bought_and_had_no_results_or_those_of_another_sheet(
    tmp_path: Path, command: str, becomes: str
) -> None:
    manifest(tmp_path / "m.csv", 4)
    faults = () if command == "redo" else ("job:failed=at:1", "submit:drop_after=at:2")
    cap = "none" if command == "redo" else "0.12"
    with serve(SandboxConfig(latency="0", plain_files=20_000, faults=faults)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "-j", 1, "--max-cost", cap), cwd=tmp_path, env=make_env(), code=None)
        sandbox.set_faults([])
        run, bought = tmp_path / "outputs" / "m", sandbox.ledger()["accepted"]
        with closing(open_checkpoint(run / "checkpoint.sqlite")) as checkpoint:
            FolderDecisions(checkpoint).put(PictureDecision(3, Verdict.REJECT, "", 0, "Dana", 1.0))
        (run / "manifest.csv").unlink()
        if becomes == "another":
            manifest(run / "manifest.csv", 7)
        sheet = (tmp_path / "m.csv").read_bytes()
        manifest(tmp_path / "m.csv", 9)
        arguments = [
            command,
            "outputs/m",
            "--max-cost",
            "none",
            "--yes",
            *(["--buy-again", "all"] if command == "doubt" else []),
        ]
        stderr = run_cli(*arguments, cwd=tmp_path, env=make_env(), code=65 if becomes == "another" else 66).stderr
        assert "the run's own copy of its sheet" in stderr
        assert "nothing was bought" in stderr
        assert sandbox.ledger()["accepted"] == bought
        (tmp_path / "m.csv").write_bytes(sheet)
        stderr = run_cli(*arguments, cwd=tmp_path, env=make_env(), code=None).stderr
        assert "it was taken in anew from" in stderr
        assert sandbox.ledger()["accepted"] > bought
        assert (run / "manifest.csv").read_bytes() == sheet
        assert {str(row["sku"]) for row in rows(run)} == {f"sku-{n}" for n in range(1, 5)}


def test_a_sheet_that_was_saved_between_its_opening_and_its_digest_was_bought_with_the_columns_of_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its columns and its separator were found out before its digest was taken: rows of one content were cut as the other."""
    sheet = manifest(tmp_path / "m.csv", 3)
    newer = sheet.read_text(encoding="utf-8").replace("sku,image,prompt", "sku,image,note") + ",,\n"

    def opened_and_saved(source: Path, settings: Settings, name: str, header_row: int | None = None) -> Manifest:
        opened_manifest = open_source(source, settings, name, header_row)
        sheet.write_text(newer, encoding="utf-8")
        return opened_manifest

    with serve(SandboxConfig(latency="0", plain_files=20_000)) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(run, "open_source", opened_and_saved)
            completed = run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env(), code=65)
        assert "was saved while it was taken in" in completed.stderr
        assert sandbox.ledger()["submits_seen"] == 0
        assert not list((tmp_path / "outputs" / "m").glob("staged.*"))
        manifest(sheet, 3)
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env())
        assert sandbox.ledger()["accepted"] == 3
