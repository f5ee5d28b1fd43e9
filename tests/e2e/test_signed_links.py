"""A sheet that is exported again with links that are signed anew buys nothing, whichever edition bought it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

DATA = Path(__file__).parents[1] / "data"
AWS = "https://bucket.s3.amazonaws.com/p/{n}.jpg?X-Amz-Date={day}&X-Amz-Expires=7200&X-Amz-Signature={day}{n}"
SHOPIFY = "https://cdn.shopify.com/s/files/1/1/products/2.jpg?v={day}"


def write_export(path: Path, day: int | str) -> Path:
    links = [AWS.format(n=n, day=day) for n in range(2)] + [SHOPIFY.format(day=day)]
    table = [f"A-{n},{link},make an ad {n}" for n, link in enumerate(links)]
    path.write_text("\n".join(["sku,image,prompt", *table]) + "\n")
    return path


def test_an_export_that_is_signed_anew_is_not_bought_again(tmp_path: Path) -> None:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        write_export(tmp_path / "s.csv", 20260101)
        batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
        write_export(tmp_path / "s.csv", 20260102)
        stdout = batchedit("plan", "s.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
        assert "pictures        3 done" in stdout
        assert "edited" not in stdout
        batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 3
        assert str(rows(tmp_path / "outputs/s")[0]["image"]).endswith("202601020")


def test_what_is_still_to_buy_is_bought_with_the_newest_link(tmp_path: Path) -> None:
    """The signature of the first export has long expired by then."""
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        write_export(tmp_path / "s.csv", 20260101)
        batchedit("run", "s.csv", *on(sandbox, "--max-cost", "0.04", "--price", "0.04"), cwd=tmp_path, code=75)
        write_export(tmp_path / "s.csv", 20260102)
        batchedit("run", "s.csv", *on(sandbox, "--max-cost", "1"), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 3
    with closing(sqlite3.connect(tmp_path / "outputs/s/checkpoint.sqlite")) as db, db:
        sent = [inputs for (inputs,) in db.execute("SELECT inputs FROM jobs ORDER BY id")]
    db.close()
    assert ["20260102" in inputs for inputs in sent] == [False, True, True]


@pytest.fixture
def bought_before(tmp_path: Path) -> Path:
    """``s.csv`` and its run as the first edition left them: it counted the signatures."""
    folder = tmp_path / "outputs" / "s"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "checkpoint.sqlite")) as db, db:
        script = (DATA / "first_edition_signed.sql").read_text().replace("/sheets/", f"{tmp_path}/")
        db.executescript(script)
    db.close()
    shutil.copy(write_export(tmp_path / "s.csv", 20260101), folder / "manifest.csv")
    return folder


@pytest.mark.parametrize("day", [20260101, 20260102])
def test_what_the_first_edition_bought_is_not_bought_again(tmp_path: Path, bought_before: Path, day: int) -> None:
    write_export(tmp_path / "s.csv", day)
    output = batchedit("plan", "s.csv", "--sandbox", cwd=tmp_path).stdout
    assert "pictures        3 done" in output
    output = batchedit("run", "s.csv", "--sandbox", cwd=tmp_path).stderr
    assert "nothing is left to buy: 3 done" in output
    assert "pictures        3 done" in batchedit("plan", "s.csv", "--sandbox", cwd=tmp_path).stdout
    assert (
        "everything adds up" not in batchedit("audit", "s.csv", cwd=tmp_path, code=1).stdout
    )  # its files are not here
