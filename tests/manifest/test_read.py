"""Reading: every cell verbatim, every broken row named, every dialect the same rows."""

import csv
import datetime as dt
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from batchedit.core.errors import ManifestError, NotFoundError, UsageError
from batchedit.manifest import csvfile
from batchedit.manifest.number_formats import apply_number_format
from batchedit.manifest.read import BadRow, Row, manifest_from_frame, open_manifest
from batchedit.manifest.rows import FormKind
from tests.support.dialects import DIALECTS, FIVE, HEADER, as_csv, make_dialect

SHARED = Path(os.environ.get("BATCHEDIT_SHARED", Path(__file__).parents[3] / "shared")) / "manifests"


@pytest.fixture
def table(tmp_path):
    def write(content, name="m.csv", encoding="utf-8", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return open_manifest(path, **options)

    return write


def cells(manifest):
    return [list(row.cells.values()) for row in manifest.rows()]


def test_cells_are_verbatim(table):
    manifest = table('id,a,b\n007,NA,null\n1e5,"two\nlines","he said ""hi"""\n TRUE ,,-5\n')
    assert cells(manifest) == [
        ["007", "NA", "null"],
        ["1e5", "two\nlines", 'he said "hi"'],
        [" TRUE ", "", "-5"],
    ]


def test_raw_is_the_records_own_text(table):
    manifest = table('id,a\r\n"1","x\r\ny"\r\n2,"z"\r\n')
    assert [row.raw for row in manifest.rows()] == ['"1","x\r\ny"', '2,"z"']
    assert manifest.form.newline == "\r\n"


def test_rows_can_be_read_again(table):
    manifest = table("id\n1\n2\n")
    assert list(manifest.rows()) == list(manifest.rows())


def test_blank_rows_are_skipped_and_counted(table):
    assert [row.number for row in table("a,b\n1,2\n\n,\n3,4\n,\n").rows()] == [1, 4]


def test_ragged_rows_are_named(table):
    short, fine, long = table("a,b,c\n1,2\n1,2,3\n1,2,3,4\n").rows()
    assert short == BadRow(1, "has 2 cells where the header has 3: 'c' and on are missing", "1,2")
    assert fine.number == 2
    assert (long.number, long.raw) == (3, "1,2,3,4")
    assert "4 cells where the header has 3, too many by: 4" in long.reason


def test_text_behind_a_quote_breaks_one_row_only(table):
    bad, good = table('a,b\n"x"y,1\n2,3\n').rows()
    assert bad.number == 1
    assert "line 2" in bad.reason
    assert good.cells == {"a": "2", "b": "3"}


def test_an_unclosed_quote_is_named_where_it_began(table):
    good, bad = table('a,b\n1,2\n3,"four\n5,6\n').rows()
    assert good.number == 1
    assert bad.number == 2
    assert "opens a cell in line 3 and is never closed" in bad.reason


def test_nul_and_undecodable_bytes_break_one_row_only(table):
    nul, odd, fine = table(b"a,b\n1,x\0\n2,\x81\n3,y\n" + b"4,z\n" * 0, encoding="cp1252").rows()
    assert "NUL" in nul.reason
    assert "0x81" in odd.reason
    assert fine.cells == {"a": "3", "b": "y"}


def test_a_very_long_cell(table):
    long = "x" * 300_000
    assert cells(table(f"a,b\n1,{long}\n")) == [["1", long]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n,\n\n", "no rows"),
        ("a,b,a\n1,2,3\n", "'a' \\(columns 1 and 3\\)"),
        ("a,,c\n1,2,3\n", "column 2 has no name"),
        ('a,"b\n1,2\n', "never closed"),
        ("https://x.example/1.png,hello\n2,3\n", "holds data"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40 + b"\0" * 4000, "not a table of text"),
        ("result_row,result_key\n1,2\n", "only columns of ours"),
    ],
)
def test_what_is_no_table(table, content, message):
    with pytest.raises(ManifestError, match=message):
        table(content)


def test_missing_file_folder_and_foreign_sheets(tmp_path):
    (tmp_path / "spring.csv").write_text("a\n1\n")
    with pytest.raises(NotFoundError) as caught:
        open_manifest(tmp_path / "sprng.csv")
    assert "spring.csv" in caught.value.hint
    with pytest.raises(ManifestError, match="folder") as folder:
        open_manifest(tmp_path)
    assert "spring.csv" in folder.value.hint
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0" * 10)
    with pytest.raises(ManifestError, match="no spreadsheet"):
        open_manifest(tmp_path / "old.xls")


def test_columns_of_ours_are_dropped_with_a_note(table):
    manifest = table("a,result_row,b,result_key\n1,9,2,ff\n")
    assert manifest.columns == ("a", "b")
    assert cells(manifest) == [["1", "2"]]
    assert "2 columns of an earlier result" in manifest.notes[0]


# --- JSONL ---------------------------------------------------------------------------------------


def test_jsonl_numbers_keep_their_text(table):
    (row,) = table(
        '{"a": 12345678901234567890123, "b": 1.50, "c": 1e5, "d": -0, "e": [1.0], "f": null, "g": true}\n', "m.jsonl"
    ).rows()
    assert list(row.cells.values()) == ["12345678901234567890123", "1.50", "1e5", "-0", ["1.0"], None, True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1, "a": 2}', "key 'a' twice"),
        ('{"a": {"b": 1, "b": 2}}', "key 'b' twice"),
        ('{"a": "x', "cut off"),
        ('{"a": 1', "cut off"),
        ("[1, 2]", "not an object"),
        ('"text"', "not an object"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": "\\ud800"}', "half a character"),
        ("{'a': 1}", "no JSON"),
    ],
)
def test_jsonl_lines_that_are_no_rows(table, line, reason):
    good, bad, last = table('{"a": 0}\n' + line + '\n\n{"a": 3}', "m.jsonl").rows()
    assert isinstance(bad, BadRow)
    assert (good.number, bad.number, last.number) == (1, 2, 4)
    assert reason in bad.reason
    assert bad.raw == line


def test_a_byte_of_json_lines_that_is_no_text_was_not_named(tmp_path):
    """A sheet's row was named with its byte, and a line only with what may be wrong in it."""
    path = tmp_path / "m.jsonl"
    path.write_bytes('{"a": "Kühle"}\n'.encode() + b'{"a": "caf\xe9"}\n{"a": "K\xc3')
    good, bad, cut = open_manifest(path).rows()
    assert (good.cells, bad.reason) == ({"a": "Kühle"}, "holds the byte 0xe9, which is no text in utf-8")
    assert (cut.number, "cut off" in cut.reason) == (3, True)


def test_jsonl_columns_are_the_union_in_order_of_sight(table):
    manifest = table('\ufeff{"b": 1, "a": 2}\r\n{"c": 1, "a": 2, "result_row": 3}\r\n', "m.ndjson")
    assert manifest.columns == ("b", "a", "c")
    assert manifest.form.bom
    assert manifest.form.newline == "\r\n"


def test_a_json_list_is_refused_with_the_way_out(table):
    with pytest.raises(ManifestError, match="one JSON list") as caught:
        table('[{"a": 1}]', "m.json")
    assert "jq" in caught.value.hint


# --- dialects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
def test_the_same_five_rows_in_every_dialect(tmp_path, name):
    manifest = open_manifest(make_dialect(tmp_path, name))
    assert manifest.columns == tuple(HEADER)
    assert [[str(cell) for cell in row.cells.values()] for row in manifest.rows()] == FIVE


def test_guesses_are_told_and_can_be_overridden(tmp_path):
    path = make_dialect(tmp_path, "semicolon.csv")
    assert "read as windows-1252: " in open_manifest(path).notes[0]
    assert open_manifest(path, encoding="latin-1", delimiter=";").notes == ()
    with pytest.raises(UsageError, match="no encoding"):
        open_manifest(path, encoding="utf-9")
    with pytest.raises(UsageError, match="one character"):
        open_manifest(path, delimiter=";;")


def test_an_accent_in_row_10000_is_found(table):
    content = b"a,b\n" + b"1,plain\n" * 30_000 + b"2,caf\xe9 cr\xe8me br\xfbl\xe9e\n"
    manifest = table(content)
    assert manifest.form.encoding == "cp1252"
    assert list(manifest.rows())[-1].cells["b"] == "café crème brûlée"


def test_a_workbook_under_a_csv_name_and_a_named_sheet(tmp_path):
    path = make_dialect(tmp_path, "m.xlsx").rename(tmp_path / "m.csv")
    assert open_manifest(path).form.kind is FormKind.XLSX
    with pytest.raises(UsageError, match="no sheet 'x'"):
        open_manifest(path, sheet="x")


def test_a_damaged_gzip(table):
    with pytest.raises(ManifestError, match="damaged"):
        table(gzip.compress(as_csv().encode() * 50)[:-20], "m.csv.gz")


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (7, "000", "007"),
        (3.0, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (1234.5, "#,##0.00", "1,234.50"),
        (0.25, "0%", "25%"),
        ("=A1", "General", "=A1"),
    ],
)
def test_cells_of_a_workbook_are_as_shown(value, code, text):
    assert apply_number_format(value, code) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("dd/mm/yyyy", "05/03/2026"),
        ("d.m.yy", "5.3.26"),
        ("mm-dd-yy", "2026-03-05T14:07:00"),
        ("h:mm AM/PM", "2:07 PM"),
    ],
)
def test_dates_are_as_typed(code, text):
    assert apply_number_format(dt.datetime(2026, 3, 5, 14, 7), code) == text  # noqa: DTZ001 - Excel knows no zones


def test_a_dataframe(tmp_path):
    frame = pd.DataFrame(
        {
            "id": ["007", None],
            "n": [1, None],
            "at": [pd.Timestamp("2026-01-02"), pd.NaT],
            "result_row": [1, 2],
            "f": [1.5, 2],
        }
    )
    manifest = manifest_from_frame(frame)
    assert manifest.columns == ("id", "n", "at", "f")
    assert [list(row.cells.values()) for row in manifest.rows()] == [
        ["007", "1", "2026-01-02", "1.5"],
        [None, None, None, "2"],
    ]
    with pytest.raises(ManifestError, match="no rows"):
        manifest_from_frame(frame.iloc[:0])


@pytest.mark.parametrize("name", ["shopify-apparel.csv", "shopify-home-and-garden.csv"])
def test_real_exports_read_as_the_csv_module_reads_them(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared exports are not here")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    manifest = open_manifest(path)
    assert list(manifest.columns) == header
    assert cells(manifest) == rows


@pytest.mark.process
def test_plain_files_need_no_pandas(tmp_path):
    (tmp_path / "m.csv").write_text("a\n1\n")
    code = (
        "import sys; from pathlib import Path; import batchedit.jobs.expand, batchedit.results.writer;"
        "from batchedit.manifest import read;"
        f"list(read.open_manifest(Path({str(tmp_path / 'm.csv')!r})).rows());"
        "heavy = {'pandas', 'numpy', 'openpyxl', 'pyarrow', 'charset_normalizer', 'selectolax'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_row_is_a_row(table):
    assert next(table("a\n1\n").rows()) == Row(1, {"a": "1"}, "1")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a huge file for a small one: constants of the module, not its behaviour."""
    monkeypatch.setattr(csvfile, "_BLOCK", 1_000)
    monkeypatch.setattr(csvfile, "_MAX_RECORD_CHARS", 10_000)


@pytest.mark.usefixtures("small_blocks")
def test_records_of_many_lines_across_blocks_are_whole(tmp_path: Path) -> None:
    cell = "\n".join("x" * 76 for _ in range(50))
    records = [f'{number},"{cell}{number}"' for number in range(1, 201)]
    (tmp_path / "m.csv").write_text("id,text\n" + "\n".join(records) + "\n")
    rows = list(open_manifest(tmp_path / "m.csv").rows())
    assert [(row.number, row.raw) for row in rows] == list(enumerate(records, 1))
    assert all(isinstance(row, Row) and row.cells["text"] == f"{cell}{row.number}" for row in rows)


@pytest.mark.usefixtures("small_blocks")
def test_a_broken_record_in_a_later_block_names_its_lines(tmp_path: Path) -> None:
    lines = [f'{number},"a\nb"' for number in range(1, 301)]
    lines[249] = '250,"a\nb" c'
    (tmp_path / "m.csv").write_text("id,text\n" + "\n".join(lines) + "\n")
    bad = [row for row in open_manifest(tmp_path / "m.csv").rows() if isinstance(row, BadRow)]
    assert [(row.number, row.raw) for row in bad] == [(250, '250,"a\nb" c')]
    assert "in lines 500 to 501" in bad[0].reason


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("head", ["id,text\n1,", ""], ids=["in a cell", "in the header"])
def test_a_quotation_mark_that_is_never_closed_ends_early(tmp_path: Path, head: str) -> None:
    (tmp_path / "m.csv").write_text(head + '"a cell\n' + "2,b\n" * 50_000)
    with pytest.raises(ManifestError, match="never ends"):
        list(open_manifest(tmp_path / "m.csv").rows())
