"""The catalogue's price, from a service that sells by something else than pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.runcomfy.catalogue import list_built_in, load_model
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest
from tests.support.cli import run_cli as batchedit
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


@pytest.fixture
def to_anybody() -> Iterator[RawServer]:
    """A catalogue that answers without a token, and a list of it."""
    model = load_model("openai/gpt-4o-image/edit")
    entry = {"model_id": model.id, "base_price_usd": 0.05, "price_unit": "image", "input_schema": dict(model.schema)}
    page = {"models": [entry], "total": 1, "limit": 100, "offset": 0}
    running = RawServer([RawServer.json({**entry, **page})])
    try:
        yield running
    finally:
        running.stop()


def make_environ_without_token() -> dict[str, str]:
    """The environment of who has no token yet."""
    environ = make_env()
    del environ["RUNCOMFY_API_TOKEN"]
    return environ


def test_a_catalogue_that_answers_without_a_token_tells_a_plan_its_price(tmp_path: Path, to_anybody: RawServer) -> None:
    """Who has no token yet was told that the price is unknown, and nobody was asked."""
    manifest(tmp_path / "m.csv", 3)
    arguments = ["plan", "m.csv", "--base-url", to_anybody.url, "--no-check-images"]
    planned = batchedit(*arguments, cwd=tmp_path, env=make_environ_without_token())
    assert "$0.05 a picture (the catalogue), $0.15 for what is new" in planned.stdout
    assert [request.headers.get("authorization") for request in to_anybody.requests] == [None]
    completed = batchedit("models", "--base-url", to_anybody.url, cwd=tmp_path, env=make_environ_without_token())
    assert "$0.05 a picture" in completed.stdout


def test_a_catalogue_that_wants_a_token_leaves_the_price_unknown(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig()) as sandbox:
        arguments = ["plan", "m.csv", "--base-url", sandbox.url, "--no-check-images"]
        assert "unknown" in batchedit(*arguments, cwd=tmp_path, env=make_environ_without_token()).stdout
        refused = batchedit(
            "models", "--base-url", sandbox.url, cwd=tmp_path, env=make_environ_without_token(), code=77
        )
        assert f"these models come with the program: {', '.join(list_built_in())}" in refused.stderr
        model = "openai/gpt-4o-image/edit"
        stdout = batchedit(
            "models", "show", model, "--base-url", sandbox.url, cwd=tmp_path, env=make_environ_without_token()
        ).stdout
        other = ["--model", "acme/none", "--base-url", sandbox.url]
        refused = batchedit("plan", "m.csv", *other, cwd=tmp_path, env=make_environ_without_token(), code=64)
        assert sandbox.ledger()["token_leaks"] == []
    assert "Needed." in stdout
    assert "--schema FILE" in refused.stderr
