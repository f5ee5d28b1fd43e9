"""The calls of the API, over real sockets, and the ledger's account of them."""

import base64
import time

import pytest

from batchedit.sandbox import SandboxConfig

MODEL = "/v1/models/openai/gpt-4o-image/edit"


def test_a_job_from_submit_to_picture(sandbox_with):
    client = sandbox_with()
    answer = client.submit().json()
    request_id = answer["request_id"]
    at = f"{client.url}/v1/requests/{request_id}"
    assert answer == {
        "request_id": request_id,
        "status_url": f"{at}/status",
        "result_url": f"{at}/result",
        "cancel_url": f"{at}/cancel",
    }
    assert client.status(request_id) == {
        "request_id": request_id,
        "status": "completed",
        "status_url": f"{at}/status",
        "result_url": f"{at}/result",
    }
    result = client.result(request_id, include_cost="true")
    assert (result["status"], result["cost"], result["model_id"]) == ("completed", 0.04, "openai/gpt-4o-image/edit")
    assert result["created_at"] <= result["finished_at"]
    file = client.plain.get(result["output"]["image"])
    assert (file.status_code, file.headers["content-type"]) == (200, "image/png")
    assert len(file.content) == int(file.headers["content-length"])


def test_queue_and_run_are_told_by_both_calls(sandbox_with):
    client = sandbox_with(latency="60", slots=1)
    ids = [client.accepted(prompt=str(n)) for n in range(3)]
    for ask in (client.status, client.result):
        states = [(state["status"], state.get("queue_position")) for state in map(ask, ids)]
        assert states == [("in_progress", None), ("in_queue", 0), ("in_queue", 1)]


def test_only_queued_jobs_can_be_cancelled(sandbox_with):
    client = sandbox_with(latency="60", slots=1, balance="0.08")
    running, queued = client.accepted(prompt="1"), client.accepted(prompt="2")
    assert client.submit().status_code == 402
    answers = [client.http.post(f"/v1/requests/{one}/cancel").json() for one in (running, queued, queued)]
    assert [(a["status"], a["outcome"]) for a in answers] == [
        ("in_progress", "not_cancellable"),
        ("cancelled", "cancelled"),
        ("cancelled", "cancelled"),
    ]
    assert client.result(queued)["status"] == "cancelled"
    assert client.submit().status_code == 200
    assert client.sandbox.ledger()["cancelled"] == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "t"])
def test_a_token_is_wanted(sandbox_with, header):
    client = sandbox_with()
    headers = {} if header is None else {"Authorization": header}
    for path in ("/v1/requests/x/status", "/v1/requests/x/result", "/prod/v2/balance", MODEL):
        answer = client.plain.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error_code"]) == (401, 401001)


def test_one_token_may_be_fixed(sandbox_with):
    client = sandbox_with(token="secret")
    assert client.submit().status_code == 401
    assert client.plain.post(MODEL, headers={"Authorization": "Bearer secret"}, json={}).status_code == 422


def test_errors_of_the_table(sandbox_with):
    client = sandbox_with(models={"a/b": {"required": ["text"], "properties": {"text": {"type": "string"}}}})
    codes = {
        "/v1/requests/nobody/status": 404001,
        "/v1/requests/foreign-1/result": 403001,
        "/v1/models/no/such": 400001,
    }
    assert {path: client.http.get(path).json()["error_code"] for path in codes} == codes
    assert client.http.post("/v1/models/no/such", json={}).json()["error_code"] == 400001
    assert client.http.post("/v1/models/a/b", json={"text": "x"}).status_code == 200
    assert client.http.post("/v1/models/a/b", json={"text": 1}).status_code == 422


PICTURE = "https://shop.example/a.png"


@pytest.mark.parametrize(("pictures", "status"), [(20, 200), (21, 422)])
def test_a_picture_too_many_is_refused(sandbox_with, pictures, status):
    """The vendor's models say how many they take, and refuse more."""
    body = {"prompt": "x", "image_urls": [PICTURE] * pictures}
    assert sandbox_with().http.post("/v1/models/google/nano-banana-2/edit", json=body).status_code == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "x"}, ["image"]),
        ({"image": PICTURE}, ["prompt"]),
        ({"image": PICTURE, "prompt": 5}, ["prompt"]),
        ({"image": PICTURE, "prompt": "x", "size": "4:3"}, ["size"]),
        ({"image": [], "prompt": "x"}, ["image"]),
        ({"image": 5, "prompt": "x"}, ["image"]),
        ({"image": [PICTURE, 5], "prompt": "x"}, ["image", 1]),
        ({"image": "no url", "prompt": "x"}, ["image"]),
        ({"image": "data:image/png;base64,???", "prompt": "x"}, ["image"]),
        ([], []),
    ],
)
def test_a_bad_body_is_named_by_field(sandbox_with, body, field):
    client = sandbox_with()
    answer = client.http.post(MODEL, json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422001)
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", *field]]
    assert client.sandbox.ledger()["accepted"] == 0


@pytest.mark.parametrize(("shape", "string", "array"), [("any", 200, 200), ("string", 200, 422), ("array", 422, 200)])
def test_the_shape_of_image_that_is_taken(sandbox_with, shape, string, array):
    client = sandbox_with(image_shape=shape)
    assert (client.submit(image=PICTURE).status_code, client.submit(image=[PICTURE]).status_code) == (string, array)


def test_bytes_that_are_no_json(sandbox_with):
    assert sandbox_with().http.post(MODEL, content=b"{").status_code == 422


@pytest.mark.parametrize(("option", "status"), [("state", 200), ("4xx", 409), ("404", 404)])
def test_result_of_an_unfinished_job(sandbox_with, option, status):
    client = sandbox_with(latency="60", result_while_running=option)
    answer = client.http.get(f"/v1/requests/{client.accepted()}/result")
    assert (answer.status_code, answer.json()["status"]) == (status, "in_progress")


def test_the_catalogue_tells_price_and_schema(sandbox_with):
    entry = sandbox_with(price="0.05").http.get(MODEL).json()
    assert (entry["model_id"], entry["base_price_usd"]) == ("openai/gpt-4o-image/edit", 0.05)
    assert entry["input_schema"]["required"] == ["image", "prompt"]
    assert sandbox_with(catalogue=False).http.get(MODEL).status_code == 404


def test_words_and_shapes_that_vary(sandbox_with):
    client = sandbox_with(
        done_word="succeeded", coarse_status=True, outputs="images", images_per_job=3, faults=("job:failed=at:2",)
    )
    done, failed = client.accepted(prompt="1"), client.accepted(prompt="2")
    assert (client.status(done)["status"], client.result(done)["status"]) == ("completed", "succeeded")
    assert (client.status(failed)["status"], client.result(failed)["status"]) == ("completed", "failed")
    files = {client.plain.get(link).content for link in client.result(done)["output"]["images"]}
    assert len(files) == 3


def test_cost_is_told_late_or_never_and_may_differ_from_the_price(sandbox_with):
    client = sandbox_with(price="0.04", actual_price="0.05", cost_after=0.2, balance=1)
    request_id = client.accepted()
    assert "cost" not in client.result(request_id, include_cost="true")
    assert client.http.get("/prod/v2/balance").json() == {
        "balance_usd": 0.95,
        "balance_microdollars": 950_000,
        "currency": "USD",
    }
    time.sleep(0.25)
    assert client.result(request_id, include_cost="true")["cost"] == 0.05
    assert "cost" not in client.result(request_id)
    silent = sandbox_with(show_cost=False)
    assert "cost" not in silent.result(silent.accepted(), include_cost="true")


def test_a_rate_limit_with_retry_after(sandbox_with):
    client = sandbox_with(rate_limit="1/s,burst=3")
    answers = [client.submit(prompt=str(n)) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].headers["retry-after"] == "1"
    assert client.sandbox.ledger()["answers"]["submit"] == {"200": 3, "429": 2}


def test_an_accounts_limit_of_jobs_at_once(sandbox_with):
    client = sandbox_with(at_once=2, latency="0.2")
    answers = [client.submit(prompt=str(n)) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    time.sleep(0.25)
    assert client.submit(prompt="3").status_code == 200


def test_links_live_as_long_as_they_say(sandbox_with):
    client = sandbox_with(plain_files=5000, link_ttl=0.2)
    request_id = client.accepted()
    old = client.link(request_id)
    assert client.plain.get(old).status_code == 200
    assert client.plain.get(old.replace("signature=", "signature=0")).status_code == 403
    time.sleep(0.25)
    assert client.plain.get(old).status_code == 403
    assert client.plain.get(client.link(request_id)).status_code == 200


def test_ranges_and_heads_of_a_file(sandbox_with):
    client = sandbox_with(plain_files=5000)
    link = client.link(client.accepted())
    whole = client.plain.get(link).content
    part = client.plain.get(link, headers={"Range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, whole[100:])
    assert part.headers["content-range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
    assert client.plain.get(link, headers={"Range": "bytes=99999-"}).status_code == 416
    assert client.plain.head(link).headers["content-length"] == str(len(whole))


def test_a_token_at_a_file_is_recorded(sandbox_with):
    client = sandbox_with(plain_files=5000)
    request_id = client.accepted()
    client.plain.get(client.link(request_id))
    assert client.sandbox.ledger()["token_leaks"] == []
    client.http.get(client.link(request_id))
    client.http.head("/samples/mug.png")
    leaks = client.sandbox.ledger()["token_leaks"]
    assert leaks == [f"GET /files/{request_id}/0.png", "HEAD /samples/mug.png"]


def test_the_ledger_finds_duplicates_by_meaning_not_by_bytes(sandbox_with):
    client = sandbox_with(faults=("job:failed=at:3",))
    client.accepted(prompt="one", image=PICTURE)
    client.accepted(prompt="one", image=[PICTURE], size="1:1")
    client.accepted(prompt="one", image=PICTURE)
    client.accepted(prompt="one", image=PICTURE, size="2:3")
    ledger = client.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"], ledger["live_duplicates"]) == (4, 2, 1)
    assert [(group["prompt"], group["count"]) for group in ledger["duplicate_groups"]] == [("one", 3)]


def test_the_ledger_over_http_and_in_process_agree(sandbox_with):
    client = sandbox_with(latency="60", slots=2)
    for n in range(3):
        client.status(client.accepted(prompt=str(n)))
    there = client.plain.get("/_sandbox/ledger", params={"full": 1}).json()
    assert there == client.sandbox.ledger(full=True)
    assert (there["in_flight"], there["max_in_flight"], there["max_queue"], there["status_polls"]) == (3, 3, 1, 3)
    assert [job["state"] for job in there["requests"]] == ["running", "running", "queued"]
    assert all(job["polls"] == 1 and job["delivered"] for job in there["requests"])


def test_a_data_uri_is_kept_as_its_digest(sandbox_with):
    client = sandbox_with()
    picture = client.plain.get("/samples/mug.png").content
    client.accepted(image="data:image/png;base64," + base64.b64encode(picture).decode())
    (job,) = client.sandbox.ledger(full=True)["requests"]
    assert job["images"][0].startswith("sha256:")


@pytest.mark.parametrize(
    "options",
    [
        {"slots": 0},
        {"price": "free"},
        {"balance": -1},
        {"rate_limit": "fast"},
        {"at_once": 0},
        {"image_shape": "round"},
        {"result_while_running": "500"},
        {"images_per_job": 2},
        {"link_ttl": -1},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=r"\w"):
        SandboxConfig(**options)
