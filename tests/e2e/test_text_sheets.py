"""CSV and JSON lines as people have them: what a sheet is, is decided once, and text stays what it was."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

LINK = "https://shop.example.com/p/%d.jpg"
OBJECT = json.dumps({"sku": "A-1", "image": LINK % 1, "prompt": "make an ad"}) + "\n"


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


# --- a sheet is decided once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["rows.json", "rows.jsonlines", "rows.log", "rows", "rows.txt", "rows.csv", "a.b.JSON"]
)
def test_json_lines_were_bought_under_any_name_and_never_came_back(tmp_path: Path, sandbox, name: str) -> None:
    (tmp_path / name).write_text(OBJECT)
    batchedit("run", name, *on(sandbox, "--out", "o"), cwd=tmp_path)
    assert [(row["sku"], row["result_status"]) for row in rows(tmp_path / "o")] == [("A-1", "done")]
    for command in ("results", "status", "gallery"):
        batchedit(command, "o", cwd=tmp_path)
    (copy,) = (tmp_path / "o").glob("manifest.*")
    assert copy.suffix in {".jsonl", ".jsonlines"}
    assert sandbox.ledger()["accepted"] == 1


def test_a_run_of_the_first_edition_with_json_in_manifest_csv_gets_its_results(tmp_path: Path, sandbox) -> None:
    import sqlite3

    (tmp_path / "rows.json").write_text(OBJECT)
    batchedit("run", "rows.json", *on(sandbox, "--out", "o"), cwd=tmp_path)
    out = tmp_path / "o"
    next(out.glob("manifest.*")).rename(out / "manifest.csv")
    for path in out.glob("results.*"):
        path.unlink()
    with closing(sqlite3.connect(out / "checkpoint.sqlite")) as db, db:
        db.execute("DELETE FROM meta WHERE name = 'form'")
    batchedit("results", "o", cwd=tmp_path)
    assert json.loads((out / "results.jsonl").read_text())["result_status"] == "done"


def test_the_copy_stays_what_it_was_when_its_bytes_would_say_something_else(tmp_path: Path, sandbox) -> None:
    """A guess at a copy's name or bytes may differ from the one at intake: with another --delimiter, or none."""
    (tmp_path / "m.csv").write_text(f"sku;image;prompt\nA-1;{LINK % 1};one, two, three\n")
    batchedit("run", "m.csv", *on(sandbox, "--out", "o", "--delimiter", ";"), cwd=tmp_path)
    (tmp_path / "m.csv").unlink()
    batchedit("results", "o", "--delimiter", ",", cwd=tmp_path, code=None)
    batchedit("results", "o", cwd=tmp_path)
    assert "one, two, three" in (tmp_path / "o" / "results.csv").read_text()


# --- text is what it was --------------------------------------------------------------------------

HEAD = "sku,image,prompt\n"
GOOD = f"A-1,{LINK % 1},Kühle Möbel für Käse\n"


@pytest.mark.parametrize(
    ("name", "content", "invalid"),
    [
        ("byte.csv", (HEAD + GOOD + f"A-2,{LINK % 2},caf").encode() + b"\xe9\n", "byte 0xe9"),
        ("cut.csv", (HEAD + GOOD).encode() + f"A-2,{LINK % 2},Kü".encode()[:-1], "byte 0xc3"),
        ("one.csv", (HEAD + f"A-1,{LINK % 1},Kühl\nA-2,{LINK % 2},caf").encode() + b"\xe9\n", "byte 0xe9"),
        ("only.csv", (HEAD + f"A-1,{LINK % 1},plain\nA-2,{LINK % 2},K").encode() + b"\xc3", "byte 0xc3"),
        (
            "bytes.jsonl",
            json.dumps({"sku": "A-1", "image": LINK % 1, "prompt": "Kühl"}, ensure_ascii=False).encode()
            + b'\n{"sku":"A-2","image":"https://shop.example.com/2.jpg","prompt":"caf\xe9 \xfc\xe4\xf6 \xdf\xdf"}\n',
            "the byte 0xe9",
        ),
    ],
)
def test_one_bad_byte_turned_every_row_into_another_text(
    tmp_path: Path, sandbox, name: str, content: bytes, invalid: str
) -> None:
    (tmp_path / name).write_bytes(content)
    refused = batchedit("plan", name, cwd=tmp_path, code=65)
    assert "1 row" in refused.stdout + refused.stderr
    assert invalid in refused.stdout + refused.stderr
    batchedit("run", name, *on(sandbox, "--out", "o", "--skip-invalid"), cwd=tmp_path, code=None)
    assert [row["result_status"] for row in rows(tmp_path / "o")] == ["done", "invalid"]
    assert [job["prompt"][:2] for job in sandbox.ledger(full=True)["requests"]] in (["Kü"], ["pl"])


def test_a_guessed_encoding_is_shown_with_a_word_and_never_buys_a_row_again(tmp_path: Path, sandbox) -> None:
    sheet = tmp_path / "m.csv"
    sheet.write_text(HEAD + GOOD, encoding="utf-8")
    run = ["run", "m.csv", *on(sandbox, "--out", "o")]
    batchedit(*run, cwd=tmp_path)
    other = f"A-2,{LINK % 2},Größe süß Öl für Käse ändern\n".encode("cp1252")
    sheet.write_bytes((HEAD + GOOD).encode() + other * 3)
    refused = batchedit(*run, cwd=tmp_path, code=65)
    assert "read as windows-125" in refused.stderr
    assert "hle'" in refused.stderr, "the first word that it changes"
    assert "--encoding cp125" in refused.stderr
    assert "row 2 (A-1)" in refused.stderr
    batchedit("plan", "m.csv", "--out", "o", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    assert sandbox.ledger()["accepted"] == 1
    batchedit(*run, "--encoding", "cp1252", cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 3, "what a person says is done"


def test_a_sheet_that_excel_saved_anew_in_its_own_encoding_is_the_same_sheet(tmp_path: Path, sandbox) -> None:
    sheet = tmp_path / "m.csv"
    sheet.write_text(HEAD + GOOD, encoding="utf-8")
    batchedit("run", "m.csv", *on(sandbox, "--out", "o"), cwd=tmp_path)
    sheet.write_bytes((HEAD + GOOD).encode("cp1252"))
    plan = batchedit("plan", "m.csv", "--out", "o", "--base-url", sandbox.url, cwd=tmp_path)
    assert "read as windows-1252: 'Kühle'" in plan.stdout
    batchedit("run", "m.csv", *on(sandbox, "--out", "o"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1


@pytest.mark.parametrize("text", ["\u200b", "\ufeff \u00a0", "\u2800", "nan", "None", "null", "undefined", "NULL "])
def test_prompts_that_say_nothing_were_bought(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(f"{HEAD}A-1,{LINK % 1},{text}\n", encoding="utf-8")
    refused = batchedit("plan", "m.csv", cwd=tmp_path, code=65)
    assert "prompt" in refused.stdout + refused.stderr


def test_a_column_that_the_prompt_names_and_that_holds_nan_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"sku,image,Title\nA-1,{LINK % 1},nan\nA-2,{LINK % 2},Mug\n")
    assert "{Title} in the prompt is 'nan'" in batchedit("plan", "m.csv", "--prompt", "x {Title}", cwd=tmp_path).stdout


def test_braces_in_the_prompt_column_that_name_a_column_were_bought_as_braces(tmp_path: Path, sandbox) -> None:
    (tmp_path / "m.csv").write_text(
        "sku,image,Title,prompt\n"
        f"A-1,{LINK % 1},Red mug,an ad for {{Title}}\n"
        f"A-2,{LINK % 2},<b>Blue</b> mug,an ad for {{{{ title }}}} and {{Titel}}\n"
        f'A-3,{LINK % 3},{{sku}},"{{""a"": 1}} {{Title}}"\n'
    )
    plan = batchedit("plan", "m.csv", cwd=tmp_path).stdout
    assert "{Title} inside the cells is filled from the column 'Title' in 3 rows" in plan
    assert "{Titel} stands in 1 row as it is" in plan
    batchedit("run", "m.csv", *on(sandbox, "--out", "o"), cwd=tmp_path)
    bought = sorted(job["prompt"] for job in sandbox.ledger(full=True)["requests"])
    assert bought == ["an ad for Blue mug and {Titel}", "an ad for Red mug", '{"a": 1} {sku}']


def test_a_template_that_asks_for_braces_keeps_them(tmp_path: Path, sandbox) -> None:
    (tmp_path / "m.csv").write_text(f"sku,image,Title\nA-1,{LINK % 1},Red mug\n")
    batchedit("run", "m.csv", *on(sandbox, "--out", "o", "--prompt", "{{Title}} of {Title}"), cwd=tmp_path)
    assert [job["prompt"] for job in sandbox.ledger(full=True)["requests"]] == ["{Title} of Red mug"]


# --- the header -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "numbers.csv",
            f"Table 1\nsku,image,prompt\nA-1,{LINK % 1},make an ad\n",
            "the header is row 2; 1 row above it is left",
        ),
        (
            "report.csv",
            f'Report,,\n"Jan 1, 2026 - Jan 31, 2026",,\n,,\nsku,image,prompt\nA-1,{LINK % 1},make an ad\n',
            "the header is row 4; 2 rows above it are left out",
        ),
        (
            "amazon.txt",
            (
                "TemplateType=fptcustom\tVersion=2024.0101\tThe top 3 rows are for Amazon.com use only.\t\n"
                f"SKU\tImage\tName\tPrompt\nsku\timage\titem_name\tprompt\nA-1\t{LINK % 1}\tMug\tmake an ad\n"
            ),
            "the header is row 3; 2 rows above it are left out",
        ),
        (
            "meta.csv",
            (
                "# Required | A unique content ID,# Required | The main image,# The prompt\n"
                f"id,image,prompt\nA-1,{LINK % 1},make an ad\n"
            ),
            "the header is row 2; 1 row above it is left out",
        ),
        (
            "meta-three-lines.csv",
            (
                "# A template for your catalogue,,,\n"
                "# Required | A unique content ID,# Required | The main image,# The prompt,# Optional | The brand\n"
                f"id,image_link,prompt,brand\nA-1,{LINK % 1},make an ad,Oslo\n"
            ),
            "the header is row 3; 2 rows above it are left out",
        ),
        ("empty-columns.csv", f"sku,image,prompt,,\nA-1,{LINK % 1},make an ad,,\nA-2,{LINK % 1},make an ad,,\n", ""),
        ("row-ends.csv", f"sku,image,prompt\nA-1,{LINK % 1},make an ad,\nA-2,{LINK % 1},make an ad,,\n", ""),
        ("twice-marked.csv", f"\ufeff\ufeffimage,sku,prompt\n{LINK % 1},A-1,make an ad\n", ""),
        ("quoted.csv", f'\ufeff\ufeff"image","sku","prompt"\n"{LINK % 1}","A-1","make an ad"\n', ""),
        ("unseen.csv", f"sku,\u200bimage,prompt\u00a0\nA-1,{LINK % 1},make an ad\n", ""),
    ],
)
def test_headers_as_programs_write_them_were_refused(
    tmp_path: Path, sandbox, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert expected in batchedit("plan", name, cwd=tmp_path).stdout
    batchedit("run", name, *on(sandbox, "--out", "o"), cwd=tmp_path)
    written = (tmp_path / "o" / "results.csv").read_text(encoding="utf-8-sig").lstrip("\ufeff").splitlines()
    first = content.lstrip("\ufeff").splitlines()
    assert [line.startswith(own.rstrip(",")) for line, own in zip(written, first, strict=True)].count(False) == 0
    assert [job["prompt"] for job in sandbox.ledger(full=True)["requests"]] == ["make an ad"]
    again = tmp_path / "again.csv"
    again.write_bytes((tmp_path / "o" / "results.csv").read_bytes())
    plan = batchedit("plan", "again.csv", "--out", "o", "--base-url", sandbox.url, cwd=tmp_path).stdout
    assert "to buy          nothing" in plan, "results are a manifest again"


def test_the_header_row_can_be_said(tmp_path: Path, sandbox) -> None:
    (tmp_path / "m.csv").write_text(f"sku,image,prompt\nid,photo,text\nA-1,{LINK % 1},make an ad\n")
    plan = batchedit("plan", "m.csv", "--header-row", "2", "--map", "image=photo", "--map", "prompt=text", cwd=tmp_path)
    assert "the header is row 2; 1 row above it is left out" in plan.stdout
    assert "there is no row" in batchedit("plan", "m.csv", "--header-row", "9", cwd=tmp_path, code=64).stderr
    (tmp_path / "m.jsonl").write_text(OBJECT)
    assert "no header row" in batchedit("plan", "m.jsonl", "--header-row", "1", cwd=tmp_path, code=64).stderr


def test_a_usual_header_stays_the_first_row(tmp_path: Path) -> None:
    """Rows without a link below the header are data, whatever words they hold."""
    (tmp_path / "m.csv").write_text(f"sku,image,prompt\nname,,title\nA,,b\nA-1,{LINK % 1},make an ad\n")
    refused = batchedit("plan", "m.csv", cwd=tmp_path, code=65)
    assert "m.csv: 3 rows" in refused.stdout
    assert "2 rows" in refused.stdout


def test_only_the_very_names_of_our_columns_are_ours(tmp_path: Path, sandbox) -> None:
    (tmp_path / "m.csv").write_text(f"sku,image,prompt,result_code,result_status\nA-1,{LINK % 1},x,OK-77,old\n")
    batchedit("run", "m.csv", *on(sandbox, "--out", "o"), cwd=tmp_path)
    (row,) = rows(tmp_path / "o")
    assert (row["result_code"], row["result_status"]) == ("OK-77", "done")
    (tmp_path / "m.jsonl").write_text(
        json.dumps({"sku": "A", "image": LINK % 1, "prompt": "y", "result_code": 1.50}) + "\n"
    )
    batchedit("run", "m.jsonl", *on(sandbox, "--out", "p"), cwd=tmp_path)
    assert json.loads((tmp_path / "p" / "results.jsonl").read_text())["result_code"] == 1.5


def test_a_quotation_mark_that_opens_by_chance_took_the_next_row_into_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text(
        f'sku\timage\tprompt\nA-1\t{LINK % 1}\t"24 inch monitor\nA-2\t{LINK % 2}\tmug"\nA-3\t{LINK % 3}\tcap\n'
    )
    refused = batchedit("plan", "m.tsv", "--no-check-images", cwd=tmp_path, code=65)
    assert "takes the next row into one of its cells" in refused.stdout
    assert "to buy          1 picture" in refused.stdout
    (tmp_path / "n.csv").write_text(
        f'sku,image,prompt\nA-1,{LINK % 1},"a mug, as in https://x.example/1.jpg,\nblue, big"\n'
    )
    assert "to buy          1 picture" in batchedit("plan", "n.csv", "--no-check-images", cwd=tmp_path).stdout
