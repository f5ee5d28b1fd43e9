"""The catalogue's price, from a service that sells by something else than pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.runcomfy.catalogue import load_model
from tests.support.cli import inside as batchedit
from tests.support.cli import manifest
from tests.support.raw_server import RawServer


@pytest.fixture
def by_the_second() -> Iterator[RawServer]:
    model = load_model("openai/gpt-4o-image/edit")
    entry = {"base_price_usd": 0.08, "price_unit": "second", "input_schema": dict(model.schema)}
    running = RawServer([RawServer.json({"model_id": model.id, **entry})])
    try:
        yield running
    finally:
        running.stop()


def test_a_price_by_the_second_was_summed_up_as_one_of_pictures(tmp_path: Path, by_the_second: RawServer) -> None:
    """Three pictures were to cost $0.24."""
    manifest(tmp_path / "m.csv", 3)
    planned = batchedit("plan", "m.csv", "--base-url", by_the_second.url, "--no-check-images", cwd=tmp_path)
    assert "$0.08 per second (the catalogue)" in planned.stdout
    assert "unknown" in planned.stdout
    assert "$0.24" not in planned.stdout


def test_no_cap_is_kept_by_a_price_of_something_else(tmp_path: Path, by_the_second: RawServer) -> None:
    manifest(tmp_path / "m.csv", 3)
    options = ["--base-url", by_the_second.url, "--no-check-images", "--yes", "--max-cost", "0.24"]
    refused = batchedit("run", "m.csv", *options, cwd=tmp_path, code=64)
    assert "$0.08 per second" in refused.stderr
    assert "--price" in refused.stderr
    assert {request.method for request in by_the_second.requests} == {"GET"}
