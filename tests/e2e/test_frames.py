"""``batchedit.run`` with a DataFrame: each row gets its own picture, and the frame comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import batchedit
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env

MUG = "https://images.example.com/mug.png"


@pytest.mark.parametrize("places", [(0,), (1,), (1, 2, 4), ()])
def test_a_frame_with_an_empty_row_got_its_pictures_on_the_wrong_rows(tmp_path: Path, places: tuple[int, ...]) -> None:
    frame = pd.DataFrame(
        {"sku": ["a", "b", "c", "d", "e"], "image": MUG, 7: range(5), "prompt": [f"an ad, {n}" for n in range(5)]},
        index=[f"line-{n}" for n in (5, 3, 9, 1, 7)],
    ).astype(object)
    frame.iloc[list(places), :] = None
    with serve(SandboxConfig(latency="0.1", plain_files=8_000)) as sandbox:
        result = batchedit.run(frame, out=tmp_path / "run", base_url=sandbox.url, environ=make_env())
    expected = frame.drop(index=frame.index[list(places)])
    assert result.done == len(expected)
    results = result.results
    assert results.index.tolist() == expected.index.tolist()
    assert results["sku"].tolist() == expected["sku"].tolist()
    assert results[7].tolist() == expected[7].tolist()
    assert [files[0] for files in results["result_files"]] == [f"files/{sku}-1x1-1.png" for sku in expected["sku"]]


def test_a_column_whose_name_is_no_text_is_told_how_it_is_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``{2024}`` in a prompt, and the file's own ``2024``: nobody said that the year is text there."""
    frame = pd.DataFrame({"sku": ["A-1"], "image": [MUG], "prompt": ["make an ad of {2024}"], 2024: [17]})
    with serve(SandboxConfig(latency="0.1", plain_files=8_000)) as sandbox:
        result = batchedit.run(frame, out=tmp_path / "run", base_url=sandbox.url, environ=make_env())
    assert result.results[2024].tolist() == [17]
    assert (
        "a column has a name that is no text; in prompts, options and files it reads '2024', and the frame of the results "
        "keeps it"
    ) in caplog.messages


def test_a_frame_whose_names_are_text_is_not_talked_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"sku": ["A-1"], "image": [MUG], "prompt": ["make an ad"]})
    with serve(SandboxConfig(latency="0.1", plain_files=8_000)) as sandbox:
        batchedit.run(frame, out=tmp_path / "run", base_url=sandbox.url, environ=make_env())
    assert not [message for message in caplog.messages if "no text" in message]
