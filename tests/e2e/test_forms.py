"""Standard input, the forms of the results, and Parquet where it is not installed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
from pathlib import Path

import openpyxl
import pytest
from PIL import Image
from pyarrow import parquet

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import batchedit as process
from tests.support.cli import make_env, manifest, on, rows
from tests.support.cli import run_cli as batchedit
from tests.support.dialects import FIVE, make_dialect


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


def run_piped(source: Path, *arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    return batchedit(*arguments, cwd=cwd, stdin=source.read_bytes(), code=code)


@pytest.mark.parametrize("name", ["semicolon.csv", "utf16be.tsv", "m.csv.gz", "m.jsonl", "m.xlsx", "m.parquet"])
def test_standard_input(tmp_path: Path, sandbox, name: str) -> None:
    source = make_dialect(tmp_path, name)
    run = ["run", "-", *on(sandbox, "--out", "o", "--id", "sku")]
    run_piped(source, *run, cwd=tmp_path)
    assert [(row["sku"], row["result_status"]) for row in rows(tmp_path / "o")] == [(row[0], "done") for row in FIVE]
    again = run_piped(source, *run, cwd=tmp_path)
    assert "nothing is left to buy: 5 done" in again.stderr
    assert sandbox.ledger()["accepted"] == 5
    assert "5 done" in run_piped(source, "plan", "-", "--out", "o", "--base-url", sandbox.url, cwd=tmp_path).stdout


def test_standard_input_needs_a_folder_and_a_table(tmp_path: Path, sandbox) -> None:
    source = manifest(tmp_path / "m.csv", 1)
    refused = run_piped(source, "run", "-", *on(sandbox), cwd=tmp_path, code=64)
    assert "say where the run lives: --out outputs/NAME" in refused.stderr
    for content, expected in (
        (b"", "is empty"),
        (b"\x1f\x8b\x00", "damaged or cut off"),
        (b"a,b\n1,2\n", "no column fills"),
    ):
        source.write_bytes(content)
        assert expected in run_piped(source, "run", "-", *on(sandbox, "--out", "o"), cwd=tmp_path, code=65).stderr
    assert not list((tmp_path / "o").glob("*.part"))


def test_pictures_beside_standard_input_begin_where_one_stands(tmp_path: Path, sandbox) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    picture = (tmp_path / "a.png").read_bytes()
    (tmp_path / "m.csv").write_text("image,prompt\na.png,x\n")
    run_piped(tmp_path / "m.csv", "run", "-", *on(sandbox, "--out", "o"), cwd=tmp_path)
    (job,) = sandbox.ledger(full=True)["requests"]
    assert job["images"] == [f"sha256:{hashlib.sha256(picture).hexdigest()}"], "the picture itself was sent"


@pytest.mark.parametrize(
    ("name", "asked_format", "kinds"),
    [
        ("m.csv", None, {"csv", "jsonl"}),
        ("m.xlsx", None, {"csv", "jsonl", "xlsx"}),
        ("m.parquet", None, {"csv", "jsonl", "parquet"}),
        ("m.csv", "xlsx", {"csv", "jsonl", "xlsx"}),
        ("m.xlsx", "csv", {"csv", "jsonl"}),
    ],
)
def test_results_as_they_came_or_as_asked(
    tmp_path: Path, sandbox, name: str, asked_format: str | None, kinds: set[str]
) -> None:
    make_dialect(tmp_path, name)
    batchedit(
        "run", name, *on(sandbox, "--out", "o", *(["--format", asked_format] if asked_format else [])), cwd=tmp_path
    )
    assert {path.suffix[1:] for path in (tmp_path / "o").glob("results.*")} == kinds
    if "xlsx" in kinds:
        sheet = openpyxl.load_workbook(tmp_path / "o" / "results.xlsx").active
        own = name == "m.xlsx"  # the workbook that came: its numbers are numbers, and their format shows 007
        assert [cell.value for cell in sheet["A"]][1:] == [7 if own and row[0] == "007" else row[0] for row in FIVE]
        assert not {cell.data_type for line in sheet.iter_rows() for cell in line} & {"f", "e"}
    if "parquet" in kinds:
        table = parquet.read_table(tmp_path / "o" / "results.parquet")
        assert table["sku"].to_pylist() == [row[0] for row in FIVE]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
def test_results_again_in_every_form(tmp_path: Path, sandbox, kind: str) -> None:
    make_dialect(tmp_path, "semicolon.csv")
    batchedit("run", "semicolon.csv", *on(sandbox), cwd=tmp_path)
    completed = batchedit("results", "semicolon.csv", "--format", kind, "--to", f"mine.{kind}", cwd=tmp_path)
    assert completed.stdout.strip() == f"mine.{kind}"
    own = batchedit("results", "semicolon.csv", cwd=tmp_path).stdout.strip()
    content = (tmp_path / own).read_bytes().decode("cp1252")
    assert [line["title"] for line in csv.DictReader(io.StringIO(content, newline=""), delimiter=";")] == [
        r[1] for r in FIVE
    ]
    plan = batchedit("plan", f"mine.{kind}", "--out", "outputs/semicolon", "--base-url", sandbox.url, cwd=tmp_path)
    assert "5 done" in plan.stdout, "results are a manifest, of the same jobs"


def test_parquet_that_is_not_installed(tmp_path: Path, sandbox) -> None:
    """A clear word, and before anything is bought."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pyarrow.py").write_text("raise ImportError('not here')")
    manifest(tmp_path / "m.csv", 1)
    env = make_env(PYTHONPATH=os.pathsep.join([str(tmp_path / "lib"), str(Path(__file__).parents[2])]))
    refused = process("run", "m.csv", *on(sandbox, "--format", "parquet"), cwd=tmp_path, env=env, code=64)
    assert "pip install 'batchedit[parquet]'" in refused.stderr
    assert sandbox.ledger()["submits_seen"] == 0
    make_dialect(tmp_path, "m.parquet")
    assert "Parquet needs pyarrow" in process("plan", "m.parquet", "--sandbox", cwd=tmp_path, env=env, code=64).stderr


def test_what_comes_from_outside_is_no_formula(tmp_path: Path, sandbox) -> None:
    """The service's words in a spreadsheet; the user's own -5 and =A1 as they were."""
    (tmp_path / "m.csv").write_text("sku,n,image,prompt\n=A1,-5,https://images.example.com/a.png,@x\n")
    batchedit("run", "m.csv", *on(sandbox, "--format", "xlsx"), cwd=tmp_path)
    text = (tmp_path / "outputs" / "m" / "results.csv").read_text()
    assert text.splitlines()[1].startswith("=A1,-5,https://images.example.com/a.png,@x,2,1:1,1,1,done,,")
    sheet = openpyxl.load_workbook(tmp_path / "outputs" / "m" / "results.xlsx").active
    assert [(cell.value, cell.data_type) for cell in sheet[2]][:2] == [("=A1", "s"), ("-5", "s")]
    (row,) = rows(tmp_path / "outputs" / "m")
    assert json.loads(json.dumps(row))["n"] == "-5"
