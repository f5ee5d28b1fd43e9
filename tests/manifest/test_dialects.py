"""One sheet in every dialect, both directions: the same jobs on the way in, the same cells and jobs on the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchedit.core.columns import RESULT_COLUMNS
from batchedit.core.model import Outcome, ResultLine
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.manifest.read import open_manifest
from batchedit.manifest.rows import Form, FormKind
from batchedit.results.files import adapt_form
from batchedit.results.writer import write_results
from batchedit.runcomfy.catalogue import load_model
from tests.support.dialects import DIALECTS, FIVE, HEADER, make_dialect

MODEL = load_model("openai/gpt-4o-image/edit")
SUFFIXES = {FormKind.CSV: ".csv", FormKind.JSONL: ".jsonl", FormKind.XLSX: ".xlsx", FormKind.PARQUET: ".parquet"}
HOSTILE = '=cmd|" /C calc"!A0, "quoted"; and\nmore'


def keys(path: Path, prompt: str | None = "{title} | {prompt} | {price}") -> list[bytes]:
    """Title, prompt and price stand in the identity, so that a cell read otherwise would show."""
    manifest = open_manifest(path)
    lines = list(expand_all(manifest, Recipe(MODEL.id, dict(MODEL.schema), prompt=prompt)))
    assert all(isinstance(line, ResultLine) for line in lines)
    assert [line.id for line in lines] == [row[0] for row in FIVE]
    return [line.job.key for line in lines]


def cells(path: Path) -> list[list[str]]:
    return [[str(cell) for cell in row.cells.values()] for row in open_manifest(path).rows()]


def outcomes() -> list[Outcome]:
    return [Outcome(n, row[0], "failed", problem=HOSTILE, url="=x") for n, row in enumerate(FIVE, 1)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return keys(make_dialect(tmp_path_factory.mktemp("reference"), "m.csv"))


@pytest.mark.parametrize("kind", [None, *SUFFIXES])
@pytest.mark.parametrize("name", DIALECTS)
def test_the_same_jobs_in_and_the_same_cells_back(
    tmp_path: Path, reference: list[bytes], name: str, kind: FormKind | None
) -> None:
    """``kind`` None: as the manifest."""
    source = make_dialect(tmp_path, name)
    assert keys(source) == reference
    manifest = open_manifest(source)
    form = adapt_form(manifest.form, kind or manifest.form.kind)
    results = tmp_path / f"results{SUFFIXES[form.kind]}"
    assert write_results(manifest, outcomes(), results, form=form) == 5

    back = open_manifest(results)
    assert back.columns == tuple(HEADER)
    assert any("of an earlier result" in note for note in back.notes)
    assert cells(results) == FIVE
    assert keys(results) == reference
    assert back.form.kind is form.kind
    if form.kind is FormKind.CSV:
        assert back.form.delimiter == form.delimiter
        assert back.form.bom == (form.bom or form.encoding.startswith("utf"))


@pytest.mark.parametrize(
    ("text", "bom"),
    [(b"sku,t\n1,plain\n", False), ("sku,t\n1,ä\n".encode(), True), ("sku,t\n1,ä\n".encode("cp1252"), False)],
)
def test_excel_gets_a_mark_where_it_needs_one(tmp_path: Path, text: bytes, bom: bool) -> None:
    (tmp_path / "m.csv").write_bytes(text)
    manifest = open_manifest(tmp_path / "m.csv")
    assert adapt_form(manifest.form, FormKind.CSV).bom is bom
    write_results(manifest, [Outcome(1, "1", "done")], tmp_path / "r.csv", form=adapt_form(manifest.form, FormKind.CSV))
    assert (tmp_path / "r.csv").read_bytes().startswith(b"\xef\xbb\xbf") is bom
    assert text.split(b"\n")[1] in (tmp_path / "r.csv").read_bytes()


def test_csv_out_of_other_forms_is_for_excel(tmp_path: Path) -> None:
    assert adapt_form(Form(FormKind.JSONL), FormKind.CSV).bom
    assert not adapt_form(Form(FormKind.CSV), FormKind.JSONL).bom


def test_jsonl_and_parquet_results_hold_what_they_were_given(tmp_path: Path) -> None:
    """Exact also where CSV has no word for it: null and "" and 0 and false are four things."""
    line = '{"a": null, "b": "", "c": 0, "d": false, "e": [1.50, "x"], "f": {"g": 12345678901234567890123}}'
    (tmp_path / "m.jsonl").write_text(line + "\n")
    manifest = open_manifest(tmp_path / "m.jsonl")
    write_results(manifest, [Outcome(1, "1", "done")], tmp_path / "r.jsonl")
    written = (tmp_path / "r.jsonl").read_text()
    assert written.startswith(line[:-1] + ",")
    assert set(json.loads(written)) == {*json.loads(line), *RESULT_COLUMNS}
