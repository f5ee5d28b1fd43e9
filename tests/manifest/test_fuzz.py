"""Manifests as accidents leave them: every one ends in exit 0 or 65 with a reason, and never in a traceback.

What ``plan`` takes, the intake of a run takes, and ``results`` can write: nothing is bought that can't come back.

``BATCHEDIT_FUZZ=20000 pytest tests/manifest/test_fuzz.py`` (``make fuzz``) tries that many.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl.drawing.image import Image as Drawing
from PIL import Image

from batchedit.cli.app import batchedit
from batchedit.commands.open_run import open_run
from batchedit.commands.wiring import find_model
from batchedit.core.errors import BatcheditError, ManifestError
from batchedit.planning.intake import IntakeRequest, take_in_manifest
from batchedit.ports import Stop
from batchedit.run_folder import RunFolder, open_source
from batchedit.settings.model import Settings
from tests.manifest.test_excel import ods, three
from tests.support.dialects import DIALECTS, make_dialect
from tests.support.share import examples

TRIES = int(os.environ.get("BATCHEDIT_FUZZ", examples(120)))
PARTS = 20
OURS = Path(__file__).parents[2] / "manifests"
PIECES = (
    *(b'"', b"\n", b"\r\n", b"\r", b",", b";", b"\t", b"|", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"{", b"}"),
    *(b"[", b"\\ud800", b"\xe9\xe8", b"=", b"result_row", b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"<a>", b"&#0;", b"NaN"),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few of the things that happen to files: bytes changed, cut, doubled, moved, put in, another encoding."""
    for _ in range(rng.randint(1, 5)):
        at, to = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
        piece = rng.choice(PIECES)
        match rng.randrange(8):
            case 0:
                data = data[:at] + piece + data[at:]
            case 1:
                data = data[:at] + data[min(len(data), at + rng.randint(1, 200)) :]
            case 2:
                data = data[:at] + data[to : to + 60] + data[at:]
            case 3:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 4:
                data = data.replace(piece, b"", 3)
            case 5:
                data = data[:at]
            case 6:
                data = data.replace(rng.choice([b",", b"\n", b'"', b"https://", b"image"]), piece, rng.randint(1, 5))
            case _:
                data = rng.choice(
                    [data[::-1], gzip.compress(data), data.decode("latin-1").encode("utf-16"), b"", data * 2]
                )
    return data


def mutated_inside(data: bytes, rng: random.Random) -> bytes:
    """The same to one or two members of a zip file, which is a whole one again: what a broken writer leaves."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    for name in rng.sample(sorted(parts), min(len(parts), rng.randint(1, 2))):
        parts[name] = mutated(parts[name], rng)
    if rng.random() < 0.2:
        del parts[rng.choice(sorted(parts))]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, part in parts.items():
            file.writestr(name, part)
    return made.getvalue()


def rich_book(path: Path) -> bytes:
    """A workbook with all that is read beside values: formats, hidden rows, links, pictures, errors, formulas."""

    def fill(sheet: Any) -> None:
        sheet["D1"], sheet["D2"], sheet["D3"], sheet["D4"] = "price", 19.5, 7, "=1/0"
        sheet["D2"].number_format = r"#,##0.00\ [$€-407]"
        sheet["D3"].number_format = "yyyy-mm-dd"
        sheet["B3"].hyperlink = "https://cdn.example.com/p/3.jpg"
        sheet.row_dimensions[4].hidden = True
        drawn = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(drawn, "PNG")
        sheet.add_image(Drawing(drawn), "B4")

    return three(path, fill).read_bytes()


def originals(folder: Path) -> list[tuple[str, bytes]]:
    """Every form that is read, small."""
    sheets = [(path.name, path.read_bytes()) for path in sorted(OURS.glob("*.[cj]s*"))]
    sheets += [(name, make_dialect(folder, name).read_bytes()) for name in DIALECTS]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("products.csv", dict(sheets)["m.csv"])
    books = [("rich.xlsx", rich_book(folder / "rich.xlsx")), ("m.ods", ods(folder / "m.ods").read_bytes())]
    return [*sheets, *books * 4, ("m.zip", packed.getvalue())]


def said_by(command: str, path: Path, *options: str) -> tuple[int, str]:
    """A command in this process; its exit code and all that it said."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = batchedit.main([command, str(path), *options], standalone_mode=False)
        except BatcheditError as error:
            return error.code, f"{error} {error.hint}"
    return int(code), output.getvalue()


def take_in(path: Path, out: Path, prompt: str) -> bool:
    """What ``run`` does before it buys; False where there is nothing to buy."""
    settings = Settings(sandbox=True, price=40_000, prompt=prompt or None, skip_invalid=True)
    folder, model = RunFolder(out), find_model(settings)
    folder.make()
    assert model is not None
    manifest = open_source(path, settings, path.name)
    checkpoint = open_run(folder, settings)
    try:
        take_in_manifest(checkpoint, IntakeRequest(manifest, path, folder, settings, model), Stop())
    except ManifestError as error:
        assert "no row that can become a picture" in str(error)  # noqa: PT017 - the one refusal that is right here
        return False
    finally:
        checkpoint.close()
    return True


@pytest.mark.timeout(120 + 3 * TRIES // PARTS)  # s: a machine that is busy otherwise may take a second for each
@pytest.mark.parametrize("part", range(PARTS))
def test_fuzz(tmp_path: Path, part: int) -> None:
    rng = random.Random(part)
    sources = originals(tmp_path)
    for turn in range(max(1, TRIES // PARTS)):
        name, data = rng.choice(sources)
        path = tmp_path / f"{turn % 10}-{name}"
        inside = data.startswith(b"PK") and rng.random() < 0.8
        path.write_bytes(mutated_inside(data, rng) if inside else mutated(data, rng))
        prompt = "an ad" if rng.random() < 0.5 else ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's about damaged workbooks
            try:
                check(path, tmp_path / "out", prompt)
            except BaseException as error:
                error.add_note(f"part {part}, turn {turn}: a mutated {name}")
                raise


@pytest.mark.parametrize("line", [rb'{"sku": "A-2", "title": "K%se": "1.5"}', rb'{"K%s": {"\ud800": 1}}'])
def test_a_broken_line_with_a_byte_that_is_no_text_is_left_out_like_any_other(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "m.jsonl"
    whole = b'{"sku":"A-%d","image":"https://a.example.com/1.jpg","prompt":"caf\xc3\xa9"}\n'
    path.write_bytes(whole % 1 + line % b"\xc3" + b"\n" + whole % 3)
    check(path, tmp_path / "out", "")


def check(path: Path, out: Path, prompt: str) -> None:
    shutil.rmtree(out, ignore_errors=True)
    options = ["--sandbox", "--skip-invalid", "--out", str(out), *(["--prompt", prompt] if prompt else [])]
    code, output = said_by("plan", path, *options)
    assert code in {0, 65}, output
    assert output.strip()
    if code == 0 and take_in(path, out, prompt):
        code, output = said_by("results", out)
        assert code == 0, output
        assert list(out.glob("results.*"))
