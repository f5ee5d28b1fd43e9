"""A sheet is edited between runs: only what is new or edited is bought, and the plan says so."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

pytestmark = pytest.mark.process

LINK = "https://images.example.com/mug.png"


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


def write_sheet(path: Path, table: list[list[str]], header: tuple[str, ...] = ("sku", "image", "prompt")) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *table])


def plan_sheet(path: Path, sandbox, *more: object) -> str:
    return batchedit("plan", path.name, "--base-url", sandbox.url, *more, cwd=path.parent).stdout


def test_reorder_insert_delete_edit(tmp_path: Path, sandbox) -> None:
    sheet, folder = tmp_path / "m.csv", tmp_path / "outputs" / "m"
    table = [[f"s{n}", LINK, f"ad {n}"] for n in range(1, 21)]
    write_sheet(sheet, table)
    assert "20 new" in plan_sheet(sheet, sandbox)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    first = {row["sku"]: row for row in rows(folder)}

    table.reverse()
    write_sheet(sheet, table)
    assert "pictures        20 done" in plan_sheet(sheet, sandbox)

    table = [["new1", LINK, "hello"], *table[:5], ["new2", LINK, "there"], *table[6:], ["new3", LINK, "end"]]
    table[16][2] = "ad 5, but better"
    write_sheet(sheet, table)
    assert table[16][0] == "s5"
    assert "3 new, 1 edited (row 18 (s5): prompt), 18 done" in plan_sheet(sheet, sandbox)
    completed = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert "3 new, 1 edited (row 18 (s5): prompt), 18 done" in completed.stderr
    assert sandbox.ledger()["accepted"] == 24
    assert sandbox.ledger()["duplicates"] == 0

    after = {row["sku"]: row for row in rows(folder)}
    assert [row["sku"] for row in rows(folder)] == [line[0] for line in table]
    assert (after["s5"]["result_version"], first["s5"]["result_version"]) == (2, 1)
    assert after["s5"]["result_file"] == "files/s5-1x1-1-v2.png"
    assert (folder / str(first["s5"]["result_file"])).exists(), "the old file stays"
    for sku in after.keys() & first.keys() - {"s5"}:
        assert after[sku]["result_sha256"] == first[sku]["result_sha256"]
        content = (folder / str(after[sku]["result_file"])).read_bytes()
        assert hashlib.sha256(content).hexdigest() == after[sku]["result_sha256"]

    table[16][2] = "ad 5"
    write_sheet(sheet, table)
    assert "22 done" in plan_sheet(sheet, sandbox), "edited back: bought long ago"


def test_version_in_the_name(tmp_path: Path, sandbox) -> None:
    name_options = ["--name", "{version}/{sku}"]
    write_sheet(tmp_path / "m.csv", [["a", LINK, "one"]])
    batchedit("run", "m.csv", *on(sandbox, *name_options), cwd=tmp_path)
    write_sheet(tmp_path / "m.csv", [["a", LINK, "two"]])
    batchedit("run", "m.csv", *on(sandbox, *name_options), cwd=tmp_path)
    files = sorted(
        p.relative_to(tmp_path / "outputs/m").as_posix() for p in (tmp_path / "outputs/m/files").rglob("*.png")
    )
    assert files == ["files/1/a.png", "files/2/a.png"]


def test_a_row_put_in_above_rows_without_ids_is_new_not_edited(tmp_path: Path, sandbox) -> None:
    header = ("image", "prompt")
    write_sheet(tmp_path / "m.csv", [[LINK, "one"], [LINK, "two"]], header)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    write_sheet(tmp_path / "m.csv", [[LINK, "zero"], [LINK, "one"], [LINK, "two"]], header)
    assert "1 new, 2 done" in plan_sheet(tmp_path / "m.csv", sandbox)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert len({row["result_file"] for row in rows(tmp_path / "outputs" / "m")}) == 3


def test_an_interrupted_run_and_failures_are_told(tmp_path: Path, sandbox) -> None:
    write_sheet(tmp_path / "m.csv", [[f"s{n}", LINK, f"ad {n}"] for n in range(4)])
    batchedit("run", "m.csv", *on(sandbox, "--max-cost", "0.08", "--price", "0.04"), cwd=tmp_path, code=75)
    assert "2 not bought yet, 2 done" in plan_sheet(tmp_path / "m.csv", sandbox)
    sandbox.set_faults(["job:failed=every:1"])
    batchedit("run", "m.csv", *on(sandbox, "--max-cost", "none"), cwd=tmp_path, code=1)
    assert "2 done, 2 failed" in plan_sheet(tmp_path / "m.csv", sandbox)


def test_the_product_is_counted_and_priced_before_it_is_bought(tmp_path: Path, sandbox) -> None:
    write_sheet(tmp_path / "m.csv", [["a", LINK, "x"], ["b", LINK, "x"], ["c", LINK, "y"]])
    matrix = [
        "--sizes",
        "1:1,2:3",
        "--variants",
        2,
        "--for",
        "market=DE,FR,JP",
        "--prompt",
        "ad for {market}: {prompt}",
    ]
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, *matrix)
    assert "3 rows × 3 market × 2 sizes × 2 variants = 36 pictures" in plan_text
    assert "24 new" in plan_text
    assert "12 rows with the same inputs as an earlier one: bought once" in plan_text
    assert "$0.04 a picture (the catalogue), $0.96 for what is new" in plan_text
    assert "row 2 (a): ad for DE: x" in plan_text
    batchedit("run", "m.csv", *on(sandbox, *matrix), cwd=tmp_path)
    result_rows = rows(tmp_path / "outputs" / "m")
    assert (len(result_rows), sandbox.ledger()["accepted"]) == (36, 24)
    assert {row["market"] for row in result_rows} == {"DE", "FR", "JP"}
    unused = plan_sheet(tmp_path / "m.csv", sandbox, "--for", "market=DE,FR", "--prompt", "ad")
    assert "--for market: nothing uses it" in unused


def test_fill_down_is_suggested_and_does_it(tmp_path: Path, sandbox) -> None:
    table = [["shirt", "Blue shirt", LINK], ["shirt", "", f"{LINK}?2"], ["hat", "Hat", LINK]]
    write_sheet(tmp_path / "m.csv", table, ("Handle", "Title", "image"))
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, "--prompt", "ad for {Title}")
    assert "{Title} in the prompt is empty in 1 row" in plan_text
    assert "--fill-down 'Title' carries the value down" in plan_text
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, "--prompt", "ad for {Title}", "--fill-down", "Title")
    assert "empty" not in plan_text
    assert "row 3 (shirt): ad for Blue shirt" not in plan_text, "an example of each prompt once"


def test_other_settings_say_what_they_change_before_it_is_bought(tmp_path: Path, sandbox) -> None:
    write_sheet(tmp_path / "m.csv", [["a", LINK, "x"], ["b", LINK, "y"]])
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, "--sizes", "1:1,2:3")
    assert (
        'other settings than last time: --sizes was not given, now ["1:1", "2:3"]. 2 pictures are new by that'
        in plan_text
    )
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, "--name", "{sku}-x")
    assert "That changes only names" in plan_text
    assert "2 done" in plan_text
    plan_text = plan_sheet(tmp_path / "m.csv", sandbox, "--skip-invalid")
    assert "No new picture comes of that" in plan_text
    completed = batchedit("run", "m.csv", "--base-url", sandbox.url, "--sizes", "1:1,2:3", cwd=tmp_path, code=64)
    assert "2 pictures are new by that" in completed.stderr
    assert sandbox.ledger()["accepted"] == 2
