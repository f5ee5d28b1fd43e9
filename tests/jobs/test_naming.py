"""File names: safe everywhere, never out of their folder, never shared by two jobs."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.errors import ManifestError
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.jobs.naming import Namer, to_safe_name
from batchedit.manifest.rows import Form, FormKind, Row
from tests.support.share import examples

U = "https://x.example/1.png"
SCHEMA = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {"type": "array", "items": {"type": "string", "format": "image_uri"}},
        "prompt": {"type": "string"},
        "size": {"type": "string", "enum": ["3:2", "1:1", "2:3"], "default": "1:1"},
    },
}


class Table:
    form, notes = Form(FormKind.CSV, header_row=1), ()

    def __init__(self, dicts):
        self.columns = tuple(dicts[0])
        self._rows = [Row(number, cells, "") for number, cells in enumerate(dicts, 1)]

    def rows(self):
        return iter(self._rows)


def lines(*dicts, **options):
    return list(expand_all(Table(dicts), Recipe("m", SCHEMA, **options)))


def rows_of(*ids, **more):
    return [{"sku": id_, "image": f"{U}?{number}", "prompt": "p", **more} for number, id_ in enumerate(ids)]


def names(*ids, **options):
    return [line.job.name for line in lines(*rows_of(*ids), **options)]


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("SKU-1", "SKU-1-1x1-1"),
        ("a/b\\c:d*e", "a_b_c_d_e-1x1-1"),
        ("..", "row1-1x1-1"),
        ("../../etc/passwd", "_.._etc_passwd-1x1-1"),
        ("CON", "CON-1x1-1"),
        ("con.x", "_con.x-1x1-1"),
        ("椅子 №5", "椅子 №5-1x1-1"),
        ("Cafe\u0301", "Café-1x1-1"),
        (" x. ", "x-1x1-1"),
        ("a\u202eb\x07c\nd", "a b c d-1x1-1"),
    ],
)
def test_any_id_makes_a_safe_name(id_, name):
    (file_name,) = names(id_)
    assert file_name.removeprefix("_") == name.removeprefix("_")


@pytest.mark.parametrize("id_", ["CON", "nul", "COM1.txt", "lpt9 ", "aux", ".hidden", "x.", "..."])
def test_reserved_words_never_stand_alone(id_):
    (file_name,) = names(id_, name="{id}")
    stem = file_name.split(".")[0].strip().lower()
    assert stem not in {"con", "nul", "com1", "lpt9", "aux", ""}
    assert not file_name.endswith((".", " "))


def test_long_names_are_cut_apart():
    one, two = names("ö" * 300 + "1", "ö" * 300 + "2", name="{id}-{size}")
    assert one != two
    assert max(len(name.encode()) for name in (one, two)) <= 150


def test_repeated_ids_get_their_row_by_default():
    assert names("hat", "hat", "Hat", "cap") == ["hat-1x1-1", "hat-1x1-1-row2", "Hat-1x1-1-row3", "cap-1x1-1"]


def test_an_explicit_template_that_collides_is_refused_with_its_rows():
    with pytest.raises(ManifestError, match=r"'hat' \(row 2 \(.*\) and row 3 \(.*\)\)"):
        names("hat", "hat", "cap", "HAT", name="{sku}")


def test_at_most_20_collisions_are_told():
    with pytest.raises(ManifestError, match="and 10 more") as caught:
        names(*(f"x{number % 30}" for number in range(60)), name="{sku}")
    assert str(caught.value).count(" and row ") == 20


def test_a_twin_is_no_collision():
    row = {"sku": "hat", "image": U, "prompt": "p"}
    assert [line.duplicate for line in lines(row, row, name="{sku}")] == [False, True]


def test_folders_come_from_the_template_alone():
    (line,) = lines(
        {"sku": "a/b", "brand": "../x", "image": U, "prompt": "p"},
        name="{brand}/{sku}-{n:03}-{row}-{date}",
        date="2026-11-22",
    )
    assert line.job.name.count("/") == 1
    assert line.job.name.endswith("/a_b-001-1-2026-11-22")
    assert ".." not in line.job.name.split("/")


@settings(max_examples=examples(300))
@given(st.text(max_size=200).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
def test_no_text_makes_an_unsafe_piece(text):
    piece = to_safe_name(text)
    assert not set(piece) & set('/\\:*?"<>|\0\n\r\t')
    assert len(piece.encode()) <= 100
    assert piece == unicodedata.normalize("NFC", piece)
    name = Namer("{id}", ()).render({}, 1, text, "", 1, 1)
    assert name not in {"", ".", ".."}
    assert not name.startswith(".")
