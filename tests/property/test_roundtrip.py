"""Arbitrary cells come through read, results and read again; no file makes a reader raise anything foreign."""

import contextlib
import csv
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from batchedit.core.errors import ManifestError
from batchedit.core.model import Outcome
from batchedit.jobs.expand import Recipe, expand_all
from batchedit.manifest.blank import strip_invisible
from batchedit.manifest.read import BadRow, open_manifest
from batchedit.manifest.rows import Form, FormKind
from batchedit.results.writer import write_results
from tests.support.share import examples

MANIFESTS = Path(__file__).parents[2] / "manifests"
SCHEMA = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {"type": "array", "items": {"type": "string", "format": "image_uri"}},
        "prompt": {"type": "string"},
        "size": {"type": "string", "enum": ["3:2", "1:1", "2:3"], "default": "1:1"},
    },
}
relaxed = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.sampled_from(
    [
        "007",
        "NA",
        "null",
        "1e5",
        '"',
        '""',
        "a\nb",
        "a\r\nb",
        "\r",
        "=A1",
        "-5",
        " x ",
        ",",
        ";",
        "\t",
        "{a}",
        "\ufeff",
        "'",
    ]
)
names = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
        lambda name: name == strip_invisible(name) != "" and not name.startswith(("result_", "http"))
    ),
    min_size=1,
    max_size=5,
    unique=True,
)
value = (
    st.none()
    | st.booleans()
    | text
    | st.lists(text, max_size=2)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)


@st.composite
def tables(draw):
    header = draw(names)
    row = st.lists(text, min_size=len(header), max_size=len(header)).filter(any)
    return header, draw(st.lists(row, min_size=1, max_size=6))


def outcomes(manifest):
    for row in manifest.rows():
        yield Outcome(row.number, "x", "failed", problem='=a "quoted", thing\nwith; lines')


@relaxed
@given(table=tables(), delimiter=st.sampled_from(",;\t|"), newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
def test_csv(tmp_path, table, delimiter, newline, bom):
    header, rows = table
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    path, results = tmp_path / "m.csv", tmp_path / "r.csv"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode())
    for source in (path, results):
        manifest = open_manifest(source, delimiter=delimiter, encoding="utf-8", header_row=1)
        assert manifest.columns == tuple(header)
        assert [list(row.cells.values()) for row in manifest.rows()] == rows
        write_results(manifest, outcomes(manifest), results)


@relaxed
@given(
    objects=st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
                lambda key: not key.startswith("result_")
            ),
            value,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_jsonl(tmp_path, objects):
    path, results = tmp_path / "m.jsonl", tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects), encoding="utf-8")
    for source in (path, results):
        manifest = open_manifest(source)
        assert [json.loads(row.raw) for row in manifest.rows()] == [
            json.loads(row.raw) for row in open_manifest(source).rows()
        ]
        write_results(manifest, outcomes(manifest), results)
    kept = [
        {key: value for key, value in json.loads(line).items() if not key.startswith("result_")}
        for line in results.read_text(encoding="utf-8").split("\n")[:-1]
    ]
    assert kept == objects


@relaxed
@given(table=tables())
def test_csv_to_jsonl_to_csv(tmp_path, table):
    header, rows = table
    path, jsonl, back = tmp_path / "m.csv", tmp_path / "r.jsonl", tmp_path / "b.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    first = open_manifest(path, delimiter=",", encoding="utf-8", header_row=1)
    write_results(first, outcomes(first), jsonl, form=Form(FormKind.JSONL))
    second = open_manifest(jsonl)
    write_results(second, outcomes(second), back, form=Form(FormKind.CSV))
    third = open_manifest(back, delimiter=",", encoding="utf-8", header_row=1)
    assert [list(row.cells.values()) for row in third.rows()] == rows


excel_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=20).filter(
    lambda cell: cell.strip() and "_x" not in cell
) | st.sampled_from(["007", "1e5", "=A1", "-5", "TRUE", "#N/A", "3:2", " x ", "a\nb", "'"])


@settings(relaxed, max_examples=examples(60))
@given(header=names, data=st.data())
def test_xlsx(tmp_path, header, data):
    """Text cells of a workbook come back as they were; Excel itself has no word for control characters."""
    row = st.lists(excel_text, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    source, results = tmp_path / "m.csv", tmp_path / "r.xlsx"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    manifest = open_manifest(source, delimiter=",", encoding="utf-8", header_row=1)
    for _ in range(2):
        write_results(manifest, outcomes(manifest), results, form=Form(FormKind.XLSX))
        manifest = open_manifest(results, header_row=1)
        assert manifest.columns == tuple(header)
        assert [list(row.cells.values()) for row in manifest.rows()] == rows


@settings(relaxed, max_examples=examples(60))
@given(
    columns=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
            lambda name: strip_invisible(name) and not name.startswith("result_")
        ),
        st.sampled_from(["text", "whole", "real", "yes", "list"]),
        min_size=1,
        max_size=4,
    ),
    data=st.data(),
)
def test_parquet(tmp_path, columns, data):
    """Types and values to the last bit, over and over."""
    kinds = {
        "text": (pa.string(), st.none() | text),
        "whole": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
        "real": (pa.float64(), st.none() | st.floats(allow_nan=False)),
        "yes": (pa.bool_(), st.none() | st.booleans()),
        "list": (pa.list_(pa.string()), st.none() | st.lists(text, max_size=2)),
    }
    count = data.draw(st.integers(1, 5))
    arrays = {
        name: pa.array(data.draw(st.lists(kinds[kind][1], min_size=count, max_size=count)), kinds[kind][0])
        for name, kind in columns.items()
    }
    table = pa.table({"here": pa.array(range(count)), **arrays} if "here" not in arrays else arrays)
    source, results = tmp_path / "m.parquet", tmp_path / "r.parquet"
    parquet.write_table(table, source)
    for path in (source, results):
        manifest = open_manifest(path)
        write_results(manifest, list(outcomes(manifest)), results)
    assert (
        parquet.read_table(results)
        .select(table.column_names)
        .equals(table.take([row.number - 1 for row in open_manifest(source).rows()]))
    )


def mutated(data, rng):
    """A few of the things that happen to files: bytes changed, cut, doubled, moved, put in."""
    for _ in range(rng.randint(1, 6)):
        at, to = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
        piece = rng.choice(
            [
                b'"',
                b"\n",
                b"\r\n",
                b",",
                b";",
                b"\t",
                b"\0",
                b"\xff",
                b"\xef\xbb\xbf",
                b"{",
                b"}",
                b"\\ud800",
                b"\xe9\xe8",
                bytes([rng.randrange(256)]),
            ]
        )
        match rng.randrange(6):
            case 0:
                data = data[:at] + piece + data[at:]
            case 1:
                data = data[: min(at, to)] + data[max(at, to) :] if abs(at - to) < 200 else data[:at]
            case 2:
                data = data[:at] + data[to : to + 60] + data[at:]
            case 3:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 4:
                data = data.replace(piece, b"", 3)
            case _:
                data = data.replace(rng.choice([b",", b"\n", b'"', b"https://", b"image"]), piece, rng.randint(1, 5))
    return data


@pytest.mark.parametrize("name", ["demo.csv", "shopify-export.csv", "several-images.jsonl", "broken.csv"])
def test_mutated_manifests_end_in_rows_or_a_manifest_error(tmp_path, name):
    original = (MANIFESTS / name).read_bytes()
    mapping = {"image": "Image Src", "prompt": "Title"} if name.startswith("shopify") else {}
    for seed in range(250):
        path = tmp_path / name
        path.write_bytes(mutated(original, random.Random(seed)))
        with contextlib.suppress(ManifestError):
            manifest = open_manifest(path)
            rows = list(manifest.rows())
            assert all(row.number for row in rows)
            mapped = mapping if set(mapping.values()) <= set(manifest.columns) else {}
            invalid = {
                line.row
                for line in expand_all(manifest, Recipe("m", SCHEMA, mapping=mapped))
                if hasattr(line, "problems")
            }
            assert {row.number for row in rows if isinstance(row, BadRow)} <= invalid
            outcomes = [Outcome(row.number, "", "invalid" if row.number in invalid else "planned") for row in rows]
            written = tmp_path / f"results-{name}"
            write_results(manifest, outcomes, written)
            assert sum(1 for _ in open_manifest(written, encoding=manifest.form.encoding).rows()) == len(rows)
