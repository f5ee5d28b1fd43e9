"""``batchedit models``, other models end to end, and the vendor's published client's calls against the sandbox."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from batchedit.runcomfy.catalogue import list_built_in
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows, run_cli

QUICK = {"latency": "0.1", "plain_files": 8_000}
FLUX = "blackforestlabs/flux-1-kontext/pro/edit"


def test_the_catalogue_is_listed_and_searched(tmp_path: Path) -> None:
    with serve(SandboxConfig(price="0.05")) as sandbox:
        all_models = run_cli("models", "--base-url", sandbox.url, cwd=tmp_path).stdout
        assert [line.split()[0] for line in all_models.splitlines() if not line.startswith(" ")] == list(
            list_built_in()
        )
        assert "$0.05 a picture" in all_models
        stdout = run_cli("models", "banana-2/", "--base-url", sandbox.url, cwd=tmp_path).stdout
        assert stdout.splitlines()[0].startswith("google/nano-banana-2/edit")
        assert "  inputs  image_urls, prompt, safety_tolerance, number_of_images" in stdout
        assert run_cli("models", "nothing", "--base-url", sandbox.url, cwd=tmp_path, code=66).stdout


@pytest.mark.parametrize("model", list_built_in())
def test_a_model_that_comes_with_the_program_could_not_be_rehearsed(tmp_path: Path, model: str) -> None:
    """The sandbox knew three of eight: "the service knows no such model", and each retry said so again."""
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,https://images.example.com/a.png,an ad\n")
    completed = run_cli("run", "m.csv", "--sandbox", "--yes", "--model", model, cwd=tmp_path)
    assert "1 done" in completed.stdout


def test_one_model_is_shown_with_its_inputs(tmp_path: Path) -> None:
    with serve(SandboxConfig()) as sandbox:
        stdout = run_cli("models", "show", FLUX, "--base-url", sandbox.url, cwd=tmp_path).stdout
        assert "image_url" in stdout
        assert "Needed." in stdout
        wrong = run_cli("models", "show", "acme/none", "--base-url", sandbox.url, cwd=tmp_path, code=66)
    assert "there is no model acme/none" in wrong.stderr


def test_an_input_that_the_schema_does_not_describe_says_what_it_may_be(tmp_path: Path) -> None:
    """`models show` said "An input of the model." of a picture, and of a number from 0 to 1."""
    schema = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "format": "image_uris", "maxItems": 4},
            "mask": {"type": "string", "format": "image_uri", "default": None},
            "strength": {"type": "float", "minimum": 0, "maximum": 1, "default": 0.5},
            "seed": {"type": "int", "minimum": 1, "default": None},
        },
    }
    with serve(SandboxConfig(models={"lab/odd": schema})) as sandbox:
        stdout = run_cli("models", "show", "lab/odd", "--base-url", sandbox.url, cwd=tmp_path).stdout
    explanation_of = {
        line.split()[0]: " ".join(line.split()[1:]) for line in stdout.splitlines() if line.startswith("  ")
    }
    assert explanation_of["image"].endswith("or with | between them. At most 4. Needed.")
    link = "A picture: an https:// link that opens without a login, or a file's path, seen from this sheet's folder."
    assert explanation_of["mask"] == f"{link} May be left empty."
    assert explanation_of["strength"] == "An input of the model. 0 to 1. Empty means 0.5. May be left empty."
    assert explanation_of["seed"] == "An input of the model. At least 1. May be left empty."


def test_a_service_without_a_catalogue_names_what_comes_with_the_program(tmp_path: Path) -> None:
    with serve(SandboxConfig(catalogue=False)) as sandbox:
        known_models = run_cli("models", "--base-url", sandbox.url, cwd=tmp_path, code=69).stderr
        stdout = run_cli("models", "show", FLUX, "--base-url", sandbox.url, cwd=tmp_path).stdout
        stderr = run_cli("models", "Flux", "pro", "--base-url", sandbox.url, cwd=tmp_path, code=69).stderr
        none = run_cli("models", "nothing", "--base-url", sandbox.url, cwd=tmp_path, code=69).stderr
    assert f"these models come with the program: {FLUX}\n" in stderr, "TEXT was not heeded"
    assert ", ".join(list_built_in()) in none
    assert FLUX in known_models
    assert "image_url" in stdout


@pytest.mark.parametrize("model", [FLUX, "google/nano-banana-2/edit"])
def test_a_sheet_of_another_model_is_bought(tmp_path: Path, model: str) -> None:
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,https://x.example/1.png,an ad\n")
    with serve(SandboxConfig(**QUICK)) as sandbox:
        run_cli("run", "m.csv", "--model", model, *on(sandbox), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 1
    assert [row["result_status"] for row in rows(tmp_path / "outputs/m")] == ["done"]


def test_several_pictures_a_job_were_priced_as_one(tmp_path: Path) -> None:
    """The cap of $0.20 lets one job of three pictures through, not two; all three files are kept."""
    (tmp_path / "m.csv").write_text(
        "sku,image,prompt,number_of_images\nA,https://x.example/1.png,an ad,3\nB,https://x.example/2.png,an ad,2\n"
    )
    several = ("--model", "google/nano-banana-2/edit")
    with serve(SandboxConfig(**QUICK)) as sandbox:
        stdout = run_cli("plan", "m.csv", *several, "--base-url", sandbox.url, cwd=tmp_path).stdout
        assert "$0.12 a job of up to 3 pictures (the catalogue), $0.24 for what is new" in stdout
        assert "to buy          2 jobs of up to 3 pictures each" in stdout
        stopped = run_cli("run", "m.csv", *several, *on(sandbox, "--max-cost", "0.20"), cwd=tmp_path, code=75)
        assert sandbox.ledger()["accepted"] == 1, stopped.stderr
        run_cli("run", "outputs/m", *on(sandbox, "--max-cost", "0.24"), cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 2
        assert sandbox.ledger()["charged_usd"] == 0.2
    result_rows = rows(tmp_path / "outputs/m")
    assert [len(row["result_files"]) for row in result_rows] == [3, 2]
    assert len(list((tmp_path / "outputs/m/files").iterdir())) == 5


def test_the_calls_of_the_vendors_published_client(tmp_path: Path) -> None:
    """Written anew from what is known of it (docs/vendor-api.md): list, submit, poll, result with cost, cancel, balance."""
    config = SandboxConfig(latency="0.5", result_while_running="400005", balance="1", plain_files=8_000)
    with (
        serve(config) as it,
        httpx.Client(base_url=it.url, headers={"Authorization": "Bearer t"}, trust_env=False) as http,
    ):
        page = http.get("/v1/models", params={"limit": 2, "offset": 1, "include_schema": "true"}).json()
        assert (len(page["models"]), page["total"], page["limit"], page["offset"]) == (2, len(list_built_in()), 2, 1)
        assert page["models"][0]["price_unit"] == "output"
        assert http.get("/v1/models", params={"limit": 501}).status_code == 422
        assert http.get("/v1/models/categories").json() == {"categories": ["image-to-image"]}
        assert http.get(f"/v1/models/{FLUX}").json()["required_inputs"] == ["image_url", "prompt"]
        assert http.get("/prod/v2/balance").json()["balance_microdollars"] == 1_000_000
        many = {"image_urls": ["https://x.example/1.png"] * 21, "prompt": "p"}
        refused = http.post("/v1/models/google/nano-banana-2/edit", json=many)
        assert (refused.status_code, refused.json()["error_code"]) == (422, 422001)
        submitted = http.post(f"/v1/models/{FLUX}", json={"image_url": "https://x.example/1.png", "prompt": "p"}).json()
        early = http.get(f"/v1/requests/{submitted['request_id']}/result").json()
        assert early["error_code"] == 400005
        while http.get(submitted["status_url"]).json()["status"] != "completed":
            time.sleep(0.05)
        result = http.get(f"/v1/requests/{submitted['request_id']}/result", params={"include_cost": "true"}).json()
        assert (result["status"], result["cost"]) == ("completed", 0.04)
        assert http.get(result["output"]["image"]).content
        late = http.post(f"/v1/requests/{submitted['request_id']}/cancel").json()
        assert late["outcome"] == "not_cancellable"


def test_a_run_takes_not_ready_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,https://x.example/1.png,an ad\n")
    with serve(SandboxConfig(latency="1", plain_files=8_000, result_while_running="400005")) as sandbox:
        run_cli("run", "m.csv", "--poll-seconds", "0.2", *on(sandbox), cwd=tmp_path)
    assert [row["result_status"] for row in rows(tmp_path / "outputs/m")] == ["done"]


def test_the_samples_of_the_page_were_told_as_what_an_empty_cell_means(tmp_path: Path) -> None:
    """An empty picture or prompt is a row's problem: nobody buys the page's chainsaw."""
    stdout = run_cli("models", "show", "openai/gpt-4o-image/edit", cwd=tmp_path).stdout
    assert "usecase3-1-input" not in stdout
    assert "chainsaw" not in stdout
    assert "Needed." in stdout
