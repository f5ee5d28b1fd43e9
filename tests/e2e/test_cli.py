"""The command as a person uses it: real processes against the sandbox on a socket."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import batchedit, make_env, manifest, on, rows, run_cli

QUICK = {"latency": "0.1", "plain_files": 8_000}


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(**QUICK)) as running:
        yield running


def count_statuses(folder: Path) -> Counter[str]:
    return Counter(str(row["result_status"]) for row in rows(folder))


def test_the_demo_twice(tmp_path: Path) -> None:
    demo = Path(__file__).parents[2] / "manifests" / "demo.csv"
    first = batchedit("run", demo, "--sandbox", "--out", "d", cwd=tmp_path)
    second = batchedit("run", demo, "--sandbox", "--out", "d", cwd=tmp_path)
    pictures = list((tmp_path / "d" / "files").glob("*.png"))
    assert len(pictures) >= 8
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()
    assert "done" in first.stdout
    assert "nothing is left to buy" in second.stderr


def test_five_hundred_rows_fifty_at_a_time(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 500)
    with serve(SandboxConfig(latency="2", plain_files=4_000)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "-j", 50), cwd=tmp_path)
        ledger = sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"], ledger["answers_lost"]) == (500, 0, 0)
    assert ledger["max_in_flight"] <= 50
    assert ledger["token_leaks"] == []
    for row in rows(tmp_path / "outputs" / "m"):
        with Image.open(tmp_path / "outputs" / "m" / str(row["result_file"])) as picture:
            assert picture.info["prompt"] == row["prompt"], "a picture of another row"


def test_plan_sends_nothing_and_writes_nothing(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 3)
    completed = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path)
    assert "3 pictures" in completed.stdout
    assert "$0.04 a picture (the catalogue), $0.12 for what is new" in completed.stdout
    assert sandbox.ledger()["submits_seen"] == 0
    assert not (tmp_path / "outputs").exists()


def test_bad_rows_are_named_at_once_and_nothing_is_sent(tmp_path: Path, sandbox: RunningSandbox) -> None:
    (tmp_path / "m.csv").write_text(
        "sku,image,prompt,size\n"
        "A,https://images.example.com/mug.png,an ad,1:1\n"
        "B,,an ad,1:1\n"
        "C,https://images.example.com/mug.png,an ad,4:5\n"
        "D,http://images.example.com/mug.png,,1:1\n"
    )
    refused = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=65)
    for fragment in ("row 3 (B)", "row 4 (C)", "row 5 (D)", "'4:5'", "1:1 (square)", "--skip-invalid"):
        assert fragment in refused.stdout + refused.stderr
    assert sandbox.ledger()["submits_seen"] == 0
    batchedit("run", "m.csv", *on(sandbox, "--skip-invalid"), cwd=tmp_path)
    assert count_statuses(tmp_path / "outputs" / "m") == {"done": 1, "invalid": 3}
    assert sandbox.ledger()["accepted"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["run", "missing.csv", "--yes"], 66, "there is no file missing.csv"),
        (["run", "autumn products.ods", "--yes"], 66, ": m.csv."),
        (["run", "n.csv", "--yes"], 66, "did you mean m.csv?"),
        (["run", "away/m.csv", "--yes"], 66, "there is no folder away either"),
        (["run", "m.csv", "--yes", "--base-url", "http://example.com"], 64, "https"),
        (["run", "m.csv", "--prompt", "an ad for {Titel}", "--yes"], 64, "Did you mean"),
        (["run", "m.csv", "--rate", "fast"], 64, "5/s"),
        (["run", "m.csv", "--nonsense"], 64, "--nonsense"),
        (["run", "m.csv", "--model", "some/model", "--schema", "none.json", "--yes"], 66, "none.json"),
        (["status", "m.csv"], 66, "batchedit run m.csv"),
        (
            ["models", "show", "google/nanobanana-2/edit", "--base-url", "http://127.0.0.1:9"],
            66,
            "did you mean google/nano-b",
        ),
        (["plan", "m.csv", "--config", "none.toml"], 64, "none.toml"),
    ],
)
def test_what_a_person_can_get_wrong(tmp_path: Path, arguments: list[str], code: int, expected: str) -> None:
    (tmp_path / "m.csv").write_text("sku,Title,image,prompt\nA,Mug,https://images.example.com/mug.png,an ad\n")
    completed = batchedit(*arguments, cwd=tmp_path, code=code)
    assert expected.lower() in (completed.stderr + completed.stdout).lower()


def test_a_misspelled_run_is_met(tmp_path: Path) -> None:
    manifest(tmp_path / "spring sale.csv", 1)
    run_cli("run", "spring sale.csv", "--sandbox", cwd=tmp_path)
    assert "Did you mean 'spring sale'?" in run_cli("status", "spring sal", cwd=tmp_path, code=66).stderr


def test_without_a_terminal_it_needs_a_yes(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    completed = batchedit("run", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64)
    assert "--yes" in completed.stderr
    assert sandbox.ledger()["submits_seen"] == 0


def test_no_token(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    env = make_env()
    del env["RUNCOMFY_API_TOKEN"]
    env["HOME"] = str(tmp_path)
    completed = batchedit("run", "m.csv", "--yes", cwd=tmp_path, env=env, code=77)
    assert "RUNCOMFY_API_TOKEN" in completed.stderr


def test_an_edited_manifest_buys_only_what_is_new(tmp_path: Path, sandbox: RunningSandbox) -> None:
    path = manifest(tmp_path / "m.csv", 6)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    head, *lines = path.read_text().splitlines()
    lines = [lines[4], *lines[:3], lines[5], "sku-9,https://images.example.com/lamp.png,a new one"]
    lines[1] = lines[1].replace("number", "a better number")
    path.write_text("\n".join([head, *lines]) + "\n")
    completed = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path)
    assert "2 pictures" in completed.stdout
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    ledger = sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (8, 0)
    result_rows = rows(tmp_path / "outputs" / "m")
    assert [row["sku"] for row in result_rows] == ["sku-5", "sku-1", "sku-2", "sku-3", "sku-6", "sku-9"]
    assert [row["result_version"] for row in result_rows] == [1, 2, 1, 1, 1, 1]
    assert result_rows[1]["result_file"] == "files/sku-1-1x1-1-v2.png"
    assert (tmp_path / "outputs" / "m" / "files" / "sku-1-1x1-1.png").exists(), "the old version stays"


def test_limit_means_the_first_pictures_and_means_them_again(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 9)
    for _ in range(2):
        batchedit("run", "m.csv", *on(sandbox, "--limit", 4), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 4
    batchedit("run", "m.csv", *on(sandbox, "--limit", 6), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 6
    assert count_statuses(tmp_path / "outputs" / "m") == {"done": 6, "planned": 3}


def test_every_cell_comes_back_byte_for_byte(tmp_path: Path, sandbox: RunningSandbox) -> None:
    text = (
        "\ufeffsku;image;prompt;notes\r\n"
        '007;https://images.example.com/mug.png;"an ad; with ""quotes""";NA\r\n'
        '1e5;https://images.example.com/lamp.png;"two\nlines";"=A1"\r\n'
        "null;https://images.example.com/bag.png;plain;-5\r\n"
    )
    (tmp_path / "m.csv").write_bytes(text.encode())
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    results = (tmp_path / "outputs" / "m" / "results.csv").read_bytes().decode()
    assert results.startswith("\ufeff")
    for record in text[1:].split("\r\n")[:-1]:
        assert record + ";" in results
    table = list(csv.DictReader(results[1:].splitlines(keepends=True), delimiter=";"))
    assert [row["result_status"] for row in table] == ["done"] * 3


def test_failed_jobs_are_told_and_bought_anew_only_by_retry(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 6)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:2", "job:moderated=at:4"))) as sandbox:
        completed = batchedit("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=1)
        assert "batchedit retry" in completed.stdout
        kinds = {row["result_error_kind"] for row in rows(tmp_path / "outputs" / "m")}
        assert kinds == {None, "failed", "moderated"}
        with (tmp_path / "outputs" / "m" / "failed.csv").open(newline="") as file:
            assert [row["sku"] for row in csv.DictReader(file)] == ["sku-2", "sku-4"]
        sandbox.set_faults([])
        batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
        assert sandbox.ledger()["accepted"] == 6
        batchedit("retry", "m.csv", "--yes", "--row", 3, cwd=tmp_path, code=1)
        assert sandbox.ledger()["accepted"] == 7
        batchedit("retry", "outputs/m", "--yes", "--match", "polic", "--moderated", cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 8
    assert count_statuses(tmp_path / "outputs" / "m") == {"done": 6}
    assert not (tmp_path / "outputs" / "m" / "failed.csv").exists()


def test_a_stuck_job_is_paid_for_and_never_bought_again(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK, faults=("job:slow@60=at:1",))) as sandbox:
        stuck = ("--stuck-after", 1, "-j", 3)
        completed = batchedit("run", "m.csv", *on(sandbox, *stuck), cwd=tmp_path, code=75)
        assert "to collect what was bought: batchedit fetch outputs/m" in completed.stdout
        assert "retry" not in completed.stdout
        assert count_statuses(tmp_path / "outputs" / "m") == {"done": 2, "uncollected": 1}
        batchedit("retry", "m.csv", "--yes", cwd=tmp_path, code=64)
        batchedit("fetch", "m.csv", "--stuck-after", 30, cwd=tmp_path)
        assert count_statuses(tmp_path / "outputs" / "m") == {"done": 3}
        assert sandbox.ledger()["accepted"] == 3


def test_cancel_what_is_queued(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(latency="20", slots=1, plain_files=4_000)) as sandbox:
        batchedit("run", "m.csv", *on(sandbox, "-j", 5, "--stuck-after", 1), cwd=tmp_path, code=75)
        assert count_statuses(tmp_path / "outputs" / "m") == {"uncollected": 5}
        completed = batchedit("cancel", "m.csv", cwd=tmp_path)
        assert "4 cancelled; 1 too late" in completed.stdout
        assert sandbox.ledger()["cancelled"] == 4


def test_cancel_after_a_stop(tmp_path: Path) -> None:
    """One is being worked on, which is too late, and it takes longer than any machine needs to come to the cancel."""
    import signal

    from tests.support.cli import start, until

    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(latency="600", slots=1, plain_files=4_000)) as sandbox:
        child = start("run", "m.csv", *on(sandbox, "-j", 5), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] == 5)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=90)
        completed = batchedit("cancel", "m.csv", cwd=tmp_path)
        assert "4 cancelled; 1 too late" in completed.stdout
        assert count_statuses(tmp_path / "outputs" / "m")["cancelled"] == 4
        batchedit("fetch", "m.csv", "--stuck-after", 1, cwd=tmp_path, code=75)
        ledger = sandbox.ledger()
        assert (ledger["cancelled"], ledger["accepted"]) == (4, 5)
        assert count_statuses(tmp_path / "outputs" / "m") == {"cancelled": 4, "uncollected": 1}


@pytest.mark.parametrize("shape", ["string", "array"])
def test_the_page_contradicts_itself_about_the_image(tmp_path: Path, shape: str) -> None:
    manifest(tmp_path / "m.csv", 5)
    with serve(SandboxConfig(**QUICK, image_shape=shape)) as sandbox:
        completed = batchedit("run", "m.csv", *on(sandbox, "-j", 1), cwd=tmp_path)
        ledger = sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (5, 0)
    assert ledger["submits_seen"] == (5 if shape == "string" else 6)
    assert ("a list of addresses" in completed.stderr) == (shape == "array")


def test_a_server_that_tells_the_state_at_status_only(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 4)
    with serve(SandboxConfig(latency="1.5", plain_files=4_000, result_while_running="409")) as sandbox:
        batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
        ledger = sandbox.ledger()
    assert ledger["accepted"] == 4
    assert ledger["status_polls"] > 0
    assert count_statuses(tmp_path / "outputs" / "m") == {"done": 4}


SCHEMA = {
    "type": "object",
    "required": ["image_url", "text"],
    "properties": {
        "image_url": {"type": "string", "format": "image_uri"},
        "text": {"type": "string"},
        "steps": {"type": "integer", "default": 4},
    },
}


@pytest.mark.parametrize("source", ["file", "catalogue"])
def test_another_model(tmp_path: Path, source: str) -> None:
    (tmp_path / "m.csv").write_text("sku,image_url,text,steps\nA,https://images.example.com/mug.png,an ad,7\n")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    with serve(SandboxConfig(**QUICK, models={"acme/painter": SCHEMA})) as sandbox:
        more = ["--schema", "schema.json"] if source == "file" else []
        batchedit("run", "m.csv", *on(sandbox, "--model", "acme/painter", *more), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 1
        mixed = ("--map", "image=image_url", "--map", "prompt=text")
        other = batchedit("run", "m.csv", *on(sandbox, *mixed), cwd=tmp_path, code=64)
        assert "buys with model acme/painter" in other.stderr


def test_a_run_of_another_service_is_not_mixed_up(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    batchedit("run", "m.csv", "--sandbox", cwd=tmp_path)
    completed = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=64)
    assert "sandbox" in completed.stderr
    assert "--out" in completed.stderr
    assert sandbox.ledger()["submits_seen"] == 0


def test_the_log_has_neither_the_token_nor_the_prompts(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 2)
    completed = batchedit("run", "m.csv", *on(sandbox, "--log-json"), cwd=tmp_path)
    log = (tmp_path / "outputs" / "m" / "run.jsonl").read_text()
    for text in (log, completed.stderr):
        assert "test-token" not in text
        assert "make an ad" not in text
        events = [json.loads(line)["event"] for line in text.splitlines()]
        assert Counter(events) >= Counter({"Reserved": 2, "Accepted": 2, "Completed": 2, "Saved": 2})


def test_flag_beats_environment_beats_file(tmp_path: Path, sandbox: RunningSandbox) -> None:
    (tmp_path / "m.csv").write_text("sku,image\nA,https://images.example.com/mug.png\n")
    (tmp_path / "batchedit.toml").write_text('prompt = "from the file"\nsizes = ["1:1", "3:2"]\n')
    env = make_env(BATCHEDIT_PROMPT="from the environment", BATCHEDIT_BASE_URL=sandbox.url)
    batchedit("run", "m.csv", "--yes", "--out", "a", cwd=tmp_path, env=env)
    batchedit("run", "m.csv", "--yes", "--out", "b", "--prompt", "from the flag", cwd=tmp_path, env=env)
    batchedit("run", "m.csv", *on(sandbox, "--out", "c"), cwd=tmp_path)
    prompts = Counter(job["prompt"] for job in sandbox.ledger(full=True)["requests"])
    assert prompts == {"from the environment": 2, "from the flag": 2, "from the file": 2}


def test_a_setting_nobody_knows(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    (tmp_path / "batchedit.toml").write_text('promt = "x"\n')
    completed = batchedit("plan", "m.csv", cwd=tmp_path, code=64)
    assert "did you mean prompt" in completed.stderr


def test_every_command_has_help(tmp_path: Path) -> None:
    overview = batchedit("--help", cwd=tmp_path).stdout
    for name in ("run", "plan", "status", "results", "retry", "doubt", "fetch", "cancel", "audit", "sandbox"):
        assert f"  {name} " in overview
        batchedit(name, "--help", cwd=tmp_path)
