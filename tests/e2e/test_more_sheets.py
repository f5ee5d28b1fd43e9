"""Sheets that are kin of those which went wrong for people: what each one is, in words, before anything is bought."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchedit.manifest.blank import strip_unseen_ends
from batchedit.manifest.wordlike import is_wordlike
from tests.support.cli import rows, run_cli

LINK = "https://shop.example.com/p/%d.jpg"
HEAD = "sku,image,prompt\n"
OBJECT = f'{{"sku":"A","image":"{LINK % 1}","prompt":"one"}}'


def plan_sheet(tmp_path: Path, name: str, data: str | bytes, *options: object, code: int | None = 0) -> str:
    """Everything that ``plan`` says about a file of this name."""
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    completed = run_cli("plan", name, "--sandbox", *options, cwd=tmp_path, code=code)
    return completed.stdout + completed.stderr


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("mac_roman", "Werbung für Käse und Öl"),
        ("cp850", "Werbung für Käse und Öl"),
        ("cp850", "Größe und Süße"),
        ("cp437", "Kühle Möbel"),
        ("koi8_r", "сделай рекламу для кружки"),
        ("cp1251", "Сделай рекламу чайника"),
        ("cp1252", "“Grandma’s” mug – café"),
        ("cp932", "東京のクリスマス広告を作ってください"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
    ],
)
def test_a_guess_at_an_encoding_makes_words(tmp_path: Path, codec: str, text: str) -> None:
    """`fÅr KÑse` of DOS and half-width kana of Russian were guesses, and bought under --yes."""
    plan_text = plan_sheet(tmp_path, "m.csv", f"{HEAD}A-1,{LINK % 1},{text}\n".encode(codec))
    assert f"row 2 (A-1): {text}" in plan_text
    assert "(the text is not UTF-8; --encoding says another)" in plan_text


@pytest.mark.parametrize(
    ("text", "codec", "true"),
    [
        ("Grandma’s café", "cp1252", True),
        ("CAFÉ NOËL", "cp1252", True),
        ("col·lecció", "cp1252", True),
        ("Größe", "cp850", False),
        ("ﾊﾛｰ 世界", "cp932", True),
    ],
)
def test_what_makes_words(text: str, codec: str, *, true: bool) -> None:
    made_in = "cp1252" if codec == "cp850" else codec
    assert is_wordlike(text.encode(made_in), codec) is true


def test_letters_that_were_read_wrongly_before_are_told(tmp_path: Path) -> None:
    """Whole UTF-8 it is, and yet each umlaut is two other letters: nobody said a word, and an ad had them on it."""
    text = "Kühlschrank für die Küche".encode().decode("cp1252")
    plan_text = plan_sheet(tmp_path, "m.csv", f"{HEAD}A-1,{LINK % 1},{text}\nA-2,{LINK % 2},à São João NÃO Â\n")
    assert (
        "warning: 1 row has a word such as 'KÃ¼hlschrank' (row 2 (A-1)), whose letters were read in a wrong"
        in plan_text
    )


def test_names_of_columns_in_other_brackets_are_told(tmp_path: Path) -> None:
    """Mail merge writes them so; they were bought as they stand, without a word."""
    cells = ["[Title]", "«Title»", "<<Title>>", "%Title%", "[[Title]]", "[a mug]", "50% off or 20% more"]
    lines = [f"A-{n},{LINK % n},make an ad for {cell},Mug" for n, cell in enumerate(cells, 1)]
    plan_text = plan_sheet(tmp_path, "m.csv", "sku,image,prompt,Title\n" + "\n".join(lines))
    for cell in cells[:5]:
        assert f"warning: {cell} stands in 1 row as it is; for that column's cell write {{…}} around it" in plan_text
    assert plan_text.count("stands in 1 row as it is") == 5


def test_an_id_that_a_spreadsheet_rounded_is_told(tmp_path: Path) -> None:
    """Two products became 4.00638E+12, and their pictures were told apart by the row alone."""
    ids = ["4.00638E+12", "0012345678901", "4,00638E+12", "E+12", "1E+3"]
    plan_text = plan_sheet(tmp_path, "m.csv", HEAD.replace(",", ";") + "".join(f"{i};{LINK % 1};{i}\n" for i in ids))
    assert (
        "warning: 2 rows have an id that a spreadsheet has rounded (row 2 (4.00638E+12), row 4 (4,00638E+12))"
        in plan_text
    )


def test_a_mark_between_joined_files_is_no_part_of_an_id(tmp_path: Path) -> None:
    lines = f"A-1,{LINK % 1},one\n\ufeffA-2,{LINK % 2},two\n\u202eA-3\u200b,{LINK % 3},three\n"
    assert "row 3 (A-2): two" in plan_sheet(tmp_path, "m.csv", HEAD + lines)
    run_cli("run", "m.csv", "--sandbox", "--yes", "--out", "o", cwd=tmp_path)
    files = [row["result_file"] for row in rows(tmp_path / "o")]
    assert files == [f"files/A-{n}-1x1-1.png" for n in (1, 2, 3)]
    assert [strip_unseen_ends(text) for text in ("\ufeff", " \u200b a\u200bb \u2060", "é", "")] == [
        "",
        "a\u200bb",
        "é",
        "",
    ]


@pytest.mark.parametrize("text", ["Loading...", "N/A", "n/a", "-", "–", "…", "?"])
def test_more_that_stands_for_an_empty_cell_is_no_prompt(tmp_path: Path, text: str) -> None:
    """Google Sheets writes `Loading...` where it had not computed a cell yet when the sheet was downloaded."""
    assert f"'{text}' stands for an empty cell" in plan_sheet(
        tmp_path, "m.csv", f"{HEAD}A-1,{LINK % 1},{text}\n", code=65
    )


def test_rows_without_anything_to_be_seen_are_left_out(tmp_path: Path) -> None:
    """The mark that DOS ends a file with, and boxes of Google Sheets dragged down to row 1000: each was an invalid row."""
    plan_text = plan_sheet(tmp_path, "m.csv", f"{HEAD}A-1,{LINK % 1},one\n\x1a")
    assert "left out        1 row: a line with nothing to be seen in it" in plan_text
    boxes = "sku,image,prompt,done\n" + f"A-1,{LINK % 1},one,FALSE\n" + ",,,FALSE\n" * 3 + ",,,TRUE\n"
    plan_text = plan_sheet(tmp_path, "m.csv", boxes, code=65)
    assert "left out        3 rows: a row with nothing in it but a box that is not ticked" in plan_text
    assert "invalid         1 row" in plan_text
    run_cli("run", "m.csv", "--sandbox", "--yes", "--skip-invalid", "--out", "o", cwd=tmp_path)
    assert rows(tmp_path / "o")[0]["result_status"] == "done"
    assert run_cli("results", "o", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("name", "data", "expected", "hint"),
    [
        (
            "m.xls",
            "<html><table><tr><td>sku</td></tr></table></html>",
            "a web page with a table in it",
            "save it as .xlsx",
        ),
        ("m.xls", "\n<table><tr><td>sku</td></tr></table>", "a web page with a table in it", "save it as .xlsx"),
        ("m.xls", "<?xml version='1.0'?><Workbook/>", "a table in XML (Excel 2003", "save it as .xlsx"),
        ("m.fods", "<?xml version='1.0'?><office:document/>", "a table in XML", "save it as .xlsx"),
        ("m.csv", "<?xml version='1.0'?><rss><channel/></rss>", "is XML, not a table", "batchedit init m.csv"),
        ("m.csv", f"sku^image^prompt\nA-1^{LINK % 1}^one\n", "no column fills", "--delimiter '^'"),
        ("m.csv", f'"sku,image,prompt"\n"A-1,{LINK % 1},one"\n', "no column fills", "in quotation marks as a whole"),
        ("m.csv", f"Product,image\nMug,{LINK % 1}\n", "required input 'prompt'", "'make an ad for {Product}'"),
        (
            "m.csv",
            f'sku, image, prompt\nA-1, {LINK % 1}, "one, two"\n',
            "a blank stands in front of a quotation mark",
            "",
        ),
        ("m.jsonl", f"{OBJECT},\n{OBJECT}\n", "has a comma behind its object", ""),
    ],
)
def test_each_kind_of_file_is_told_by_what_it_is(
    tmp_path: Path, name: str, data: str, expected: str, hint: str
) -> None:
    plan_text = plan_sheet(tmp_path, name, data, code=65)
    assert expected in plan_text
    assert hint in plan_text
