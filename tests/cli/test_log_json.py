"""``--log-json``: each line of stderr is an event with its time and its run; the command's start and end are two of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchedit.cli.group import batchedit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").fullmatch


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


def read_events(text: str) -> list[dict[str, Any]]:
    """Each line as an object; a line of plain text is none."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(TIME(line["at"]) and line["event"] for line in lines), text
    return lines


def test_a_log_begins_and_ends_with_the_command(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    completed = run_cli("run", "m.csv", *on(sandbox, "--log-json"), cwd=tmp_path)
    lines = [line for line in read_events(completed.stderr) if line["event"] != "checked_images" and "run" in line]
    assert (lines[0]["event"], lines[0]["command"]) == ("started", "run")
    assert (lines[-1]["event"], lines[-1]["exit_code"], lines[-1]["jobs"]) == ("ended", 0, {"done": 2})
    logged = read_events((tmp_path / "outputs/m/run.jsonl").read_text(encoding="utf-8"))
    assert {line["run"] for line in (*logged, *lines)} == {lines[0]["run"]}
    assert [line["event"] for line in logged][:: len(logged) - 1] == ["started", "ended"]
    (tmp_path / "outputs" / "m").rename(tmp_path / "moved")
    again = read_events(run_cli("fetch", "moved", "--base-url", sandbox.url, "--log-json", cwd=tmp_path).stderr)
    assert {line["run"] for line in again if "run" in line} == {lines[0]["run"]}


def test_what_ends_a_command_is_a_line_too(tmp_path: Path, sandbox: RunningSandbox) -> None:
    (tmp_path / "batchedit.toml").write_text('rate = "5/s"\nsizes = ["1:1"]\n', encoding="utf-8")
    manifest(tmp_path / "m.csv", 1)
    completed = run_cli("run", "m.csv", "--base-url", sandbox.url, "--log-json", cwd=tmp_path, code=64)
    lines = read_events(completed.stderr)
    told_of = dict.fromkeys(line["event"] for line in lines)
    assert [name for name in told_of if name in {"settings", "ended", "error"}] == ["settings", "error", "ended"]
    assert (lines[-2]["code"], lines[-2]["hint"]) == (64, "the same command with --yes")
    assert (lines[-1]["exit_code"], lines[-1]["stopped"]) == (64, lines[-2]["message"])


def test_a_plan_had_no_start_and_no_end(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    lines = read_events(run_cli("plan", "m.csv", "--base-url", sandbox.url, "--log-json", cwd=tmp_path).stderr)
    assert (lines[0]["event"], lines[0]["command"]) == ("started", "plan")
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("ended", 0)
    (tmp_path / "bad.csv").write_text("sku,image,prompt\nA,nothing,hi\n", encoding="utf-8")
    refused = read_events(
        run_cli("plan", "bad.csv", "--base-url", sandbox.url, "--log-json", cwd=tmp_path, code=65).stderr
    )
    assert (refused[-1]["event"], refused[-1]["exit_code"]) == ("ended", 65)
    absent = read_events(
        run_cli("plan", "no.csv", "--base-url", sandbox.url, "--log-json", cwd=tmp_path, code=66).stderr
    )
    assert [line["event"] for line in absent] == ["started", "error", "ended"]
    assert (absent[-1]["exit_code"], absent[-1]["command"]) == (66, "plan")


def test_a_word_that_is_wrong_is_told_in_a_line(tmp_path: Path) -> None:
    by_flag = run_cli("status", "m", "--log-json", "--jsn", cwd=tmp_path, code=64).stderr
    by_environment = run_cli("status", "m", cwd=tmp_path, code=66, env=make_env(BATCHEDIT_LOG_JSON="1")).stderr
    for text, code in ((by_flag, 64), (by_environment, 66)):
        line = read_events(text)[-2]
        assert (line["event"], line["code"]) == ("error", code)
    assert run_cli("status", "m", cwd=tmp_path, code=66).stderr.startswith("batchedit: ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "no.csv", "--yes"), 66),
        (("run", "m.csv", "--yes", "--max-cost", "much"), 64),
        (("run", "m.csv", "--yes", "--detach", "--metrics", "127.0.0.1:0"), 64),
        (("retry", "nowhere"), 66),
        (("redo", "nowhere"), 66),
        (("fetch", "nowhere"), 66),
        (("cancel", "nowhere"), 66),
        (("doubt", "nowhere"), 66),
        (("status", "nowhere", "--watch", "--json"), 64),
        (("work", "--notify", "nothing"), 64),
        (("verify", "nowhere"), 66),
        (("init", "nowhere"), 66),
        (("store", "init"), 64),
        (("store", "nothing"), 64),
        (("nothing",), 64),
        (("--nothing",), 64),
        (("runs",), 0),
        ((), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_command_that_failed_before_its_run_had_no_start_and_no_end(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    manifest(tmp_path / "m.csv", 1)
    completed = run_cli(*arguments, cwd=tmp_path, env=make_env(BATCHEDIT_LOG_JSON="1"), code=code)
    lines = [line for line in read_events(completed.stderr) if line["event"] not in {"settings", "warning"}]
    by_name = [line["event"] for line in lines]
    name = arguments[0] if arguments and arguments[0] in batchedit.commands else "batchedit"
    in_object = "--json" in arguments
    assert by_name == ["started", *(["error"] if code and not in_object else []), "ended"]
    assert [line.get("command") for line in (lines[0], lines[-1])] == [name, name]
    assert (lines[-1]["exit_code"], "stopped" in lines[-1]) == (code, code != 0)
