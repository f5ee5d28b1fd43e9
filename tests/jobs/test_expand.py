"""Rows become jobs: where values come from, what is refused and in which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchedit.core.errors import ManifestError, UsageError
from batchedit.core.model import CellProblem, InvalidLine, ResultLine
from batchedit.jobs.expand import Expander, Recipe, expand_all
from batchedit.jobs.ratios import spell_ratios
from batchedit.manifest.read import open_manifest
from batchedit.manifest.rows import BadRow, Number, Row

MODEL = "openai/gpt-4o-image/edit"
SCHEMA = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {
            "type": "array",
            "items": {"type": "string", "format": "image_uri"},
            "default": "https://sample.example/x.webp",
        },
        "prompt": {"type": "string", "default": "the page's sample"},
        "size": {"type": "string", "enum": ["3:2", "1:1", "2:3"], "default": "1:1"},
    },
}
RICH = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string", "maxLength": 20},
        "seed": {"type": "integer", "minimum": 0, "maximum": 99},
        "strength": {"type": "number"},
        "raw": {"type": "boolean", "default": False},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object"},
        "mask": {"type": "string", "format": "image_uri", "default": "https://sample.example/mask.png"},
    },
}
U = "https://x.example/1.png"


def recipe(**options):
    return Recipe(**{"model": MODEL, "schema": SCHEMA, **options})


def expand(cells, columns=None, known=None, number=1, **options):
    expander = Expander(recipe(**options), tuple(columns or cells), known)
    return expander.expand(Row(number, cells, ""))


def inputs(cells, **options):
    (line,) = expand(cells, **options)
    return json.loads(line.job.inputs)


def problems(cells, **options):
    line = expand(cells, **options)
    assert isinstance(line, InvalidLine)
    return line.problems


def rows(*dicts):
    return [Row(number, cells, "") for number, cells in enumerate(dicts, 1)]


class Fake:
    form, notes = None, ()

    def __init__(self, *dicts):
        self.columns = tuple(dict.fromkeys(key for cells in dicts for key in cells))
        self._rows = rows(*dicts)

    def rows(self):
        return iter(self._rows)


def lines(*dicts, known=None, **options):
    return list(expand_all(Fake(*dicts), recipe(**options), known))


def test_columns_fill_the_fields_of_their_name_and_defaults_the_rest():
    assert inputs({"image": U, "prompt": "p"}) == {"image": [U], "prompt": "p", "size": "1:1"}


def test_no_size_and_the_default_size_are_one_job():
    one, two = lines(
        {"sku": "a", "image": U, "prompt": "p", "size": ""}, {"sku": "b", "image": U, "prompt": "p", "size": "1:1"}
    )
    assert one.job.key == two.job.key
    assert (one.duplicate, two.duplicate) == (False, True)


def test_samples_of_required_fields_are_never_bought():
    assert problems({"image": "", "prompt": " "}) == (
        CellProblem("image", "", "is empty, and the service needs a picture"),
        CellProblem("prompt", "", "is empty, and the service needs it"),
    )


def test_set_beats_map_beats_prompt_beats_column():
    cells = {"image": U, "prompt": "column", "other": "mapped"}
    assert inputs(cells)["prompt"] == "column"
    assert inputs(cells, prompt="t {other}")["prompt"] == "t mapped"
    assert inputs(cells, prompt="t", mapping={"prompt": "other"})["prompt"] == "mapped"
    assert inputs(cells, prompt="t", mapping={"prompt": "other"}, sets={"prompt": "set"})["prompt"] == "set"


def test_a_column_is_found_whatever_its_capitals_and_that_is_noted():
    expander = Expander(recipe(), ("Image", "PROMPT"))
    assert len(expander.notes) == 2
    assert len(expander.expand(Row(1, {"Image": U, "PROMPT": "p"}, ""))) == 1


def test_braces_in_cells_are_text():
    assert inputs({"image": U, "prompt": "{title} {{x}}"})["prompt"] == "{title} {{x}}"


def test_templates():
    cells = {"Image Src": U, "Title": "100% wool", "Body (HTML)": "<p>So <b>soft</b>ly</p><p>&amp; warm</p>"}
    made = inputs(cells, mapping={"image": "Image Src"}, prompt="ad {{x}} for {Title}: {Body (HTML)}, 50%")
    assert made["prompt"] == "ad {x} for 100% wool: So softly & warm, 50%"


def test_an_empty_substituted_cell_is_counted():
    expander = Expander(recipe(prompt="ad for {title}"), ("image", "title"))
    for row in rows({"image": U, "title": ""}, {"image": U, "title": "x"}, {"image": U}):
        expander.expand(row)
    assert expander.empties == {"title": 2}


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"prompt": "{Titel}"}, "which is no column", "{Title}"),
        ({"prompt": "{Title"}, "lone {", "{{"),
        ({"mapping": {"imge": "Title"}}, "no input 'imge'", "image"),
        ({"mapping": {"image": "Titel"}}, "no column 'Titel'", "Title"),
        ({"sets": {"size": "4:5"}}, "3:2 .landscape., 1:1 .square. or 2:3 .portrait.", ""),
        ({"sizes": ("4:5",)}, "3:2 .landscape., 1:1 .square. or 2:3 .portrait.", ""),
        ({"sizes": ("1:1",), "sets": {"size": "1:1"}}, "contradict", ""),
        ({"id_column": "skuu"}, "no column 'skuu'", "sku"),
        ({"name": "{titel}"}, "which is no column", "Title"),
        ({"name": "../{sku}"}, "no path below", ""),
        ({"variants": 0}, "1 or more", ""),
        ({"fill_down": ("Titl",)}, "no column", "Title"),
    ],
)
def test_options_that_make_no_sense(options, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        Expander(recipe(**options), ("sku", "Title", "image", "prompt"))
    assert hint in caught.value.hint


def test_a_required_field_that_nothing_fills():
    with pytest.raises(ManifestError, match="required input 'image'") as caught:
        Expander(recipe(), ("Handle", "Image Src", "prompt"))
    assert '--map image="Image Src"' in caught.value.hint


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("http://x.example/1.png", "https:// links only"),
        ("//cdn.example/1.png", "write https:"),
        ("https://x.example/a b.png", "%20"),
        ("s3://bucket/1.png", "s3://"),
        ("photo.png", "is no link"),
        ("www.x.example/1.png", "write https://"),
        ('["https://x.example/1.png"', "begins like a JSON list"),
    ],
)
def test_what_is_no_picture(cell, reason):
    (problem,) = problems({"Image Src": cell, "prompt": "p"}, mapping={"image": "Image Src"})
    assert problem.column == "Image Src"
    assert reason in problem.reason


@pytest.mark.parametrize("cell", [f'["{U}", "{U}?2"]', f"{U} | {U}?2", f"{U}\n{U}?2", [U, U + "?2"]])
def test_several_pictures_in_a_cell(cell):
    assert inputs({"image": cell, "prompt": "p"})["image"] == [U, U + "?2"]


def test_all_reasons_at_once():
    all_problems = problems({"Pic": "ftp://x", "prompt": "", "size": "4:3"}, mapping={"image": "Pic"})
    assert [(problem.column, problem.value) for problem in all_problems] == [
        ("Pic", "ftp://x"),
        ("prompt", ""),
        ("size", "4:3"),
    ]
    assert (
        all_problems[2].reason == "is not possible: the service takes 3:2 (landscape), 1:1 (square) or 2:3 (portrait)"
    )


@pytest.mark.parametrize("cell", ["3:2", " 3:2 ", "03:02", "3:02", "03:02:00"])
def test_a_ratio_that_excel_took_for_a_time(cell):
    assert inputs({"image": U, "prompt": "p", "size": cell})["size"] == "3:2"


@pytest.mark.parametrize(
    ("cell", "size"),
    [("square", "1:1"), ("Portrait", "2:3"), ("landscape", "3:2"), ("2x3", "2:3"), ("3×2", "3:2"), ("1/1", "1:1")],
)
def test_a_ratio_as_people_write_it(cell, size):
    assert inputs({"image": U, "prompt": "p", "size": cell})["size"] == size
    (line,) = expand({"image": U, "prompt": "p"}, sizes=(cell, size))
    assert line.job.size == size


def test_a_word_that_may_mean_two_ratios_is_none():
    assert "portrait" not in spell_ratios({"2:3": "2:3", "3:4": "3:4", "1:1": "1:1"})


def test_a_rich_schema_is_read_out_of_text():
    cells = {
        "prompt": "p",
        "seed": "7.0",
        "strength": "0.50",
        "raw": "Yes",
        "tags": "a | b",
        "more": '{"x": 1.0}',
        "mask": U,
    }
    made = inputs(cells, schema=RICH)
    assert made == {
        "prompt": "p",
        "seed": 7,
        "strength": 0.5,
        "raw": True,
        "tags": ["a", "b"],
        "more": {"x": 1},
        "mask": [U],
    }


def test_zero_and_no_are_answers_and_a_sample_mask_is_not_filled_in():
    made = inputs({"prompt": "p", "seed": "0", "raw": "no"}, schema=RICH)
    assert made == {"prompt": "p", "seed": 0, "raw": False}


def test_a_rich_schema_refuses_in_words():
    cells = {
        "prompt": "x" * 21,
        "seed": "100",
        "strength": "much",
        "raw": "perhaps",
        "more": "[1]",
        "mask": f"{U} | {U}",
    }
    reasons = {problem.column: problem.reason for problem in problems(cells, schema=RICH)}
    assert reasons == {
        "prompt": "is too long: 21 characters, and the service takes 20",
        "seed": "is out of range: the service takes 0 to 99",
        "strength": "is not a number; write it like 0.75",
        "raw": "is neither true nor false",
        "more": "is JSON, but no object",
        "mask": "has 2 pictures, and the service takes 1",
    }


def test_numbers_of_jsonl_stand_in_prompts_as_written():
    cells = {"image": U, "n": Number("12345678901234567890123"), "f": Number("1.50"), "b": True, "z": None}
    assert inputs(cells, prompt="{n} {f} {b} {z}")["prompt"] == "12345678901234567890123 1.50 true "


def test_a_bad_row_is_an_invalid_line():
    expander = Expander(recipe(), ("image", "prompt"))
    assert expander.expand(BadRow(3, "has 1 cell", "x")) == InvalidLine(3, "", (CellProblem("", "x", "has 1 cell"),))


def test_sizes_and_variants_multiply_in_order():
    expanded = expand({"sku": "a", "image": U, "prompt": "p"}, sizes=("2:3", "1:1"), variants=2)
    assert [(line.job.size, line.job.variant, line.job.name) for line in expanded] == [
        ("2:3", 1, "a-2x3-1"),
        ("2:3", 2, "a-2x3-2"),
        ("1:1", 1, "a-1x1-1"),
        ("1:1", 2, "a-1x1-2"),
    ]
    assert len({line.job.key for line in expanded}) == 4


def test_over_expands_over_values():
    expanded = expand({"sku": "a", "image": U}, prompt="for {market}", over={"market": ("DE", "FR")})
    assert [(line.job.name, json.loads(line.over), json.loads(line.job.inputs)["prompt"]) for line in expanded] == [
        ("a-DE-1x1-1", {"market": "DE"}, "for DE"),
        ("a-FR-1x1-1", {"market": "FR"}, "for FR"),
    ]


def test_fill_down_within_an_id_and_its_hint():
    shop = [
        {"Handle": "a", "Title": "A", "image": U},
        {"Handle": "a", "Title": "", "image": U + "2"},
        {"Handle": "b", "Title": "", "image": U + "3"},
    ]
    expander = Expander(recipe(prompt="ad for {Title}"), tuple(shop[0]))
    list(map(expander.expand, rows(*shop)))
    assert expander.find_fill_down_columns() == ("Title",)
    filled = lines(*shop, prompt="ad for {Title}", fill_down=("title",))
    assert [json.loads(line.job.inputs)["prompt"] for line in filled] == ["ad for A", "ad for A", "ad for "]


@pytest.mark.parametrize(
    ("columns", "id_"),
    [
        (("title", "SKU"), "SKU"),
        (("Name", "Handle", "Variant SKU"), "Handle"),
        (("Product_ID", "title"), "Product_ID"),
        (("Titel", "Artikel-Nr.", "Name"), "Artikel-Nr."),
        (("Title", "Référence"), "Référence"),
        (("Código", "Title"), "Código"),
        (("item_name", "item_sku", "title"), "item_sku"),
        (("x",), "1"),
    ],
)
def test_the_id_column_is_found(columns, id_):
    (line,) = expand({"image": U, "prompt": "p", **{column: column for column in columns}})
    assert line.id == id_


class History:
    def __init__(self, keys=(), versions=None):
        self.ids, self.versions = {key: n for n, key in enumerate(keys, 1)}, versions or {}
        self.last = len(self.ids)

    def find(self, key):
        return self.ids.get(key)

    def version(self, slot):
        return self.versions.get(slot, 0)


def test_a_job_of_an_earlier_run_has_twins_too():
    row = {"sku": "a", "image": U, "prompt": "p"}
    (before,) = lines(row)
    expander = Expander(recipe(), tuple(row), History([before.job.key]))
    assert not expander.is_requested(before.job.key)
    assert [expander.expand(Row(n, row, ""))[0].duplicate for n in (1, 2, 3)] == [False, True, True]
    assert expander.is_requested(before.job.key)


def test_an_edited_row_is_the_next_version():
    (before,) = lines({"sku": "a", "image": U, "prompt": "p"})
    known = History([before.job.key], {before.name_hash: 1})
    same, edited = (lines({"sku": "a", "image": U, "prompt": p}, known=known)[0] for p in ("p", "new"))
    assert (same.job.version, same.job.name) == (1, "a-1x1-1")
    assert (edited.job.version, edited.job.name, edited.name_hash) == (2, "a-1x1-1-v2", before.name_hash)
    assert (
        lines({"sku": "a", "image": U, "prompt": "x"}, known=History([], {}), name="{sku}/{version}")[0].job.name
        == "a/1"
    )


def test_unpaired_surrogates_from_elsewhere_are_a_row_error():
    assert isinstance(expand({"sku": "\ud800", "image": U, "prompt": "p"}), InvalidLine)
    assert isinstance(expand({"image": U, "prompt": "\ud800"}), InvalidLine)


# --- local pictures ------------------------------------------------------------------------------


def test_a_local_picture_counts_by_its_content(tmp_path):
    for name in ("a.png", "b c.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    one, two = lines(
        {"sku": "a", "image": "a.png", "prompt": "p"},
        {"sku": "b", "image": "b c.png", "prompt": "p"},
        image_roots=(tmp_path,),
    )
    assert one.job.key == two.job.key
    picture = json.loads(one.job.inputs)["image"][0]
    assert picture["$file"] == str(tmp_path / "a.png")
    assert len(picture["$sha256"]) == 64
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    assert lines({"sku": "a", "image": "a.png", "prompt": "p"}, image_roots=(tmp_path,))[0].job.key != one.job.key


@pytest.mark.parametrize(
    ("cell", "reason"),
    [("gone.png", "neither"), ("sub", "folder"), ("t.png", "no picture"), ("x" * 5000, "neither"), ("a\0b", "neither")],
)
def test_what_is_no_local_picture(tmp_path, cell, reason):
    (tmp_path / "sub").mkdir()
    (tmp_path / "t.png").write_text("text")
    (problem,) = problems({"image": cell, "prompt": "p"}, image_roots=(tmp_path,))
    assert reason in problem.reason


def test_the_broken_manifest_is_told_row_by_row():
    manifest = open_manifest(Path(__file__).parents[2] / "manifests" / "broken.csv")
    expanded = list(expand_all(manifest, recipe()))
    assert [line.row for line in expanded if isinstance(line, ResultLine)] == [1, 11]
    assert [len(line.problems) for line in expanded if isinstance(line, InvalidLine)] == [1] * 9 + [3]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"properties": {"prompt": {"type": "strng"}}},
            "the model's schema is no JSON Schema: the type of the input 'prompt' can't be 'strng'",
        ),
        (
            {"properties": {"prompt": {"type": "array", "items": {"type": ["string", "nothing"]}}}},
            "the model's schema is no JSON Schema: the type of the input 'prompt' can't be [\"string\", \"nothing\"]",
        ),
        (
            {"properties": {"prompt": {"type": "string", "maxLength": "ten"}}},
            "the model's schema is no JSON Schema: the maxLength of the input 'prompt' can't be 'ten'",
        ),
        (
            {"properties": {"prompt": {"type": "string"}}, "required": "prompt"},
            "the model's schema is no JSON Schema: required can't be 'prompt'",
        ),
        (
            {"properties": {"prompt": {"type": "string", "pattern": "("}}},
            "the model's schema is no JSON Schema: the pattern of the input 'prompt' can't be '('",
        ),
    ],
)
def test_a_schema_that_is_none_was_told_in_the_words_of_a_validator(schema: dict[str, Any], message: str) -> None:
    """They had line breaks spelled as \\n, and the field stood in square brackets at the end."""
    with pytest.raises(UsageError) as refused:
        Expander(Recipe(model="m", schema={"type": "object", **schema}), ("prompt",))
    assert str(refused.value) == message
