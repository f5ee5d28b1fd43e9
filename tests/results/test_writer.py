"""Results: the user's text byte for byte, ours behind, the old file until the new one is whole."""

import csv
import datetime as dt
import gzip
import json
from decimal import Decimal

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from batchedit.core.columns import RESULT_COLUMNS
from batchedit.core.errors import ManifestError, OutputError
from batchedit.core.model import Outcome
from batchedit.manifest.read import manifest_from_frame, open_manifest
from batchedit.manifest.rows import Form, FormKind
from batchedit.results.tables import build_results_frame
from batchedit.results.writer import write_results

FILES = json.dumps(
    [["files/a.png", "ab" * 32, 2048, 1024, 768, "https://f.example/a.png"], ["files/a-2.png", "cd" * 32, 1, 2, 3, "u"]]
)
KEY = bytes(range(16))


def done(row, **more):
    about = {"size": "1:1", "files": FILES, "url": "https://f.example/a.png", "request_id": "req-1", "cost": 40_000}
    return Outcome(
        row,
        f"id{row}",
        "done",
        submitted_at=1_790_000_000.2,
        finished_at=1_790_000_004.56,
        key=KEY,
        **{**about, **more},
    )


@pytest.fixture
def enrich(tmp_path):
    def write(content, outcomes, name="m.csv", out=None, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        target = tmp_path / (out or f"results-{name}")
        write_results(open_manifest(path), outcomes, target, **options)
        return target

    return write


def read(path, **options):
    with path.open(newline="", **options) as file:
        return list(csv.DictReader(file))


def test_every_column_of_ours(enrich):
    (row,) = read(enrich("sku\na\n", [done(1)]))
    assert tuple(row)[1:] == RESULT_COLUMNS
    assert row == {
        "sku": "a",
        "result_row": "2",
        "result_size": "1:1",
        "result_variant": "1",
        "result_version": "1",
        "result_status": "done",
        "result_error": "",
        "result_error_kind": "",
        "result_file": "files/a.png",
        "result_files": '["files/a.png","files/a-2.png"]',
        "result_url": "https://f.example/a.png",
        "result_request_id": "req-1",
        "result_cost_usd": "0.04",
        "result_submitted_at": "2026-09-21T14:13:20Z",
        "result_finished_at": "2026-09-21T14:13:24Z",
        "result_seconds": "4.4",
        "result_sha256": "ab" * 32,
        "result_bytes": "2048",
        "result_width": "1024",
        "result_height": "768",
        "result_key": KEY.hex(),
        "result_flags": "",
        "result_reused_from": "",
        "result_decision": "",
        "result_note": "",
    }


@pytest.mark.parametrize(
    ("content", "delimiter", "newline"),
    [
        (b'sku;"t"\r\n"1";"two\r\nlines; and ""more"""\r\n007; x \r\n', ";", "\r\n"),
        (b'\xef\xbb\xbfsku,t\na,"b"\nc,d', ",", "\n"),
        ("sku\tt\nä\tö\nü\té è\n".encode("cp1252"), "\t", "\n"),
        ("\ufeffsku|t\nä|ö\nü|é\n".encode("utf-16-be"), "|", "\n"),
        (b"sep=;\r\nsku;t\r\na;b\r\nc;d\r\n", ";", "\r\n"),
    ],
)
def test_the_users_bytes_stay(enrich, content, delimiter, newline):
    written = enrich(content, [done(1), done(2)]).read_bytes()
    manifest_bytes = content
    codec = "utf-16-be" if manifest_bytes.startswith(b"\xfe\xff") else "latin-1"
    text, original = written.decode(codec), manifest_bytes.decode(codec)
    assert text.endswith(newline)
    kept = []
    for line in text.split(newline):
        cut = line.find(f"{delimiter}result_row")
        cut = cut if cut >= 0 else line.find(f"{delimiter}2{delimiter}1:1")
        cut = cut if cut >= 0 else line.find(f"{delimiter}3{delimiter}1:1")
        kept.append(line[:cut] if cut >= 0 else line)
    assert newline.join(kept).rstrip(newline) == original.rstrip(newline)


def test_several_lines_a_row_and_status_words(enrich):
    outcomes = [
        Outcome(1, "a", "waiting", "1:1"),
        Outcome(1, "a", "planned", "2:3"),
        Outcome(2, "b", "in_doubt", kind="lost", problem="no answer"),
    ]
    rows = read(enrich("sku\na\nb\n", outcomes))
    assert [(row["sku"], row["result_status"], row["result_size"], row["result_error"]) for row in rows] == [
        ("a", "submitted", "1:1", ""),
        ("a", "planned", "2:3", ""),
        ("b", "in_doubt", "", "no answer"),
    ]


def test_a_failed_csv_by_predicate(enrich):
    rows = read(enrich("sku\na\nb\n", [done(1), Outcome(2, "b", "failed")], only=lambda status: status == "failed"))
    assert [row["sku"] for row in rows] == ["b"]


def test_rows_that_are_no_rows_lose_nothing(enrich):
    problems = json.dumps([["", "1,2,3", "has 3 cells"]])
    bad = [Outcome(number, "", "invalid", problems=problems) for number in (1, 3, 4)]
    rows = read(enrich('a,b\n1,2,3\n4,5\n"7\n8"\n6,"x\n', [bad[0], done(2), *bad[1:]]))
    assert [(row["a"], row["b"]) for row in rows] == [("1,2,3", ""), ("4", "5"), ("7\n8", ""), ('6,"x', "")]
    assert rows[0]["result_error"] == "the row has 3 cells: 1,2,3"
    assert (rows[0]["result_variant"], rows[0]["result_error_kind"]) == ("", "invalid")


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_from_outside_is_no_formula_and_the_users_own_stays(enrich, text):
    rows = read(enrich("sku,b\n=A1,-5\n", [Outcome(1, "a", "failed", problem=text, url=text)]))
    assert (rows[0]["sku"], rows[0]["b"]) == ("=A1", "-5")
    assert rows[0]["result_error"] == "'" + text
    assert rows[0]["result_url"] == "'" + text
    (row,) = enrich('{"a": 1}\n', [Outcome(1, "a", "failed", problem=text)], "m.jsonl").read_text().splitlines()
    assert json.loads(row)["result_error"] == text


def test_jsonl_keeps_the_objects_text(enrich):
    content = '{"a": 1.50, "b": 12345678901234567890123 }\n{}\n\n{"c":"ü","c2":null}\n'
    lines = enrich(content, [done(1), Outcome(2, "", "planned"), done(4)], "m.jsonl").read_text().splitlines()
    assert lines[0].startswith('{"a": 1.50, "b": 12345678901234567890123,"result_row":1,')
    assert lines[1].startswith('{"result_row":2,')
    first = json.loads(lines[0])
    assert first["result_files"] == ["files/a.png", "files/a-2.png"]
    assert first["result_cost_usd"] == 0.04
    assert '"result_cost_usd":0.04,' in lines[0]
    assert first["result_error"] is None
    assert first["result_bytes"] == 2048


def test_results_are_a_manifest_and_do_not_grow(enrich, tmp_path):
    once = enrich("sku,t\na,=1\nb,2\n", [done(1), done(2)])
    twice = tmp_path / "twice.csv"
    write_results(open_manifest(once), [done(1), done(2)], twice)
    assert twice.read_bytes() == once.read_bytes()
    once = enrich('{"sku": "a", "n": 1.50}\n', [done(1)], "m.jsonl")
    write_results(open_manifest(once), [done(1)], tmp_path / "twice.jsonl")
    twice = (tmp_path / "twice.jsonl").read_text().splitlines()
    assert list(map(json.loads, twice)) == list(map(json.loads, once.read_text().splitlines()))
    assert '"n":1.50' in (tmp_path / "twice.jsonl").read_text()


@pytest.mark.parametrize("rows", [[1], [1, 2, 3], [1, 3], [2]])
def test_a_changed_manifest_is_told_and_the_old_file_stays(enrich, tmp_path, rows):
    old = tmp_path / "results-m.csv"
    old.write_text("old")
    with pytest.raises(ManifestError, match="no longer the one"):
        enrich("sku\na\nb\n", [done(row) for row in rows])
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "results-m.csv"]


def test_a_folder_that_is_gone(enrich):
    with pytest.raises(OutputError, match="can't be written"):
        enrich("sku\na\n", [done(1)], out="gone/results.csv")


def test_added_columns_stand_behind_the_users(enrich):
    outcomes = [done(1, over='{"market":"DE"}'), done(1, over='{"market":"FR"}')]
    rows = read(enrich("sku\na\n", outcomes, added=("market",)))
    assert [(row["sku"], row["market"]) for row in rows] == [("a", "DE"), ("a", "FR")]
    lines = enrich('{"sku": "a"}\n', outcomes, "m.jsonl", added=("market",)).read_text().splitlines()
    assert [json.loads(line)["market"] for line in lines] == ["DE", "FR"]


def test_from_one_form_to_the_other(enrich):
    jsonl = enrich("sku,n\n007,1\n", [done(1)], out="r.jsonl", form=Form(FormKind.JSONL))
    assert json.loads(jsonl.read_text())["sku"] == "007"
    content = '{"b": 1.50, "a": [1, "x"]}\n{"c": null, "a": true}\n'
    rows = read(enrich(content, [done(1), done(2)], "m.jsonl", out="r.csv", form=Form(FormKind.CSV)))
    assert [[row["b"], row["a"], row["c"]] for row in rows] == [["1.50", '[1,"x"]', ""], ["", "true", ""]]


def test_gzip_by_name(enrich):
    path = enrich("sku\na\n", [done(1)], out="r.csv.gz")
    assert gzip.decompress(path.read_bytes()).startswith(b"sku,result_row")


def test_excel_and_back(enrich):
    path = enrich(
        "sku,t\n007,=A1\n1e5,-5\n",
        [done(1), Outcome(2, "", "failed", problem="=boom")],
        out="r.xlsx",
        form=Form(FormKind.XLSX),
    )
    manifest = open_manifest(path)
    assert [list(row.cells.values()) for row in manifest.rows()] == [["007", "=A1"], ["1e5", "-5"]]

    sheet = openpyxl.load_workbook(path).active
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "inlineStr"}
    assert sheet.cell(3, 8).value == "=boom"


def test_parquet_keeps_types_to_the_last_bit(tmp_path):
    table = pa.table(
        {
            "sku": ["a", None, "c"],
            "n": pa.array([1, None, 3], pa.int16()),
            "d": pa.array([Decimal("1.50"), None, Decimal("2.00")], pa.decimal128(9, 2)),
            "t": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, None], pa.timestamp("ns", tz="UTC")),
        }
    )
    parquet.write_table(table, tmp_path / "m.parquet")
    manifest = open_manifest(tmp_path / "m.parquet")
    write_results(manifest, [done(1), done(1), done(3)], tmp_path / "r.parquet")
    written = parquet.read_table(tmp_path / "r.parquet")
    assert written.select(["sku", "n", "d", "t"]) == table.take([0, 0, 2])
    assert written["result_files"].to_pylist()[0] == ["files/a.png", "files/a-2.png"]
    assert open_manifest(tmp_path / "r.parquet").columns == ("sku", "n", "d", "t")


def test_a_dataframe_comes_back_with_its_types():
    frame = pd.DataFrame({"sku": ["a", "b"], "n": [1, 2]}, index=[7, 9])
    results_frame = build_results_frame(manifest_from_frame(frame), [done(1), done(2), done(2, over='{"market":"DE"}')])
    assert results_frame["n"].tolist() == [1, 2, 2]
    assert results_frame["n"].dtype == frame["n"].dtype
    assert tuple(results_frame.columns) == ("sku", "n", "market", *RESULT_COLUMNS)


def test_a_dataframe_comes_back_with_its_index_and_its_columns_whatever_their_names():
    """A column whose name is a number ended in a KeyError, after the purchase."""
    frame = pd.DataFrame({2026: [5, 6], "sku": ["a", "b"], dt.date(2026, 1, 1): ["x", "y"]}, index=["z", "a"])
    frame.index.name = "code"
    results_frame = build_results_frame(manifest_from_frame(frame), [done(1), done(2), done(2)])
    assert results_frame.index.tolist() == ["z", "a", "a"]
    assert results_frame.index.name == "code"
    assert results_frame.columns.tolist()[:3] == [2026, "sku", dt.date(2026, 1, 1)]
    assert results_frame[2026].tolist() == [5, 6, 6]
    assert results_frame["result_row"].tolist() == [1, 2, 2]
