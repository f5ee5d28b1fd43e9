"""What is no manifest, or one with mistakes: exit 65, row and column and reason, and the way on; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import run_cli

HEAD = "sku,image,prompt\n"
LINK = "https://images.example.com/a.png"
GOOD = f"1,{LINK},x\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.csv", b"", "m.csv is empty"),
        ("m.csv", HEAD, "m.csv has no rows of data"),
        ("m.csv", f"sku,image,prompt,sku\n1,{LINK},x,2\n", "two columns have one name: 'sku' (columns 1 and 4)"),
        (
            "m.csv",
            HEAD + GOOD + f"2,{LINK}\n",
            "row 3    has 2 cells where the header has 3: 'prompt' and on are missing",
        ),
        ("m.csv", HEAD + GOOD + f"2,{LINK},a,b\n", "row 3    has 4 cells where the header has 3, too many by: b"),
        (
            "m.csv",
            HEAD + GOOD + f'2,{LINK},"open\n',
            "row 3    a quotation mark opens a cell in line 3 and is never closed",
        ),
        ("m.csv", HEAD + GOOD + f"2,{LINK},\n", "row 3 (2)  prompt  is empty"),
        ("m.csv", HEAD + GOOD + "2,http://x.example/a.png,x\n", "begins with http://; the service fetches https://"),
        ("m.csv", bytes(range(256)) * 50, "m.csv"),
        ("m.jsonl", f'{{"image":"{LINK}","prompt":"x"}}\n{{"image":"{LINK}","pro', "line 2    is cut off after"),
        ("m.jsonl", f'{{"image":"{LINK}","prompt":"x"}}\n[1]\n', "line 2    is not an object in braces"),
        ("m.xlsx", b"PK\x03\x04 no workbook", "m.xlsx is damaged or cut off"),
        ("m.parquet", b"PAR1 no table", "m.parquet is no Parquet file that can be read"),
        ("m.parquet", b"no table", "m.parquet is not a whole .parquet file"),
        ("m.csv.gz", b"\x1f\x8b\x08broken", "damaged or cut off"),
        ("m.csv", "\ufeff\n<!DOCTYPE html><html><body>Sign in</body></html>\n", "m.csv is a web page, not a table"),
        ("m", "<html>\n<head><title>Log in</title></head>\n</html>\n", "m is a web page, not a table"),
        ("m.xls", b"\xd0\xcf\x11\xe0", "m.xls is no spreadsheet"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_every_bad_manifest_is_65(tmp_path: Path, command: str, name: str, content: bytes | str, expected: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    completed = run_cli(command, name, "--sandbox", cwd=tmp_path, code=65)
    assert expected in completed.stdout + completed.stderr
    assert "→" in completed.stderr or "Correct these rows" in completed.stdout
    assert not list(tmp_path.glob("outputs/m/files/*"))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "spring.csv").write_text(HEAD + GOOD)
    missing = run_cli("run", "sprng.csv", "--sandbox", cwd=tmp_path, code=66)
    assert "Did you mean spring.csv?" in missing.stderr
    for link in ("https://docs.google.com/spreadsheets/d/1/edit", "HTTP://shop.example.com/feed.csv"):
        stderr = run_cli("plan", link, "--sandbox", cwd=tmp_path, code=66).stderr
        assert f"{link} is a link, and a manifest is a file on this machine" in stderr
        assert "download the sheet first" in stderr
    assert "Tables in it: spring.csv" in run_cli("plan", ".", "--sandbox", cwd=tmp_path, code=65).stderr


@pytest.mark.parametrize("row", ["2,https://x.example/a b.png,x", "2,www.x.example/a.png,x", "2,//x.example/a.png,x"])
def test_links_that_are_nearly_right_say_what_to_write(tmp_path: Path, row: str) -> None:
    (tmp_path / "m.csv").write_text(HEAD + GOOD + row + "\n")
    stdout = run_cli("plan", "m.csv", "--sandbox", cwd=tmp_path, code=65).stdout
    assert "row 3 (2)  image" in stdout
    assert "write" in stdout


def test_names_that_collide_are_told_with_their_rows(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(HEAD + GOOD + f"2,{LINK},y\n")
    stderr = run_cli("run", "m.csv", "--sandbox", "--name", "same", cwd=tmp_path, code=65).stderr
    assert "'same' (row 2 (1) and row 3 (2))" in stderr
