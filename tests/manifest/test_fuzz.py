"""Manifests as accidents leave them: every one ends in exit 0 or 65 with a reason, and never in a traceback.

``BATCHEDIT_FUZZ=20000 pytest tests/unit -k fuzz`` (``make fuzz``) tries that many.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import warnings
from pathlib import Path

import pytest

from batchedit.cli.app import batchedit
from batchedit.core.errors import BatcheditError
from tests.support.dialects import DIALECTS, make_dialect

TRIES = int(os.environ.get("BATCHEDIT_FUZZ", "1000"))
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


def originals(folder: Path) -> list[tuple[str, bytes]]:
    found = [(path.name, path.read_bytes()) for path in sorted(OURS.glob("*.[cj]s*"))]
    return found + [(name, make_dialect(folder, name).read_bytes()) for name in DIALECTS]


def plan(path: Path, *options: str) -> tuple[int, str]:
    """The command in this process; its exit code and all that it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = batchedit.main(["plan", str(path), "--sandbox", "--out", "none", *options], standalone_mode=False)
        except BatcheditError as error:
            return error.code, f"{error} {error.hint}"
    return int(code), said.getvalue()


@pytest.mark.parametrize("part", range(PARTS))
def test_fuzz(tmp_path: Path, part: int) -> None:
    rng = random.Random(part)
    sources = originals(tmp_path)
    for turn in range(max(1, TRIES // PARTS)):
        name, data = rng.choice(sources)
        path = tmp_path / f"{turn % 10}-{name}"
        path.write_bytes(mutated(data, rng))
        options = ["--prompt", "an ad"] if rng.random() < 0.5 else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's about damaged workbooks
            code, said = plan(path, *options)
        assert code in {0, 65}, f"{part}/{turn} {name}: exit {code}\n{said}"
        assert code == 0 or said.strip(), f"{part}/{turn} {name}: no reason"
