"""``batchedit.run`` with a DataFrame: each row gets its own picture, and the frame comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import batchedit
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import environment

MUG = "https://images.example.com/mug.png"


@pytest.mark.parametrize("places", [(0,), (1,), (1, 2, 4), ()])
def test_a_frame_with_an_empty_row_got_its_pictures_on_the_wrong_rows(tmp_path: Path, places: tuple[int, ...]) -> None:
    frame = pd.DataFrame(
        {"sku": ["a", "b", "c", "d", "e"], "image": MUG, 7: range(5), "prompt": [f"an ad, {n}" for n in range(5)]},
        index=[f"line-{n}" for n in (5, 3, 9, 1, 7)],
    ).astype(object)
    frame.iloc[list(places), :] = None
    with serve(SandboxConfig(latency="0.1", plain_files=8_000)) as sandbox:
        found = batchedit.run(frame, out=tmp_path / "run", base_url=sandbox.url, environ=environment())
    wanted = frame.drop(index=frame.index[list(places)])
    assert found.done == len(wanted)
    results = found.results
    assert results.index.tolist() == wanted.index.tolist()
    assert results["sku"].tolist() == wanted["sku"].tolist()
    assert results[7].tolist() == wanted[7].tolist()
    assert [files[0] for files in results["result_files"]] == [f"files/{sku}-1x1-1.png" for sku in wanted["sku"]]
