"""``--json``: one object on stdout, errors too, as the schemas in the package describe it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from batchedit.cli.app import batchedit as group
from batchedit.cli.json_output import SCHEMAS
from batchedit.cli.json_values import workers_to_json
from batchedit.commands.store import Worker
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, run_cli

PAGE = Path(__file__).parents[2] / "docs/reference/json.md"
MARKS = ("<!-- made from the schemas by tests/cli/test_json.py: begin -->", "<!-- end -->")
ASKED = {"plan", "status", "doubt", "audit", "runs", "workers", "config", "run", "retry", "redo", "fetch"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


def read_schema(name: str) -> dict[str, Any]:
    json_schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(json_schema, dict)
    return json_schema


def close_schema(json_schema: Any) -> Any:
    """The schema without leave for fields that it does not name: others may come in a later version, but not unnoticed."""
    if isinstance(json_schema, list):
        return [close_schema(inner) for inner in json_schema]
    if not isinstance(json_schema, dict):
        return json_schema
    own = {"additionalProperties": False} if "properties" in json_schema and json_schema.get("type") != "string" else {}
    return {**own, **{name: close_schema(inner) for name, inner in json_schema.items()}}


def read_valid(text: str, name: str) -> dict[str, Any]:
    """stdout as the one object that it must be."""
    payload = json.loads(text)
    assert isinstance(payload, dict)
    assert payload["schema"] == f"batchedit/{name}/1", text
    jsonschema_rs.validator_for(close_schema(read_schema(name)), validate_formats=True).validate(payload)
    return payload


def type_command(folder: Path, *arguments: object, name: str, code: int = 0) -> dict[str, Any]:
    return read_valid(run_cli(*arguments, "--json", cwd=folder, code=code).stdout, name)


def test_each_command_that_a_program_calls_says_one_object(tmp_path: Path, sandbox: RunningSandbox) -> None:
    sheet = manifest(tmp_path / "spring.csv", 3)
    planned = type_command(tmp_path, "plan", sheet, "--base-url", sandbox.url, name="plan")
    assert planned["to_buy"] == 3
    assert planned["usd"]["estimate"] == pytest.approx(3 * planned["usd"]["price"])
    ended = type_command(tmp_path, "run", sheet, *on(sandbox), name="report")
    assert (ended["jobs"], ended["exit_code"]) == ({"done": 3}, 0)
    run = ended["folder"]
    now = type_command(tmp_path, "status", run, name="status")
    assert (now["state"], now["done"], now["usd"]["spent"]) == ("finished", 3, ended["usd"]["spent"])
    assert type_command(tmp_path, "audit", run, name="audit")["clean"]
    assert type_command(tmp_path, "doubt", run, name="doubt")["open"] == []
    assert [entry["name"] for entry in type_command(tmp_path, "runs", name="runs")["runs"]] == ["spring"]
    settings = type_command(tmp_path, "config", run, "--max-cost", "3", name="config")["settings"]
    assert settings["max-cost"] == {"value": "3.00", "from": "flag"}
    assert type_command(tmp_path, "fetch", run, "--base-url", sandbox.url, name="report")["pictures"] == 3


def test_a_program_is_told_what_is_wrong_on_stdout_too(tmp_path: Path) -> None:
    sheet = tmp_path / "bad.csv"
    sheet.write_text("sku,image,prompt\na,not-a-link,make an ad\n", encoding="utf-8")
    planned = type_command(tmp_path, "plan", sheet, "--no-check-images", name="plan", code=65)
    assert planned["invalid"][0]["row"] == 2
    missing = type_command(tmp_path, "status", "nowhere", name="error", code=66)["error"]
    assert (missing["code"], missing["kind"]) == (66, "NotFoundError")
    misspelt = run_cli("status", "nowhere", "--jsn", "--json", cwd=tmp_path, code=64)
    assert "--jsn" in read_valid(misspelt.stdout, "error")["error"]["message"]
    assert misspelt.stderr == ""
    both = type_command(tmp_path, "status", "nowhere", "--watch", name="error", code=64)["error"]
    assert both["hint"]


def test_rows_that_cannot_be_bought_stand_in_the_error_of_run(tmp_path: Path, sandbox: RunningSandbox) -> None:
    sheet = tmp_path / "bad.csv"
    sheet.write_text("sku,image,prompt\na,not-a-link,make an ad\n", encoding="utf-8")
    error = type_command(tmp_path, "run", sheet, *on(sandbox), name="error", code=65)["error"]
    assert [row["row"] for row in error["invalid"]] == [2]


def test_doubts_that_are_open_are_listed_for_a_program(tmp_path: Path) -> None:
    with serve(SandboxConfig(latency="0", plain_files=2_000, faults=("submit:drop_after=1",))) as dropping:
        sheet = manifest(tmp_path / "lost.csv", 1)
        ended = type_command(tmp_path, "run", sheet, *on(dropping), name="report", code=76)
    (doubt,) = type_command(tmp_path, "doubt", ended["folder"], name="doubt", code=76)["open"]
    assert (doubt["state"], doubt["rows"][0]["row"]) == ("in_doubt", 2)
    assert ended["commands"][0]["command"].startswith("batchedit doubt ")


def test_workers_of_a_store_are_described_by_their_schema() -> None:
    payload = workers_to_json([Worker(1, "a", "working", 1.8e9, 1.8e9, 3, 1)])
    jsonschema_rs.validator_for(close_schema(read_schema("workers")), validate_formats=True).validate(
        {"schema": "batchedit/workers/1", **payload}
    )


def test_every_command_of_the_list_takes_json() -> None:
    taking = {name for name, command in group.commands.items() if any("--json" in p.opts for p in command.params)}
    assert taking == ASKED


def describe_shape(field_schema: dict[str, Any]) -> str:
    """A field's type in words."""
    if "const" in field_schema:
        return f"`{field_schema['const']}`"
    if "enum" in field_schema:
        return ", ".join(f"`{value}`" for value in field_schema["enum"])
    if "anyOf" in field_schema:
        return " or ".join(describe_shape(alternative) for alternative in field_schema["anyOf"])
    kind = field_schema.get("type", "any")
    if kind == "array":
        return f"list of {describe_shape(field_schema['items'])}"
    return kind if isinstance(kind, str) else " or ".join(kind)


def list_fields(json_schema: dict[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    for name, inner in json_schema.get("properties", {}).items():
        yield f"| `{before}{name}` | {describe_shape(inner)} | {inner.get('description', '')} |"
        below = next((candidate for candidate in [inner, *inner.get("anyOf", ())] if "properties" in candidate), None)
        if below is None and inner.get("type") == "array" and "properties" in inner["items"]:
            yield from list_fields(inner["items"], f"{before}{name}[].", depth + 1)
        elif below is not None and name != "report":
            yield from list_fields(below, f"{before}{name}.", depth + 1)


def make_tables() -> str:
    parts = []
    for path in sorted(SCHEMAS.glob("*.json")):
        json_schema = read_schema(path.stem)
        parts += [f"## `batchedit/{path.stem}/1`", "", f"{json_schema['title']}. {json_schema['description']}", ""]
        parts += ["| field | | |", "| --- | --- | --- |", *list_fields(json_schema), ""]
    return "\n".join(parts)


def test_the_page_of_the_objects_is_made_from_the_schemas() -> None:
    """``BATCHEDIT_WRITE_README=1`` writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    fresh = f"{before}{MARKS[0]}\n\n{make_tables()}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    if os.environ.get("BATCHEDIT_WRITE_README"):
        PAGE.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh, "docs/reference/json.md is stale: make readme"
