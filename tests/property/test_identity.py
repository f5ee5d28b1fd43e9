"""What a job is does not depend on where it stands."""

import json
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.model import ResultLine
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.jobs.identity import job_key
from batchedit.manifest.rows import Row
from tests.support.share import examples

SCHEMA = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {"type": "array", "items": {"type": "string", "format": "image_uri"}},
        "prompt": {"type": "string"},
        "size": {"type": "string", "enum": ["3:2", "1:1", "2:3"], "default": "1:1"},
    },
}
row = st.fixed_dictionaries(
    {
        "sku": st.sampled_from(["a", "A", "b", "7", ""]),
        "image": st.sampled_from(["https://x.example/1.png", "https://x.example/2.png"]),
        "prompt": st.sampled_from(["p", "q", "r {size}", "s {word}"]),  # not {sku}: a cell's braces name a column
        "size": st.sampled_from(["", "1:1", "2:3"]),
    }
)
rows = st.lists(row, min_size=1, max_size=12)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def lines(dicts, **options):
    table = [Row(number, cells, "") for number, cells in enumerate(dicts, 1)]
    manifest = SimpleNamespace(columns=("sku", "image", "prompt", "size"), rows=lambda: iter(table))
    return [line for line in expand_all(manifest, Recipe("m", SCHEMA, **options)) if isinstance(line, ResultLine)]


def keys(dicts, **options):
    return {line.job.key for line in lines(dicts, **options)}


@given(rows, st.randoms())
def test_reordering_buys_nothing(table, rng):
    shuffled = rng.sample(table, len(table))
    assert keys(shuffled) == keys(table)


@given(rows, rows, st.integers(0, 12))
def test_inserting_rows_buys_only_them(table, new, place):
    assert keys(table) <= keys(table[:place] + new + table[place:])


@given(rows)
def test_ids_and_row_numbers_are_not_the_identity(table):
    assert keys([{**cells, "sku": f"other-{number}"} for number, cells in enumerate(table)]) == keys(table)


@given(rows)
def test_an_id_that_a_prompt_names_is_part_of_the_identity(table):
    named = [{**cells, "prompt": "r {sku}"} for cells in table]
    written = [{**cells, "prompt": f"r {cells['sku']}"} for cells in table]
    assert keys(named) == keys(written)


@given(rows)
def test_equal_inputs_are_twins_and_names_are_never_shared(table):
    all_lines = lines(table, variants=2, sizes=("1:1", "3:2"))
    first = [line for line in all_lines if not line.duplicate]
    assert len({line.job.key for line in first}) == len(first) == len({line.job.key for line in all_lines})
    assert len({line.job.name.casefold() for line in first}) == len(first)
    assert len({line.name_hash for line in first}) == len(first)


@settings(max_examples=examples(300))
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), json_value, max_size=4), st.randoms()
)
def test_the_key_depends_on_values_and_not_on_their_order(inputs, rng):
    items = list(inputs.items())
    rng.shuffle(items)
    assert job_key("m", dict(items)) == job_key("m", inputs)
    assert job_key("m", inputs) == job_key("m", json.loads(json.dumps(inputs)))
    others = {
        job_key("m2", inputs),
        job_key("m", inputs, variant=2),
        job_key("m", inputs, revision=1),
        job_key("m", {**inputs, "#": 1}),
    }
    assert len(others | {job_key("m", inputs)}) == 5


def test_the_digest_is_pinned():
    """A change here makes every job of every old run a new purchase: raise identity.VERSION, and say so."""
    assert (
        job_key("openai/gpt-4o-image/edit", {"prompt": "é", "image": ["https://x.example/1.png"], "size": "1:1"}).hex()
        == PINNED
    )
    assert job_key("m", {"n": 12345678901234567890123}).hex() == PINNED_BIG


PINNED = "16e716507bec8425a2e6a3c6ce1e7964"
PINNED_BIG = "5933a7b152cb40f7f234c94c26346973"
