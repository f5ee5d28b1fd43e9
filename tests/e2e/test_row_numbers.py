"""The number of a row in everything that a person reads and types is the sheet's own, with the row's id."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from batchedit.sandbox import SandboxConfig, serve
from tests.e2e.test_first_edition import MADE, PORT
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

LINK = "https://shop.example.com/p/%d.jpg"
SHEET = "Spring campaign,,\n\nsku,image,prompt\n" + "".join(f"00{n},{LINK % n},make ad {n}\n" for n in range(1, 5))


def test_one_number_from_the_plan_to_the_contact_sheet(tmp_path: Path) -> None:
    """Title, blank line, header: the first row of data is row 4, and so it is called everywhere."""
    (tmp_path / "m.csv").write_text(SHEET)
    folder = tmp_path / "outputs" / "m"
    with serve(SandboxConfig(latency="0.1", plain_files=500, faults=("job:failed=at:2",))) as sandbox:
        assert "row 4 (001): make ad 1" in batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
        ended = batchedit("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=1).stdout
        assert "row 5 (002)" in ended
        assert "row 5 (002)" in batchedit("status", "outputs/m", cwd=tmp_path).stdout
        assert json.loads((folder / "report.json").read_text())["errors"][0]["rows"] == [5]
        assert [row["result_row"] for row in rows(folder)] == [4, 5, 6, 7]
        with (folder / "failed.csv").open(newline="", encoding="utf-8-sig") as file:
            next(file), next(file)
            assert [(row["sku"], row["result_row"]) for row in csv.DictReader(file)] == [("002", "5")]
        events = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
        assert {(e["row"], e["id"]) for e in events if "job" in e} == {(n + 3, f"00{n}") for n in range(1, 5)}
        page = batchedit("gallery", "outputs/m", cwd=tmp_path)
        assert page.returncode == 0
        html = (folder / "gallery.html").read_text()
        assert [f'"row":{n},' in html.replace(" ", "") for n in (3, 4, 7, 8)] == [False, True, True, False]
        batchedit("retry", "outputs/m", "--row", 2, "--yes", cwd=tmp_path, code=64)
        batchedit("retry", "outputs/m", "--row", 5, "--yes", cwd=tmp_path)
        (tmp_path / "m.csv").write_text(SHEET.replace("make ad 3", "make ad three").replace(LINK % 4, ""))
        stdout = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65).stdout
        assert "(row 6 (003): prompt)" in stdout
        assert "row 7 (004)  image  is empty" in stdout


def test_a_run_of_the_first_edition_without_ids_says_each_row_once(tmp_path: Path) -> None:
    """Its rows were called by their index: row 5 was told as `row 5 (4)`, as if 4 were its article number."""
    shutil.copytree(MADE, tmp_path, dirs_exist_ok=True)
    run = tmp_path / "outputs" / "m"
    for sheet in (tmp_path / "m.csv", run / "manifest.csv"):
        sheet.write_text(sheet.read_text().replace("sku,", "remark,", 1))
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as book, book:
        book.execute("UPDATE lines SET id = row")
    assert "row 5  " in batchedit("doubt", "outputs/m", cwd=tmp_path, code=76).stdout
    assert ": row 4\n" in batchedit("status", "outputs/m", cwd=tmp_path, code=None).stdout
    assert (
        "row 8: make an ad" in batchedit("plan", "m.csv", "--base-url", f"http://127.0.0.1:{PORT}", cwd=tmp_path).stdout
    )


def test_a_run_of_the_first_edition_says_the_sheets_rows(tmp_path: Path) -> None:
    """It kept rows counted from the header, and no word of where that stands; job 4 is in doubt."""
    shutil.copytree(MADE, tmp_path, dirs_exist_ok=True)
    assert "row 5 (sku-4)" in batchedit("doubt", "outputs/m", cwd=tmp_path, code=76).stdout
    assert "row 4 (sku-3)" in batchedit("status", "outputs/m", cwd=tmp_path, code=None).stdout
    assert "4: no job" in batchedit("doubt", "outputs/m", "--write-off", 4, cwd=tmp_path, code=64).stderr
    batchedit("results", "outputs/m", cwd=tmp_path)
    with (tmp_path / "outputs" / "m" / "results.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [row["result_row"] for row in csv.DictReader(file)] == [str(number) for number in range(2, 10)]


def test_rows_with_links_to_pages_are_told_with_their_ids(tmp_path: Path) -> None:
    """Lists of rows in warnings had numbers alone, which nobody who works with article numbers looks for."""
    page = "https://docs.google.com/document/d/%d/edit"
    lines = [f"00{n},{page % n if n != 2 else LINK % n},make ad {n}" for n in range(1, 9)]
    (tmp_path / "m.csv").write_text("sku,image,prompt\n" + "\n".join(lines) + "\n")
    stdout = batchedit("plan", "m.csv", "--no-check-images", cwd=tmp_path).stdout
    assert (
        "7 links lead to a Google document, where the service probably finds no picture "
        "(row 2 (001), row 4 (003), row 5 (004), row 6 (005), row 7 (006), …); --check-images asks"
    ) in stdout


def test_two_links_in_a_cell_say_how_many_pictures_go_in_and_how_many_come_out(tmp_path: Path) -> None:
    """`1 picture` stood there for a cell of two, and only a note further down said that both are sent for it."""
    (tmp_path / "m.csv").write_text(
        f'sku,image,prompt\n001,"{LINK % 1},{LINK % 2}",make ad 1\n002,{LINK % 3},make ad 2\n003,{LINK % 4},make ad 2\n'
    )
    plan = ("plan", "m.csv", "--sandbox", "--price", "0.04", "--sizes", "1:1,2:3")
    assert "  to buy          from 4 pictures of the sheet: 6 pictures\n" in batchedit(*plan, cwd=tmp_path).stdout
    batchedit("run", "m.csv", "--sandbox", "--yes", "--limit", 2, "--sizes", "1:1,2:3", cwd=tmp_path)
    assert "  to buy          4 pictures\n" in batchedit(*plan, cwd=tmp_path).stdout, (
        "those of one picture each are left"
    )
