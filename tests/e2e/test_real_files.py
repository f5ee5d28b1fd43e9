"""Real exports, untouched: every row with a picture is done, the others say why, the cells are as they were.

The files lie beside the repository (``../shared/manifests``) or where ``BATCHEDIT_SHARED`` says; without them this skips.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, run_cli

SHARED = Path(os.environ.get("BATCHEDIT_SHARED", Path(__file__).parents[3] / "shared")) / "manifests"
NAMES = ("shopify-apparel.csv", "shopify-home-and-garden.csv")
SHOPIFY = ["--map", "image=Image Src", "--id", "Handle", "--skip-invalid"]
PROMPT = ["--prompt", "make an ad for {Title}: {Body (HTML)}"]


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture(params=NAMES)
def export(request: pytest.FixtureRequest) -> Path:
    path = SHARED / request.param
    if not path.is_file():
        pytest.skip(f"{request.param} is not beside the repository")
    return path


def test_an_untouched_export(tmp_path: Path, export: Path) -> None:
    before = export.read_bytes()
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as sandbox:
        run_cli("run", export, *SHOPIFY, *PROMPT, *on(sandbox, "--out", "o"), cwd=tmp_path)
        accepted = sandbox.ledger()["accepted"]
    assert export.read_bytes() == before
    theirs, ours = read_table(export), read_table(tmp_path / "o" / "results.csv")
    assert len(ours) == len(theirs)
    text = (tmp_path / "o" / "results.csv").read_bytes()
    assert all(line in text for line in before.splitlines()), "byte for byte"
    for original, row in zip(theirs, ours, strict=True):
        assert {name: row[name] for name in original} == original
        if original["Image Src"]:
            assert row["result_status"] == "done"
            assert (tmp_path / "o" / row["result_file"]).stat().st_size == int(row["result_bytes"])
        else:
            assert row["result_status"] == "invalid"
            assert row["result_error"] == "Image Src is empty, and the service needs a picture"
    assert accepted == len({row["result_key"] for row in ours if row["result_key"]})
    without = [row["Handle"] for row in theirs if not row["Image Src"]]
    failed = tmp_path / "o" / "failed.csv"
    assert [row["Handle"] for row in read_table(failed)] == without if without else not failed.exists()


def test_the_plan_of_an_export_suggests_what_helps(tmp_path: Path, export: Path) -> None:
    stdout = run_cli("plan", export, *SHOPIFY, *PROMPT, "--sandbox", "--out", "o", cwd=tmp_path).stdout
    examples = [line for line in stdout.splitlines() if line.startswith("  row ") and "make an ad for" in line]
    assert len(examples) == 3
    if "in the prompt is empty" in stdout:
        assert "--fill-down" in stdout


def test_an_export_becomes_a_manifest(tmp_path: Path, export: Path) -> None:
    run_cli("init", export, "--to", "m.csv", cwd=tmp_path)
    pictured = dict.fromkeys(row["Handle"] for row in read_table(export) if row["Image Src"])
    assert [row["sku"] for row in read_table(tmp_path / "m.csv")] == list(pictured)
    assert f"{len(pictured)} new" in run_cli("plan", "m.csv", "--sandbox", cwd=tmp_path).stdout
