"""A team's sheet with title rows, a sum, hidden rows, money, a link behind a word and a picture in a cell."""

from __future__ import annotations

from pathlib import Path

import openpyxl

from batchedit.core.model import InvalidLine, Outcome
from batchedit.jobs.expand import Expander, Recipe, expand_all
from batchedit.jobs.recognise import recognise
from batchedit.manifest.read import Form, FormKind, open_manifest
from batchedit.results.writer import write_results
from tests.manifest.test_excel import SCHEMA
from tests.support.team_sheet import HEADER, LINKED, PLACED, make


def test_a_link_behind_a_word_counts_as_a_picture_and_a_sum_lacks_no_word_of_the_prompt(tmp_path: Path) -> None:
    manifest = open_manifest(make(tmp_path / "team.xlsx"), pictures=tmp_path / "kept")
    prompt = "make an ad for {Product}, {Price}"
    recipe = recognise(manifest, Recipe(model="m", schema=SCHEMA, prompt=prompt, image_roots=(tmp_path,)))
    assert recipe.notes == ("image: column 'Photo', 6 of 7 cells name pictures (5 links, 1 file)",)
    expander = Expander(recipe, manifest.columns, None)
    lines = list(expand_all(manifest, recipe, expander=expander))
    assert [line.problems[0].reason for line in lines if isinstance(line, InvalidLine)] == ["is a sum"]
    assert not expander.empties
    prices = [line.job.inputs for line in lines if not isinstance(line, InvalidLine)]
    assert ["19.90 €" in prices[0], "1,249.00 €" in prices[1], "CHF 89.50" in prices[2]] == [True] * 3
    assert manifest.notes[:2] == (
        "the header is row 4; 2 rows above it are left out",
        "sheet 'Spring 2026' is read, not 'Read me' (--sheet chooses)",
    )
    assert "1 row is hidden" in manifest.warnings[0]


def test_a_picture_placed_in_a_cell_is_seen_in_the_workbook_that_comes_back(tmp_path: Path) -> None:
    manifest = open_manifest(make(tmp_path / "team.xlsx"), pictures=tmp_path / "kept")
    outcomes = [Outcome(row.number, "", "planned") for row in manifest.rows()]
    write_results(manifest, outcomes, tmp_path / "results.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "results.xlsx")["Spring 2026"]
    assert sheet.cell(PLACED, 2).value is None  # was #VALUE!, which is all that openpyxl reads
    again = open_manifest(tmp_path / "results.xlsx", pictures=tmp_path / "again")
    (photo,) = [row.cells["Photo"] for row in again.rows() if row.number == PLACED - HEADER]
    assert Path(photo.link).parent == tmp_path / "again"
    assert sheet.cell(LINKED, 2).hyperlink.target == "https://cdn.example.com/p/chair.jpg"


def test_the_text_of_a_cell_with_a_link_behind_it_stays_in_every_form(tmp_path: Path) -> None:
    manifest = open_manifest(make(tmp_path / "team.xlsx"), pictures=tmp_path / "kept")
    outcomes = [Outcome(row.number, "", "failed") for row in manifest.rows()]
    for name in ("results.csv", "results.jsonl", "failed.csv"):
        kind = FormKind(name.rpartition(".")[2])
        only = (lambda status: status == "failed") if name == "failed.csv" else None
        write_results(manifest, outcomes, tmp_path / name, form=Form(kind), only=only)
        (photo,) = [r.cells["Photo"] for r in open_manifest(tmp_path / name).rows() if r.cells["SKU"] == "00415"]
        assert photo == "photo"
